//! What connections are made to: scheme, host and port.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Scheme, host, port and the path before every step's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where to connect.
    pub origin: Origin,
    /// The path before every step's path; empty or `/…` without a slash at its end.
    pub base: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin.url(), self.base)
    }
}

/// What a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// With TLS or without.
    pub scheme: Scheme,
    /// A name in lower case, or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// `http://host` with the port unless it is the scheme's own.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// The `Host` header: the port is left out when it is the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.bracketed() } else { self.to_string() }
    }

    /// The same, spoken with another server.
    pub fn moved_to(&self, target: &Self) -> Self {
        let secure = self.scheme.secured();
        let scheme = if target.scheme.is_secure() { secure } else { self.scheme };
        Self { scheme, ..target.clone() }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed(), self.port)
    }
}

/// What is spoken, with TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP over plain TCP.
    Http,
    /// HTTP over TLS.
    Https,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// gRPC: HTTP/2 that is known beforehand.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
    /// DNS.
    Dns,
    /// Whatever a plan says, over plain TCP.
    Tcp,
    /// Whatever a plan says, over TLS.
    Tls,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Http,
        Self::Https,
        Self::Ws,
        Self::Wss,
        Self::Grpc,
        Self::Grpcs,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
    ];

    /// The port that need not be written; 0 where one must be.
    pub fn port(self) -> u16 {
        match self {
            Self::Http | Self::Ws | Self::Grpc => 80,
            Self::Https | Self::Wss | Self::Grpcs => 443,
            Self::Dns => 53,
            Self::Tcp | Self::Tls => 0,
        }
    }

    /// True with TLS.
    pub fn is_secure(self) -> bool {
        self.secured() == self && self != Self::Dns
    }

    /// True for what requests are sent to.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// The same with TLS, where there is such a thing.
    pub fn secured(self) -> Self {
        match self {
            Self::Http | Self::Https => Self::Https,
            Self::Ws | Self::Wss => Self::Wss,
            Self::Grpc | Self::Grpcs => Self::Grpcs,
            Self::Dns => Self::Dns,
            Self::Tcp | Self::Tls => Self::Tls,
        }
    }

    /// As it stands before a host.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
