//! URLs of targets and redirects: scheme, host, port and the rest; variables in them.

use std::net::Ipv6Addr;

use crate::job::Vars;
use crate::load::plan::{Origin, Scheme};

/// Why a text is no URL to drive load at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It begins with none of the schemes that it may begin with.
    #[error("`{0}` does not begin with {1}")]
    Scheme(String, String),
    /// No host, or one with characters that no host has.
    #[error("`{0}` is not a host name or address")]
    Host(String),
    /// A port that is none.
    #[error("`{0}` is not a port: use 1 to 65535")]
    Port(String),
    /// `user:password@`.
    #[error("a name and password in the URL are not sent: use an `authorization` header")]
    User,
    /// An unset variable.
    #[error("the variable `{0}` is not set")]
    Unset(String),
    /// A `$` that begins no name.
    #[error("a `$` in `{0}` names no variable: write `$NAME`, `${{NAME}}`, or `$$` for a dollar")]
    Dollar(String),
}

/// Splits a URL of HTTP into its origin and what follows.
pub fn split(url: &str) -> Result<(Origin, &str), Error> {
    split_by(url, &[Scheme::Http, Scheme::Https])
}

/// Splits a URL of one of some schemes into its origin and what follows.
pub fn split_by<'a>(url: &'a str, schemes: &[Scheme]) -> Result<(Origin, &'a str), Error> {
    let own = |scheme: &Scheme| Some((*scheme, strip(url, &format!("{scheme}://"))?));
    let (scheme, rest) = schemes.iter().find_map(own).ok_or_else(|| {
        let known: Vec<String> = schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
        let known = match known.as_slice() {
            // Who names no scheme at all wants the usual one, not a choice of nine.
            [first, ..] if !url.contains("://") => {
                let first = first.trim_matches('`');
                let host = if url.starts_with('/') { "host" } else { "" };
                format!("`{first}`, as in `{first}{host}{url}`")
            }
            all => all.join(" or "),
        };
        Error::Scheme(url.to_owned(), known)
    })?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Ok((origin(scheme, authority)?, path))
}

/// True when the text begins as a URL does.
pub fn is_absolute(text: &str) -> bool {
    strip(text, "http://").or_else(|| strip(text, "https://")).is_some()
}

fn strip<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let head = url.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
}

fn origin(scheme: Scheme, authority: &str) -> Result<Origin, Error> {
    if authority.contains('@') {
        return Err(Error::User);
    }
    let bad_host = || Error::Host(authority.to_owned());
    let (host, port) = if let Some(inside) = authority.strip_prefix('[') {
        let (host, port) = inside.split_once(']').ok_or_else(bad_host)?;
        let host: Ipv6Addr = host.parse().map_err(|_| bad_host())?;
        (host.to_string(), port)
    } else {
        let at = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at(at);
        let host = host.trim_end_matches('.');
        let is_host = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !is_host {
            return Err(bad_host());
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = match port {
        "" => scheme.port(),
        _ => port
            .strip_prefix(':')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| Error::Port(port.to_owned()))?,
    };
    Ok(Origin { scheme, host, port })
}

/// Puts variables in the place of `$NAME` and `${NAME}`; `$$` is a dollar.
pub fn expand(text: &str, vars: &dyn Vars) -> Result<String, Error> {
    let mut to = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        to.push_str(before);
        if let Some(next) = after.strip_prefix('$') {
            to.push('$');
            rest = next;
            continue;
        }
        let (name, next) = if let Some(inside) = after.strip_prefix('{') {
            inside.split_once('}').ok_or_else(|| Error::Dollar(text.to_owned()))?
        } else {
            let end = after
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(after.len());
            after.split_at(end)
        };
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(Error::Dollar(text.to_owned()));
        }
        to.push_str(&vars.filled(name).ok_or_else(|| Error::Unset(name.to_owned()))?);
        rest = next;
    }
    to.push_str(rest);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_url_is_split_into_origin_and_path() {
        for (url, shown, path) in [
            ("http://shop", "http://shop", ""),
            ("HTTP://Shop.Example.:80/a?b", "http://shop.example", "/a?b"),
            ("https://shop:8443/", "https://shop:8443", "/"),
            ("https://10.0.0.1:443", "https://10.0.0.1", ""),
            ("http://[::1]:8080/x", "http://[::1]:8080", "/x"),
            ("http://h?q", "http://h", "?q"),
        ] {
            let (origin, rest) = split(url).unwrap();
            assert_eq!((origin.url().as_str(), rest), (shown, path), "{url}");
        }
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (url, error) in [
            ("shop", Error::Scheme("shop".into(), "`http://`, as in `http://shop`".into())),
            ("ftp://shop", Error::Scheme("ftp://shop".into(), "`http://` or `https://`".into())),
            ("http://", Error::Host(String::new())),
            ("http://a b", Error::Host("a b".into())),
            ("http://h:", Error::Port(":".into())),
            ("http://h:0", Error::Port(":0".into())),
            ("http://h:+80", Error::Port(":+80".into())),
            ("http://h:70000", Error::Port(":70000".into())),
            ("http://u:p@h", Error::User),
            ("http://safe.example\\@evil", Error::Host("x".into())),
            ("http://[::1", Error::Host("[::1".into())),
        ] {
            match split(url) {
                Err(found) => assert_eq!(found, error, "{url}"),
                Ok((origin, rest)) => {
                    assert_eq!(origin.host, "safe.example", "{url} leaves {rest}");
                }
            }
        }
    }

    #[test]
    fn variables_are_put_in_their_place_and_unset_ones_are_named() {
        let vars = BTreeMap::from([
            ("FRONTEND_TARGET".to_owned(), "shop:8080".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]);
        let check = |text: &str, expected: Result<&str, Error>| {
            assert_eq!(expand(text, &vars), expected.map(str::to_owned), "{text}");
        };
        check("http://$FRONTEND_TARGET/a", Ok("http://shop:8080/a"));
        check("http://${FRONTEND_TARGET}0", Ok("http://shop:80800"));
        check("a$$b", Ok("a$b"));
        check("$MISSING", Err(Error::Unset("MISSING".into())));
        check("$EMPTY", Err(Error::Unset("EMPTY".into())));
        check("${OPEN", Err(Error::Dollar("${OPEN".into())));
        check("$1", Err(Error::Dollar("$1".into())));
    }
}
