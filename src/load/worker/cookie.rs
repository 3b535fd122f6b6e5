//! A user's cookies: kept by origin, sent back by path, bounded.

use crate::load::plan::Origin;

/// The cookies of one user.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    origin: Origin,
    name: String,
    value: String,
    path: String,
}

const COOKIES: usize = 50;
const LENGTH: usize = 4096;

impl Jar {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Takes a `Set-Cookie` header of an answer to `path`.
    pub fn set(&mut self, origin: &Origin, path: &str, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || header.len() > LENGTH {
            return;
        }
        let mut scope = default_path(path);
        let mut is_gone = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.trim().starts_with('/') => scope = value.trim(),
                "max-age" => {
                    is_gone = value.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0);
                }
                // The way to delete a cookie; other dates lie beyond any run.
                "expires" if value.contains("1970") => is_gone = true,
                _ => {}
            }
        }
        self.cookies.retain(|cookie| {
            cookie.origin != *origin || cookie.name != name || cookie.path != scope
        });
        if !is_gone && self.cookies.len() < COOKIES {
            self.cookies.push(Cookie {
                origin: origin.clone(),
                name: name.to_owned(),
                value: value.to_owned(),
                path: scope.to_owned(),
            });
        }
    }

    /// Returns the `Cookie` header for a request; `None` when there is nothing to send.
    pub fn header(&self, origin: &Origin, path: &str) -> Option<String> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut header = String::new();
        for cookie in &self.cookies {
            if cookie.origin == *origin && is_within(path, &cookie.path) {
                if !header.is_empty() {
                    header.push_str("; ");
                }
                header.push_str(&cookie.name);
                header.push('=');
                header.push_str(&cookie.value);
            }
        }
        (!header.is_empty()).then_some(header)
    }
}

/// The folder of the request's path.
fn default_path(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

fn is_within(path: &str, scope: &str) -> bool {
    path.strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || scope.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::Scheme;

    fn origin(port: u16) -> Origin {
        Origin { scheme: Scheme::Http, host: "shop".to_owned(), port }
    }

    #[test]
    fn cookies_come_back_to_their_origin_and_path() {
        let mut jar = Jar::default();
        for (path, header) in [
            ("/login/", "session=abc; Path=/; HttpOnly"),
            ("/login/", "step=1"),
            ("/", "theme=dark; path=/shop"),
            ("/", "session=def; path=/; Max-Age=60"),
            ("/", "gone=x"),
            ("/", "gone=; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
            ("/", "no pair"),
            ("/", "=empty"),
        ] {
            jar.set(&origin(80), path, header);
        }
        for (port, path, header) in [
            (80, "/", Some("session=def")),
            (80, "/login/x?y", Some("step=1; session=def")),
            (80, "/shop", Some("theme=dark; session=def")),
            (80, "/shopping", Some("session=def")),
            (81, "/", None),
        ] {
            assert_eq!(jar.header(&origin(port), path).as_deref(), header, "{port}{path}");
        }
    }

    #[test]
    fn a_server_cannot_fill_the_jar() {
        let mut jar = Jar::default();
        for n in 0..1000 {
            jar.set(&origin(80), "/", &format!("c{n}=x"));
        }
        jar.set(&origin(80), "/", &format!("long={}", "x".repeat(LENGTH)));
        assert_eq!(jar.cookies.len(), COOKIES);
    }
}
