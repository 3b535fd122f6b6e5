//! What can go wrong with an environment, and whose fault it is.

use std::io;
use std::path::PathBuf;

use crate::error::Fault;

/// An environment could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification or the script asks for something that cannot be.
    #[error("{what}")]
    Unfit {
        /// What, in full.
        what: String,
        /// The way out.
        hint: String,
    },
    /// A file or folder of the environment could not be made, read or removed.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: `create`, `read`, `remove`, …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The job's user cannot reach a path that the sandbox needs.
    #[error("the job's user {user} cannot reach `{}`", path.display())]
    Unreachable {
        /// The folder that stands in the way.
        path: PathBuf,
        /// The job's user.
        user: u32,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Which program.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The host does not let bubblewrap make the sandbox; its own words are in the log above.
    #[error("bubblewrap could not make the sandbox: {reason}")]
    Refused {
        /// Why, as far as the host tells.
        reason: String,
        /// The way out.
        hint: String,
    },
    /// The sandbox ended without telling how its script ended.
    #[error("the script's environment was ended from outside ({status})")]
    Lost {
        /// How its outermost process ended.
        status: String,
    },
    /// A process of the sandbox could not be watched or ended.
    #[error("cannot {action}")]
    Process {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The Docker daemon does not answer.
    #[error("the Docker daemon does not answer at `{}`", socket.display())]
    Daemon {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The Docker daemon could not do what it was asked.
    #[error("cannot {action}")]
    Docker {
        /// What was asked.
        action: String,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The job's image cannot be had, or cannot run scripts.
    #[error("cannot use image `{image}`: {reason}")]
    Image {
        /// As the job writes it.
        image: String,
        /// Why not, as far as the daemon tells.
        reason: String,
        /// The way out.
        hint: String,
    },
    /// The work was cancelled before the environment stood.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Whose fault it is: the platform's but for the image, which the job chose.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Image { .. } => Fault::Job,
            Self::Unfit { .. }
            | Self::File { .. }
            | Self::Unreachable { .. }
            | Self::Start { .. }
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Process { .. }
            | Self::Daemon { .. }
            | Self::Docker { .. }
            | Self::Cancelled => Fault::System,
        }
    }

    /// The way out, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unfit { hint, .. } | Self::Refused { hint, .. } | Self::Image { hint, .. } => {
                Some(hint.clone())
            }
            Self::Daemon { .. } => Some(
                "start it, or let the runner's user use its socket (group `docker`)".to_owned(),
            ),
            Self::Unreachable { path, .. } => {
                Some(format!("let others pass through it: chmod o+x {}", path.display()))
            }
            Self::Start { .. } => {
                Some("install it, or run `dyno doctor` to see what is missing".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some(FULL.to_owned())
            }
            Self::Docker { source, .. } => known(&source.to_string()),
            Self::File { .. } | Self::Lost { .. } | Self::Process { .. } | Self::Cancelled => None,
        }
    }

    pub(in crate::environment) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(in crate::environment) fn process(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Process { action, source }
    }
}

const FULL: &str =
    "free space on the runner's host: `dyno gc`, and `docker system df` shows what Docker holds";

/// The way out of what a daemon says.
fn known(words: &str) -> Option<String> {
    if words.contains("no space left") {
        return Some(FULL.to_owned());
    }
    let is_network = ["dial tcp", "connection refused", "no such host", "timeout", "HTTP status"]
        .iter()
        .any(|sign| words.contains(sign));
    if is_network {
        return Some("check that the runner's host reaches the registry".to_owned());
    }
    words.contains("IPv4 address pool").then(|| {
        "let the daemon have more networks: `default-address-pools` in /etc/docker/daemon.json"
            .to_owned()
    })
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let hint = error.hint().filter(|hint| !hint.is_empty());
        let told = match error.fault() {
            Fault::Job => Self::job(error),
            Fault::System => Self::system(error),
        };
        match hint {
            Some(hint) => told.hint(hint),
            None => told,
        }
    }
}
