//! One question over HTTP and its answer: bounded in time, tries and size.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;
use tracing::debug;

use super::Error;
use crate::gate::series::Series;
use crate::job::http;
use crate::secret::Secret;
use crate::unit::Size;

/// The most that is read of an answer.
const LIMIT: Size = Size(32 << 20);
/// The most of an error's text that is told.
const MESSAGE: usize = 500;

/// How long and how often a source is asked.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one try, from the first byte sent to the last one read.
    pub per_try: Duration,
    /// For all tries and the pauses between them.
    pub in_all: Duration,
    /// How many tries there are.
    pub tries: u32,
    /// First pause; each further one is twice as long.
    pub pause: Duration,
}

impl Patience {
    /// For live sources.
    pub const LIVE: Self = Self {
        per_try: Duration::from_secs(30),
        in_all: Duration::from_secs(90),
        tries: 4,
        pause: Duration::from_millis(500),
    };
}

/// A connection to a source.
pub struct Exchange {
    client: Client,
    base: Url,
    patience: Patience,
    /// Never told, whatever a source repeats of what it was sent.
    secrets: Vec<Secret>,
}

/// A whole answer.
pub struct Reply {
    /// `200 OK`.
    pub status: String,
    /// Its code.
    pub code: StatusCode,
    /// At most 32 MiB.
    pub body: Bytes,
}

impl Exchange {
    /// Prepares the connection; sends nothing.
    pub fn new(base: &str, ca_file: Option<&Path>, patience: Patience) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Spec { what: "url".to_owned(), why: why.to_owned() };
        let mut url: Url = base.parse().map_err(|_| wrong("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it must start with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a password does not belong into it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must end before `?` and `#`"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let client = http::client(url.as_str(), ca_file)
            .map_err(|source| Error::Client { url: url.to_string(), source })?;
        Ok(Self { client, base: url, patience, secrets: Vec::new() })
    }

    /// Adds values that must not be told.
    #[must_use]
    pub fn hiding(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        self.secrets.extend(secrets.into_iter().filter(|secret| !secret.reveal().is_empty()));
        self
    }

    /// Takes secrets out of what tells series apart.
    pub fn masked(&self, mut series: Vec<Series>) -> Vec<Series> {
        for value in series.iter_mut().flat_map(|series| series.labels.values_mut()) {
            for secret in &self.secrets {
                if value.contains(secret.reveal()) {
                    *value = value.replace(secret.reveal(), "[MASKED]");
                }
            }
        }
        series
    }

    /// Makes a source's own words fit to be told: one line, not too long, without secrets.
    pub fn told(&self, words: &str) -> String {
        let words: Vec<&str> = words.split_whitespace().collect();
        let clean = self
            .secrets
            .iter()
            .fold(words.join(" "), |text, secret| text.replace(secret.reveal(), "[MASKED]"));
        clean.chars().filter(|c| !c.is_control()).take(MESSAGE).collect()
    }

    /// Returns the URL of a path of the API.
    pub fn url(&self, path: &str) -> Url {
        // A path without scheme or leading slash always joins; the base is the harmless answer.
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    /// Asks until there is an answer that stands: network errors, 429 and 5xx are tried again.
    pub async fn ask(
        &self,
        url: &Url,
        build: impl Fn(&Client) -> RequestBuilder + Send + Sync,
    ) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.patience.in_all;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let request = build(&self.client).timeout(self.patience.per_try.min(left));
            let (pause, failed) = match self.once(request, url, tries).await {
                Ok((reply, headers)) if is_passing(reply.code) => {
                    (asked_pause(&headers), Ok(reply))
                }
                Ok((reply, _)) => return Ok(reply),
                Err(error @ Error::Unreachable { .. }) => (None, Err(error)),
                Err(error) => return Err(error),
            };
            let pause = pause.unwrap_or(self.patience.pause * 2_u32.pow(tries.min(10) - 1));
            let is_last = tries >= self.patience.tries || Instant::now() + pause >= deadline;
            if is_last {
                return failed;
            }
            debug!(%url, tries, ?pause, "asking again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(
        &self,
        request: RequestBuilder,
        url: &Url,
        tries: u32,
    ) -> Result<(Reply, HeaderMap), Error> {
        let unreachable = |source: reqwest::Error| Error::Unreachable {
            url: shown(url),
            tries,
            source: source.without_url(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let code = response.status();
        let headers = response.headers().clone();
        let body = self.body(response, url).await?.map_err(unreachable)?;
        Ok((Reply { status: code.to_string(), code, body }, headers))
    }

    async fn body(
        &self,
        mut response: Response,
        url: &Url,
    ) -> Result<Result<Bytes, reqwest::Error>, Error> {
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Ok(body.freeze())),
                Err(error) => return Ok(Err(error)),
            }
            if u64::try_from(body.len()).is_ok_and(|length| length > LIMIT.0) {
                return Err(Error::TooLarge { url: shown(url), limit: LIMIT });
            }
        }
    }

    /// Returns the answer as an error, with the source's own words. Where those are about the query
    /// and the status does not say otherwise, the query is wrong, and not the source.
    pub fn refusal(
        &self,
        url: &Url,
        reply: &Reply,
        message: Option<String>,
        is_query: bool,
    ) -> Error {
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&reply.body).into_owned());
        let message = self.told(&message);
        let message = if message.is_empty() { "no reason given".to_owned() } else { message };
        let (url, status, code) = (shown(url), reply.status.clone(), reply.code.as_u16());
        if is_query && matches!(code, 200..=299 | 400 | 422) {
            return Error::Query { url, status, message };
        }
        Error::Status { url, status, code, message }
    }
}

/// Returns a URL for messages: where, without the query.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// True for answers that may be another one soon.
fn is_passing(code: StatusCode) -> bool {
    code == StatusCode::TOO_MANY_REQUESTS || code.is_server_error()
}

/// Returns how long the source asks to be left alone: seconds, or a moment in Unix seconds.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = HeaderName::from_static("x-ratelimit-reset");
    if let Some(seconds) = number(&reqwest::header::RETRY_AFTER) {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = number(&reset)?;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    Some(Duration::from_secs(if seconds > now { seconds - now } else { seconds }))
}
