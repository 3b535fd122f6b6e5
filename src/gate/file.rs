//! The gate's part of a plan file, as people write it.

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
    pub query: String,
    /// What must hold: `mean < 800`, `p95 <= 250ms`, `max < 1.5GiB`.
    pub limit: String,
    /// What should hold: when only this one is crossed, the verdict is `warned`.
    pub warn: Option<String>,
    /// Unit of the query's values, when it is not the base unit: `ms`, `millicores`, `%`.
    pub unit: Option<String>,
    /// How several series become one value; by default each of them must hold.
    pub across: Option<Across>,
    /// How often the source has a sample; by default a quarter of the window, 1 s to 1 min.
    pub step: Option<Span>,
    /// How good the data must be before it is judged.
    pub quality: Option<QualityFile>,
    /// What data too poor to judge means for the job; `fail` by default.
    pub on_inconclusive: Option<OnInconclusive>,
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
}

/// The key `gate:` of a plan file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GateFile {
    /// What time to look at; the load's steady phase by default.
    pub window: Option<WindowFile>,
    /// What time to look at when there was no load at all; without it there is no verdict then.
    pub without_load: Option<Span>,
    /// Longest wait for the source's data to reach the window's end; 2 minutes by default.
    pub settle: Option<Span>,
    /// Quality for checks that say nothing else.
    pub quality: Option<QualityFile>,
    /// For checks that say nothing else.
    pub on_inconclusive: Option<OnInconclusive>,
    /// Name of the variable that gets `passed` or `failed`.
    pub variable: Option<String>,
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
