//! The kept runs of one plan, as they are stored.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::gate::{Check, Measured, Plan, Summary};
use crate::job::Job;
use crate::verdict::Verdict;

/// More runs than this are not kept.
const MOST: usize = 100;

/// What is thought of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::broker) enum State {
    /// Later runs are compared with it.
    Accepted,
    /// It did not pass; a person may accept it all the same.
    Waiting,
    /// A person rejected it.
    Rejected,
}

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::broker) struct Run {
    /// The job that made it.
    pub job: u64,
    /// When it was judged, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its gate's verdict.
    pub verdict: Verdict,
    /// What is thought of it.
    pub state: State,
    /// What it measured, by the checks' names.
    pub checks: BTreeMap<String, Kept>,
}

/// A check of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::broker) struct Kept {
    /// What was asked and how it was reduced: another question has no value of this one's.
    pub of: String,
    /// What it came to.
    #[serde(flatten)]
    pub measured: Measured,
}

/// The runs of a plan, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::broker) struct Runs {
    /// At most a hundred.
    #[serde(default)]
    pub runs: Vec<Run>,
}

impl Run {
    /// What a gate measured.
    pub fn of(job: &Job, plan: &Plan, summary: &Summary) -> Self {
        let kept = |check: &Check| {
            let result = summary.checks.iter().find(|result| result.name == check.name)?;
            let measured = result.run.clone()?;
            Some((check.name.clone(), Kept { of: fingerprint(check), measured }))
        };
        let state = if summary.is_acceptable() { State::Accepted } else { State::Waiting };
        Self {
            job: job.id.0,
            at_ms: jiff::Timestamp::now().as_millisecond(),
            verdict: summary.verdict,
            state,
            checks: plan.checks.iter().filter_map(kept).collect(),
        }
    }
}

impl Runs {
    /// Adds a run; a job that is tried again replaces its own.
    pub fn add(&mut self, run: Run) {
        self.runs.retain(|other| other.job != run.job);
        self.runs.push(run);
        let surplus = self.runs.len().saturating_sub(MOST);
        self.runs.drain(..surplus);
    }

    /// Changes what is thought of a run.
    pub fn set(&mut self, job: u64, state: State) {
        for run in self.runs.iter_mut().filter(|run| run.job == job) {
            run.state = state;
        }
    }

    /// True where a run of that job is kept.
    pub fn has(&self, job: u64) -> bool {
        self.runs.iter().any(|run| run.job == job)
    }

    /// Returns how many runs are accepted.
    pub fn n_accepted(&self) -> usize {
        self.runs.iter().filter(|run| run.state == State::Accepted).count()
    }

    /// Returns what a plan's checks may be compared with of the accepted runs, oldest first.
    pub fn accepted(&self, plan: &Plan) -> BTreeMap<String, Vec<Measured>> {
        let of = |check: &Check| {
            let fingerprint = fingerprint(check);
            let accepted = self.runs.iter().filter(|run| run.state == State::Accepted);
            let kept = accepted.filter_map(|run| run.checks.get(&check.name));
            let alike = kept.filter(|kept| kept.of == fingerprint);
            (check.name.clone(), alike.map(|kept| kept.measured.clone()).collect())
        };
        plan.checks.iter().map(of).collect()
    }

    /// Returns the runs for people.
    pub fn told(&self) -> String {
        if self.runs.is_empty() {
            return "No run is kept yet.".to_owned();
        }
        let mut text =
            format!("{:<12} {:<17} {:<12} {:<9}", "JOB", "TIME (UTC)", "VERDICT", "STATE");
        for run in &self.runs {
            let at = jiff::Timestamp::from_millisecond(run.at_ms)
                .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d %H:%M").to_string());
            let state = match run.state {
                State::Accepted => "accepted",
                State::Waiting => "waiting",
                State::Rejected => "rejected",
            };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n{:<12} {at:<17} {:<12} {state:<9}",
                run.job,
                run.verdict.to_string()
            );
            for (name, kept) in &run.checks {
                let _ = write!(text, "  {name} {:.4}", kept.measured.value);
            }
        }
        text
    }
}

/// What a check asks and how it reckons: the values of two runs are alike only under the same one.
fn fingerprint(check: &Check) -> String {
    let mut text =
        format!("{}\n{:?}\n{:?}\n{:?}", check.query, check.unit, check.rule.across, check.rule.by);
    if let Some(against) = check.rule.regression {
        let _ = write!(text, "\n{}", against.reduce);
    }
    for operand in &check.operands {
        let _ = write!(text, "\n{} {} {}", operand.name, operand.source, operand.query);
    }
    Sha256::digest(text).iter().take(8).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(job: u64, state: State) -> Run {
        Run { job, at_ms: 0, verdict: Verdict::Passed, state, checks: BTreeMap::new() }
    }

    #[test]
    fn runs_are_added_judged_and_forgotten() {
        let mut runs = Runs::default();
        for job in 0..130 {
            runs.add(run(job, State::Accepted));
        }
        assert_eq!((runs.runs.len(), runs.n_accepted()), (MOST, MOST));
        runs.add(run(129, State::Waiting));
        assert_eq!(runs.n_accepted(), MOST - 1, "a job that is tried again replaces its own");
        runs.set(128, State::Rejected);
        runs.set(129, State::Accepted);
        assert_eq!(runs.n_accepted(), MOST - 1);
        assert!(runs.has(128) && !runs.has(1));
        assert!(runs.told().contains("rejected"));
        assert_eq!(Runs::default().told(), "No run is kept yet.");
    }
}
