//! The control plane that `scripts/test` started, and kubectl as the oracle.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::setting;

/// A namespace of a test's own in the real control plane; removed in the end.
#[derive(Debug)]
pub struct Cluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// The test's namespace.
    pub namespace: String,
}

impl Cluster {
    /// Connects, and names a namespace that nobody else uses. It is not made yet.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let must = |setting_name: &str| {
            setting(setting_name).unwrap_or_else(|| {
                panic!(
                    "{setting_name} is not set: this test needs the control plane, run scripts/test"
                )
            })
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            kubectl: PathBuf::from(must("DYNO_TEST_KUBECTL")),
            kubeconfig: PathBuf::from(must("DYNO_TEST_CLUSTER")).join("admin.kubeconfig"),
            namespace: format!("{name}-{}-{number}", std::process::id()),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.display().to_string()
    }

    /// Makes the namespace, with a service account that pods can have.
    #[must_use]
    pub fn made(self) -> Self {
        self.kubectl(["create", "namespace", &self.namespace]);
        super::eventually("the namespace has its service account", || {
            self.raw(&["-n", &self.namespace, "get", "serviceaccount", "default"]).status.success()
        });
        self
    }

    /// Runs kubectl; its output. Fails where it fails.
    #[track_caller]
    pub fn kubectl<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.raw(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// True when kubectl finds it.
    pub fn has(&self, kind: &str, name: &str) -> bool {
        self.raw(&["-n", &self.namespace, "get", kind, name]).status.success()
    }

    fn raw(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.raw(&[
            "delete",
            "namespace",
            &self.namespace,
            "--wait=false",
            "--ignore-not-found",
        ]));
    }
}
