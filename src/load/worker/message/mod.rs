//! A request rendered for the wire: one text, head and body.

mod pool;
mod draft;
mod body;
mod redirect;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

pub use pool::{Bodies, Pool};

use crate::load::body::Payload;
use crate::load::failure::Failure;
use crate::load::plan::{Method, Origin};
use crate::load::script::{CompiledBody, CompiledHeader, CompiledRequest};
use crate::load::template::{Escape, Missing, Scope, Tree};
use crate::load::url;
use crate::load::worker::Crew;
use crate::load::worker::cookie::Jar;
use draft::Draft;

const AGENT: &str = concat!("dyno/", env!("CARGO_PKG_VERSION"));

/// A request rendered. One without templates is rendered once and borrowed ever after.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The method.
    pub method: Method,
    /// The number of the site it goes to.
    pub site: usize,
    text: Cow<'a, str>,
    /// Where in the text path and query are.
    path: Range<usize>,
    /// Where the head's empty line is.
    head: usize,
    /// True when the plan itself says what cookies to send.
    has_cookie: bool,
    /// The request's number, when it is the same each time.
    key: Option<usize>,
    /// What is sent behind the text.
    tail: Option<Arc<[Payload]>>,
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

impl From<Failure> for Unrendered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Message<'a> {
    /// Renders a request.
    pub fn render(
        crew: &Crew,
        pool: &Pool,
        request: &CompiledRequest,
        scope: Scope<'_>,
        rng: &mut SmallRng,
    ) -> Result<Self, Unrendered> {
        let mut place = pool.take();
        request.path.render(scope, rng, Escape::Url, &mut place)?;
        let (site, base, path) = locate(crew, request.origin.as_ref(), &place)?;
        let mut draft = Draft::new(pool.take(), request.method, (crew, site), [base, path])?;
        draft.field("user-agent", AGENT, request);
        draft.field("accept", "*/*", request);
        for (name, value) in &request.headers {
            if let CompiledHeader::Token(number) = value {
                draft.line(name.as_str(), &crew.token(*number)?);
                continue;
            }
            draft.header(name.as_str(), value, scope, rng)?;
        }
        let mut body = place;
        body.clear();
        let (kind, tail) = body::write(&request.body, scope, rng, &mut body)?;
        if let Some(kind) = kind {
            draft.field("content-type", &kind, request);
        }
        let message = draft.finish(&body, tail);
        pool.give(body);
        Ok(message)
    }

    /// Renders a call of gRPC.
    pub fn grpc(
        crew: &Crew,
        site: usize,
        path: &str,
        headers: &[(String, String)],
        message: Vec<u8>,
    ) -> Result<Message<'static>, Failure> {
        let mut draft = Draft::new(String::new(), Method::Post, (crew, site), ["", path])?;
        draft.line("te", "trailers");
        draft.line("content-type", "application/grpc");
        draft.line("user-agent", AGENT);
        for (name, value) in headers {
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(Failure::Unsendable(name.clone()));
            }
            draft.line(name, value);
        }
        Ok(draft.finish("", Some(Arc::from([Payload::once(message)]))))
    }

    /// Returns the same message, borrowed.
    pub fn borrowed(&'a self) -> Self {
        let (path, tail) = (self.path.clone(), self.tail.clone());
        Self { text: Cow::Borrowed(&self.text), path, tail, ..*self }
    }

    /// Gives its text back.
    pub fn recycle(self, pool: &Pool) {
        pool.give_back(self.text);
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.text[self.path.clone()]
    }

    /// What of its body lies together, and what follows it.
    pub fn body(&self) -> (&[u8], &[Payload]) {
        let text = &self.text.as_bytes()[self.head + 2..];
        match self.tail() {
            [only] if text.is_empty() => only.whole().map_or((text, self.tail()), |all| (all, &[])),
            tail => (text, tail),
        }
    }

    /// What is sent behind the text.
    pub fn tail(&self) -> &[Payload] {
        self.tail.as_deref().unwrap_or_default()
    }

    /// The number of a request that is the same each time.
    pub fn key(&self) -> Option<usize> {
        self.key
    }

    /// True when this is what goes to the wire: no cookie was added.
    pub fn is_wire(&self, wire: &str) -> bool {
        self.text.len() == wire.len()
    }

    /// Returns how long its body is.
    pub fn body_length(&self) -> u64 {
        let text = u64::try_from(self.text.len() - self.head - 2).unwrap_or(0);
        text + self.tail().iter().map(Payload::length).sum::<u64>()
    }

    /// Returns the header fields of what goes to the wire, the host first.
    pub fn fields(wire: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = wire.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        lines.map(|line| line.split_once(": ").unwrap_or((line, "")))
    }

    /// Returns what goes to the wire, with the cookies of the jar.
    pub fn wire(&self, jar: &Jar, pool: &Pool) -> Cow<'_, str> {
        if jar.is_empty() || self.has_cookie {
            return Cow::Borrowed(&self.text);
        }
        let mut text = pool.take();
        text.push_str(&self.text[..self.head]);
        text.push_str("cookie: ");
        if !jar.write(self.site, self.path(), &mut text) {
            pool.give(text);
            return Cow::Borrowed(&self.text);
        }
        text.push_str("\r\n");
        text.push_str(&self.text[self.head..]);
        Cow::Owned(text)
    }

    /// True when it can be sent twice without doing more than once.
    pub fn is_repeatable(&self) -> bool {
        match self.method {
            Method::Get | Method::Head | Method::Put | Method::Delete => true,
            Method::Post | Method::Patch => false,
        }
    }
}

/// Returns the request's message when it is the same each time.
pub fn prepare(crew: &Crew, request: &CompiledRequest) -> Option<Message<'static>> {
    let is_fixed = request.path.as_fixed().is_some()
        && request.headers.iter().all(|(_, value)| match value {
            CompiledHeader::Fixed(_) => true,
            CompiledHeader::Template(_) | CompiledHeader::Token(_) => false,
        })
        && match &request.body {
            CompiledBody::None | CompiledBody::Upload(..) => true,
            CompiledBody::Json(tree) => matches!(tree, Tree::Fixed(..)),
            CompiledBody::Form(fields) => fields.iter().all(|(_, text)| text.as_fixed().is_some()),
            CompiledBody::Text(text) => text.as_fixed().is_some(),
            CompiledBody::Multipart(..) => false,
        };
    let scope = Scope::default();
    let rng = &mut SmallRng::seed_from_u64(0);
    // What cannot be sent is told again at each request.
    let message = is_fixed.then(|| Message::render(crew, &Pool::default(), request, scope, rng));
    Some(Message { key: Some(request.number), ..message?.ok()? })
}

/// Returns the site and, in two parts, the path that a rendered text means.
fn locate<'a>(
    crew: &'a Crew,
    origin: Option<&Origin>,
    text: &'a str,
) -> Result<(usize, &'a str, &'a str), Failure> {
    if let Some(origin) = origin {
        return Ok((crew.site(origin)?, "", text));
    }
    if url::is_absolute(text) {
        let (origin, path) = url::split(text).map_err(|_| Failure::Unsendable(text.to_owned()))?;
        return Ok((crew.site(&origin)?, "", path));
    }
    Ok((0, &crew.plan.target.base, text))
}
