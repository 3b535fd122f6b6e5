//! The host itself: programs, the sandbox, uids, docker.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Finding;
use super::runner::find;
use crate::environment::{docker, sandbox};
use crate::policy::{Policy, UidRange};

const DOCKER: &str = "/var/run/docker.sock";
const LONGEST: Duration = Duration::from_secs(5);

pub(super) async fn look(path: &str, policy: Option<&Policy>) -> Vec<Finding> {
    let is_root = rustix::process::geteuid().is_root();
    // Without a policy that can be read, the uids that one has by default.
    let users = policy.map_or_else(UidRange::default, |policy| policy.users);
    let mut findings = vec![
        program(path, "bash", "install bash: scripts run in it"),
        program(path, "git", "install git: the get_sources stage uses the host's"),
    ];
    let probe = is_root.then_some(users.first);
    findings.extend(sandbox::check(probe).into_iter().map(|found| match found.ok {
        true if found.mend.is_empty() => Finding::ok("sandbox", found.what),
        true => Finding::warn("sandbox", found.what, found.mend),
        false => Finding::fail("sandbox", found.what, found.mend),
    }));
    if is_root {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        findings.push(uids(users, &read("/etc/passwd"), &read("/etc/subuid")));
    }
    let used: BTreeSet<&Path> = policy
        .into_iter()
        .flat_map(|policy| &policy.profiles)
        .filter_map(|profile| Some(profile.environment.docker.as_ref()?.socket.as_path()))
        .collect();
    if used.is_empty() {
        let what = format!(
            "no profile needs it; it {}",
            ping(Path::new(DOCKER)).await.unwrap_or_else(|it| it)
        );
        findings.push(Finding::ok("docker", what));
    }
    for socket in used {
        let found = docker::check(socket).await.into_iter();
        findings.extend(found.map(|found| match found.ok {
            true if found.mend.is_empty() => Finding::ok("docker", found.what),
            true => Finding::warn("docker", found.what, found.mend),
            false => Finding::fail("docker", found.what, found.mend),
        }));
    }
    findings
}

fn program(path: &str, name: &str, mend: &str) -> Finding {
    // The sandbox shows /usr and /bin alone, whatever else is on the driver's PATH.
    match find("/usr/local/bin:/usr/bin:/bin", name) {
        Some(program) => Finding::ok(name, program.display().to_string()),
        None => match find(path, name) {
            Some(program) => Finding::fail(
                name,
                format!("{} is outside of /usr and /bin, where no job sees it", program.display()),
                mend,
            ),
            None => Finding::fail(name, "is not installed", mend),
        },
    }
}

/// A job's uid that also is an account's, or a container's, is no wall.
fn uids(users: UidRange, passwd: &str, subuid: &str) -> Finding {
    let end = users.first.saturating_add(users.count);
    let range = format!("{}–{}", users.first, end.saturating_sub(1));
    let account = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        (users.first <= uid && uid < end).then(|| format!("account `{name}` (uid {uid})"))
    });
    let subordinate = subuid.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        (first < end && users.first < first.saturating_add(count))
            .then(|| format!("subordinate uids of `{name}` from {first} on"))
    });
    match account.or(subordinate) {
        None => Finding::ok("uids", format!("{range} belong to nobody")),
        Some(other) => Finding::fail(
            "uids",
            format!("{range} meet {other}"),
            "choose another range for `sandbox-users`",
        ),
    }
}

/// Asks a daemon whether it is there; in words either way.
async fn ping(socket: &Path) -> Result<String, String> {
    let asked = tokio::time::timeout(LONGEST, async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    })
    .await;
    match asked {
        Ok(Ok(answer)) if answer.starts_with(b"HTTP/1") => Ok("answers".to_owned()),
        Ok(Ok(_)) => Err("does not speak HTTP".to_owned()),
        Ok(Err(error)) => Err(format!("is not there: {error}")),
        Err(_) => Err("does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::Level;

    #[test]
    fn uids_that_belong_to_somebody_are_found() {
        let users = UidRange { first: 200_000, count: 1000 };
        for (passwd, subuid, level) in [
            ("root:x:0:0::/root:/bin/sh\n", "me:100000:65536\n", Level::Ok),
            ("me:x:200999:0::/:/bin/sh\n", "", Level::Fail),
            ("me:x:201000:0::/:/bin/sh\n", "", Level::Ok),
            ("", "me:165536:65536\n", Level::Fail),
            ("", "me:201000:65536\n", Level::Ok),
            ("broken", "broken:x\n", Level::Ok),
        ] {
            assert_eq!(uids(users, passwd, subuid).level, level, "{passwd} {subuid}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = ping(&folder.path().join("none.sock")).await.unwrap_err();
        assert!(told.starts_with("is not there"), "{told}");
    }
}
