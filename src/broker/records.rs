//! The loads of a pipeline on this host: a small record each, so that a gate of the same pipeline
//! finds the window to judge, also while the load still runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::gate::Window;
use crate::job::{Job, JobId, process};

/// How a load stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It runs, driven by this process.
    Running {
        /// The driver as [`process::identity`] writes it, to tell a dead load from a slow one.
        driver: String,
    },
    /// It ended, having been steady in this window.
    Ended {
        /// The steady phase.
        steady: Window,
    },
    /// It ended without a steady phase, or was cut off.
    Broken,
}

/// A load of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The job that drives it.
    pub job: JobId,
    /// That job's name, for people.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
}

/// The records of one pipeline.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

/// Records older than this are of no use to any gate.
const KEPT: Duration = Duration::from_hours(48);

impl Records {
    /// The records of the job's pipeline, below the driver's state folder.
    pub fn of(state: &Path, job: &Job) -> Self {
        let name = format!("{}-{}", job.project_id, job.pipeline_id);
        Self { folder: state.join("pipelines").join(name) }
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn write(&self, record: &Record) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, record)?;
        file.persist(self.folder.join(format!("{}.json", record.job)))?;
        Ok(())
    }

    /// Reads all records; those of drivers that died while loading read as broken.
    pub fn read(&self) -> Vec<Record> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut records: Vec<Record> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                path.extension().filter(|ending| *ending == "json")?;
                serde_json::from_slice(&std::fs::read(path).ok()?).ok()
            })
            .map(settle_dead)
            .collect();
        records.sort_by_key(|record| record.job);
        records
    }

    /// Removes the pipelines that ended long ago.
    pub fn forget_old(state: &Path) {
        let Ok(entries) = std::fs::read_dir(state.join("pipelines")) else { return };
        for entry in entries.flatten() {
            let age = entry
                .metadata()
                .and_then(|data| data.modified())
                .map(|changed| SystemTime::now().duration_since(changed).unwrap_or_default());
            if age.is_ok_and(|age| age > KEPT)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "cannot remove");
            }
        }
    }
}

impl Standing {
    /// A load that this process drives from now on.
    pub fn running() -> Self {
        let driver = process::identity(std::process::id()).unwrap_or_default();
        Self::Running { driver }
    }
}

fn settle_dead(mut record: Record) -> Record {
    if let Standing::Running { driver } = &record.standing
        && !process::lives(driver)
    {
        record.standing = Standing::Broken;
    }
    record
}

/// Which load a gate judges: its own job's, else that of an earlier or a sibling job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This window.
    Judge {
        /// The steady phase of the load.
        window: Window,
        /// Whose load it is.
        of: String,
    },
    /// A load runs: wait for its end.
    WaitForEnd {
        /// Whose load it is.
        of: String,
    },
    /// A load ran, but gave no steady phase.
    Broken {
        /// Whose load it was.
        of: String,
    },
    /// No load yet.
    None,
}

/// Chooses among a pipeline's loads for a gate in `job`. The own job's load wins; else a running
/// one is waited for, since it is the newest word; else the latest that ended.
pub fn choose(records: &[Record], job: JobId) -> Choice {
    let own = records.iter().find(|record| record.job == job);
    let running = || records.iter().find(|record| is_running(record));
    let ended = || {
        records
            .iter()
            .filter(|record| window(record).is_some())
            .max_by_key(|record| window(record).map(|window| window.end_ms))
    };
    let Some(record) = own.or_else(running).or_else(ended).or_else(|| records.last()) else {
        return Choice::None;
    };
    let of = record.name.clone();
    match &record.standing {
        Standing::Running { .. } => Choice::WaitForEnd { of },
        Standing::Ended { steady } => Choice::Judge { window: *steady, of },
        Standing::Broken => Choice::Broken { of },
    }
}

fn is_running(record: &Record) -> bool {
    match record.standing {
        Standing::Running { .. } => true,
        Standing::Ended { .. } | Standing::Broken => false,
    }
}

fn window(record: &Record) -> Option<Window> {
    match record.standing {
        Standing::Ended { steady } => Some(steady),
        Standing::Running { .. } | Standing::Broken => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(job: u64, standing: Standing) -> Record {
        Record { job: JobId(job), name: format!("job {job}"), standing }
    }

    fn ended(end_ms: i64) -> Standing {
        Standing::Ended { steady: Window { start_ms: end_ms - 1000, end_ms } }
    }

    #[test]
    fn the_own_load_wins_then_a_running_one_then_the_latest() {
        let running = Standing::running;
        let judge = |end_ms: i64, job: u64| Choice::Judge {
            window: Window { start_ms: end_ms - 1000, end_ms },
            of: format!("job {job}"),
        };
        for (records, expected) in [
            (vec![], Choice::None),
            (vec![record(7, ended(5000)), record(9, running())], judge(5000, 7)),
            (
                vec![record(1, ended(5000)), record(9, running())],
                Choice::WaitForEnd { of: "job 9".to_owned() },
            ),
            (vec![record(1, ended(9000)), record(2, ended(5000))], judge(9000, 1)),
            (vec![record(1, Standing::Broken), record(2, ended(5000))], judge(5000, 2)),
            (vec![record(1, Standing::Broken)], Choice::Broken { of: "job 1".to_owned() }),
            (
                vec![record(7, Standing::Broken), record(2, ended(5000))],
                Choice::Broken { of: "job 7".to_owned() },
            ),
        ] {
            assert_eq!(choose(&records, JobId(7)), expected, "{records:?}");
        }
    }

    #[test]
    fn a_load_whose_driver_died_reads_as_broken() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records { folder: folder.path().join("1-2") };
        let running = |driver: &str| Standing::Running { driver: driver.to_owned() };
        // Its end is not waited for until the test's: meanwhile it is a zombie.
        let mut zombie = std::process::Command::new("true").spawn().unwrap();
        let dying = process::identity(zombie.id());
        while process::identity(zombie.id()).is_some() {
            std::thread::yield_now();
        }
        assert!(Path::new(&format!("/proc/{}", zombie.id())).exists());
        let own = process::identity(std::process::id()).unwrap();
        let (pid, start) = own.split_once(' ').unwrap();
        let earlier = format!("{pid} {}", start.parse::<u64>().unwrap() - 1);
        let dying = dying.unwrap_or_else(|| format!("{} 1", zombie.id()));
        // Process ids end at 2^22.
        for (n, driver) in [(1, "8388608 1"), (2, dying.as_str()), (3, &earlier), (4, "")] {
            records.write(&record(n, running(driver))).unwrap();
        }
        records.write(&record(5, running(&own))).unwrap();
        records.write(&record(6, ended(5000))).unwrap();
        let read: Vec<Standing> =
            records.read().into_iter().map(|record| record.standing).collect();
        let mut expected = vec![Standing::Broken; 4];
        expected.extend([running(&own), ended(5000)]);
        assert_eq!(read, expected);
        zombie.wait().unwrap();
    }
}
