//! A request rendered for one sending: where to, what with.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Full;
use rand::rngs::SmallRng;

use crate::load::failure::Failure;
use crate::load::plan::{Method, Origin, Target};
use crate::load::script::{CompiledBody, CompiledHeader, CompiledRequest};
use crate::load::template::{Escape, Missing, Scope};
use crate::load::url;
use crate::load::worker::cookie::Jar;

/// A request rendered.
#[derive(Debug, Clone)]
pub struct Message {
    /// The method.
    pub method: http::Method,
    /// Where to connect.
    pub origin: Origin,
    /// Path and query.
    pub path: PathAndQuery,
    /// Headers apart from those that depend on the connection and the jar.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a request was not rendered.
pub enum Unrendered {
    /// It needs what is not known: the step is left out.
    Missing(Missing),
    /// It was rendered and cannot be sent: the request failed.
    Failed(Failure),
}

impl From<Missing> for Unrendered {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl Message {
    /// Renders a request.
    pub fn render(
        request: &CompiledRequest,
        target: &Target,
        scope: Scope<'_>,
        rng: &mut SmallRng,
    ) -> Result<Self, Unrendered> {
        let mut text = String::new();
        request.path.render(scope, rng, Escape::Url, &mut text)?;
        let (origin, path) = locate(request.origin.as_ref(), target, &text)?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("dyno/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let (kind, body) = body(&request.body, scope, rng)?;
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in &request.headers {
            let value = match value {
                CompiledHeader::Fixed(value) => value.clone(),
                CompiledHeader::Template(template) => {
                    let mut text = String::new();
                    template.render(scope, rng, Escape::None, &mut text)?;
                    HeaderValue::try_from(&text)
                        .map_err(|_| Unrendered::Failed(Failure::Unsendable(text)))?
                }
            };
            headers.insert(name, value);
        }
        let method = method(request.method);
        Ok(Self { method, origin, path, headers, body: body.into() })
    }

    /// Returns it as a request on a connection to its origin.
    pub fn to_request(&self, jar: &Jar) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.path.clone());
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::try_from(self.origin.authority()) {
            headers.insert(HOST, host);
        }
        if let Some(cookies) = jar.header(&self.origin, self.path.as_str())
            && !headers.contains_key(COOKIE)
            && let Ok(cookies) = HeaderValue::try_from(cookies)
        {
            headers.insert(COOKIE, cookies);
        }
        request
    }

    /// True when it can be sent twice without doing more than once.
    pub fn is_repeatable(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Returns the request that a redirect asks for.
    pub fn redirected(&self, status: u16, location: &str) -> Result<Self, Failure> {
        let wrong = || Failure::Unsendable(location.to_owned());
        let text = location.split('#').next().unwrap_or_default();
        let (origin, path) = if url::is_absolute(text) {
            let (origin, path) = url::split(text).map_err(|_| wrong())?;
            (origin, path.to_owned())
        } else if let Some(rest) = text.strip_prefix("//") {
            let url = format!("{}://{rest}", self.origin.scheme);
            let (origin, path) = url::split(&url).map_err(|_| wrong())?;
            (origin, path.to_owned())
        } else if text.starts_with('/') {
            (self.origin.clone(), text.to_owned())
        } else {
            let folder = self.path.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            (self.origin.clone(), format!("{folder}/{text}"))
        };
        let mut next = self.clone();
        next.path = path_of(&path).map_err(|_| wrong())?;
        if next.origin != origin {
            // A secret belongs to who it was meant for.
            next.headers.remove(AUTHORIZATION);
            next.headers.remove(COOKIE);
        }
        next.origin = origin;
        let keeps_method = [307, 308].contains(&status)
            || (status != 303 && self.method != http::Method::POST)
            || self.method == http::Method::HEAD;
        if !keeps_method {
            next.method = http::Method::GET;
            next.body = Bytes::new();
            next.headers.remove(CONTENT_TYPE);
        }
        Ok(next)
    }
}

fn locate(
    origin: Option<&Origin>,
    target: &Target,
    text: &str,
) -> Result<(Origin, PathAndQuery), Unrendered> {
    let wrong = || Unrendered::Failed(Failure::Unsendable(text.to_owned()));
    if let Some(origin) = origin {
        return Ok((origin.clone(), path_of(text).map_err(|_| wrong())?));
    }
    if url::is_absolute(text) {
        let (origin, path) = url::split(text).map_err(|_| wrong())?;
        return Ok((origin, path_of(path).map_err(|_| wrong())?));
    }
    let slash = if text.is_empty() || text.starts_with(['/', '?']) { "" } else { "/" };
    let path = if target.base.is_empty() && slash.is_empty() {
        path_of(text)
    } else {
        path_of(&format!("{}{slash}{text}", target.base))
    };
    Ok((target.origin.clone(), path.map_err(|_| wrong())?))
}

fn path_of(text: &str) -> Result<PathAndQuery, http::uri::InvalidUri> {
    if text.is_empty() || text.starts_with('?') {
        PathAndQuery::try_from(format!("/{text}"))
    } else {
        PathAndQuery::try_from(text)
    }
}

fn body(
    body: &CompiledBody,
    scope: Scope<'_>,
    rng: &mut SmallRng,
) -> Result<(Option<&'static str>, String), Missing> {
    let mut text = String::new();
    let kind = match body {
        CompiledBody::None => None,
        CompiledBody::Json(tree) => {
            tree.write_json(scope, rng, &mut text)?;
            Some("application/json")
        }
        CompiledBody::Form(fields) => {
            for (n, (name, value)) in fields.iter().enumerate() {
                if n > 0 {
                    text.push('&');
                }
                text.push_str(name);
                text.push('=');
                value.render(scope, rng, Escape::Form, &mut text)?;
            }
            Some("application/x-www-form-urlencoded")
        }
        CompiledBody::Text(template) => {
            template.render(scope, rng, Escape::None, &mut text)?;
            Some("text/plain; charset=utf-8")
        }
    };
    Ok((kind, text))
}

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
        Method::Head => http::Method::HEAD,
    }
}
