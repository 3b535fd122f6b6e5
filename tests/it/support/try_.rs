//! `dyno try` in a git folder of a test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::{Lab, dyno};

/// A pipeline to try.
#[derive(Debug)]
pub struct Try {
    lab: Arc<Lab>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// How it ended.
#[derive(Debug)]
pub struct Tried {
    /// The exit code.
    pub code: Option<i32>,
    /// Everything printed, without colours.
    pub log: String,
}

impl Try {
    /// A project with a pipeline file, committed on `main`.
    pub fn new(lab: &Arc<Lab>, policy: &str, pipeline: &str) -> Self {
        let file = lab.policy(policy);
        lab.file("project/.gitlab-ci.yml", pipeline);
        let arguments = ["--policy", file.to_str().unwrap()].map(str::to_owned).to_vec();
        Self { lab: Arc::clone(lab), arguments, environment: Vec::new() }.project("group/project")
    }

    /// A project without a policy: the one for a laptop applies.
    pub fn on_a_laptop(lab: &Arc<Lab>, pipeline: &str) -> Self {
        lab.file("project/.gitlab-ci.yml", pipeline);
        Self { lab: Arc::clone(lab), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Runs these jobs only.
    #[must_use]
    pub fn jobs(mut self, names: &[&str]) -> Self {
        self.arguments.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    fn folder(&self) -> PathBuf {
        self.lab.folder().join("project")
    }

    /// The project's path in GitLab.
    #[must_use]
    pub fn project(mut self, path: &str) -> Self {
        self.arguments.retain(|argument| argument != "--project" && argument != "group/project");
        self.argument("--project", path)
    }

    /// A project variable.
    #[must_use]
    pub fn variable(self, key: &str, value: &str) -> Self {
        self.argument("--variable", &format!("{key}={value}"))
    }

    /// A masked project variable.
    #[must_use]
    pub fn masked(self, key: &str, value: &str) -> Self {
        self.argument("--masked", &format!("{key}={value}"))
    }

    /// Copies a folder of the tests' data into the project.
    #[must_use]
    pub fn with_folder(self, data: &str, at: &str) -> Self {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(data);
        let to = self.folder().join(at);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        self
    }

    /// A variable of the user's own environment.
    #[must_use]
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    fn argument(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Runs the pipeline.
    #[track_caller]
    pub fn run(self) -> Tried {
        let commit = "git init -q -b main && git add . &&
            git -c user.name=t -c user.email=t@example.com commit -qm first";
        let status = Command::new("bash").args(["-ec", commit]).current_dir(self.folder()).status();
        assert!(status.unwrap().success());
        let output = Command::new(dyno())
            .arg("try")
            .args(&self.arguments)
            .current_dir(self.folder())
            .env("HOME", self.lab.folder())
            .env_remove("KUBECONFIG")
            // Only the tests' own daemon, and only where a test names it.
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .envs(self.environment)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        Tried { code: output.status.code(), log: crate::standins::runner::without_colours(&text) }
    }
}
