//! How a pipeline ended: for people a table, for tools JSON.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::pipeline::coordinator::Written;
use crate::pipeline::schedule::State;

/// How a pipeline ended.
#[derive(Debug)]
pub struct Summary {
    /// The pipeline's number.
    pub pipeline: u64,
    /// The commit that its jobs checked out.
    pub sha: String,
    /// Jobs in the order of the plan.
    pub jobs: Vec<JobSummary>,
    /// Project variables written through the API.
    pub written: Vec<Written>,
    /// True when the user cancelled it.
    pub is_canceled: bool,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct JobSummary {
    /// Its number; 0 when it never started.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub state: State,
    /// The script's exit code.
    pub exit_code: Option<i32>,
    /// GitLab's failure reason, or why it did not run.
    pub reason: String,
    /// How often it ran.
    pub attempts: u32,
    /// How long, all attempts together.
    pub duration: Duration,
    /// Its log, where logs are kept.
    pub trace: Option<PathBuf>,
}

impl State {
    /// The word that GitLab has for it.
    fn word(self) -> &'static str {
        match self {
            Self::Unselected | Self::Waiting => "created",
            Self::Running => "running",
            Self::Passed => "success",
            Self::Forgiven | Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual | Self::Blocking => "manual",
        }
    }
}

impl Summary {
    /// True when every job passed, was forgiven, or was not due.
    pub fn passed(&self) -> bool {
        !self.is_canceled
            && !self.jobs.iter().any(|job| matches!(job.state, State::Failed | State::Canceled))
    }

    /// The table: job, stage, result, exit code, duration.
    pub fn table(&self) -> Vec<String> {
        let head = ["job", "stage", "result", "exit", "time", ""].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        for job in self.jobs.iter().filter(|job| job.state != State::Unselected) {
            let is_forgiven = job.state == State::Forgiven;
            let result = if is_forgiven { "failed (allowed)" } else { job.state.word() };
            let ran = job.attempts > 0;
            let mut note = job.reason.clone();
            if job.attempts > 1 {
                _ = write!(note, " ({} attempts)", job.attempts);
            }
            let seconds = format!("{:.1}s", job.duration.as_secs_f64());
            let exit = match (job.state, job.exit_code) {
                (State::Passed, _) => "0".to_owned(),
                (_, Some(code)) => code.to_string(),
                (_, None) => "-".to_owned(),
            };
            rows.push(vec![
                job.name.clone(),
                job.stage.clone(),
                result.to_owned(),
                exit,
                if ran { seconds } else { "-".to_owned() },
                note.trim().to_owned(),
            ]);
        }
        let mut lines = aligned(&rows);
        let written: Vec<String> = self
            .written
            .iter()
            .map(|written| match (&written.value, written.masked) {
                (None, _) => format!("{} (deleted)", written.key),
                (Some(_), true) => format!("{}=[MASKED]", written.key),
                (Some(value), false) => format!("{}={value}", written.key),
            })
            .collect();
        if !written.is_empty() {
            lines.push(format!("variables written: {}", written.join(" ")));
        }
        lines
    }

    /// The last line.
    pub fn verdict(&self) -> &'static str {
        match self.status() {
            "canceled" => "\u{1b}[31;1mpipeline canceled\u{1b}[0;m",
            "manual" => "\u{1b}[33;1mpipeline waits for a manual job\u{1b}[0;m",
            "success" => "\u{1b}[32;1mpipeline passed\u{1b}[0;m",
            _ => "\u{1b}[31;1mpipeline failed\u{1b}[0;m",
        }
    }

    /// The word that GitLab has for the pipeline.
    fn status(&self) -> &'static str {
        match (self.is_canceled, self.passed()) {
            (true, _) => "canceled",
            (false, true) if self.jobs.iter().any(|job| job.state == State::Blocking) => "manual",
            (false, true) => "success",
            (false, false) => "failed",
        }
    }

    /// Everything, for tools.
    pub fn json(&self) -> serde_json::Value {
        let jobs: Vec<JobJson> = self
            .jobs
            .iter()
            .filter(|job| job.state != State::Unselected)
            .map(|job| JobJson {
                id: job.id,
                name: &job.name,
                stage: &job.stage,
                status: job.state.word(),
                allowed_to_fail: job.state == State::Forgiven,
                exit_code: if job.state == State::Passed { Some(0) } else { job.exit_code },
                reason: &job.reason,
                attempts: job.attempts,
                seconds: job.duration.as_secs_f64(),
                trace: job.trace.as_ref().map(|path| path.display().to_string()),
            })
            .collect();
        let variables: serde_json::Map<String, serde_json::Value> = self
            .written
            .iter()
            .map(|written| {
                let value = match (&written.value, written.masked) {
                    (Some(_), true) => "[MASKED]".into(),
                    (Some(value), false) => value.clone().into(),
                    (None, _) => serde_json::Value::Null,
                };
                (written.key.clone(), value)
            })
            .collect();
        serde_json::json!({
            "schema": 1,
            "tool": "try",
            "status": self.status(),
            "pipeline": { "id": self.pipeline, "sha": self.sha },
            "jobs": jobs,
            "variables": variables,
        })
    }
}

#[derive(Serialize)]
struct JobJson<'a> {
    id: u64,
    name: &'a str,
    stage: &'a str,
    status: &'static str,
    allowed_to_fail: bool,
    exit_code: Option<i32>,
    reason: &'a str,
    attempts: u32,
    seconds: f64,
    trace: Option<String>,
}

/// Lines with aligned columns.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
                format!("{cell}{padding}")
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, state: State, exit_code: Option<i32>, reason: &str) -> JobSummary {
        JobSummary {
            id: 7,
            name: name.to_owned(),
            stage: "test".to_owned(),
            state,
            exit_code,
            reason: reason.to_owned(),
            attempts: u32::from(!matches!(state, State::Skipped | State::Manual | State::Blocking)),
            duration: Duration::from_millis(1250),
            trace: None,
        }
    }

    #[test]
    fn the_table_says_how_each_job_ended_and_what_was_written() {
        let summary = Summary {
            pipeline: 9,
            sha: "56d1dd4d".to_owned(),
            jobs: vec![
                job("gate", State::Passed, None, ""),
                job("lint", State::Forgiven, Some(3), "script_failure"),
                job("deploy", State::Skipped, None, "`x` failed"),
            ],
            written: vec![
                Written { key: "abc".to_owned(), value: Some("passed".to_owned()), masked: false },
                Written { key: "T".to_owned(), value: Some("secret".to_owned()), masked: true },
            ],
            is_canceled: false,
        };
        assert_eq!(
            summary.table(),
            [
                "job     stage  result            exit  time",
                "gate    test   success           0     1.2s",
                "lint    test   failed (allowed)  3     1.2s  script_failure",
                "deploy  test   skipped           -     -     `x` failed",
                "variables written: abc=passed T=[MASKED]",
            ]
        );
        assert!(summary.passed());
        let json = summary.json();
        assert_eq!(json["jobs"][1]["exit_code"], 3);
        assert_eq!(json["variables"]["T"], "[MASKED]");
        let mut blocked = summary.jobs.clone();
        blocked.push(job("approve", State::Blocking, None, "manual: name the job to run it"));
        let summary = Summary { jobs: blocked, ..summary };
        assert!(summary.passed() && summary.verdict().contains("waits for a manual job"));
        assert_eq!(summary.json()["status"], "manual");
        let failed = Summary { jobs: vec![job("a", State::Failed, Some(1), "")], ..summary };
        assert!(!failed.passed());
        assert_eq!(failed.json()["status"], "failed");
    }
}
