//! What a gate is to do, as meant: built from the plan file, cannot be wrong, travels as data.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limit::Limit;
use super::series::{Chosen, Window};
use super::source::Kind;
use crate::secret::Secret;
use crate::unit::Span;

/// How several series become one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Across {
    /// Every series must hold: the worst one is the value.
    #[default]
    Any,
    /// The mean of the series' values.
    Mean,
    /// The greatest of the series' values.
    Max,
    /// The least of the series' values.
    Min,
    /// The sum of the series' values.
    Sum,
}

/// What data too poor to judge means for the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnInconclusive {
    /// The gate is inconclusive: the job fails.
    #[default]
    Fail,
    /// The gate goes on as if the check were not there.
    Pass,
    /// The gate goes on with a warning.
    Warn,
}

/// How good the data must be. Everything in it only ever makes a verdict worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Fewest samples in every series; 3 unless said.
    pub points: Option<u32>,
    /// Fewest series; 1 unless said.
    pub series: Option<u32>,
    /// Least share of steps with a sample; 70 % unless said.
    pub coverage: Option<f64>,
    /// Longest stretch without a sample; 3 steps unless said.
    pub max_gap: Option<Span>,
    /// Greatest distance of the newest sample from the window's end; 2 steps unless said.
    pub max_age: Option<Span>,
}

/// How an answer is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What must hold.
    pub limit: Limit,
    /// What should hold.
    pub warn: Option<Limit>,
    /// Several series to one value.
    pub across: Across,
    /// How good the data must be.
    pub quality: Quality,
    /// How often there should be a sample; `None`: a quarter of the window, 1 s to 1 min.
    pub step: Option<Span>,
    /// What poor data means.
    pub on_inconclusive: OnInconclusive,
}

impl Rule {
    /// Returns how often there should be a sample in that window.
    pub fn step(&self, window: Window) -> Duration {
        match self.step {
            Some(step) => step.0,
            None => (window.span() / 4).clamp(Duration::from_secs(1), Duration::from_mins(1)),
        }
    }

    /// Returns the window, at least one step long where the step is given: a source that has a
    /// sample a minute says about a load of 50 s only in the minute that ends after it.
    pub fn widened(&self, window: Window) -> Window {
        let step = self.step.map_or(0, |step| i64::try_from(step.0.as_millis()).unwrap_or(0));
        if window.start_ms < window.end_ms {
            Window { end_ms: window.end_ms.max(window.start_ms.saturating_add(step)), ..window }
        } else {
            window
        }
    }
}

/// Which source answers a check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceChoice {
    /// The one of that name.
    Named(String),
    /// The first of that kind that the profile grants.
    Kind(Kind),
}

impl SourceChoice {
    /// True for what the load itself measured, which no policy has to grant.
    pub fn is_load(&self) -> bool {
        match self {
            Self::Named(name) => name == super::source::LOAD,
            Self::Kind(kind) => *kind == Kind::Load,
        }
    }

    /// Returns the name of the source that is meant, of those that are granted, in their order.
    pub fn resolve<'a>(
        &self,
        granted: impl IntoIterator<Item = (&'a str, Kind)>,
    ) -> Option<&'a str> {
        granted
            .into_iter()
            .find(|(name, kind)| match self {
                Self::Named(wanted) => wanted == name,
                Self::Kind(wanted) => wanted == kind,
            })
            .map(|(name, _)| name)
    }
}

impl std::fmt::Display for SourceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Kind(kind) => write!(f, "{kind}"),
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// Who answers it.
    pub source: SourceChoice,
    /// The query, with its variables filled in.
    pub query: String,
    /// Unit of the values, as written.
    pub unit: Option<String>,
    /// How the answer is judged.
    pub rule: Rule,
}

/// What time to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowChoice {
    /// The load's steady phase.
    Load {
        /// With no load at all: this much time up to now. `None`: no verdict then.
        otherwise: Option<Span>,
    },
    /// A fixed time.
    Explicit(Window),
    /// This much time up to now.
    Last(Span),
}

impl WindowChoice {
    /// Returns the window, given the steady phase of the load that was found. `None`: no load ran
    /// and the plan does not say what then.
    pub fn resolve(self, load: Option<Window>, now_ms: i64) -> Option<Chosen> {
        let last = |span: Span| {
            let millis = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
            Window { start_ms: now_ms.saturating_sub(millis), end_ms: now_ms }
        };
        match (self, load) {
            (Self::Last(span), _) => Some(last(span).into()),
            (Self::Explicit(window), _) | (Self::Load { .. }, Some(window)) => Some(window.into()),
            (Self::Load { otherwise }, None) => otherwise.map(|span| Chosen {
                window: last(span),
                note: Some(format!("no load ran: the window is the last {span}")),
            }),
        }
    }

    /// True where the broker has to look for a load, and wait for it.
    pub fn wants_load(self) -> bool {
        match self {
            Self::Load { .. } => true,
            Self::Explicit(_) | Self::Last(_) => false,
        }
    }
}

/// The job's own tokens; one in the policy wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTokens {
    /// For the metric source.
    pub source: Option<Secret>,
    /// For the project variable.
    pub gitlab: Option<Secret>,
}

/// The variable that gets the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its environment scope in the project; `*` unless said.
    pub scope: Option<String>,
}

/// How the gate is told in the job log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// The verdict block of `dyno gate`.
    #[default]
    Gate,
    /// The pod inspector's lines.
    Inspector,
}

/// What a gate is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// At least one.
    pub checks: Vec<Check>,
    /// What time to look at.
    pub window: WindowChoice,
    /// Longest wait for the sources' data to reach the window's end.
    pub settle: Span,
    /// The job's own tokens.
    pub tokens: JobTokens,
    /// The variable that gets the verdict.
    pub variable: Option<Variable>,
    /// How it is told.
    pub style: Style,
}
