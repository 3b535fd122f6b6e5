//! Names to addresses, in Rust: a static executable has no resolver of libc's to ask.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve `{host}`")]
pub struct Error {
    /// The name.
    pub host: String,
    /// Why not.
    #[source]
    source: Option<hickory_resolver::net::NetError>,
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
    let error = |source| Error { host: host.to_owned(), source };
    let resolver = TokioResolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(|source| error(Some(source)))?;
    let found = resolver.lookup_ip(host).await.map_err(|source| error(Some(source)))?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    if addresses.is_empty() { Err(error(None)) } else { Ok(addresses) }
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
}
