//! The gate's part of a plan file, as people write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::plan::{Across, OnInconclusive};
use crate::unit::Span;

/// One entry of `checks:`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckFile {
    /// What the check is called in the log, in gate.json and in the `JUnit` report.
    pub name: String,
    /// Name of a source that the policy defines.
    pub source: String,
    /// Query in the source's language; `$VAR` and `${VAR}` are filled in from the job's variables.
    #[serde(default)]
    pub query: String,
    /// In place of `query`: several queries by name, which `value` is made of.
    #[serde(default)]
    pub queries: BTreeMap<String, String>,
    /// Where one of the queries is answered by another source: its name, and the source's.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// What is made of the queries: `errors / all`. A division by 0 is no value.
    pub value: Option<String>,
    /// What must hold: `mean < 800`, `p95 <= 250ms`, `max < 1.5GiB`, `rate < 5/s`.
    #[serde(default)]
    pub limit: String,
    /// In place of `limit`: conditions as Argo Rollouts writes them.
    pub argo: Option<ArgoFile>,
    /// Against the accepted runs of the default branch.
    pub regression: Option<RegressionFile>,
    /// What should hold: when only this one is crossed, the verdict is `warned`.
    pub warn: Option<String>,
    /// Unit of the query's values, when it is not the base unit: `ms`, `millicores`, `%`.
    pub unit: Option<String>,
    /// How several series become one value; by default every one of them must hold.
    pub across: Option<Across>,
    /// A label: series are taken together only within each of its values, which all must hold.
    pub by: Option<String>,
    /// How often the source has a sample; by default a quarter of the window, 1 s to 1 min.
    pub step: Option<Span>,
    /// How good the data must be before it is judged.
    pub quality: Option<QualityFile>,
    /// What data too poor to judge means for the job; `fail` by default.
    pub on_inconclusive: Option<OnInconclusive>,
    /// Query for a counter of restarts of the same pods: when one grows within the window, the
    /// check is inconclusive.
    pub restarts: Option<String>,
    /// Its weight in the total score; 1 by default.
    pub weight: Option<f64>,
    /// The gate is never better than this check, whatever the score.
    #[serde(default)]
    pub must_pass: bool,
    /// The check is told, but counts for nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Conditions as Argo Rollouts writes them, over `result`: a number a series.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArgoFile {
    /// `result[0] < 0.95`
    pub success_condition: Option<String>,
    /// `result[0] >= 0.95`
    pub failure_condition: Option<String>,
    /// How the samples of a series become its number; `mean` by default.
    pub reduce: Option<String>,
}

/// Against the accepted runs of the default branch.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegressionFile {
    /// A smaller change is no regression; `10%` by default.
    pub worse_by: Option<String>,
    /// How the samples become a run's value; as in `limit`, else `mean`.
    pub reduce: Option<String>,
    /// Which way is worse: `more` or `less`; by the limit's, else `more`.
    pub worse: Option<Worse>,
    /// How sure the gate has to be; `95%` by default.
    pub confidence: Option<String>,
    /// So many accepted runs are needed; 5 by default.
    pub at_least: Option<u32>,
    /// So many of the newest accepted runs are looked at; 20 by default.
    pub last: Option<u32>,
}

/// Which way is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    /// A greater value is.
    More,
    /// A smaller value is.
    Less,
}

/// What share of all weights forgives checks that are worse. What failed or is not known brings
/// nothing, what warns a half; without enough of it the worst check is the verdict.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScoreFile {
    /// From this share on warnings are forgiven: `90%`.
    pub pass: String,
    /// From this share on checks that failed or are not known are a warning; as `pass` by default.
    pub warn: Option<String>,
}

/// How good the data must be before it is judged.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct QualityFile {
    /// Fewest samples in every series.
    pub points: Option<u32>,
    /// Fewest series.
    pub series: Option<u32>,
    /// Least share of the window's steps that have a sample: `80%`.
    pub coverage: Option<String>,
    /// Longest stretch of the window without a sample.
    pub max_gap: Option<Span>,
    /// Greatest distance of the newest sample from the window's end.
    pub max_age: Option<Span>,
    /// True where a counter may go back and pods may be replaced within the window.
    pub allow_restarts: Option<bool>,
}

/// The key `gate:` of a plan file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GateFile {
    /// What time to look at; the load's steady phase by default.
    pub window: Option<WindowFile>,
    /// What time to look at when there was no load at all; without it there is no verdict then.
    pub without_load: Option<Span>,
    /// The total score that forgives checks that are worse; without it the worst check is the verdict.
    pub score: Option<ScoreFile>,
    /// Longest wait for the source's data to reach the window's end; by default what the kind of
    /// source needs: 2 minutes, 5 for Datadog, New Relic and Dynatrace, 10 for `CloudWatch`. An hour
    /// at most.
    pub settle: Option<Span>,
    /// Quality for checks that say nothing else.
    pub quality: Option<QualityFile>,
    /// For checks that say nothing else.
    pub on_inconclusive: Option<OnInconclusive>,
    /// Name of the variable that gets `passed` or `failed`: in the job, in later jobs, in the project.
    pub variable: Option<String>,
    /// Its environment scope in the project; the only one there is, or `*`, by default.
    pub scope: Option<String>,
}

/// What time to look at.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum WindowFile {
    /// The steady phase of the load.
    Load,
    /// The time up to now.
    Last(Span),
    /// A fixed time.
    Explicit {
        /// Its first moment: `2026-03-01T12:00:00Z`.
        start: String,
        /// Its last moment.
        end: String,
    },
}
