//! A message while it is written.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use rand::rngs::SmallRng;

use super::{Message, Unrendered};
use crate::load::body::Payload;
use crate::load::failure::Failure;
use crate::load::plan::Method;
use crate::load::script::{CompiledHeader, CompiledRequest};
use crate::load::template::{Escape, Scope};
use crate::load::worker::Crew;

/// A message being written.
pub struct Draft {
    message: Message<'static>,
}

impl Draft {
    /// Begins one; the path is a base and what follows it.
    pub fn new(
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

    /// A header as it stands.
    pub fn line(&mut self, name: &str, value: &str) {
        self.message.has_cookie |= name == "cookie";
        let text = self.message.text.to_mut();
        text.extend([name, ": ", value, "\r\n"]);
    }

    /// A header of dyno's own, unless the plan has one of that name.
    pub fn field(&mut self, name: &str, value: &str, request: &CompiledRequest) {
        if !request.headers.iter().any(|(own, _)| own.as_str() == name) {
            self.line(name, value);
        }
    }

    /// A header of the plan.
    pub fn header(
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

    /// Ends the head and adds the body.
    pub fn finish(mut self, body: &str, tail: Option<Arc<[Payload]>>) -> Message<'static> {
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
