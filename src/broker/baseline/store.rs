//! Where runs are kept: a folder of the driver's, the project's package registry, an S3 bucket.

use std::path::PathBuf;
use std::time::Duration;

use super::Runs;
use crate::error::{Error, Result};
use crate::gate::source::{Bucket, Last, Wrote, told};
use crate::job::Job;
use crate::job::gitlab::Gitlab;
use crate::policy::{BaselineEntry, Policy};
use crate::secret::Secret;

/// How often a change is tried again that another pipeline was faster than.
const TRIES: u32 = 12;
/// Before the first further try; each one waits longer.
const PAUSE: Duration = Duration::from_millis(40);
const PACKAGE: &str = "dyno-baseline";

/// The place of one plan's runs.
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// A generic package.
    Package { gitlab: Gitlab, token: Secret, project: u64, version: String },
    /// An object.
    Object(Box<Bucket>, String),
}

/// Opens the place of a plan's runs; sends nothing.
pub(super) fn open(policy: &Policy, job: Option<&Job>, plan: &str) -> Result<Place> {
    let project = job.map_or(0, |job| job.project_id);
    let name = plain(plan);
    match (&policy.baselines, job) {
        (BaselineEntry::Directory(folder), _) => {
            Ok(Place::File(folder.join(project.to_string()).join(format!("{name}.json"))))
        }
        (BaselineEntry::Packages, Some(job)) => {
            let spec = policy.gitlab.as_ref().ok_or_else(|| {
                Error::refused("the policy names no GitLab whose packages could hold runs")
            })?;
            let gitlab = Gitlab::new(&spec.url, spec.ca_file.as_deref()).map_err(Error::system)?;
            let token = job.token.clone();
            // A version has digits and dots: the plan's name is its file's.
            Ok(Place::Package { gitlab, token, project, version: format!("1.0.0-{name}") })
        }
        (BaselineEntry::Packages, None) => {
            Err(Error::job("the package registry takes a job's token; there is no job here"))
        }
        (BaselineEntry::Bucket(entry), _) => {
            let spec = entry.source.spec()?;
            let bucket = Bucket::new(&spec, &entry.bucket).map_err(Error::system)?;
            let prefix = &entry.prefix;
            Ok(Place::Object(Box::new(bucket), format!("{prefix}{project}/{name}.json")))
        }
    }
}

/// The name as a part of a path and of a URL.
fn plain(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '-' })
        .take(60)
        .collect();
    if name.is_empty() { "plan".to_owned() } else { name }
}

impl Place {
    /// Reads the runs; none is no error.
    pub async fn read(&self) -> Result<Runs> {
        parsed(self.found().await?.0.as_deref())
    }

    async fn found(&self) -> Result<(Option<Vec<u8>>, Last)> {
        let bytes = match self {
            Self::File(path) => match std::fs::read(path) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(Error::system(error)),
            },
            Self::Package { gitlab, token, project, version } => gitlab
                .package(token, *project, (PACKAGE, version, "runs.json"))
                .await
                .map_err(Error::system)?,
            Self::Object(bucket, key) => {
                let object = bucket.read(key).await.map_err(|error| Error::system(told(&error)))?;
                let Some(object) = object else { return Ok((None, Last::Nothing)) };
                return Ok((Some(object.bytes), object.etag.map_or(Last::Untold, Last::Version)));
            }
        };
        Ok((bytes, Last::Untold))
    }

    /// Changes the runs and returns them as they are then, whoever else changes them meanwhile: a
    /// folder is locked, a bucket takes a write only on top of what was read. A package registry
    /// knows neither: there what another pipeline wrote meanwhile is seen when it is read back.
    pub async fn change(&self, change: impl Fn(&mut Runs)) -> Result<Runs> {
        self.update(|found| {
            let mut runs = parsed(found)?;
            change(&mut runs);
            Ok(runs)
        })
        .await
    }

    /// Forgets all runs, also those that cannot be read.
    pub async fn reset(&self) -> Result<Runs> {
        self.update(|_| Ok(Runs::default())).await
    }

    async fn update(&self, change: impl Fn(Option<&[u8]>) -> Result<Runs>) -> Result<Runs> {
        let _lock = self.lock()?;
        for n in 1..=TRIES {
            let (found, last) = self.found().await?;
            let runs = change(found.as_deref())?;
            let is_written = match self.write(&runs, &last).await? {
                Wrote::Surely => true,
                Wrote::Perhaps => self.read().await.is_ok_and(|now| now == runs),
                Wrote::Not => false,
            };
            if is_written {
                return Ok(runs);
            }
            tokio::time::sleep(PAUSE * n).await;
        }
        Err(Error::system("other pipelines write the kept runs at the same time"))
    }

    /// Keeps other processes of this host from changing a file meanwhile.
    fn lock(&self) -> Result<Option<std::fs::File>> {
        let Self::File(path) = self else { return Ok(None) };
        let lock = || {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            let file = std::fs::File::create(path.with_extension("lock"))?;
            file.lock()?;
            Ok(file)
        };
        lock().map(Some).map_err(|error: std::io::Error| Error::system(error))
    }

    async fn write(&self, runs: &Runs, last: &Last) -> Result<Wrote> {
        let bytes = serde_json::to_vec_pretty(runs).map_err(Error::system)?;
        match self {
            Self::File(path) => {
                write_file(path, &bytes).map_err(Error::system)?;
                Ok(Wrote::Surely)
            }
            Self::Package { gitlab, token, project, version } => {
                gitlab
                    .put_package(token, *project, (PACKAGE, version, "runs.json"), bytes)
                    .await
                    .map_err(Error::system)?;
                Ok(Wrote::Perhaps)
            }
            Self::Object(bucket, key) => {
                bucket.write(key, bytes, last).await.map_err(|error| Error::system(told(&error)))
            }
        }
    }
}

fn parsed(found: Option<&[u8]>) -> Result<Runs> {
    let Some(bytes) = found else { return Ok(Runs::default()) };
    serde_json::from_slice(bytes)
        .map_err(|error| Error::system(error).hint("`dyno baseline reset PLAN` begins anew"))
}

/// Whole or not at all.
fn write_file(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::baseline::{Run, State};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn a_folder_keeps_runs_and_tells_a_broken_file() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::File(folder.path().join("4217/perf.json"));
        assert_eq!(place.read().await.unwrap(), Runs::default());
        let run = Run {
            job: 1,
            at_ms: 5,
            verdict: Verdict::Passed,
            state: State::Accepted,
            checks: std::collections::BTreeMap::new(),
        };
        let runs = place.change(|runs| runs.add(run.clone())).await.unwrap();
        assert_eq!(runs.n_accepted(), 1);
        assert_eq!(place.read().await.unwrap(), runs);
        std::fs::write(folder.path().join("4217/perf.json"), "{").unwrap();
        assert!(place.read().await.is_err());
        assert!(place.change(|runs| runs.add(run.clone())).await.is_err());
        assert_eq!(place.reset().await.unwrap(), Runs::default(), "as the hint says");
        assert_eq!(place.read().await.unwrap(), Runs::default());
    }

    #[test]
    fn a_plans_name_is_no_path() {
        for (name, expected) in [
            ("perf", "perf"),
            ("../../etc/passwd", "------etc-passwd"),
            ("A b", "a-b"),
            ("", "plan"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
