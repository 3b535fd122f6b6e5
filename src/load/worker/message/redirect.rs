//! The request that a redirect asks for.

use super::Message;
use super::draft::Draft;
use crate::load::failure::Failure;
use crate::load::plan::Method;
use crate::load::template::{Escape, push_escaped};
use crate::load::url;
use crate::load::worker::Crew;

impl Message<'_> {
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
