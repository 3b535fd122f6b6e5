//! The contract of all sources that are asked over HTTP: a question, what may be in its answer, and
//! the one loop that asks, pages and turns what went wrong into an error.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

use super::exchange::{Exchange, Reply, shown};
use super::{Error, Kind, MetricSource};
use crate::gate::series::{Answer, Query, Series};
use crate::gate::unit::Told;
use crate::unit::Span;

/// Clocks may differ so much, a try's time in.
const CLOCKS_MS: u64 = 90_000;

/// More pages than this are no answer to a gate's question.
const PAGES: u32 = 40;

/// A question, before the credential is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// GET or POST.
    pub method: Method,
    /// Below the source's base URL; may be empty.
    pub path: String,
    /// Parameters of the URL.
    pub query: Vec<(&'static str, String)>,
    /// Headers of the API itself; none of them a secret.
    pub headers: Vec<(&'static str, &'static str)>,
    /// `if-match` or `if-none-match`, with its value.
    pub condition: Option<(&'static str, String)>,
    /// What is sent.
    pub body: Body,
}

/// What is sent with a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A form.
    Form(Vec<(&'static str, String)>),
    /// JSON, told as such unless a header says otherwise.
    Json(Value),
    /// Bytes, as they are.
    Bytes(Vec<u8>),
}

impl Ask {
    /// A GET with parameters.
    pub fn get(path: &str, query: Vec<(&'static str, String)>) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            query,
            headers: Vec::new(),
            condition: None,
            body: Body::Empty,
        }
    }

    /// A POST with a body.
    pub fn post(path: &str, body: Body) -> Self {
        Self { method: Method::POST, body, ..Self::get(path, Vec::new()) }
    }
}

/// What an answer says of its own failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In the source's words.
    pub message: String,
    /// True when the query is what is wrong, and not the source.
    pub is_about_the_query: bool,
}

/// What was read of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Its series; those of other pages with the same labels are continued.
    pub series: Vec<Series>,
    /// What the source itself says is incomplete.
    pub warnings: Vec<String>,
    /// What the source says its values are in.
    pub units: Vec<Told>,
    /// Where the rest is.
    pub next: Option<Ask>,
}

/// One kind of source: how a query becomes a question, and an answer series. Pure.
pub trait Api: Send + Sync {
    /// Which kind it is.
    fn kind(&self) -> Kind;

    /// Makes the question; an error is the query's own fault.
    fn ask(&self, query: &Query) -> Result<Ask, String>;

    /// Returns what an answer, of whatever code, says of its own failure.
    fn said(&self, body: &[u8]) -> Option<Said>;

    /// Reads an answer of code 2xx that says of no failure; an error tells what its API does not
    /// promise.
    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String>;

    /// Returns where a person can look at the query, if the source has such a page.
    fn link(&self, _base: &Url, _query: &Query) -> Option<String> {
        None
    }
}

/// A source that is asked over HTTP.
pub struct Asked {
    /// The connection with its credential.
    pub exchange: Exchange,
    /// What is spoken.
    pub api: Box<dyn Api>,
}

impl Asked {
    async fn page(
        &self,
        ask: &Ask,
        query: &Query,
        deadline: Instant,
    ) -> Result<(Page, String), Error> {
        let url = self.exchange.url(ask);
        let reply = self.exchange.ask_until(ask, deadline).await?;
        let said = self.api.said(&reply.body);
        if said.is_some() || reply.code != StatusCode::OK {
            let is_query = said.as_ref().is_some_and(|said| said.is_about_the_query);
            let message = said.map(|said| said.message).or_else(|| half_answer(&reply));
            return Err(self.exchange.refusal(&url, &reply, message, is_query));
        }
        let mut page = self.api.read(&reply.body, query).map_err(|why| Error::Malformed {
            url: shown(&url),
            status: reply.status.clone(),
            why: self.exchange.told(&why),
        })?;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        page.warnings.extend(reply.made_ms.and_then(|made_ms| wrong_clock(made_ms, now_ms)));
        Ok((page, reply.status))
    }
}

/// Says that the source's clock goes wrong, or this machine's: then the window is another time there. An
/// answer out of a cache is as old as its date.
fn wrong_clock(made_ms: i64, now_ms: i64) -> Option<String> {
    let apart = made_ms.abs_diff(now_ms);
    (apart > CLOCKS_MS).then(|| {
        let way = if made_ms > now_ms { "ahead of" } else { "behind" };
        let span = Span(Duration::from_secs(apart / 1000));
        format!(
            "its date is {span} {way} this machine's clock: a clock is wrong, or it is from a cache"
        )
    })
}

/// Says what is wrong with a success that is no `200 OK`: a part of an answer (206), one that is not
/// ready (202), one that something on the way has changed (203).
pub fn half_answer(reply: &Reply) -> Option<String> {
    reply.code.is_success().then(|| "only `200 OK` is a whole answer".to_owned())
}

/// Puts a page's series to those of the pages before it.
fn add(answer: &mut Answer, page: Page, known: &mut BTreeMap<BTreeMap<String, String>, usize>) {
    // Twice in one page is the source's mistake, which the judge has to see.
    let before = known.clone();
    for series in page.series {
        let earlier = before.get(&series.labels).and_then(|at| answer.series.get_mut(*at));
        if let Some(earlier) = earlier {
            earlier.points.extend(series.points);
            earlier.n_absent += series.n_absent;
        } else {
            known.insert(series.labels.clone(), answer.series.len());
            answer.series.push(series);
        }
    }
    answer.units.extend(page.units);
}

#[async_trait]
impl MetricSource for Asked {
    fn kind(&self) -> Kind {
        self.api.kind()
    }

    fn url(&self, query: &Query) -> String {
        match self.api.ask(query) {
            Ok(ask) => self.exchange.url(&ask).to_string(),
            Err(_) => self.exchange.base().to_string(),
        }
    }

    fn link(&self, query: &Query) -> Option<String> {
        self.api.link(self.exchange.base(), query)
    }

    async fn query(&self, query: &Query) -> Result<Answer, Error> {
        let asked = self.api.ask(query).map_err(|why| Error::Unaskable { why })?;
        let mut answer = Answer::default();
        let mut next = Some(asked);
        let mut n_pages = 0;
        let mut known = BTreeMap::new();
        // One for all pages: many slow ones are as late as a slow one.
        let deadline = self.exchange.deadline();
        while let Some(ask) = next {
            n_pages += 1;
            if n_pages > PAGES {
                return Err(Error::TooMany { url: shown(&self.exchange.url(&ask)), pages: PAGES });
            }
            let (mut page, status) = self.page(&ask, query, deadline).await?;
            answer.warnings.extend(page.warnings.iter().map(|text| self.exchange.told(text)));
            answer.status = status;
            next = page.next.take();
            add(&mut answer, page, &mut known);
        }
        answer.series = self.exchange.masked(answer.series);
        Ok(answer)
    }
}
