//! Names looked up in Rust: a static glibc binary cannot ask the system's resolver.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;

use crate::job::resolve::{self, Error};

/// A resolver for hyper's connector.
#[derive(Clone, Default)]
pub struct Resolver;

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
        Box::pin(async move {
            let name = name.as_str().to_owned();
            match resolve::resolve_socket(&name, 0).await {
                Ok(addresses) => Ok(addresses.into_iter()),
                Err(error) => Err(NoAddress { name, problem: problem(&error) }),
            }
        })
    }
}

fn problem(error: &Error) -> String {
    match error {
        Error::NoSuchHost { .. } => "no such host".to_owned(),
        Error::Silent { .. } => "i/o timeout".to_owned(),
        Error::Failed { why, .. } => why.clone(),
    }
}
