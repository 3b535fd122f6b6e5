//! What the gate tells while it works and when it is done.

use serde::{Deserialize, Serialize};

use super::series::{Chosen, Window};
use crate::verdict::Verdict;

/// The judged series in a few columns, for a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Mean of each column of the window; `None` where there is no sample.
    pub columns: Vec<Option<f64>>,
    /// Where the limit lies.
    pub threshold: f64,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// What it is called.
    pub name: String,
    /// Its own verdict.
    pub verdict: Verdict,
    /// What it adds to the gate's verdict; differs where the plan lets poor data pass.
    pub counts: Verdict,
    /// The judged value; `None` without a verdict.
    pub value: Option<f64>,
    /// The limit as written.
    pub limit: String,
    /// The warning level as written.
    pub warn: Option<String>,
    /// Samples within the window.
    pub points: u64,
    /// Series in the answer.
    pub series: u64,
    /// One line: value, limit, window, samples; or what is wrong with the data.
    pub reason: String,
    /// The query that was asked.
    pub query: String,
    /// Who was asked.
    pub source: String,
    /// Unit of the value.
    pub unit: Option<String>,
    /// The series that decided; `None` without samples.
    pub chart: Option<Chart>,
}

/// The gate's whole outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The worst of all checks.
    pub verdict: Verdict,
    /// Why: what the window is where that has to be told, and every check that did not pass.
    pub reasons: Vec<String>,
    /// What time was looked at; `None` when it could not be found.
    pub window: Option<Window>,
    /// In the plan's order.
    pub checks: Vec<CheckResult>,
    /// True when a source was the reason for an `error`: not the job's fault.
    #[serde(default)]
    pub is_platforms_fault: bool,
}

impl Summary {
    /// The worst of all checks; without any check it is inconclusive.
    pub fn of(chosen: Chosen, checks: Vec<CheckResult>) -> Self {
        let verdict = checks.iter().map(|check| check.counts).max();
        let not_passed = checks.iter().filter(|check| check.verdict != Verdict::Passed);
        let reasons = not_passed.map(|check| format!("{}: {}", check.name, check.reason));
        Self {
            verdict: verdict.unwrap_or(Verdict::Inconclusive),
            reasons: chosen.note.into_iter().chain(reasons).collect(),
            window: Some(chosen.window),
            checks,
            is_platforms_fault: false,
        }
    }

    /// An outcome without any check judged.
    pub fn without_checks(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reasons: vec![reason.into()],
            window: None,
            checks: Vec::new(),
            is_platforms_fault: false,
        }
    }
}

/// What happens during a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// What time will be looked at.
    Window {
        /// The window.
        window: Window,
        /// Why it is this one, where that has to be told.
        note: Option<String>,
    },
    /// The source's data does not reach the window's end yet.
    Settling {
        /// Which check waits.
        check: String,
        /// What for.
        why: String,
        /// For how long at most from now on, in milliseconds.
        at_most_ms: u64,
    },
    /// A query is on its way.
    Asked {
        /// Which check asks.
        check: String,
        /// Whom.
        source: String,
        /// Where; holds no token.
        url: String,
    },
    /// A source answered.
    Answered {
        /// Which check asked.
        check: String,
        /// The HTTP status line: `200 OK`.
        status: String,
        /// How many series.
        series: u64,
        /// How many samples within the window.
        points: u64,
    },
    /// A source did not answer, or not in a way that can be used.
    Unanswered {
        /// Which check asked.
        check: String,
        /// The HTTP status line, if there was one.
        status: Option<String>,
        /// Why not.
        why: String,
    },
    /// A check has its verdict.
    Judged(Box<CheckResult>),
    /// The last event.
    Finished(Box<Summary>),
}
