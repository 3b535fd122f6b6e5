//! Names to addresses, in Rust: a static executable has no resolver of libc's to ask.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};

/// A name that could not be resolved, in words of our own: the resolver's show its structures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such name, or it has no address.
    #[error("no such host `{host}`")]
    NoSuchHost {
        /// The name.
        host: String,
    },
    /// No name server said anything.
    #[error("the resolver does not answer, asked for `{host}`")]
    Silent {
        /// The name.
        host: String,
    },
    /// The name server could not, or would not.
    #[error("the resolver cannot look up `{host}`: {why}")]
    Failed {
        /// The name.
        host: String,
        /// `Server Failure`.
        why: String,
    },
}

impl Error {
    fn of(host: &str, error: &NetError) -> Self {
        let host = host.to_owned();
        #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in its own words")]
        match error {
            NetError::Dns(DnsError::NoRecordsFound(_)) => Self::NoSuchHost { host },
            NetError::Timeout | NetError::NoConnections | NetError::Io(_) => Self::Silent { host },
            NetError::Dns(DnsError::ResponseCode(code)) => {
                Self::Failed { host, why: code.to_string() }
            }
            error => Self::Failed { host, why: error.to_string() },
        }
    }
}

/// Returns every address of a host name or address literal, as /etc/hosts and DNS have it.
///
/// # Errors
/// When the name has no address, or no name server answers.
pub async fn resolve(host: &str) -> Result<Vec<IpAddr>, Error> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]);
    }
    let error = |source: NetError| Error::of(host, &source);
    let resolver = TokioResolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(error)?;
    let found = resolver.lookup_ip(host).await.map_err(error)?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    if addresses.is_empty() {
        return Err(Error::NoSuchHost { host: host.to_owned() });
    }
    Ok(addresses)
}

/// Returns every socket address of a host and port.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_socket(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    Ok(resolve(host).await?.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literals_and_localhost_need_no_name_server() {
        for (host, expected) in
            [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("localhost", "127.0.0.1")]
        {
            let found = resolve(host).await.unwrap();
            assert_eq!(found[0].to_string(), expected);
        }
    }
    #[test]
    fn an_error_is_told_in_words() {
        use hickory_resolver::net::NoRecords;
        use hickory_resolver::proto::op::{Query, ResponseCode};
        let none =
            |code| NetError::Dns(DnsError::NoRecordsFound(NoRecords::new(Query::default(), code)));
        for (error, expected) in [
            (none(ResponseCode::NXDomain), "no such host `shop`"),
            (none(ResponseCode::NoError), "no such host `shop`"),
            (NetError::Timeout, "the resolver does not answer, asked for `shop`"),
            (NetError::NoConnections, "the resolver does not answer, asked for `shop`"),
            (
                NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)),
                "the resolver cannot look up `shop`: Server Failure",
            ),
        ] {
            let error = Error::of("shop", &error);
            assert_eq!(error.to_string(), expected);
            assert!(std::error::Error::source(&error).is_none());
        }
    }
}
