//! Sampling of sources without history, while the load runs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, half_answer};
use super::exchange::{Exchange, Patience, shown};
use super::selector::Selector;
use super::{Error, Spec, exposition, told};
use crate::gate::series::Series;

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
        if reply.code != StatusCode::OK {
            return Err(self.exchange.refusal(&url, &reply, half_answer(&reply), false));
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

/// One look at a source: its name, and what it showed.
pub type Sample = (String, Result<Vec<Series>, String>);

/// Samples all sources until cancelled, and tells every sample. Nothing is left when the future is
/// dropped.
pub async fn watch(
    all: BTreeMap<String, Watched>,
    tell: &mut (dyn FnMut(Sample) + Send),
    cancel: &CancellationToken,
) {
    let (to, mut from) = tokio::sync::mpsc::channel::<Sample>(16);
    let each = all.into_iter().map(|(name, watched)| one(name, watched, to.clone(), cancel));
    let each: Vec<_> = each.collect();
    drop(to);
    let sampled = futures_util::future::join_all(each);
    let told = async {
        while let Some(sample) = from.recv().await {
            tell(sample);
        }
    };
    tokio::join!(sampled, told);
}

async fn one(
    name: String,
    watched: Watched,
    to: tokio::sync::mpsc::Sender<Sample>,
    cancel: &CancellationToken,
) {
    // A query that cannot be read is told when it is judged.
    let selectors: Vec<Selector> =
        watched.queries.iter().filter_map(|query| Selector::parse(query).ok()).collect();
    let mut ticks = tokio::time::interval(watched.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let look = async {
            ticks.tick().await;
            watched.sampler.sample().await
        };
        let sampled = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            sampled = look => sampled,
        };
        let sample = sampled.map_err(|error| told(&error)).map(|mut series| {
            series.retain(|one| selectors.iter().any(|meant| meant.matches(&one.labels)));
            series
        });
        if to.send((name.clone(), sample)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::source::{Auth, Dialect};
    use crate::job::standin::{Act, Standin};

    #[tokio::test]
    async fn only_a_whole_page_is_a_sample() {
        for (status, body, part) in [
            ("200 OK", "x 1\n", None),
            ("206 Partial Content", "x 1\n", Some("only `200 OK` is a whole answer")),
            ("202 Accepted", "x 1\n", Some("only `200 OK` is a whole answer")),
            ("503 Service Unavailable", "x 1\n", Some("503")),
            ("200 OK", "<html>", Some("line 1 is no sample")),
            ("200 OK", "x 1\nx 2\n", Some("for the second time")),
        ] {
            let standin = Standin::start([Act::json(status, body)]).await;
            let spec = Spec {
                dialect: Dialect::OpenMetrics,
                url: standin.url.clone(),
                auth: Auth::None,
                headers: BTreeMap::new(),
                ca_file: None,
            };
            let sample = Scrape::new(&spec).unwrap().sample().await;
            let told = sample.err().map(|error| error.to_string());
            assert_eq!(told.is_some(), part.is_some(), "{status} {body}: {told:?}");
            assert!(told.unwrap_or_default().contains(part.unwrap_or_default()), "{status} {body}");
        }
    }
}
