//! A request rendered for the wire: one text, head and body.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use rand::rngs::SmallRng;

use crate::load::body::Payload;
use crate::load::failure::Failure;
use crate::load::plan::{Method, Origin};
use crate::load::script::{CompiledBody, CompiledHeader, CompiledPart, CompiledRequest};
use crate::load::template::{Escape, Missing, Scope, Tree, push_escaped};
use crate::load::url;
use crate::load::worker::Crew;
use crate::load::worker::cookie::Jar;

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

/// Texts to be written into, used again and again by a thread's users.
#[derive(Debug, Default)]
pub struct Pool(RefCell<Vec<String>>);

/// The same for bodies of answers.
#[derive(Debug, Default)]
pub struct Bodies(RefCell<Vec<Vec<u8>>>);

/// So many are kept, each up to so many bytes.
const KEPT: usize = 16;
const LENGTH: usize = 64 * 1024;

impl Bodies {
    /// Returns an empty one.
    pub fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes one back.
    pub fn give(&self, mut body: Vec<u8>) {
        let mut bodies = self.0.borrow_mut();
        if bodies.len() < KEPT && (1..=LENGTH).contains(&body.capacity()) {
            body.clear();
            bodies.push(body);
        }
    }
}

impl Pool {
    fn take(&self) -> String {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a text back that was only written for one sending.
    pub fn give_back(&self, text: Cow<'_, str>) {
        if let Cow::Owned(text) = text {
            self.give(text);
        }
    }

    fn give(&self, mut text: String) {
        let mut texts = self.0.borrow_mut();
        if texts.len() < KEPT && text.capacity() <= LENGTH {
            text.clear();
            texts.push(text);
        }
    }
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
        let (kind, tail) = write_body(&request.body, scope, rng, &mut body)?;
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

    /// Returns the request that a redirect asks for.
    pub fn redirected(
        &self,
        crew: &Crew,
        status: u16,
        location: &str,
    ) -> Result<Message<'static>, Failure> {
        let wrong = || Failure::Unsendable(location.to_owned());
        let text = location.split('#').next().unwrap_or_default();
        let own = crew.sites.get(self.site).ok_or_else(wrong)?;
        let relative =
            text.strip_prefix("//").map(|rest| format!("{}://{rest}", own.origin.scheme));
        let (site, path) = if url::is_absolute(text) || relative.is_some() {
            let url = relative.as_deref().unwrap_or(text);
            let (origin, path) = url::split(url).map_err(|_| wrong())?;
            (crew.site(&origin)?, path.to_owned())
        } else {
            (self.site, resolve(self.path(), text))
        };
        let mut escaped = String::new();
        push_escaped(&mut escaped, &path, Escape::Url);
        let keeps_method = [307, 308].contains(&status)
            || (status != 303 && self.method != Method::Post)
            || self.method == Method::Head;
        let method = if keeps_method { self.method } else { Method::Get };
        let mut draft = Draft::new(String::new(), method, (crew, site), ["", &escaped])?;
        for line in self.text[..self.head].split_terminator("\r\n").skip(1) {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let stays = match name {
                // A secret belongs to who it was meant for.
                "host" | "content-length" | "proxy-authorization" => false,
                "authorization" | "cookie" => site == self.site,
                "content-type" => keeps_method,
                _ => true,
            };
            if stays {
                draft.line(name, value);
            }
        }
        let (body, tail) = if keeps_method {
            (&self.text[self.head + 2..], self.tail.clone())
        } else {
            ("", None)
        };
        Ok(draft.finish(body, tail))
    }
}

/// Returns the request's message when it is the same each time.
pub fn prepare(crew: &Crew, request: &CompiledRequest) -> Option<Message<'static>> {
    use rand::SeedableRng;
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

/// A message being written.
struct Draft {
    message: Message<'static>,
}

impl Draft {
    fn new(
        mut text: String,
        method: Method,
        (crew, site): (&Crew, usize),
        path: [&str; 2],
    ) -> Result<Self, Failure> {
        // Writing to a string cannot fail.
        text.extend([method.name(), " "]);
        let via = crew.sites.get(site).and_then(|site| site.via.as_ref());
        let via = via.filter(|via| via.forwards);
        if let (Some(_), Some(site)) = (via, crew.sites.get(site)) {
            let _ = write!(text, "{}", site.origin.url());
        }
        let from = text.len();
        let [base, rest] = path;
        text.push_str(base);
        let is_rooted = rest.starts_with('/') || (!base.is_empty() && !has_name(rest));
        if !is_rooted {
            text.push('/');
        }
        text.push_str(rest);
        let path = from..text.len();
        if !text[path.clone()].bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Failure::Unsendable(text[path].to_owned()));
        }
        let host = crew.sites.get(site).map_or("", |site| &site.authority);
        text.extend([" HTTP/1.1\r\nhost: ", host, "\r\n"]);
        if let Some(authorization) = via.and_then(|via| via.authorization.as_ref()) {
            text.extend(["proxy-authorization: ", authorization.reveal(), "\r\n"]);
        }
        let text = Cow::Owned(text);
        let (head, has_cookie, key, tail) = (0, false, None, None);
        Ok(Self { message: Message { method, site, text, path, head, has_cookie, key, tail } })
    }

    fn line(&mut self, name: &str, value: &str) {
        self.message.has_cookie |= name == "cookie";
        let text = self.message.text.to_mut();
        text.extend([name, ": ", value, "\r\n"]);
    }

    /// A header of dyno's own, unless the plan has one of that name.
    fn field(&mut self, name: &str, value: &str, request: &CompiledRequest) {
        if !request.headers.iter().any(|(own, _)| own.as_str() == name) {
            self.line(name, value);
        }
    }

    fn header(
        &mut self,
        name: &str,
        value: &CompiledHeader,
        scope: Scope<'_>,
        rng: &mut SmallRng,
    ) -> Result<(), Unrendered> {
        match value {
            // Whoever knows the crew writes it.
            CompiledHeader::Token(_) => {}
            CompiledHeader::Fixed(value) => {
                let text = std::str::from_utf8(value.as_bytes());
                self.line(name, text.map_err(|_| Failure::Unsendable(name.to_owned()))?);
            }
            CompiledHeader::Template(template) => {
                let mut text = String::new();
                template.render(scope, rng, Escape::None, &mut text)?;
                if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                    return Err(Failure::Unsendable(text).into());
                }
                self.line(name, &text);
            }
        }
        Ok(())
    }

    fn finish(mut self, body: &str, tail: Option<Arc<[Payload]>>) -> Message<'static> {
        let text = self.message.text.to_mut();
        let more = tail.iter().flat_map(|tail| tail.iter()).map(Payload::length).sum::<u64>();
        let length = u64::try_from(body.len()).unwrap_or(0) + more;
        let says_length = match self.message.method {
            Method::Post | Method::Put | Method::Patch => true,
            Method::Get | Method::Head | Method::Delete => length > 0,
        };
        if says_length {
            let _ = write!(text, "content-length: {length}\r\n");
        }
        self.message.tail = tail;
        self.message.head = text.len();
        text.extend(["\r\n", body]);
        self.message
    }
}

/// True for a path that goes on from a base as its next part.
fn has_name(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('?')
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

/// Resolves a relative reference against the path of the request.
fn resolve(path: &str, text: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if text.starts_with('/') {
        text.to_owned()
    } else if text.is_empty() || text.starts_with('?') {
        format!("{path}{text}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{text}")
    }
}

/// A body's kind, and the part of it that is sent from where it lies.
type Written = (Option<Cow<'static, str>>, Option<Arc<[Payload]>>);

fn write_body(
    body: &CompiledBody,
    scope: Scope<'_>,
    rng: &mut SmallRng,
    to: &mut String,
) -> Result<Written, Missing> {
    let kind = match body {
        CompiledBody::None => return Ok((None, None)),
        CompiledBody::Upload(bytes, kind) => {
            return Ok((Some(Cow::Owned(kind.clone())), Some(Arc::clone(bytes))));
        }
        CompiledBody::Multipart(boundary, parts) => {
            let kind = format!("multipart/form-data; boundary={boundary}");
            return Ok((Some(Cow::Owned(kind)), Some(multipart(boundary, parts, scope, rng)?)));
        }
        CompiledBody::Json(tree) => {
            tree.write_json(scope, rng, to)?;
            "application/json"
        }
        CompiledBody::Form(fields) => {
            for (n, (name, value)) in fields.iter().enumerate() {
                if n > 0 {
                    to.push('&');
                }
                to.extend([name, "="]);
                value.render(scope, rng, Escape::Form, to)?;
            }
            "application/x-www-form-urlencoded"
        }
        CompiledBody::Text(template) => {
            template.render(scope, rng, Escape::None, to)?;
            "text/plain; charset=utf-8"
        }
    };
    Ok((Some(Cow::Borrowed(kind)), None))
}

fn multipart(
    boundary: &str,
    parts: &[(String, CompiledPart)],
    scope: Scope<'_>,
    rng: &mut SmallRng,
) -> Result<Arc<[Payload]>, Missing> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    for (head, part) in parts {
        text.extend(["--", boundary, "\r\n", head]);
        match part {
            CompiledPart::Text(value) => value.render(scope, rng, Escape::None, &mut text)?,
            CompiledPart::Bytes(bytes) => {
                pieces.push(Payload::once(std::mem::take(&mut text).into_bytes()));
                pieces.push(bytes.clone());
            }
        }
        text.push_str("\r\n");
    }
    text.extend(["--", boundary, "--\r\n"]);
    pieces.push(Payload::once(text.into_bytes()));
    Ok(pieces.into())
}
