//! Sampling of sources without history, while the load runs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::ask::Ask;
use super::exchange::{Exchange, Patience, shown};
use super::recorded::Recording;
use super::selector::Selector;
use super::{Error, Spec, exposition, told};
use crate::gate::series::Series;

/// The most series that are kept of one source, and samples of one series.
const MOST_SERIES: usize = 2000;
const MOST_POINTS: usize = 10_000;

/// For one sample: a late one is none.
const HASTY: Patience = Patience {
    per_try: Duration::from_secs(5),
    in_all: Duration::from_secs(5),
    tries: 1,
    pause: Duration::ZERO,
};

/// A source that says only what is now.
#[async_trait]
pub trait Sampler: Send + Sync {
    /// Returns what is now.
    async fn sample(&self) -> Result<Vec<Series>, Error>;
}

/// A page of metrics.
pub struct Scrape {
    exchange: Exchange,
}

impl Scrape {
    /// Prepares the connection; sends nothing.
    ///
    /// # Errors
    /// When the policy's word on the source cannot be used.
    pub fn new(spec: &Spec) -> Result<Self, Error> {
        Ok(Self { exchange: Exchange::new(spec, HASTY)? })
    }
}

#[async_trait]
impl Sampler for Scrape {
    async fn sample(&self) -> Result<Vec<Series>, Error> {
        let ask = Ask {
            headers: vec![("accept", "application/openmetrics-text;version=1.0.0,text/plain")],
            ..Ask::get("", Vec::new())
        };
        let url = self.exchange.url(&ask);
        let reply = self.exchange.ask(&ask).await?;
        if !reply.code.is_success() {
            return Err(self.exchange.refusal(&url, &reply, None, false));
        }
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let text = String::from_utf8_lossy(&reply.body);
        let series = exposition::read(&text, now_ms).map_err(|why| Error::Malformed {
            url: shown(&url),
            status: reply.status.clone(),
            why,
        })?;
        Ok(self.exchange.masked(series))
    }
}

/// What is sampled: who, what of it, how often.
pub struct Watched {
    /// Who is asked.
    pub sampler: Box<dyn Sampler>,
    /// What the checks ask of it.
    pub queries: Vec<String>,
    /// How often.
    pub every: Duration,
}

/// Samples all sources until cancelled. Returns what there is then; a source whose samples could not
/// be taken says so in its troubles.
pub async fn watch(
    all: BTreeMap<String, Watched>,
    cancel: &CancellationToken,
) -> BTreeMap<String, Recording> {
    let each = all.into_iter().map(|(name, watched)| async move {
        let recording = one(&watched, cancel).await;
        (name, recording)
    });
    futures_util::future::join_all(each).await.into_iter().collect()
}

async fn one(watched: &Watched, cancel: &CancellationToken) -> Recording {
    // A query that cannot be read is told when it is judged.
    let selectors: Vec<Selector> =
        watched.queries.iter().filter_map(|query| Selector::parse(query).ok()).collect();
    let mut recording = Recording::default();
    let (mut n_samples, mut n_failed, mut last) = (0_u32, 0_u32, String::new());
    let mut ticks = tokio::time::interval(watched.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let sampled = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            sampled = watched.sampler.sample() => sampled,
        };
        n_samples += 1;
        match sampled {
            Ok(mut series) => {
                series.retain(|one| selectors.iter().any(|meant| meant.matches(&one.labels)));
                recording.add(series);
            }
            Err(error) => {
                n_failed += 1;
                last = told(&error);
            }
        }
        let is_full = recording.series.len() > MOST_SERIES
            || recording.series.iter().any(|series| series.points.len() > MOST_POINTS);
        if is_full {
            recording.troubles.push("more samples than can be kept: ask for less".to_owned());
            break;
        }
    }
    // A few lost samples are gaps, which the judge sees; all of them lost is no answer.
    if n_failed > 0 && (n_failed == n_samples || n_failed > n_samples / 5) {
        recording.troubles.push(format!("{n_failed} of {n_samples} samples failed: {last}"));
    }
    recording
}
