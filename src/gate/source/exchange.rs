//! One question over HTTP and its answer: bounded in time, tries and size.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, StatusCode, Url};
use tokio::time::Instant;
use tracing::debug;

use super::ask::{Ask, Body};
use super::auth::{Auth, Credential};
use super::{Error, Spec};
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

/// A connection to a source, with its credential.
pub struct Exchange {
    client: Client,
    base: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    credential: Credential,
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
    /// Which version of an object it is, in the source's words.
    pub etag: Option<String>,
    /// When it was made, by the source's clock, in milliseconds since 1970.
    pub made_ms: Option<i64>,
    /// At most 32 MiB.
    pub body: Bytes,
}

impl Exchange {
    /// Prepares the connection; sends nothing.
    pub fn new(spec: &Spec, patience: Patience) -> Result<Self, Error> {
        let base = base(&spec.url)?;
        let client = |url: &str| {
            http::client(url, spec.ca_file.as_deref())
                .map_err(|source| Error::Client { url: url.to_owned(), source })
        };
        let tokens = match &spec.auth {
            Auth::Grant(grant) => Some(client(&grant.url)?),
            Auth::None | Auth::Keys(_) | Auth::Basic(..) | Auth::Signed(_) => None,
        };
        let mut headers = Vec::with_capacity(spec.headers.len());
        for (name, value) in &spec.headers {
            headers.push(header(name, value)?);
        }
        let of_headers = spec.headers.values().filter(|value| value.reveal().len() >= 8).cloned();
        let secrets = spec.auth.secrets().into_iter().chain(of_headers);
        Ok(Self {
            client: client(base.as_str())?,
            base,
            headers,
            credential: Credential::new(spec.auth.clone(), tokens)?,
            patience,
            secrets: secrets.filter(|secret| !secret.reveal().is_empty()).collect(),
        })
    }

    /// Returns what stands before every path of the API.
    pub fn base(&self) -> &Url {
        &self.base
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

    /// Returns the URL of a question.
    pub fn url(&self, ask: &Ask) -> Url {
        // A path without scheme or leading slash always joins; the base is the harmless answer.
        let mut url = self.base.join(&ask.path).unwrap_or_else(|_| self.base.clone());
        if ask.path.is_empty() {
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        url
    }

    /// Returns when a question that begins now has to be answered, all of its pages in.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience.in_all
    }

    /// Asks until there is an answer that stands: network errors, 429 and 5xx are tried again.
    pub async fn ask(&self, ask: &Ask) -> Result<Reply, Error> {
        self.ask_until(ask, self.deadline()).await
    }

    /// The same for one page of several.
    pub async fn ask_until(&self, ask: &Ask, deadline: Instant) -> Result<Reply, Error> {
        let url = self.url(ask);
        let mut tries = 0;
        let mut renewed = false;
        loop {
            tries += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = self.patience.per_try.min(left);
            let mut request = self.request(ask, &url)?;
            self.credential.add(&mut request, timeout).await?;
            *request.timeout_mut() = Some(timeout);
            let (pause, failed) = match self.once(request, &url, tries).await {
                Ok((reply, _))
                    if reply.code == StatusCode::UNAUTHORIZED
                        && self.credential.is_fetched()
                        && !renewed =>
                {
                    renewed = true;
                    self.credential.forget().await;
                    (Some(Duration::ZERO), Ok(reply))
                }
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

    fn request(&self, ask: &Ask, url: &Url) -> Result<Request, Error> {
        let builder = self.client.request(ask.method.clone(), url.clone());
        let builder = match &ask.body {
            Body::Empty => builder,
            Body::Form(form) => builder.form(form),
            Body::Bytes(bytes) => builder.body(bytes.clone()),
            Body::Json(value) => {
                builder.header(CONTENT_TYPE, "application/json").body(value.to_string())
            }
        };
        let mut request = builder.build().map_err(|source| Error::Unreachable {
            url: shown(url),
            tries: 0,
            source: source.without_url(),
        })?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        for (name, value) in &ask.headers {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
            request.headers_mut().insert(name, value);
        }
        if let Some((name, value)) = &ask.condition {
            let wrong = |_| Error::Spec { what: (*name).to_owned(), why: "it is no header".into() };
            let value = HeaderValue::from_str(value).map_err(wrong)?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(request)
    }

    async fn once(
        &self,
        request: Request,
        url: &Url,
        tries: u32,
    ) -> Result<(Reply, HeaderMap), Error> {
        let unreachable = |source: reqwest::Error| Error::Unreachable {
            url: shown(url),
            tries,
            source: source.without_url(),
        };
        let response = self.client.execute(request).await.map_err(unreachable)?;
        let code = response.status();
        let headers = response.headers().clone();
        let body = self.body(response, url).await?.map_err(unreachable)?;
        let etag = headers.get(ETAG).and_then(|etag| Some(etag.to_str().ok()?.to_owned()));
        let made_ms = headers.get(DATE).and_then(|date| moment(date.to_str().ok()?));
        Ok((Reply { status: code.to_string(), code, etag, made_ms, body }, headers))
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

/// Reads the base URL of a source.
fn base(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::Spec { what: "url".to_owned(), why: why.to_owned() };
    let mut url: Url = text.parse().map_err(|_| wrong("it is no URL"))?;
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
    Ok(url)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), Error> {
    let wrong = |why: &str| Error::Spec { what: format!("header `{name}`"), why: why.into() };
    let key: HeaderName = name.parse().map_err(|_| wrong("its name is not allowed"))?;
    let mut value = HeaderValue::from_str(value.reveal())
        .map_err(|_| wrong("its value is not allowed in a header"))?;
    value.set_sensitive(true);
    Ok((key, value))
}

/// Returns a URL for messages: where, without the query.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// True for answers that may be another one soon.
fn is_passing(code: StatusCode) -> bool {
    code == StatusCode::TOO_MANY_REQUESTS
        || (code.is_server_error() && code != StatusCode::NOT_IMPLEMENTED)
}

/// Reads a moment as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn moment(text: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(text.trim()).ok()?.as_millisecond())
}

/// Returns how long the source asks to be left alone: seconds, or a moment in Unix seconds.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = HeaderName::from_static("x-ratelimit-reset");
    if let Some(seconds) = number(&reqwest::header::RETRY_AFTER) {
        return Some(pause_of(seconds));
    }
    let seconds = number(&reset)?;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    Some(pause_of(if seconds > now { seconds - now } else { seconds }))
}

/// Whatever a source asks for, the clock can be set to it; nobody waits that long.
fn pause_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(86_400))
}
