//! How much load and for how long, as meant: stages of users or of arrivals.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::stages::{self, Part, Stage};
use crate::unit::{Rate, Span, whole};

/// How much load, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What the stages' levels count.
    pub kind: Kind,
    /// One after the other; never empty.
    pub stages: Vec<Stage>,
    /// What kind of test it is; `None`: none in particular.
    pub preset: Option<Preset>,
    /// In words: `250 users, 25/s starting, for 1m`.
    pub words: String,
}

/// What a level counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Closed model: so many users, each waiting for its answers.
    Users,
    /// Open model: so many journeys a second, whatever the target does.
    Arrivals {
        /// How many at the same time at most.
        max_users: u32,
        /// True when the plan says so; what nobody asked for may be lowered.
        is_asked: bool,
        /// How they follow each other.
        spacing: Spacing,
    },
}

/// How arrivals follow each other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Each as far from the last as the rate says.
    #[default]
    Even,
    /// By chance, as independent people come: a Poisson process, the same for the same seed.
    Poisson,
}

/// A kind of test: which stages it has and what its verdict looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// A few users for 30 s: does it work at all? No request may fail.
    Smoke,
    /// Warm-up, ramp, hold: is it good under the load that is expected? The hold is judged.
    Load,
    /// Up in steps until something breaks: how much can it take?
    Stress,
    /// A base load, ten times as much within seconds, the base again: does it recover?
    Spike,
    /// One level for a long time: does it get worse?
    Soak,
    /// Blocks on a baseline and on the target in turn: is the target worse than the baseline?
    Regression,
    /// As `load`, judged by a list of criteria: is it accepted?
    Acceptance,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ALL: [(&str, Preset); 7] = [
            ("smoke", Preset::Smoke),
            ("load", Preset::Load),
            ("stress", Preset::Stress),
            ("spike", Preset::Spike),
            ("soak", Preset::Soak),
            ("regression", Preset::Regression),
            ("acceptance", Preset::Acceptance),
        ];
        let found = ALL.iter().find(|(name, _)| *name == text).map(|(_, preset)| *preset);
        found.ok_or_else(|| {
            "use one of smoke, load, stress, spike, soak, regression, acceptance".to_owned()
        })
    }
}

impl Model {
    /// Returns the model of a walk: one user, for as long as the load would last at most.
    pub fn once(&self) -> Self {
        Self {
            kind: Kind::Users,
            stages: vec![Stage::hold("walk", self.duration().0, 1.0)],
            preset: None,
            words: ONCE.to_owned(),
        }
    }

    /// Returns how long the load lasts.
    pub fn duration(&self) -> Span {
        Span(stages::duration(&self.stages))
    }

    /// Returns how many users run at the same time at most.
    pub fn n_users(&self) -> u32 {
        match self.kind {
            Kind::Users => whole(stages::peak(&self.stages).ceil())
                .map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            Kind::Arrivals { max_users, .. } => max_users,
        }
    }

    /// Lowers a bound on users that nobody asked for to what may run; true when it did. Arrivals that
    /// then find no free user are counted and told as dropped.
    pub fn fit(&mut self, most: u32) -> bool {
        match &mut self.kind {
            Kind::Arrivals { max_users, is_asked: false, .. } if *max_users > most => {
                *max_users = most.max(1);
                true
            }
            Kind::Users | Kind::Arrivals { .. } => false,
        }
    }

    /// Returns the highest asked rate of journeys; `None` where the target decides it.
    pub fn rate(&self) -> Option<Rate> {
        match self.kind {
            Kind::Users => None,
            Kind::Arrivals { .. } => Some(Rate(stages::peak(&self.stages))),
        }
    }

    /// Returns the part that limits are judged on; `None` when no stage is.
    pub fn judged(&self) -> Option<Part> {
        stages::judged(&self.stages)
    }

    /// Returns each part on which limits are judged.
    pub fn holds(&self) -> Vec<Part> {
        let parts = stages::parts(&self.stages);
        let judged = self.stages.iter().zip(parts).filter(|(stage, _)| stage.is_judged);
        judged.map(|(_, part)| part).collect()
    }

    /// Returns where an interval must end so that none mixes two stages.
    pub fn cuts(&self) -> Vec<Duration> {
        let mut cuts: Vec<Duration> =
            stages::parts(&self.stages).into_iter().map(|(_, end)| end).collect();
        cuts.dedup();
        cuts
    }

    /// Returns the parts that a limit's `during` names; empty when nothing has that name.
    pub fn during(&self, name: &str) -> Vec<Part> {
        if name == RUN {
            // Also what is answered after the last start.
            return vec![(Duration::ZERO, Duration::MAX)];
        }
        let parts = stages::parts(&self.stages);
        let named = self.stages.iter().zip(parts).filter(|(stage, _)| stage.name == name);
        named.map(|(_, part)| part).collect()
    }
}

/// The words for a plan whose journeys are walked through once.
pub const ONCE: &str = "each journey once, by one user";

/// The name of the whole run in a limit's `during`.
pub const RUN: &str = "run";
