//! Whether this host can run a sandbox, and what stands in the way.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::environment::sandbox::cgroup;
use crate::environment::sandbox::spec::Limits;
use crate::environment::{Error, Finding};
use crate::unit::Span;

/// Where a trustworthy bubblewrap is; the driver's PATH has no say.
const PLACES: [&str; 3] = ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"];

/// The first version that can forbid user namespaces inside.
const NEEDED: (u32, u32) = (0, 8);

/// Finds bubblewrap.
pub fn bubblewrap() -> Result<&'static str, Error> {
    PLACES.into_iter().find(|place| Path::new(place).is_file()).ok_or_else(|| Error::Start {
        program: "bwrap".to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// Why the host did not let bubblewrap make a sandbox.
pub fn refusal() -> Error {
    let (reason, hint) = diagnose(&|path| fs::read_to_string(path).ok()).unwrap_or((
        "see its own words above",
        "run `dyno doctor` on the runner's host; inside a container, let it make user namespaces and mounts",
    ));
    Error::Refused { reason: reason.to_owned(), hint: hint.to_owned() }
}

/// What in the host's settings forbids user namespaces, and the way out.
fn diagnose(read: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, &'static str)> {
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return Some((
            "the host allows no user namespaces (user.max_user_namespaces = 0)",
            "run `sysctl -w user.max_user_namespaces=15000` and keep it in /etc/sysctl.d",
        ));
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Some((
            "the host allows user namespaces to root only (kernel.unprivileged_userns_clone = 0)",
            "run `sysctl -w kernel.unprivileged_userns_clone=1` and keep it in /etc/sysctl.d",
        ));
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Some((
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1)",
            "give /usr/bin/bwrap an AppArmor profile with `userns,`, or set the sysctl to 0",
        ));
    }
    None
}

/// Everything that `dyno doctor` tells of the sandbox, with `probe_uid` as a job's user.
pub fn check(probe_uid: Option<u32>) -> Vec<Finding> {
    let mut findings = vec![version()];
    if findings.iter().all(|finding| finding.ok) {
        findings.push(probe(probe_uid));
    }
    findings.push(limits(probe_uid));
    findings
}

fn finding(ok: bool, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { ok, what: what.into(), mend: mend.into() }
}

fn version() -> Finding {
    let install = "install bubblewrap 0.8 or later (`apt install bubblewrap`)";
    let Ok(program) = bubblewrap() else {
        return finding(false, "bubblewrap is not installed", install);
    };
    let told = Command::new(program).arg("--version").output();
    let told = told.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let told = told.unwrap_or_default();
    let is_enough = parse_version(&told).is_some_and(|version| version >= NEEDED);
    let what = format!("{program} is {}", if told.is_empty() { "silent" } else { &told });
    if is_enough { finding(true, what, "") } else { finding(false, what, install) }
}

fn parse_version(told: &str) -> Option<(u32, u32)> {
    let mut numbers = told.rsplit(' ').next()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Makes a real sandbox, as a job's would be.
fn probe(user: Option<u32>) -> Finding {
    let Ok(program) = bubblewrap() else { return finding(false, "bubblewrap is gone", "") };
    let mut command = Command::new(program);
    command.args(["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]);
    command.args(["--uid", "1000", "--gid", "1000", "--disable-userns", "--ro-bind", "/", "/"]);
    command.args(["--dev", "/dev", "--proc", "/proc", "true"]);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let whose = user.map_or("this user".to_owned(), |user| format!("user {user}"));
    match command.output() {
        Ok(out) if out.status.success() => finding(true, format!("{whose} can make a sandbox"), ""),
        Ok(out) => {
            let words = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            let refusal = refusal();
            let what = format!("{whose} cannot make a sandbox ({words}); {refusal}");
            finding(false, what, refusal.hint().unwrap_or_default())
        }
        // A user that this host, a container say, does not know.
        Err(error) => finding(
            false,
            format!("cannot start {program} as {whose}: {error}"),
            "choose `sandbox-users` among the uids that this host or its container has",
        ),
    }
}

fn limits(user: Option<u32>) -> Finding {
    let missing = if user.is_none() {
        "the driver is not root".to_owned()
    } else {
        let none =
            Limits { memory: None, processes: None, open_files: None, grace: Span::seconds(0) };
        let groups = cgroup::make(&format!("dyno-check-{}", std::process::id()), &none);
        let lacking: Vec<_> =
            [("memory", groups.memory.is_none()), ("pids", groups.pids.is_none())]
                .into_iter()
                .filter_map(|(name, is_lacking)| is_lacking.then_some(name))
                .collect();
        let removed = groups.remove();
        if lacking.is_empty() && removed.is_ok() {
            return finding(true, "limits hold for a whole job, by control groups", "");
        }
        format!("no control group can be made for {}", lacking.join(", "))
    };
    finding(
        true,
        format!(
            "limits hold by rlimits, memory for each process instead of the whole job: {missing}"
        ),
        "run the runner as root with a writable /sys/fs/cgroup to have them hold for the whole job",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], expected: Option<&str>) {
        let read = |path: &str| {
            let found = settings.iter().find(|(name, _)| path.ends_with(&name.replace('.', "/")));
            found.map(|(_, value)| format!("{value}\n"))
        };
        let found = diagnose(&read);
        assert_eq!(
            found.map(|(reason, _)| reason.contains(expected.unwrap_or("?"))),
            expected.map(|_| true)
        );
    }

    #[test]
    fn what_forbids_user_namespaces_is_named() {
        check(&[], None);
        check(&[("user.max_user_namespaces", "96364")], None);
        check(&[("user.max_user_namespaces", "0")], Some("max_user_namespaces"));
        let clone = "kernel.unprivileged_userns_clone";
        check(&[("user.max_user_namespaces", "100"), (clone, "0")], Some("root only"));
        check(&[(clone, "1")], None);
        check(&[("kernel.apparmor_restrict_unprivileged_userns", "1")], Some("AppArmor"));
    }

    #[test]
    fn a_version_that_cannot_forbid_user_namespaces_is_too_old() {
        for (told, is_enough) in [
            ("bubblewrap 0.8.0", true),
            ("bubblewrap 0.11.1", true),
            ("bubblewrap 1.0.0", true),
            ("bubblewrap 0.6.1", false),
            ("", false),
            ("bubblewrap unknown", false),
        ] {
            assert_eq!(parse_version(told).is_some_and(|v| v >= NEEDED), is_enough, "{told}");
        }
    }
}
