//! `kubectl port-forward`: the pod and its ports found, and each connection carried.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::info::Info;
use super::pods::Asking;
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, pods, select};
use crate::deploy::cluster::{Cluster, Failure, Method, Wire};
use crate::deploy::kubectl::listen;
use crate::deploy::kubectl::request::{Event, Forward, Ports, Request, Tunnel};

/// How much is carried at a time.
const PIECE: usize = 32 << 10;

/// How long a pod may be silent once its client has said all: only then is it known that no answer
/// comes any more, since a client that went away and one that has said all look the same.
const SILENCE: Duration = Duration::from_secs(10);

/// Finds the pod and its ports. Nothing is connected yet.
pub async fn run(session: &mut Session<'_>, forward: &Forward) -> Outcome {
    session.discover().await?;
    let timeout = Duration::from_millis(forward.pod_timeout_ms);
    let found = pods::of(session, &forward.target, Asking::Inside, timeout).await?;
    let (named, pod) = (&found.named, found.pod());
    let translated = if named.mapping.kind == "Service" && named.mapping.group.is_empty() {
        of_service(&forward.ports, named, pod)
    } else {
        of_pod(&forward.ports, pod)
    };
    let translated = translated.map_err(Trouble::text)?;
    let phase = text(&pod.object, "/status/phase");
    if phase != "Running" {
        return Err(Trouble::text(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    listen::listens(&forward.addresses).map_err(Trouble::text)?;
    let pairs = listen::ports(&translated).map_err(Trouble::text)?;
    may_connect(session, pod).await?;
    session.ports(Ports { pod: pod.name.clone(), pairs });
    Ok(())
}

/// Asks the server as one would who connects, but does not: it says no to whom it would.
async fn may_connect(session: &mut Session<'_>, pod: &Info) -> Outcome {
    let target = select::part(pod, "portforward");
    match session.send(Method::Post, &target, Vec::new(), None).await {
        Err(Failure::Status(status)) if matches!(status.code, 401 | 403 | 404) => {
            Err(Trouble::text(format!("error upgrading connection: {}", status.message)))
        }
        // "Upgrade request required".
        Ok(_) | Err(Failure::Status(_)) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Local and remote port as written.
fn split(port: &str) -> (&str, &str) {
    match port.split(':').collect::<Vec<_>>().as_slice() {
        [local, remote] => (local, remote),
        [first, ..] => (first, first),
        [] => ("", ""),
    }
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A port as a number, where it is one.
fn number(port: &Value, key: &str) -> Option<i64> {
    port.get(key).and_then(Value::as_i64)
}

/// `8080:web` of a service: the port of the pod that it leads to.
fn of_service(ports: &[String], service: &Info, pod: &Info) -> Result<Vec<String>, String> {
    let all: Vec<&Value> = list(&service.object, "/spec/ports").collect();
    let by_name = |name: &str| {
        let found = all.iter().find(|port| text(port, "/name") == name);
        found.and_then(|port| number(port, "port")).ok_or_else(|| {
            format!("Service '{}' does not have a named port '{name}'", service.name)
        })
    };
    no_udp(ports, all.iter().copied(), "port", by_name)?;
    let mut translated = Vec::new();
    for port in ports {
        let (local, remote) = split(port);
        let (number, is_named) = match remote.parse::<i64>() {
            Ok(number) => (number, false),
            Err(_) => (by_name(remote)?, true),
        };
        let local = if is_named && local == remote { number.to_string() } else { local.to_owned() };
        let remote = behind(service, &all, pod, number)?.to_string();
        translated.push(if local == remote { remote } else { format!("{local}:{remote}") });
    }
    Ok(translated)
}

/// The port of a pod behind a service's.
fn behind(service: &Info, all: &[&Value], pod: &Info, wanted: i64) -> Result<i64, String> {
    let Some(port) = all.iter().find(|port| number(port, "port") == Some(wanted)) else {
        return Err(format!("Service {} does not have a service port {wanted}", service.name));
    };
    if text(&service.object, "/spec/clusterIP") == "None" {
        return Ok(wanted);
    }
    match port.get("targetPort") {
        Some(Value::String(name)) => container_port(pod, name),
        Some(target) => Ok(target.as_i64().filter(|&target| target != 0).unwrap_or(wanted)),
        None => Ok(wanted),
    }
}

/// `8080:http` of a pod: the number of the container's port.
fn of_pod(ports: &[String], pod: &Info) -> Result<Vec<String>, String> {
    let all = || list(&pod.object, "/spec/containers").flat_map(|one| list(one, "/ports"));
    no_udp(ports, all(), "containerPort", |name| container_port(pod, name))?;
    let mut translated = Vec::new();
    for port in ports {
        let (local, remote) = split(port);
        if remote.is_empty() {
            return Err("remote port cannot be empty".to_owned());
        }
        let number = match remote.parse::<i64>() {
            Ok(_) => remote.to_owned(),
            Err(_) => container_port(pod, remote)?.to_string(),
        };
        translated.push(if local == remote { number } else { format!("{local}:{number}") });
    }
    Ok(translated)
}

fn container_port(pod: &Info, name: &str) -> Result<i64, String> {
    ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .flat_map(|part| list(&pod.object, part))
        .flat_map(|container| list(container, "/ports"))
        .find(|port| text(port, "/name") == name)
        .and_then(|port| number(port, "containerPort"))
        .ok_or_else(|| format!("Pod '{}' does not have a named port '{name}'", pod.name))
}

/// Refuses ports that are served over UDP alone.
fn no_udp<'a>(
    ports: &[String],
    served: impl Iterator<Item = &'a Value>,
    key: &str,
    by_name: impl Fn(&str) -> Result<i64, String>,
) -> Result<(), String> {
    let (mut udp, mut tcp) = (BTreeSet::new(), BTreeSet::new());
    for port in served {
        match text(port, "/protocol") {
            "UDP" => udp.extend(number(port, key)),
            "TCP" => tcp.extend(number(port, key)),
            _ => {}
        }
    }
    for port in ports {
        let (_, remote) = split(port);
        let number = remote.parse::<i64>().map_or_else(|_| by_name(remote), Ok)?;
        if udp.contains(&number) && !tcp.contains(&number) {
            return Err(format!("UDP protocol is not supported for {remote}"));
        }
    }
    Ok(())
}

/// Carries one connection to a port of a pod, until one side ends it. When it is cancelled, or the
/// future dropped, the connection ends.
///
/// # Errors
/// Why there is no connection, or why the pod ended it.
pub async fn carry(
    request: &Request,
    tunnel: &Tunnel,
    cluster: &Cluster,
    (from, to): (&mut (dyn AsyncRead + Unpin + Send), &mut (dyn AsyncWrite + Unpin + Send)),
    cancel: &CancellationToken,
) -> Result<(), String> {
    let mut nobody = |_: Event| {};
    let session = Session::new(request, cluster, &mut nobody, cancel);
    let mapping = pods::mapping();
    let target = crate::deploy::cluster::Target {
        mapping: &mapping,
        namespace: session.namespace(),
        name: &tunnel.pod,
        subresource: "portforward",
    };
    let told = |failure: Failure| Trouble::from(failure).message();
    session.check(&target).map_err(told)?;
    let name = &tunnel.pod;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
        return Err(format!("\"{name}\" is no name of a pod"));
    }
    let opened = tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        opened = cluster.forward(session.namespace(), name, tunnel.port) => opened,
    };
    let wire =
        opened.map_err(|failure| format!("error upgrading connection: {}", told(failure)))?;
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = both_ways(wire, from, to) => ended,
    }
}

async fn both_ways(
    wire: Wire,
    from: &mut (dyn AsyncRead + Unpin + Send),
    to: &mut (dyn AsyncWrite + Unpin + Send),
) -> Result<(), String> {
    let Wire { stream, complaint } = wire;
    let (mut out, mut into) = tokio::io::split(stream);
    let mut sending = std::pin::pin!(tokio::io::copy(from, &mut into));
    let mut is_all_said = false;
    let mut piece = vec![0; PIECE];
    loop {
        let silence = async {
            if is_all_said {
                tokio::time::sleep(SILENCE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            sent = &mut sending, if !is_all_said => match sent {
                Ok(_) => is_all_said = true,
                Err(_) => return Ok(()),
            },
            read = out.read(&mut piece) => match read {
                Ok(n @ 1..) => {
                    if to.write_all(piece.get(..n).unwrap_or_default()).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(0) | Err(_) => break,
            },
            () = silence => return Ok(()),
        }
    }
    drop(to.shutdown().await);
    // A pod that could not be connected to says so before it hangs up.
    match complaint.await {
        Some(why) => Err(why),
        None => Ok(()),
    }
}
