//! Names looked up in Rust: a static glibc binary cannot ask the system's resolver.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RecordType;
use hyper_util::client::legacy::connect::dns::Name;

/// A resolver for hyper's connector; made at the first name, since most clusters need none.
#[derive(Clone, Default)]
pub struct Resolver(Arc<tokio::sync::OnceCell<TokioResolver>>);

/// A name that has no address, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("lookup {name}: {problem}")]
pub struct NoAddress {
    name: String,
    problem: String,
}

type Addresses = std::vec::IntoIter<SocketAddr>;

impl tower::Service<Name> for Resolver {
    type Response = Addresses;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Addresses, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let cell = self.0.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            look_up(&cell, &name).await.map_err(|problem| NoAddress { name, problem })
        })
    }
}

async fn look_up(
    cell: &tokio::sync::OnceCell<TokioResolver>,
    name: &str,
) -> Result<Addresses, String> {
    let resolver = cell
        .get_or_try_init(async || {
            TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build)
        })
        .await
        .map_err(|error| error.to_string())?;
    let found = resolver.lookup_ip(name).await.map_err(|error| {
        if error.is_no_records_found() { "no such host".to_owned() } else { error.to_string() }
    })?;
    let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
    if addresses.is_empty() {
        return Err(format!("no such host ({})", RecordType::A));
    }
    Ok(addresses.into_iter())
}
