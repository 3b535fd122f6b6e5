//! What dyno's kubectl does not do itself: a kubectl or a kustomize on PATH is asked, with the same
//! words, and only where that can help.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: own
clusters: [{name: own, cluster: {server: \"https://127.0.0.1:1\"}}]
users: [{name: own, user: {token: t}}]
contexts: [{name: own, context: {cluster: own, user: own}}]
";

/// A folder with programs of one's own, a kubeconfig, and dyno under the name kubectl.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["first", "second"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("config"), KUBECONFIG).unwrap();
        symlink(env!("CARGO_BIN_EXE_dyno"), folder.path().join("first/kubectl")).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a script on PATH, behind dyno.
    fn program(&self, name: &str, script: &str) {
        let path = self.path().join("second").join(name);
        // Written beside and moved: a program that is still open for writing cannot be run.
        let written = path.with_extension("new");
        std::fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&written, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&written, &path).unwrap();
    }

    fn kubectl(&self, argv: &[&str], more: &[(&str, &str)]) -> Output {
        let folder = self.path().display();
        Command::new(self.path().join("first/kubectl"))
            .args(argv)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{folder}/first:{folder}/second"))
            .env("HOME", self.path())
            .env("KUBECONFIG", self.path().join("config"))
            .envs(more.iter().copied())
            .output()
            .unwrap()
    }
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), out.as_str()), (Some(code), stdout), "{err}");
    assert!(err.contains(stderr), "{err}");
}

#[test]
fn a_kubectl_on_path_does_what_dyno_does_not() {
    let desk = Desk::new();
    desk.program("kubectl", r#"echo "asked: $*"; echo told >&2; exit 7"#);
    let output = desk.kubectl(&["edit", "cm/x", "-n", "a b"], &[]);
    check(&output, 7, "asked: edit cm/x -n a b\n", "told");
    for line in ["debug pod/x", "get cm -o kyaml", "run x --image=y"] {
        let words: Vec<&str> = line.split(' ').collect();
        check(&desk.kubectl(&words, &[]), 7, &format!("asked: {line}\n"), "");
    }
}

#[test]
fn a_real_mistake_is_nobody_elses() {
    let desk = Desk::new();
    desk.program("kubectl", "echo asked");
    check(&desk.kubectl(&["nope"], &[]), 1, "", "unknown command \"nope\"");
    check(&desk.kubectl(&["get", "cm", "-o", "nope"], &[]), 1, "", "unable to match a printer");
}

#[test]
fn without_another_kubectl_the_command_says_so() {
    let desk = Desk::new();
    check(&desk.kubectl(&["edit", "cm/x"], &[]), 1, "", "there is none");
    // dyno itself, by another name or as a copy, is no other kubectl.
    symlink(env!("CARGO_BIN_EXE_dyno"), desk.path().join("second/kubectl")).unwrap();
    check(&desk.kubectl(&["edit", "cm/x"], &[]), 1, "", "there is none");
}

#[test]
fn two_kubectls_do_not_ask_each_other_for_ever() {
    let desk = Desk::new();
    desk.program("kubectl", r#"exec "${0%/*}/../first/kubectl" "$@""#);
    check(&desk.kubectl(&["edit", "cm/x"], &[]), 1, "", "there is none");
}

#[test]
fn for_a_cluster_of_the_platform_no_other_kubectl_is_asked() {
    let desk = Desk::new();
    desk.program("kubectl", "echo asked");
    let job = [("DYNO_SOCKET", "/nowhere"), ("KUBECONFIG", "/nowhere")];
    let output = desk.kubectl(&["edit", "cm/x"], &job);
    check(&output, 1, "", "the credential stays with the driver");
    // A kubeconfig of the job's own is its own matter.
    let output = desk.kubectl(&["edit", "cm/x"], &job[..1]);
    check(&output, 0, "asked\n", "");
}

#[test]
fn a_kustomize_on_path_builds() {
    let desk = Desk::new();
    desk.program("kustomize", r#"echo "kustomize: $*""#);
    desk.program("kubectl", r#"echo "kubectl: $*""#);
    check(&desk.kubectl(&["kustomize", "over/lay"], &[]), 0, "kustomize: build over/lay\n", "");
    check(&desk.kubectl(&["kustomize"], &[]), 0, "kustomize: build .\n", "");
}

#[test]
fn without_kustomize_another_kubectl_builds() {
    let desk = Desk::new();
    desk.program("kubectl", r#"echo "kubectl: $*""#);
    check(&desk.kubectl(&["kustomize", "over/lay"], &[]), 0, "kubectl: kustomize over/lay\n", "");
}

#[test]
fn what_cannot_be_built_is_told_in_the_builders_words() {
    let desk = Desk::new();
    check(&desk.kubectl(&["kustomize", "x"], &[]), 1, "", "put `kustomize`, or a kubectl, on PATH");
    desk.program("kustomize", "echo 'Error: no such folder' >&2; exit 1");
    check(&desk.kubectl(&["kustomize", "x"], &[]), 1, "", "error: no such folder");
    let output = desk.kubectl(&["apply", "-k", "x"], &[]);
    check(&output, 1, "", "error: no such folder");
}

#[test]
fn what_was_built_is_what_a_command_is_about() {
    let desk = Desk::new();
    let manifest = "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: built}\\n'";
    desk.program("kustomize", manifest);
    // The server of this kubeconfig is nowhere: what is asked of it shows that the object was read.
    let output = desk.kubectl(&["apply", "-k", "x"], &[]);
    check(&output, 1, "", "127.0.0.1:1");
    desk.program("kustomize", "true");
    let output = desk.kubectl(&["apply", "-k", "x"], &[]);
    check(&output, 1, "", "no objects passed to apply");
}
