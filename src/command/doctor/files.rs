//! The files that a policy names: secrets closed to others, the state folder one's own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use crate::policy::{Policy, secrets};

pub(super) fn look(policy: &Policy) -> Vec<Finding> {
    let mut findings = vec![state(&policy.state)];
    findings.extend(policy.file.parent().and_then(folder));
    for (name, source) in &policy.sources {
        for file in source.secret_files() {
            findings.push(secret(&format!("source `{name}`"), file));
        }
    }
    for (name, sink) in &policy.sinks {
        for file in sink.secret_files() {
            findings.push(secret(&format!("sink `{name}`"), file));
        }
    }
    for (name, cluster) in &policy.clusters {
        findings.push(secret(&format!("cluster `{name}`"), &cluster.kubeconfig));
    }
    if let Some(file) = &policy.variables_token_file {
        findings.push(secret("variables", file));
    }
    if let Some(file) = policy.gitlab.as_ref().and_then(|gitlab| gitlab.ca_file.as_ref()) {
        findings.push(certificate("gitlab", file));
    }
    findings
}

fn secret(part: &str, file: &Path) -> Finding {
    match secrets::check(file) {
        Ok(()) => Finding::ok(part, format!("{} is closed to others", file.display())),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            let hint = error.hint();
            Finding::fail(part, format!("{error}{}", cause.unwrap_or_default()), hint)
        }
    }
}

fn certificate(part: &str, file: &Path) -> Finding {
    match std::fs::read_to_string(file) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            Finding::ok(part, format!("{} holds a certificate", file.display()))
        }
        Ok(_) => Finding::fail(
            part,
            format!("{} holds no certificate", file.display()),
            "put the CA's certificate there, in PEM",
        ),
        Err(error) => Finding::fail(
            part,
            format!("cannot read {}: {error}", file.display()),
            "put the CA's certificate there, or remove `ca-file`",
        ),
    }
}

/// Whoever can write the policy's folder can put another policy there.
fn folder(folder: &Path) -> Option<Finding> {
    let metadata = std::fs::metadata(folder).ok()?;
    let shown = folder.display();
    (metadata.mode() & 0o022 != 0).then(|| {
        let what = format!("others can write {shown} (mode {:03o})", metadata.mode() & 0o777);
        Finding::fail("policy", what, format!("chmod go-w {shown}"))
    })
}

/// The folder is the driver's alone: whoever else could write it could change a job's walls.
fn state(folder: &Path) -> Finding {
    let me = rustix::process::geteuid().as_raw();
    let shown = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return missing(folder),
        Err(error) => {
            return Finding::fail("state", format!("cannot see {shown}: {error}"), "mend the path");
        }
    };
    if !metadata.is_dir() {
        return Finding::fail(
            "state",
            format!("{shown} is not a folder"),
            "choose another `state`",
        );
    }
    if metadata.uid() != me && metadata.uid() != 0 {
        let what = format!("{shown} belongs to uid {}", metadata.uid());
        return Finding::fail("state", what, format!("chown {me} {shown}"));
    }
    if metadata.mode() & 0o022 != 0 {
        let what = format!("others can write {shown} (mode {:03o})", metadata.mode() & 0o777);
        return Finding::fail("state", what, format!("chmod go-w {shown}"));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if rustix::fs::access(folder, access).is_err() {
        let what = format!("{shown} cannot be written by uid {me}");
        return Finding::fail("state", what, format!("chown {me} {shown}"));
    }
    Finding::ok("state", format!("{shown} is the driver's own"))
}

fn missing(folder: &Path) -> Finding {
    let shown = folder.display();
    let above = folder.ancestors().skip(1).find(|above| above.exists());
    let can =
        above.is_some_and(|above| rustix::fs::access(above, rustix::fs::Access::WRITE_OK).is_ok());
    if can {
        return Finding::ok("state", format!("{shown} is made by the first job"));
    }
    let me = rustix::process::geteuid().as_raw();
    Finding::fail(
        "state",
        format!("{shown} is not there and cannot be made"),
        format!("as root: install -d -m 755 -o {me} {shown}"),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::command::doctor::Level;

    fn with_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_state_folder_is_the_drivers_own() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("state");
        assert_eq!(state(&own).level, Level::Ok, "it can be made");
        std::fs::create_dir(&own).unwrap();
        with_mode(&own, 0o755);
        assert_eq!(state(&own).level, Level::Ok);
        with_mode(&own, 0o777);
        let finding = state(&own);
        assert_eq!(finding.level, Level::Fail);
        assert_eq!(finding.mend, format!("chmod go-w {}", own.display()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(state(&file).level, Level::Fail);
    }

    #[test]
    fn an_open_secret_is_found_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "abc").unwrap();
        with_mode(&file, 0o644);
        assert_eq!(secret("s", &file).mend, format!("chmod 600 {}", file.display()));
        with_mode(&file, 0o600);
        assert_eq!(secret("s", &file).level, Level::Ok);
        assert_eq!(secret("s", &folder.path().join("none")).level, Level::Fail);
        assert_eq!(certificate("c", &file).level, Level::Fail);
    }

    #[test]
    fn a_policy_in_a_folder_of_others_is_found() {
        let place = tempfile::tempdir().unwrap();
        with_mode(place.path(), 0o777);
        assert_eq!(folder(place.path()).unwrap().level, Level::Fail);
        with_mode(place.path(), 0o755);
        assert_eq!(folder(place.path()), None);
    }
}
