//! A job in the runner's hands: the response plus what the runner and the driver's answer add.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::pipeline::response::Response;
use crate::pipeline::variables;

/// The runner entry that runs a job.
#[derive(Debug, Clone)]
pub struct Runner {
    /// `CI_RUNNER_SHORT_TOKEN`.
    pub short_token: String,
    /// `CI_RUNNER_VERSION`: the gitlab-runner whose contract this follows.
    pub version: String,
    /// `CI_RUNNER_REVISION`.
    pub revision: String,
    /// `CI_RUNNER_EXECUTABLE_ARCH`.
    pub arch: String,
    /// `CI_CONCURRENT_ID`.
    pub concurrent_id: u32,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            short_token: "dynotry01".to_owned(),
            version: "19.3.0".to_owned(),
            revision: "dyno".to_owned(),
            arch: "linux/amd64".to_owned(),
            concurrent_id: 0,
        }
    }
}

/// Where the job's files are inside its environment; empty until config has answered.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// `builds_dir`.
    pub builds: String,
    /// `cache_dir`.
    pub cache: String,
}

/// `CI_JOB_STATUS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The job runs.
    Running,
    /// Its script passed.
    Success,
    /// Its script failed.
    Failed,
    /// It was cancelled.
    Canceled,
    /// Its script took too long.
    TimedOut,
}

impl Status {
    /// The word in `CI_JOB_STATUS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::TimedOut => "timedout",
        }
    }
}

/// A job in the runner's hands.
#[derive(Debug, Clone)]
pub struct Build {
    /// The job as GitLab described it.
    pub response: Response,
    /// The runner entry.
    pub runner: Runner,
    /// Where its files are.
    pub folders: Folders,
    /// `hostname` of the driver's answer.
    pub hostname: String,
    /// How it stands.
    pub status: Status,
}

/// What `config` answers; unknown keys are ignored, as the runner does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Where builds go.
    pub builds_dir: Option<String>,
    /// Where caches go.
    pub cache_dir: Option<String>,
    /// True for `<builds_dir>/<short token>/<id>/<path>`.
    pub builds_dir_is_shared: bool,
    /// Shown in the log.
    pub hostname: Option<String>,
    /// Shown in the log.
    pub driver: DriverAnswer,
    /// Environment of the later calls.
    pub job_env: BTreeMap<String, String>,
    /// `bash` or `sh`.
    pub shell: Option<String>,
}

/// The driver's own name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DriverAnswer {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

impl Build {
    /// A build that config has not answered for yet.
    pub fn new(response: Response, runner: Runner) -> Self {
        Self {
            response,
            runner,
            folders: Folders::default(),
            hostname: String::new(),
            status: Status::Running,
        }
    }

    /// Takes the driver's answer in; a missing folder gets the runner's own default.
    pub fn apply(&mut self, answer: &Answer) {
        let mut builds = answer.builds_dir.clone().unwrap_or_else(|| "/builds".to_owned());
        if answer.builds_dir_is_shared {
            let id = self.runner.concurrent_id;
            builds = format!("{builds}/{}/{id}", self.runner.short_token);
        }
        self.folders = Folders {
            builds,
            cache: answer.cache_dir.clone().unwrap_or_else(|| "/cache".to_owned()),
        };
        self.hostname = answer.hostname.clone().unwrap_or_default();
    }

    /// `CI_PROJECT_DIR`; empty until config has answered.
    pub fn project_dir(&self) -> String {
        if self.folders.builds.is_empty() {
            return String::new();
        }
        let empty = if self.job_variable("GIT_STRATEGY") == "empty" { "-empty" } else { "" };
        format!("{}/{}{empty}", self.folders.builds, self.response.job_info.project_full_path)
    }

    /// The sibling of the project directory for the runner's own files.
    pub fn temp_dir(&self) -> String {
        format!("{}.tmp", self.project_dir())
    }

    /// A file of the runner's own.
    pub fn temp_file(&self, name: &str) -> String {
        format!("{}/{name}", self.temp_dir())
    }

    /// A variable of the job as GitLab sent it, unexpanded: for the runner's own switches.
    pub fn job_variable(&self, name: &str) -> String {
        self.response
            .variables
            .iter()
            .rev()
            .find(|variable| variable.key == name)
            .map(|variable| variable.value.clone())
            .unwrap_or_default()
    }

    /// The driver's `CUSTOM_ENV_*`: a later variable of the same name wins, the services are last.
    pub fn custom_env(&self) -> BTreeMap<String, String> {
        let mut env: BTreeMap<String, String> = variables::expanded(self)
            .into_iter()
            .map(|variable| (format!("CUSTOM_ENV_{}", variable.key), variable.value))
            .collect();
        env.insert("CUSTOM_ENV_CI_JOB_SERVICES".to_owned(), variables::services_json(self));
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recorded runner's own values.
    fn recorded_runner() -> Runner {
        Runner {
            short_token: "stubrunne".to_owned(),
            revision: "local".to_owned(),
            ..Runner::default()
        }
    }

    #[track_caller]
    fn check(response: &str, config: &str, build_script: &str) {
        let response: Response = serde_json::from_str(response).unwrap();
        let mut build = Build::new(response, recorded_runner());
        for (expected, answered) in [(config, false), (build_script, true)] {
            if answered {
                build
                    .apply(&Answer { builds_dir: Some("/builds".to_owned()), ..Answer::default() });
            }
            let expected: BTreeMap<String, String> = serde_json::from_str(expected).unwrap();
            let mut expected: BTreeMap<_, _> =
                expected.into_iter().filter(|(key, _)| key.starts_with("CUSTOM_ENV_")).collect();
            let mut given = build.custom_env();
            // The order of the keys in this JSON text is the writer's.
            for env in [&mut expected, &mut given] {
                let services = env.remove("CUSTOM_ENV_CI_JOB_SERVICES").unwrap();
                let parsed = serde_json::from_str(&services).unwrap_or(serde_json::Value::Null);
                env.insert("SERVICES".to_owned(), parsed.to_string());
            }
            assert_eq!(given, expected);
        }
    }

    macro_rules! recording {
        ($file:literal) => {
            include_str!(concat!("../../tests/data/recordings/", $file))
        };
    }

    #[test]
    fn the_drivers_environment_is_the_recorded_one() {
        check(
            recording!("seed_passes/gate.response.json"),
            recording!("seed_passes/gate.config.env.json"),
            recording!("seed_passes/gate.build_script.env.json"),
        );
    }

    #[test]
    fn file_raw_and_referring_variables_are_as_recorded() {
        check(
            recording!("variables/vars.response.json"),
            recording!("variables/vars.config.env.json"),
            recording!("variables/vars.build_script.env.json"),
        );
    }

    #[test]
    fn services_are_as_recorded() {
        check(
            recording!("services/with_services.response.json"),
            recording!("services/with_services.config.env.json"),
            recording!("services/with_services.build_script.env.json"),
        );
    }

    #[test]
    fn a_reference_to_a_file_variable_is_its_path() {
        let mut response = Response::default();
        response.job_info.project_full_path = "g/p".to_owned();
        response.variables = vec![
            crate::pipeline::response::Variable {
                file: true,
                ..crate::pipeline::response::Variable::private("KUBECONFIG", "home: $HOME")
            },
            crate::pipeline::response::Variable::public("WHERE", "$KUBECONFIG"),
        ];
        let mut build = Build::new(response, Runner::default());
        build.apply(&Answer::default());
        assert_eq!(variables::get(&build, "WHERE"), "/builds/g/p.tmp/KUBECONFIG");
        assert_eq!(variables::get(&build, "KUBECONFIG"), "home: ");
    }
}
