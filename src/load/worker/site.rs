//! Where a worker may connect: the plan's origins with their pinned addresses, numbered.

use std::net::SocketAddr;

use crate::load::plan::{Origin, Plan};

/// One origin.
#[derive(Debug)]
pub struct Site {
    /// Scheme, host and port.
    pub origin: Origin,
    /// The `Host` header.
    pub authority: String,
    /// Its addresses; empty where none was pinned.
    pub addresses: Vec<SocketAddr>,
}

/// Returns the plan's sites, its target first.
pub fn sites(plan: &Plan) -> Vec<Site> {
    let site = |origin: Origin| {
        let pinned = plan.pins.get(&origin.to_string()).map(Vec::as_slice).unwrap_or_default();
        let addresses = pinned.iter().map(|ip| SocketAddr::new(*ip, origin.port)).collect();
        Site { authority: origin.authority(), origin, addresses }
    };
    plan.origins().into_iter().map(site).collect()
}
