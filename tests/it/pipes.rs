//! Output that cannot be written: nobody reads it any more, or the disk is full.

use std::process::{Command, Stdio};

use crate::support::{Dial, Shop, dyno};

/// The exit code and standard error of dyno under a name, with this standard output.
fn ran(name: &str, arguments: &[&str], stdout: Stdio) -> (Option<i32>, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    std::os::unix::fs::symlink(dyno(), &program).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap(), folder)
}

/// The end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").unwrap().into()
}

const CREATE: [&str; 4] = ["create", "namespace", "x", "--dry-run=client"];

#[test]
fn kubectl_on_a_full_disk_ends_as_kubectl_does() {
    let (code, stderr, _folder) = ran("kubectl", &CREATE, full());
    assert_eq!(stderr, "error: write /dev/stdout: no space left on device\n");
    assert_eq!(code, Some(1));
}

#[test]
fn a_reader_that_went_away_ends_a_tool_quietly() {
    let (code, stderr, _folder) = ran("kubectl", &CREATE, unread());
    assert_eq!((code, stderr.as_str()), (Some(141), ""));
    let (code, stderr, _folder) = ran("locust", &["--version"], unread());
    assert_eq!((code, stderr.as_str()), (Some(141), ""));
}

#[test]
fn a_load_that_nobody_reads_still_has_its_report() {
    let (_shop, server) = Shop::open(0, Dial::default()).unwrap();
    let plan = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let text = format!(
        "target: http://{}\nload: {{ users: 1, duration: 1s }}\njourneys: [{{ steps: [{{ get: / }}] }}]\n",
        server.address()
    );
    std::fs::write(plan.path(), text).unwrap();
    let file = plan.path().to_str().unwrap();
    let (code, stderr, folder) = ran("locust", &["--headless", "-f", file], unread());
    assert_eq!((code, stderr.as_str()), (Some(141), ""));
    assert!(folder.path().join("dyno-report/load.json").exists());
}
