//! `run`: one script of the job, in its environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::environment::{self, Environment, Relay, Script, ScriptEnd};
use crate::error::{Error, Result};
use crate::job::ScriptStage;
use crate::policy::{GitlabSpec, Profile};

use super::call::Call;
use super::place::{Limits, Place};

/// A stage that is ready to run: its sockets are open, its script has not started.
pub struct Stage<'a> {
    call: &'a Call,
    place: Place<'a>,
    script: PathBuf,
    which: ScriptStage,
    environment: Box<dyn Environment>,
    sockets: tempfile::TempDir,
    /// Where guests of this stage ask; `None` in stages that are not the user's.
    pub guests: Option<UnixListener>,
}

impl<'a> Stage<'a> {
    /// Opens what the stage needs.
    ///
    /// # Errors
    /// When no profile applies any more, or the sockets cannot be made.
    pub fn open(call: &'a Call, script: &Path, name: &str) -> Result<Self> {
        let profile: &'a Profile = call.profile()?;
        let place = Place::of(call, profile)?;
        let stage = ScriptStage::parse(name);
        let sockets = sockets_folder(call)?;
        let guests = if stage.is_the_users() {
            Some(listen(&sockets.path().join("guest"), call)?)
        } else {
            None
        };
        Ok(Self {
            call,
            place,
            script: script.to_owned(),
            environment: environment::connect(place.spec(call)?),
            which: stage,
            sockets,
            guests,
        })
    }

    /// Runs the script to its end.
    ///
    /// Dropping the future ends the script with its environment's processes.
    ///
    /// # Errors
    /// When the environment fails; a script that fails is an ordinary end.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<ScriptEnd> {
        let relay = self.relay().await?;
        let socket = self.sockets.path().join("guest");
        let environment = shell_environment(self.which.is_the_users());
        let script = Script {
            file: &self.script,
            shell: "bash",
            environment: &environment,
            socket: self.which.is_the_users().then_some(socket.as_path()),
            relay: relay.as_ref().map(|(relay, _)| relay),
        };
        match &relay {
            None => Ok(self.environment.run(&script, cancel).await?),
            Some((relay, to)) => {
                let listener = listen(&relay.socket, self.call)?;
                // A cancelled script still has its grace, and its git with it.
                let never = CancellationToken::new();
                tokio::select! {
                    end = self.environment.run(&script, cancel) => Ok(end?),
                    ended = environment::relay::serve(listener, to.clone(), &never) => {
                        Err(ended.map_or_else(Error::system, |()| {
                            Error::system("the relay to GitLab ended early")
                        }))
                    }
                }
            }
        }
    }

    /// The profile's limits that end a script.
    pub fn limits(&self) -> Limits {
        self.place.limits()
    }

    /// In a job without network, git and the runner's helper commands reach GitLab and nothing
    /// else.
    async fn relay(&self) -> Result<Option<(Relay, Vec<SocketAddr>)>> {
        if !self.place.is_relayed() || !self.which.needs_gitlab() {
            return Ok(None);
        }
        let gitlab = self.call.policy.gitlab.as_ref();
        let Some((host, port)) = gitlab.and_then(GitlabSpec::address) else { return Ok(None) };
        let to = crate::job::resolve::resolve_socket(&host, port).await.map_err(|error| {
            Error::system(error).hint("check `gitlab: url` in the policy and the host's resolver")
        })?;
        let socket = self.sockets.path().join("gitlab");
        Ok(Some((Relay { host, port, socket }, to)))
    }
}

/// A folder for the stage's sockets that the job's user can pass through and nobody can list.
fn sockets_folder(call: &Call) -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("sockets-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir_in(call.folder())
        .map_err(|error| {
            Error::system(error).hint("the job's folder is gone: was `prepare` run before?")
        })
}

/// A socket that the job's user may connect to.
fn listen(path: &Path, call: &Call) -> Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let listener = UnixListener::bind(path).map_err(Error::system)?;
    if rustix::process::geteuid().is_root() {
        let user = call.policy.user_for(&call.job);
        std::os::unix::fs::chown(path, Some(user), Some(user)).map_err(Error::system)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::system)?;
    Ok(listener)
}

/// All that the script's shell starts with; the script exports the job's variables itself.
fn shell_environment(has_driver: bool) -> BTreeMap<String, String> {
    let driver = [("DYNO_SOCKET", "/run/dyno/socket"), ("DYNO_EXPORTS", "/run/dyno/exports")];
    [
        ("PATH", "/run/dyno/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/home/job"),
        ("USER", "job"),
        ("LOGNAME", "job"),
        ("SHELL", "/bin/bash"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", "/tmp"),
        ("BASH_ENV", "/run/dyno/prelude.sh"),
    ]
    .into_iter()
    .chain(driver.into_iter().filter(|_| has_driver))
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
