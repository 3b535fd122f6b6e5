//! `dyno deploy` from a laptop: a namespace and a folder of manifests of a test's own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Cluster, dyno};

/// A namespace and a folder of manifests.
#[derive(Debug)]
pub struct Release {
    /// The namespace.
    pub cluster: Cluster,
    folder: TempDir,
    kubeconfig: String,
}

/// How a deploy ended.
#[derive(Debug)]
pub struct Deployed {
    /// The exit code.
    pub code: Option<i32>,
    /// Everything printed.
    pub log: String,
    /// deploy.json.
    pub json: Value,
}

impl Deployed {
    /// Fails where the code is another, or a text is missing.
    #[track_caller]
    pub fn told(&self, code: i32, texts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.log);
        for text in texts {
            assert!(self.log.contains(text), "`{text}` is missing:\n{}", self.log);
        }
        self
    }
}

impl Release {
    /// In a namespace that is there.
    pub fn new(name: &str) -> Self {
        Self::within(Cluster::new(name).made())
    }

    /// In a namespace that may still be missing.
    pub fn within(cluster: Cluster) -> Self {
        let kubeconfig = cluster.kubeconfig();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("m")).unwrap();
        Self { cluster, folder, kubeconfig }
    }

    /// With another kubeconfig.
    #[must_use]
    pub fn with_kubeconfig(mut self, text: &str) -> Self {
        let file = self.folder.path().join("kubeconfig");
        std::fs::write(&file, text).unwrap();
        self.kubeconfig = file.display().to_string();
        self
    }

    /// Writes a manifest.
    pub fn manifest(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.folder.path().join("m").join(name), text).unwrap();
        self
    }

    /// Takes a manifest away.
    pub fn without(&self, name: &str) -> &Self {
        std::fs::remove_file(self.folder.path().join("m").join(name)).unwrap();
        self
    }

    /// Writes a file beside the manifests.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(dyno());
        command
            .args(["deploy", "-f", "m", "-n", &self.cluster.namespace])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("USER", "tester")
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// Deploys with these arguments. Pods of fake nodes need no time to prove themselves.
    pub fn deploy(&self, arguments: &[&str]) -> Deployed {
        let quick: &[&str] =
            if arguments.contains(&"--settle") { &[] } else { &["--settle", "0s"] };
        let output = self.command(quick).args(arguments).output().unwrap();
        self.deployed(&output)
    }

    /// Starts a deploy that the test ends itself.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&["--settle", "0s"]);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts a deploy and kills it as soon as it tells this. Its lease is taken away, as time does.
    #[track_caller]
    pub fn killed_at(&self, arguments: &[&str], text: &str) {
        let mut command = self.command(&["--settle", "0s"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let is_told = lines.any(|line| line.contains(text));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_told, "`{text}` was not told");
        self.without_lease();
    }

    /// Takes a dead deploy's lease away.
    pub fn without_lease(&self) {
        let namespace = &self.cluster.namespace;
        let lease = ["-n", namespace, "delete", "lease", "dyno-deploy", "--ignore-not-found"];
        self.cluster.kubectl(lease);
    }

    fn deployed(&self, output: &Output) -> Deployed {
        let json = self.report("deploy.json");
        Deployed {
            code: output.status.code(),
            log: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
            json: json.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        }
    }

    /// A file of the report.
    pub fn report(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("dyno-report").join(name)).ok()
    }

    /// An object of the namespace as kubectl prints it.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        let namespace = &self.cluster.namespace;
        let arguments = ["-n", namespace, "get", kind, name, "-o", "json", "--show-managed-fields"];
        serde_json::from_str(&self.cluster.kubectl(arguments)).unwrap()
    }
}

/// A Deployment with one container `app`; `more` is added to the container.
pub fn deployment(name: &str, image: &str, replicas: u32, more: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      containers:
        - name: app
          image: {image}
{}",
        indented(more, 10)
    )
}

/// Lines moved to the right.
pub fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    text.lines().flat_map(|line| [&margin, line, "\n"]).collect()
}
