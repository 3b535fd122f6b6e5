//! What the gate tells while it works and when it is done.

use serde::{Deserialize, Serialize};

use super::plan::{Score, Weight};
use super::regression::Compared;
use super::series::{Chosen, Series, Window};
use super::unit::show;
use crate::verdict::Verdict;

/// The judged series in a few columns, for a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Mean of each column of the window; `None` where there is no sample.
    pub columns: Vec<Option<f64>>,
    /// Where the limit lies.
    pub threshold: Option<f64>,
    /// The load's requests a second in the same columns; empty where no load is known.
    #[serde(default)]
    pub load: Vec<Option<f64>>,
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
    /// Where a person can look at the query.
    #[serde(default)]
    pub link: Option<String>,
    /// What it means for the gate.
    #[serde(default)]
    pub weight: Weight,
    /// What later runs are compared with.
    #[serde(default)]
    pub run: Option<Measured>,
    /// What the comparison with the accepted runs came to.
    #[serde(default)]
    pub regression: Option<Compared>,
}

/// What a run measured, for runs to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// One value for the whole window.
    pub value: f64,
    /// The same value of each part of the window, [`BLOCKS`] of the same length; `None` where there
    /// are too few samples.
    pub blocks: Vec<Option<f64>>,
    /// The load's mean requests a second meanwhile; `None` where no load's report is known.
    #[serde(default)]
    pub load: Option<f64>,
}

/// Parts of the window that runs are compared by.
pub const BLOCKS: usize = 8;

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
    /// The share of all weights that the checks are worth, where the plan has a score.
    #[serde(default)]
    pub score: Option<f64>,
    /// True when a source was the reason for an `error`: not the job's fault.
    #[serde(default)]
    pub is_platforms_fault: bool,
}

impl Summary {
    /// The worst of all checks, or what their total score says; without any check it is
    /// inconclusive.
    pub fn of(chosen: Chosen, checks: Vec<CheckResult>, score: Option<Score>) -> Self {
        let (verdict, told) = match score {
            None => (worst(checks.iter()).unwrap_or(Verdict::Inconclusive), None),
            Some(score) => scored(&checks, score),
        };
        let (verdict, unjudged) = match unjudged(&checks) {
            // Neither a dry run nor what the plan lets go says that anything holds.
            Some(why) if verdict == Verdict::Passed => (Verdict::Warned, Some(why)),
            Some(_) | None => (verdict, None),
        };
        let forgiven = score.map(|_| forgiven(&checks, verdict)).unwrap_or_default();
        let not_passed = checks.iter().filter(|check| check.verdict != Verdict::Passed);
        let reasons = not_passed.map(|check| format!("{}: {}", check.name, check.reason));
        Self {
            verdict,
            reasons: chosen
                .note
                .into_iter()
                .chain(told)
                .chain(unjudged)
                .chain(forgiven)
                .chain(reasons)
                .collect(),
            window: Some(chosen.window),
            score: score.map(|_| share(&checks)),
            checks,
            is_platforms_fault: false,
        }
    }

    /// True for a run that later ones may be compared with: nothing in it failed, and what is not
    /// passed only lacks a baseline.
    pub fn is_acceptable(&self) -> bool {
        let only_lacks = |check: &CheckResult| {
            check.counts <= Verdict::Warned
                || check.regression.as_ref().is_some_and(|compared| {
                    compared.verdict == Verdict::Inconclusive && check.value.is_some()
                })
        };
        !self.checks.is_empty()
            && self.checks.iter().all(only_lacks)
            && self.verdict <= Verdict::Inconclusive
    }

    /// An outcome without any check judged.
    pub fn without_checks(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reasons: vec![reason.into()],
            window: None,
            checks: Vec::new(),
            score: None,
            is_platforms_fault: false,
        }
    }
}

/// Says of every check that is not known that the score lets the gate go on all the same.
fn forgiven(checks: &[CheckResult], verdict: Verdict) -> Vec<String> {
    let is_unknown = |check: &&CheckResult| {
        verdict <= Verdict::Warned
            && !check.weight.dry_run
            && matches!(check.verdict, Verdict::Inconclusive | Verdict::Error)
    };
    let told = |check: &CheckResult| {
        format!(
            "WARNING: `{}` is not known, and the score forgives it as one that failed: {}",
            check.name, check.reason
        )
    };
    checks.iter().filter(is_unknown).map(told).collect()
}

/// Says that no check was judged that counts.
fn unjudged(checks: &[CheckResult]) -> Option<String> {
    let is_judged = |check: &CheckResult| match check.verdict {
        Verdict::Passed | Verdict::Warned | Verdict::Failed => !check.weight.dry_run,
        Verdict::Inconclusive | Verdict::Error => false,
    };
    (!checks.is_empty() && !checks.iter().any(is_judged))
        .then(|| "WARNING: no check was judged that counts: nothing is known to hold".to_owned())
}

fn worst<'a>(checks: impl Iterator<Item = &'a CheckResult>) -> Option<Verdict> {
    checks.map(|check| check.counts).max()
}

/// Returns the share of all weights that the checks are worth. What has no verdict is worth
/// nothing, also where the plan lets it go.
fn share(checks: &[CheckResult]) -> f64 {
    let counted = || checks.iter().filter(|check| !check.weight.dry_run);
    let worth = |check: &CheckResult| match check.verdict {
        Verdict::Passed => check.weight.share,
        Verdict::Warned => check.weight.share / 2.0,
        Verdict::Inconclusive | Verdict::Error | Verdict::Failed => 0.0,
    };
    let all: f64 = counted().map(|check| check.weight.share).sum();
    if all > 0.0 { counted().map(worth).sum::<f64>() / all } else { 0.0 }
}

/// Returns the verdict of a score: it forgives, and never accuses.
///
/// Without enough of a score the worst check is the verdict, as it is without a score. With enough,
/// the gate warns where a check failed or is not known, which counts as if it had failed: no pass
/// comes from what is not known, and no check that gets worse makes the verdict better. Warning
/// levels are forgiven from `pass` on.
fn scored(checks: &[CheckResult], score: Score) -> (Verdict, Option<String>) {
    let share = share(checks);
    let must_pass = worst(checks.iter().filter(|check| check.weight.must_pass));
    let (all, reaches) = (worst(checks.iter()), |least: f64| share >= least - 1e-9);
    let is_forgiven = must_pass <= Some(Verdict::Warned) && reaches(score.warn);
    let all = all.unwrap_or(Verdict::Inconclusive);
    let verdict = if checks.is_empty() || !is_forgiven {
        all
    } else if all == Verdict::Warned && reaches(score.pass) {
        must_pass.unwrap_or(Verdict::Passed)
    } else {
        all.min(Verdict::Warned)
    };
    let told = format!(
        "score {} % of the weights; from {} % on a warning is forgiven, from {} % on what failed or \
         is not known is a warning",
        show(share * 100.0),
        show(score.pass * 100.0),
        show(score.warn * 100.0)
    );
    (verdict, Some(told))
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
    /// A source without history was sampled.
    Sampled {
        /// Which one.
        source: String,
        /// What is now, or what kept it from being told.
        sample: Result<Vec<Series>, String>,
    },
    /// A check has its verdict.
    Judged(Box<CheckResult>),
    /// The last event.
    Finished(Box<Summary>),
}
