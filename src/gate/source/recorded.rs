//! A source that dyno holds itself: what was sampled during the load, and what the load measured.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::selector::{NAME, Selector};
use super::{Error, Kind, MetricSource};
use crate::gate::series::{Answer, Point, Query, Series};

/// The name of the source that is the load itself; no policy has to define it.
pub const LOAD: &str = "load";

/// What was recorded of one source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Told apart by their labels; the name is one of them.
    pub series: Vec<Series>,
    /// What kept samples from being taken: it makes the answer incomplete.
    pub troubles: Vec<String>,
}

impl Recording {
    /// A recording of the load's own course: names and their samples.
    pub fn of_load(courses: Vec<(&str, Vec<Point>)>) -> Self {
        let series = |(name, points): (&str, Vec<Point>)| Series {
            labels: BTreeMap::from([(NAME.to_owned(), name.to_owned())]),
            points,
            n_absent: 0,
        };
        Self { series: courses.into_iter().map(series).collect(), troubles: Vec::new() }
    }

    /// Adds samples to the series with the same labels.
    pub fn add(&mut self, series: Vec<Series>) {
        for new in series {
            match self.series.iter_mut().find(|known| known.labels == new.labels) {
                Some(known) => {
                    let last = known.points.last().map(|point| point.at_ms);
                    let is_newer = |point: &Point| last.is_none_or(|last| point.at_ms > last);
                    known.points.extend(new.points.into_iter().filter(is_newer));
                    known.n_absent += new.n_absent;
                }
                None => self.series.push(new),
            }
        }
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
        Ok(Answer {
            series: meant.cloned().collect(),
            warnings: recording.troubles.clone(),
            status: "recorded".to_owned(),
        })
    }
}
