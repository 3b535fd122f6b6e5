//! Proxies: which one connections go through, and which do not.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::job::Vars;
use crate::load::connection_file::HttpFile;
use crate::load::error::Mistakes;
use crate::load::plan::{Origin, Overrides, Scheme};
use crate::load::url;
use crate::secret::Secret;

/// A proxy as meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Where it is.
    pub origin: Origin,
    /// What it wants in `Proxy-Authorization`.
    pub authorization: Option<Secret<String>>,
    /// Hosts that are connected to without it, in lower case: names, `.domains`, networks, `*`.
    pub not_for: Vec<String>,
    /// True when plain HTTP is handed to it as it is, and it looks names up itself; everything else
    /// goes through a tunnel to an address.
    pub forwards: bool,
}

impl Proxy {
    /// Reads what the plan and the command line say; variables are those of the job.
    pub fn build(
        file: &HttpFile,
        overrides: &Overrides,
        vars: &dyn Vars,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let key = if overrides.proxy.is_some() { "--proxy" } else { "http.proxy" };
        let Some(text) = overrides.proxy.as_ref().or(file.proxy.as_ref()) else {
            for (name, is_there) in
                [("no-proxy", !file.no_proxy.is_empty()), ("forward", file.forward.is_some())]
            {
                if is_there {
                    mistakes.add(format!("http.{name}"), "it belongs to `proxy`");
                }
            }
            return None;
        };
        let mut not_for = Vec::new();
        for (n, text) in file.no_proxy.iter().enumerate() {
            match url::expand(text, vars) {
                Ok(list) => not_for.extend(
                    list.split(',')
                        .map(|host| host.trim().to_lowercase())
                        .filter(|h| !h.is_empty()),
                ),
                Err(error) => mistakes.add(format!("http.no-proxy[{n}]"), error.to_string()),
            }
        }
        let mut wrong = |error: url::Error| mistakes.add(key, error.to_string());
        let text = url::expand(text, vars).map_err(&mut wrong).ok()?;
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", &text));
        let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(u, rest)| (Some(u), rest));
        let url = format!("{scheme}://{rest}");
        let (origin, _) = url::split_by(&url, &[Scheme::Http]).map_err(&mut wrong).ok()?;
        let basic = |user: &str| Secret::new(format!("Basic {}", STANDARD.encode(decoded(user))));
        let authorization = user.map(basic);
        Some(Self { origin, authorization, not_for, forwards: file.forward.unwrap_or(false) })
    }

    /// True when connections to the origin go through it.
    pub fn is_for(&self, origin: &Origin) -> bool {
        let is_asked = match origin.scheme {
            Scheme::Http
            | Scheme::Https
            | Scheme::Ws
            | Scheme::Wss
            | Scheme::Grpc
            | Scheme::Grpcs => true,
            Scheme::Dns | Scheme::Tcp | Scheme::Tls => false,
        };
        let host = origin.host.as_str();
        is_asked && *origin != self.origin && !self.not_for.iter().any(|known| holds(known, host))
    }
}

/// True when an entry of a list of hosts holds the host.
fn holds(entry: &str, host: &str) -> bool {
    if let (Ok(network), Ok(address)) = (entry.parse::<IpNet>(), host.parse::<IpAddr>()) {
        return network.contains(&address);
    }
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    // A lone star is every host.
    domain.is_empty()
        || host == domain
        || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.'))
}

/// Undoes the percents of a URL's name and password.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn build(yaml: &str) -> (Option<Proxy>, Vec<String>) {
        let file: HttpFile = serde_saphyr::from_str(yaml).unwrap();
        let vars = BTreeMap::from([
            ("PROXY".to_owned(), "http://me:s%40t@proxy.local:3128".to_owned()),
            ("NO".to_owned(), "localhost, .internal,10.0.0.0/8".to_owned()),
        ]);
        let mut mistakes = Mistakes::default();
        let proxy = Proxy::build(&file, &Overrides::default(), &vars, &mut mistakes);
        (proxy, mistakes.0.into_iter().map(|m| format!("{}: {}", m.key, m.text)).collect())
    }

    #[test]
    fn a_proxy_is_for_what_no_entry_excepts() {
        let (proxy, mistakes) = build("{ proxy: $PROXY, no-proxy: [$NO, '*.test'] }");
        let proxy = proxy.unwrap();
        assert_eq!((proxy.origin.to_string().as_str(), mistakes.len()), ("proxy.local:3128", 0));
        assert_eq!(proxy.authorization.as_ref().unwrap().reveal(), "Basic bWU6c0B0");
        for (url, is_for) in [
            ("http://shop.example", true),
            ("https://internal", false),
            ("https://a.internal", false),
            ("https://notinternal", true),
            ("wss://a.test", false),
            ("grpc://10.1.2.3", false),
            ("grpc://11.1.2.3", true),
            ("dns://8.8.8.8", false),
        ] {
            let (origin, _) = url::split_by(url, &Scheme::ALL).unwrap();
            assert_eq!(proxy.is_for(&origin), is_for, "{url}");
        }
        assert_eq!(build("{ no-proxy: [a] }").1, ["http.no-proxy: it belongs to `proxy`"]);
        assert!(build("{ proxy: 'https://p' }").1[0].contains("does not begin with `http://`"));
        assert!(build("{ proxy: $NONE }").1[0].contains("`NONE` is not set"));
    }
}
