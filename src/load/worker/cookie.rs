//! A user's cookies: kept by site, sent back by path, bounded.

/// The cookies of one user.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    site: usize,
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

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Returns the value of the cookie of this name that was set last.
    pub fn find(&self, name: &str) -> Option<&str> {
        let found = self.cookies.iter().rev().find(|cookie| cookie.name == name);
        found.map(|cookie| cookie.value.as_str())
    }

    /// Takes a `Set-Cookie` header of an answer to `path`.
    pub fn set(&mut self, site: usize, path: &str, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let is_clean = !header.bytes().any(|byte| byte.is_ascii_control());
        if name.is_empty() || header.len() > LENGTH || !is_clean {
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
        self.cookies
            .retain(|cookie| cookie.site != site || cookie.name != name || cookie.path != scope);
        if !is_gone && self.cookies.len() < COOKIES {
            self.cookies.push(Cookie {
                site,
                name: name.to_owned(),
                value: value.to_owned(),
                path: scope.to_owned(),
            });
        }
    }

    /// Appends the value of the `Cookie` header for a request; false when there is nothing to send.
    pub fn write(&self, site: usize, path: &str, to: &mut String) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut is_first = true;
        for cookie in &self.cookies {
            if cookie.site == site && is_within(path, &cookie.path) {
                if !std::mem::take(&mut is_first) {
                    to.push_str("; ");
                }
                to.extend([&cookie.name, "=", &cookie.value]);
            }
        }
        !is_first
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
            jar.set(0, path, header);
        }
        for (site, path, header) in [
            (0, "/", Some("session=def")),
            (0, "/login/x?y", Some("step=1; session=def")),
            (0, "/shop", Some("theme=dark; session=def")),
            (0, "/shopping", Some("session=def")),
            (1, "/", None),
        ] {
            let mut written = String::new();
            let is_any = jar.write(site, path, &mut written);
            assert_eq!(is_any.then_some(written.as_str()), header, "{site}{path}");
        }
    }

    #[test]
    fn a_server_cannot_fill_the_jar() {
        let mut jar = Jar::default();
        for n in 0..1000 {
            jar.set(0, "/", &format!("c{n}=x"));
        }
        jar.set(0, "/", &format!("long={}", "x".repeat(LENGTH)));
        assert_eq!(jar.cookies.len(), COOKIES);
    }
}
