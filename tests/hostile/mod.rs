//! Hostile and degenerate answers of metric sources, described once: the gate's own tests hold the
//! gate to them, and `scripts/bench gate` asks its peers the same.

#![allow(dead_code, reason = "the gate's tests and the program each use a part of it")]

pub mod body;
pub mod table;
pub mod words;

use std::collections::BTreeSet;

/// A kind of source that is asked over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Wavefront,
    Prometheus,
    Influx1,
    Influx2,
    Graphite,
    Datadog,
    CloudWatch,
    NewRelic,
    Dynatrace,
    Json,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Wavefront,
        Self::Prometheus,
        Self::Influx1,
        Self::Influx2,
        Self::Graphite,
        Self::Datadog,
        Self::CloudWatch,
        Self::NewRelic,
        Self::Dynatrace,
        Self::Json,
    ];

    /// The name that policies have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wavefront => "wavefront",
            Self::Prometheus => "prometheus",
            Self::Influx1 => "influxdb1",
            Self::Influx2 => "influxdb2",
            Self::Graphite => "graphite",
            Self::Datadog => "datadog",
            Self::CloudWatch => "cloudwatch",
            Self::NewRelic => "newrelic",
            Self::Dynatrace => "dynatrace",
            Self::Json => "json",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What was asked for: a source answers in the form of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All samples of a window, as dyno asks.
    Series,
    /// The newest value of each series, or one value for the whole window.
    Latest,
    /// One value by New Relic's Insights API, which came before `NerdGraph`.
    Insights,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Series, Self::Latest, Self::Insights];

    pub fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Latest => "latest",
            Self::Insights => "insights",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }
}

/// A question: of which source, in which form, about the minute from when on.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub kind: Kind,
    pub form: Form,
    pub start_ms: i64,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Refused, cut off, late or never there.
    Refused,
    /// An error in an answer that looks well, another content, values that are none.
    Malformed,
    /// No series, no samples, null, NaN or infinite.
    Empty,
    /// Samples of another time.
    Stale,
    /// Samples that are too few, or have holes.
    Thin,
    /// The source says that something is missing.
    Partial,
}

impl Flaw {
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Stale => "stale",
            Self::Thin => "thin",
            Self::Partial => "partial",
        }
    }
}

/// What the gate makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Inconclusive,
    Error,
}

/// What a connection carries, and what comes then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// All of it, then the end.
    Whole(Vec<u8>),
    /// All of it, then silence.
    Hang(Vec<u8>),
    /// A byte at a time, a few a second.
    Drip(Vec<u8>),
}

impl Answer {
    pub fn json(status: &str, body: &str) -> Self {
        Self::with(status, "Content-Type: application/json", body)
    }

    pub fn with(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}"
        );
        Self::Whole(text.into_bytes())
    }
}

/// An answer that must not pass.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub answer: Answer,
    pub flaw: Flaw,
    pub told: Told,
    /// A part of the reason that the gate gives.
    pub why: &'static str,
}

/// A good answer: all values are 1.
pub fn good(asked: Asked) -> Answer {
    Answer::json("200 OK", &body::of(asked, &body::good(asked)))
}

/// Every case of a kind of source.
pub fn cases(asked: Asked) -> Vec<Case> {
    let kind = asked.kind.name();
    let mut all = Vec::new();
    for (name, body, flaw, told, why) in table::degenerate(asked) {
        let answer = Answer::json("200 OK", &body);
        all.push(Case { name: format!("{kind}: {name}"), answer, flaw, told, why });
    }
    for (name, answer, why) in table::transports(asked) {
        let name = format!("{kind}: {name}");
        all.push(Case { name, answer, flaw: Flaw::Refused, told: Told::Error, why });
    }
    for (n, (body, flaw, told, why)) in words::all(asked).into_iter().enumerate() {
        let answer = Answer::json("200 OK", &body);
        let name = format!("{kind}: own answer {n}: {why}");
        all.push(Case { name, answer, flaw, told, why });
    }
    all
}

/// The cases that differ in this form, with their places in [`cases`]: whoever asks for one value
/// cannot see how many samples there were, and a good answer is no case.
pub fn distinct(asked: Asked) -> Vec<(usize, Case)> {
    let mut seen = BTreeSet::from([good(asked)]);
    let mut all: Vec<(usize, Case)> = cases(asked).into_iter().enumerate().collect();
    all.retain(|(_, case)| {
        (case.flaw != Flaw::Thin || asked.form == Form::Series) && seen.insert(case.answer.clone())
    });
    all
}
