//! A source that dyno holds itself: what was sampled during the load, and what the load measured.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::selector::{NAME, Selector, unit_of};
use super::{Error, Kind, MetricSource};
use crate::gate::series::{Answer, Point, Query, Series};
use crate::gate::unit::{Dimension, Told};

/// The name of the source that is the load itself; no policy has to define it.
pub const LOAD: &str = "load";

/// What was recorded of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Told apart by their labels; the name is one of them.
    pub series: Vec<Series>,
    /// How often was asked.
    pub n_samples: u64,
    /// How often without an answer.
    pub n_failed: u64,
    /// What kept the last one of those from being told.
    pub last_failure: Option<String>,
    /// Why what was recorded is no evidence, whatever it says.
    #[serde(default)]
    pub doubt: Option<String>,
}

/// The most series that are kept of one source, and samples of one series.
const MOST_SERIES: usize = 2000;
const MOST_POINTS: usize = 20_000;

impl Recording {
    /// A recording of the load's own course: names and their samples, and why they are none.
    pub fn of_load(courses: Vec<(&str, Vec<Point>)>, doubt: Option<String>) -> Self {
        let series = |(name, points): (&str, Vec<Point>)| Series {
            labels: BTreeMap::from([(NAME.to_owned(), name.to_owned())]),
            points,
            n_absent: 0,
        };
        Self { series: courses.into_iter().map(series).collect(), doubt, ..Self::default() }
    }

    /// Adds what one look at the source showed.
    pub fn note(&mut self, sample: Result<Vec<Series>, String>) {
        self.n_samples += 1;
        match sample {
            Ok(series) => self.add(series),
            Err(why) => {
                self.n_failed += 1;
                self.last_failure = Some(why);
            }
        }
    }

    /// Says what makes the recording incomplete.
    fn trouble(&self) -> Option<String> {
        if self.doubt.is_some() {
            return self.doubt.clone();
        }
        let is_full = self.series.len() >= MOST_SERIES
            || self.series.iter().any(|series| series.points.len() >= MOST_POINTS);
        if is_full {
            return Some("more samples than can be kept: ask for less".to_owned());
        }
        // A few lost samples are gaps, which the judge sees; many of them are no answer.
        (self.n_failed > self.n_samples / 5).then(|| {
            let last = self.last_failure.as_deref().unwrap_or_default();
            format!("{} of {} samples failed: {last}", self.n_failed, self.n_samples)
        })
    }

    /// Adds samples to the series with the same labels.
    fn add(&mut self, series: Vec<Series>) {
        for new in series {
            let is_full = self.series.len() >= MOST_SERIES;
            match self.series.iter_mut().find(|known| known.labels == new.labels) {
                Some(known) => {
                    let last = known.points.last().map(|point| point.at_ms);
                    let is_newer = |point: &Point| last.is_none_or(|last| point.at_ms > last);
                    let room = MOST_POINTS.saturating_sub(known.points.len());
                    known.points.extend(new.points.into_iter().filter(is_newer).take(room));
                    known.n_absent += new.n_absent;
                }
                None if is_full => return,
                None => self.series.push(new),
            }
        }
    }
}

/// Returns what the values of a series are in.
fn unit(kind: Kind, series: &Series) -> Option<Told> {
    let name = series.labels.get(NAME)?;
    match (kind, name.as_str()) {
        (Kind::Load, "p50" | "p95") => Some(Told::of("seconds", Dimension::Time, 1.0)),
        (Kind::Load, "errors") => Some(Told::of("shares of one", Dimension::Number, 1.0)),
        (Kind::Pods, "cpu") => Some(Told::of("cores", Dimension::Number, 1.0)),
        (Kind::Pods, "memory") => Some(Told::of("bytes", Dimension::Bytes, 1.0)),
        (Kind::OpenMetrics, _) => unit_of(series),
        _ => None,
    }
}

/// A recording that can be asked.
pub struct Recorded {
    /// What it stands for.
    pub kind: Kind,
    /// What there is; `None` when nothing was recorded at all.
    pub recording: Option<Recording>,
}

#[async_trait]
impl MetricSource for Recorded {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn url(&self, _query: &Query) -> String {
        format!("{}: recorded by dyno", self.kind)
    }

    async fn query(&self, query: &Query) -> Result<Answer, Error> {
        let selector = Selector::parse(&query.text).map_err(|why| Error::Unaskable { why })?;
        let Some(recording) = &self.recording else {
            let why =
                "nothing was recorded: `dyno load` with this plan has to run before".to_owned();
            return Ok(Answer { warnings: vec![why], ..Answer::default() });
        };
        let meant = recording.series.iter().filter(|series| selector.matches(&series.labels));
        let units = meant.clone().filter_map(|series| unit(self.kind, series)).collect();
        Ok(Answer {
            units,
            series: meant.cloned().collect(),
            warnings: recording.trouble().into_iter().collect(),
            status: "recorded".to_owned(),
        })
    }
}
