//! Where a worker may connect: the plan's origins with their pinned addresses, numbered.

use std::net::SocketAddr;

use crate::load::plan::{Origin, Plan, Scheme, Version};
use crate::secret::Secret;

/// One origin.
#[derive(Debug)]
pub struct Site {
    /// Scheme, host and port.
    pub origin: Origin,
    /// The `Host` header.
    pub authority: String,
    /// Its addresses; empty where none was pinned.
    pub addresses: Vec<SocketAddr>,
    /// What is spoken.
    pub version: Version,
    /// The proxy that connections go through.
    pub via: Option<Via>,
}

/// A proxy on the way to a site.
#[derive(Debug)]
pub struct Via {
    /// Host and port, for people.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// What it wants in `Proxy-Authorization`.
    pub authorization: Option<Secret<String>>,
    /// True when requests are handed to it as they are.
    pub forwards: bool,
}

impl Site {
    /// `http` or `https`, whatever is spoken by it.
    pub fn scheme(&self) -> &'static str {
        if self.origin.scheme.is_secure() { "https" } else { "http" }
    }
}

fn pinned(plan: &Plan, origin: &Origin) -> Vec<SocketAddr> {
    let pinned = plan.pins.get(&origin.to_string()).map(Vec::as_slice).unwrap_or_default();
    pinned.iter().map(|ip| SocketAddr::new(*ip, origin.port)).collect()
}

/// Returns the plan's sites, its target first.
pub fn sites(plan: &Plan) -> Vec<Site> {
    let site = |origin: Origin| {
        let addresses = pinned(plan, &origin);
        let proxy = plan.http.proxy.as_ref().filter(|proxy| proxy.is_for(&origin));
        let via = proxy.map(|proxy| Via {
            name: proxy.origin.to_string(),
            addresses: pinned(plan, &proxy.origin),
            authorization: proxy.authorization.clone(),
            forwards: proxy.forwards && origin.scheme == Scheme::Http,
        });
        // Without TLS nothing is negotiated.
        let version = match (plan.http.version, origin.scheme) {
            // What a proxy reads is HTTP/1.
            _ if via.as_ref().is_some_and(|via| via.forwards) => Version::One,
            (_, Scheme::Grpc | Scheme::Grpcs) => Version::Two,
            (version @ (Version::One | Version::Two), Scheme::Http) | (version, Scheme::Https) => {
                version
            }
            (_, _) => Version::One,
        };
        Site { authority: origin.authority(), origin, addresses, version, via }
    };
    plan.origins().into_iter().map(site).collect()
}
