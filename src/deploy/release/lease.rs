//! One deploy of a namespace at a time: a Lease that is held, renewed, and given back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, known};
use super::plan::{LEASE, text};
use crate::deploy::cluster::{Call, Failure, Mapping, Method, Target};

/// A holder that is silent for so long is dead.
const LENGTH: Duration = Duration::from_secs(30);
/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_secs(1);
const TELL: Duration = Duration::from_secs(10);
/// For giving it back after a cancel.
const PARTING: Duration = Duration::from_secs(5);

/// A lease that we hold.
#[derive(Debug, Clone)]
pub struct Held {
    namespace: String,
    holder: String,
}

/// Why a namespace could not be had.
#[derive(Debug)]
pub enum Taken {
    /// Another deploy holds it.
    By(String),
    /// The server says no.
    Failure(Failure),
}

impl From<Failure> for Taken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What a lease says to one who wants it. Pure.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Nobody holds it, or its holder is dead.
    Free,
    /// It is held, since when and by whom.
    Held(String),
}

/// Judges a lease at a time; `seen_unchanged` is for how long we ourselves saw it unchanged, which no
/// clock of another machine can get wrong.
fn standing(lease: &Value, me: &str, seen_unchanged: Duration) -> Standing {
    let holder = text(lease, "/spec/holderIdentity");
    let length = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(0);
    if holder.is_empty() || holder == me || seen_unchanged > Duration::from_secs(length) {
        return Standing::Free;
    }
    Standing::Held(format!("{holder}, since {}", text(lease, "/spec/acquireTime")))
}

/// Waits for a namespace. `None` when there is no right to leases: the deploy goes on alone.
pub async fn acquire(desk: &Desk<'_>, namespace: &str) -> Result<Option<Held>, Taken> {
    let mapping = kind();
    let target = target(&mapping, namespace);
    // A new id for each deploy: two that call themselves the same are still two.
    let nonce = jiff::Timestamp::now().as_nanosecond() ^ i128::from(std::process::id());
    let holder = format!("{} ({:08x})", desk.plan.who, nonce & 0xffff_ffff);
    let end = Instant::now() + Duration::from_millis(desk.plan.wait_ms);
    let mut seen: Option<(String, Instant)> = None;
    let mut told: Option<Instant> = None;
    loop {
        let lease = match desk.get(&target).await {
            Ok(lease) => lease,
            Err(failure) if is_not_granted(&failure) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let version =
            lease.as_ref().map(|lease| text(lease, "/metadata/resourceVersion").to_owned());
        let unchanged = match (&seen, &version) {
            (Some((known, since)), Some(version)) if known == version => since.elapsed(),
            _ => {
                seen = version.map(|version| (version, Instant::now()));
                Duration::ZERO
            }
        };
        let by = match lease.as_ref().map(|lease| standing(lease, &holder, unchanged)) {
            None | Some(Standing::Free) => {
                match take(desk, namespace, &holder, lease.as_ref()).await {
                    Ok(()) => return Ok(Some(Held { namespace: namespace.to_owned(), holder })),
                    Err(failure) if is_not_granted(&failure) => return Ok(None),
                    // Somebody was faster.
                    Err(failure) if failure.is_conflict() || failure.is("AlreadyExists") => {
                        continue;
                    }
                    Err(failure) => return Err(failure.into()),
                }
            }
            Some(Standing::Held(by)) => by,
        };
        if Instant::now() >= end {
            return Err(Taken::By(by));
        }
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            desk.say(format!("waiting for another deploy of namespace `{namespace}`: {by}"));
        }
        desk.pause(LOOK).await?;
    }
}

fn is_not_granted(failure: &Failure) -> bool {
    failure.is("Forbidden") || matches!(failure, Failure::Fenced(_))
}

fn kind() -> Mapping {
    known("coordination.k8s.io", "v1", "Lease", "leases")
}

fn target<'a>(mapping: &'a Mapping, namespace: &'a str) -> Target<'a> {
    Target { mapping, namespace, name: LEASE, subresource: "" }
}

async fn take(
    desk: &Desk<'_>,
    namespace: &str,
    holder: &str,
    lease: Option<&Value>,
) -> Result<(), Failure> {
    let now = now();
    let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": LENGTH.as_secs(),
        "acquireTime": now, "renewTime": now});
    let mut body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": namespace}, "spec": spec});
    let mapping = kind();
    let target = target(&mapping, namespace);
    let (method, at) = match lease {
        None => (Method::Post, Target { name: "", ..target }),
        Some(lease) => {
            body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"].clone();
            (Method::Put, target)
        }
    };
    desk.send(method, &at, Vec::new(), Some(&body)).await.map(drop)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Renews leases until it is dropped; ends when one is lost, with its namespace.
pub async fn renew(desk: &Desk<'_>, held: &Mutex<Vec<Held>>) -> String {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let now_held = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for one in now_held {
            let mapping = kind();
            let target = target(&mapping, &one.namespace);
            // Trouble with one renewal is none: three fit into the length.
            let Ok(Some(mut lease)) = desk.get(&target).await else { continue };
            if text(&lease, "/spec/holderIdentity") != one.holder {
                return one.namespace;
            }
            lease["spec"]["renewTime"] = json!(now());
            if let Err(error) = desk.send(Method::Put, &target, Vec::new(), Some(&lease)).await {
                tracing::debug!(?error, "a lease is not renewed");
            }
        }
    }
}

/// Gives leases back, also after a cancel: its own short time, its own token.
pub async fn release(desk: &Desk<'_>, held: Vec<Held>) {
    let cancel = CancellationToken::new();
    for one in held {
        let mapping = kind();
        let path = target(&mapping, &one.namespace).path();
        let parting = async {
            let call = Call { timeout: PARTING, ..Call::get(path.clone()) };
            let lease = desk.cluster.call(&call, &cancel).await.ok()?.body;
            if text(&lease, "/spec/holderIdentity") != one.holder {
                return None;
            }
            let version = text(&lease, "/metadata/resourceVersion");
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                "preconditions": {"resourceVersion": version}});
            let call = Call {
                method: Method::Delete,
                body: Some(options.to_string().into_bytes()),
                ..call
            };
            desk.cluster.call(&call, &cancel).await.ok()
        };
        if parting.await.is_none() {
            tracing::debug!(namespace = one.namespace, "a lease is not given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_when_its_holder_is_silent() {
        let lease = |holder: &str| json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 30, "acquireTime": "T"}});
        let seconds = Duration::from_secs;
        for (holder, unchanged, expected) in [
            ("", 0, Standing::Free),
            ("me", 0, Standing::Free),
            ("job 7", 29, Standing::Held("job 7, since T".to_owned())),
            ("job 7", 31, Standing::Free),
        ] {
            assert_eq!(standing(&lease(holder), "me", seconds(unchanged)), expected, "{holder}");
        }
    }
}
