//! What a gate is to do, as meant: built from the plan file, cannot be wrong, travels as data.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expr::Expr;
use super::limit::Limit;
use super::reduce::Reduce;
use super::series::{Chosen, Window};
use super::source::{Kind, Recording};
use super::summary::Measured;
use crate::secret::Secret;
use crate::unit::Span;

/// How several series become one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Across {
    /// Every series must hold: the worst one is the value.
    #[default]
    Every,
    /// One series that holds is enough: the best one is the value.
    Any,
    /// The mean of the series' values.
    Mean,
    /// The greatest of the series' values.
    Max,
    /// The least of the series' values.
    Min,
    /// The sum of the series' values.
    Sum,
    /// How many series there are.
    Count,
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
    /// True where a counter may go back and pods may be replaced within the window.
    #[serde(default)]
    pub allow_restarts: bool,
}

/// Conditions as Argo Rollouts writes them, over `result`: a number a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Argo {
    /// As they were written, for people.
    pub text: String,
    /// How the samples of a series become its number.
    pub reduce: Reduce,
    /// When this is true, the check passes.
    pub success: Option<Expr>,
    /// When this is true, the check fails.
    pub failure: Option<Expr>,
}

/// How an answer is judged: by a limit, by conditions, against earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What must hold.
    pub limit: Option<Limit>,
    /// What should hold.
    pub warn: Option<Limit>,
    /// What a team brings from Argo Rollouts.
    #[serde(default)]
    pub argo: Option<Argo>,
    /// Against the accepted runs.
    #[serde(default)]
    pub regression: Option<Against>,
    /// Several series to one value.
    pub across: Across,
    /// Within each value of this label; every one of them must hold.
    #[serde(default)]
    pub by: Option<String>,
    /// How good the data must be.
    pub quality: Quality,
    /// How often there should be a sample; `None`: a quarter of the window, 1 s to 1 min.
    pub step: Option<Span>,
    /// What poor data means.
    pub on_inconclusive: OnInconclusive,
}

impl Rule {
    /// Returns what must hold, as it was written.
    pub fn condition(&self) -> String {
        let against = self.regression.map(|against| {
            let percent = super::unit::show(against.worse_by * 100.0);
            format!("{} at most {percent} % worse than the accepted runs", against.reduce)
        });
        let limit = self.limit.as_ref().map(ToString::to_string);
        let argo = self.argo.as_ref().map(|argo| argo.text.clone());
        limit.or(argo).or(against).unwrap_or_default()
    }

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

/// How a value is held against those of the accepted runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// How the samples become the value of a run.
    pub reduce: Reduce,
    /// True where more is worse.
    pub is_upper: bool,
    /// A change smaller than this, as a share of the earlier runs' mean, is no regression.
    pub worse_by: f64,
    /// How sure the gate has to be, between a half and 1.
    pub confidence: f64,
    /// So many accepted runs are needed.
    pub at_least: u32,
    /// So many of the newest accepted runs are looked at.
    pub last: u32,
}

/// A further query of a check, whose name stands in the check's expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operand {
    /// Its name in the expression.
    pub name: String,
    /// Who answers it.
    pub source: SourceChoice,
    /// The query, with its variables filled in.
    pub query: String,
}

/// What a check's verdict means for the gate's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Its share of the total score.
    pub share: f64,
    /// True where the gate is never better than it, whatever the score.
    pub must_pass: bool,
    /// True where it is only told.
    pub dry_run: bool,
}

impl Default for Weight {
    fn default() -> Self {
        Self { share: 1.0, must_pass: false, dry_run: false }
    }
}

/// What share of all weights forgives checks that are worse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// From this share on warnings are forgiven.
    pub pass: f64,
    /// From this share on checks that failed or are not known are a warning.
    pub warn: f64,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// Who answers it.
    pub source: SourceChoice,
    /// The query, with its variables filled in; the expression where there are several.
    pub query: String,
    /// The queries that `value` is made of; none: the query itself.
    #[serde(default)]
    pub operands: Vec<Operand>,
    /// What is made of several queries.
    #[serde(default)]
    pub value: Option<Expr>,
    /// A counter of restarts: one that grows within the window makes the data no evidence.
    #[serde(default)]
    pub restarts: Option<String>,
    /// What it means for the gate.
    #[serde(default)]
    pub weight: Weight,
    /// Unit of the values, as written.
    pub unit: Option<String>,
    /// How the answer is judged.
    pub rule: Rule,
}

impl Check {
    /// Returns every source that the check asks.
    pub fn sources(&self) -> impl Iterator<Item = &SourceChoice> {
        let own = self.operands.is_empty() || self.restarts.is_some();
        let operands = self.operands.iter().map(|operand| &operand.source);
        own.then_some(&self.source).into_iter().chain(operands)
    }

    /// Returns what the check asks of whom.
    pub fn questions(&self) -> impl Iterator<Item = Watch> {
        let of = |source: &SourceChoice, query: &str| Watch {
            source: source.clone(),
            query: query.to_owned(),
            step: self.rule.step,
        };
        let own = self.operands.is_empty().then(|| of(&self.source, &self.query));
        let operands: Vec<Watch> =
            self.operands.iter().map(|operand| of(&operand.source, &operand.query)).collect();
        let restarts = self.restarts.as_deref().map(|query| of(&self.source, query));
        own.into_iter().chain(operands).chain(restarts)
    }
}

/// What is to be sampled while the load runs, where its source has no history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Who is asked.
    pub source: SourceChoice,
    /// Which of its series.
    pub query: String,
    /// How often.
    pub step: Option<Span>,
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
    /// What it is called: the runs of one plan are compared with each other.
    #[serde(default)]
    pub name: String,
    /// At least one.
    pub checks: Vec<Check>,
    /// What time to look at.
    pub window: WindowChoice,
    /// Longest wait for the sources' data to reach the window's end; `None`: what each kind of
    /// source needs.
    pub settle: Option<Span>,
    /// How the checks make the gate's verdict; `None`: the worst of them is it.
    #[serde(default)]
    pub score: Option<Score>,
    /// What the accepted runs measured by the checks' names, oldest first; the broker's word.
    #[serde(default)]
    pub history: BTreeMap<String, Vec<Measured>>,
    /// What was recorded during the load, by the source's name.
    #[serde(default)]
    pub recordings: BTreeMap<String, Recording>,
    /// The job's own tokens.
    pub tokens: JobTokens,
    /// The variable that gets the verdict.
    pub variable: Option<Variable>,
    /// How it is told.
    pub style: Style,
}
