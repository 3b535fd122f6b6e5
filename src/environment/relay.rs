//! The driver's end of a relay: what comes out of the socket goes to GitLab, raw, and to nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::environment::{Error, Relay};

/// As many connections as a job may hold open at once; more have to wait.
const MOST_CONNECTIONS: usize = 64;

/// Where a relay listens inside, and what name has to mean that address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address inside, always a loopback one.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The name that `/etc/hosts` has to give this address.
    pub name: Option<String>,
}

impl Listen {
    /// Decides for a relay; an address that is not the sandbox's own cannot be listened on.
    pub fn new(relay: &Relay) -> Result<Self, Error> {
        let host = relay.host.trim_start_matches('[').trim_end_matches(']');
        let unfit = |what: String| Error::Unfit {
            what,
            hint: "give `gitlab.url` a host name, or the profile `network: host`".to_owned(),
        };
        let (address, name) = match host.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => (address, None),
            Ok(address) => {
                return Err(unfit(format!(
                    "a job without network cannot reach GitLab at the address {address}: only a name can be relayed"
                )));
            }
            Err(_) if is_name(host) => {
                let name = (host != "localhost").then(|| host.to_owned());
                (IpAddr::V4(Ipv4Addr::LOCALHOST), name)
            }
            Err(_) => return Err(unfit(format!("`{host}` is not a host name"))),
        };
        Ok(Self { address, port: relay.port, name })
    }

    /// True when only a capability lets one listen there.
    pub fn is_privileged(&self) -> bool {
        self.port < 1024
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Carries each connection of `listener` to the first of `to` that answers, until `cancel` fires.
///
/// # Errors
/// When the listener breaks; a single connection that breaks is its own end only.
pub async fn serve(
    listener: UnixListener,
    to: Vec<SocketAddr>,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            Some(_) = connections.join_next() => (),
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                let (inside, _) = accepted?;
                connections.spawn(carry(inside, to.clone()));
            }
        }
    }
}

async fn carry(mut inside: UnixStream, to: Vec<SocketAddr>) {
    for address in to {
        let mut outside = match TcpStream::connect(address).await {
            Ok(outside) => outside,
            Err(error) => {
                tracing::debug!(%address, %error, "relay cannot connect");
                continue;
            }
        };
        if let Err(error) = copy_bidirectional(&mut inside, &mut outside).await {
            tracing::debug!(%address, %error, "relayed connection broke");
        }
        return;
    }
}
