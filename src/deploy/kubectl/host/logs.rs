//! `kubectl logs`: of one container after the other; those that are followed all at once.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::exec::container;
use super::info::Info;
use super::pods::Asking;
use super::session::{Ground, Session};
use super::trouble::Trouble;
use super::{Outcome, pods};
use crate::deploy::cluster::{Accept, Call, Failure, Target};
use crate::deploy::kubectl::request::Logs;

/// So much that was said waits to be told.
const WAITING: usize = 64;

/// After so long it is asked again for a log that is to be followed and is not there yet.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs `kubectl logs`.
pub async fn run(session: &mut Session<'_>, logs: &Logs) -> Outcome {
    session.discover().await?;
    let mut calls = Vec::new();
    for (pod, container) in sources(session, logs).await? {
        let target = Target { subresource: "log", ..pod.target() };
        let call = session.look(&target, query(logs, &container), Accept::Text)?;
        let prefix =
            if logs.prefix { format!("[pod/{}/{container}] ", pod.name) } else { String::new() };
        calls.push((call, prefix));
    }
    let n_calls = calls.len();
    let most = usize::try_from(logs.max_requests).unwrap_or(0);
    if logs.follow && n_calls > 1 && n_calls > most {
        return Err(Trouble::text(format!(
            "you are attempting to follow {n_calls} log streams, but maximum allowed concurrency \
             is {}, use --max-log-requests to increase the limit",
            logs.max_requests
        )));
    }
    let at_once = if logs.follow { n_calls.max(1) } else { 1 };
    all(session, logs, calls, at_once).await
}

/// The pods and containers whose logs are asked for.
async fn sources(session: &mut Session<'_>, logs: &Logs) -> Result<Vec<(Info, String)>, Trouble> {
    let timeout = Duration::from_millis(logs.pod_timeout_ms);
    let pods = match &logs.target {
        Some(named) if logs.all_pods => pods::every(session, named, Asking::Logs, timeout).await?,
        Some(named) => vec![pods::of(session, named, Asking::Logs, timeout).await?.into_pod()],
        None => {
            let pods = pods::all(session, logs.labels.clone()).await?;
            if pods.is_empty() {
                let namespace = session.namespace().to_owned();
                session.err(format!("No resources found in {namespace} namespace.\n"));
            }
            pods
        }
    };
    let mut sources = Vec::new();
    for pod in pods {
        let chosen = if logs.all_containers {
            container_names(&pod.object)
        } else {
            vec![container(session, logs.container.as_deref(), logs.all_pods, &pod)?]
        };
        for container in chosen {
            sources.push((copy(&pod), container));
        }
    }
    Ok(sources)
}

fn copy(info: &Info) -> Info {
    Info {
        mapping: info.mapping.clone(),
        object: info.object.clone(),
        source: String::new(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
    }
}

fn container_names(pod: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
        let containers = pod.pointer(list).and_then(Value::as_array);
        names.extend(containers.into_iter().flatten().filter_map(|container| {
            container.get("name").and_then(Value::as_str).map(str::to_owned)
        }));
    }
    names
}

fn query(logs: &Logs, container: &str) -> Vec<(&'static str, String)> {
    let mut query = vec![("container", container.to_owned())];
    for (name, wanted) in
        [("follow", logs.follow), ("previous", logs.previous), ("timestamps", logs.timestamps)]
    {
        if wanted {
            query.push((name, "true".to_owned()));
        }
    }
    if logs.tail >= 0 {
        query.push(("tailLines", logs.tail.to_string()));
    }
    if logs.limit_bytes > 0 {
        query.push(("limitBytes", logs.limit_bytes.to_string()));
    }
    query.extend(logs.since_seconds.map(|seconds| ("sinceSeconds", seconds.to_string())));
    query.extend(logs.since_time.as_ref().map(|time| ("sinceTime", time.clone())));
    query
}

/// What a log says, and what there is to say of it.
enum Said {
    Out(Vec<u8>),
    Err(String),
}

/// Tells what all say, line by line; the first trouble ends it.
async fn all(
    session: &mut Session<'_>,
    logs: &Logs,
    calls: Vec<(Call, String)>,
    at_once: usize,
) -> Outcome {
    let ground = session.ground();
    let (say, mut said) = mpsc::channel(WAITING);
    let mut running = stream::iter(calls)
        .map(|(call, prefix)| speak(&ground, logs, call, prefix, &say))
        .buffer_unordered(at_once);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(piece) = said.recv() => told(session, piece),
            ended = running.next() => match ended {
                Some(Ok(())) => {}
                Some(Err(trouble)) => break Err(trouble),
                None => break Ok(()),
            },
        }
    };
    while let Ok(piece) = said.try_recv() {
        told(session, piece);
    }
    if let Err(Trouble::Network(failure)) = &outcome {
        session.note(failure.is_unreachable());
    }
    outcome
}

fn told(session: &mut Session<'_>, piece: Said) {
    match piece {
        Said::Out(bytes) => session.bytes(&bytes),
        Said::Err(text) => session.err(text),
    }
}

/// One log to its end. One that is followed may have to be waited for.
async fn speak(
    ground: &Ground<'_>,
    logs: &Logs,
    call: Call,
    prefix: String,
    say: &mpsc::Sender<Said>,
) -> Outcome {
    let until = Instant::now() + Duration::from_millis(logs.pod_timeout_ms);
    loop {
        let trouble = match listen(ground, &call, &prefix, say).await {
            Ok(()) => return Ok(()),
            Err(stop @ Trouble::Network(Failure::Cancelled)) => return Err(stop),
            Err(trouble) => trouble,
        };
        let message = trouble.message();
        if logs.ignore_errors {
            drop(say.send(Said::Out(format!("error: {message}\n").into_bytes())).await);
            return Ok(());
        }
        if !logs.follow {
            return Err(trouble);
        }
        drop(say.send(Said::Err(format!("{message}\n"))).await);
        if !matches!(trouble, Trouble::Status(_)) {
            return Err(trouble);
        }
        if Instant::now() + AGAIN > until {
            return Err(Trouble::text("context deadline exceeded"));
        }
        tokio::select! {
            () = ground.cancel().cancelled() => return Err(Failure::Cancelled.into()),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn listen(
    ground: &Ground<'_>,
    call: &Call,
    prefix: &str,
    say: &mpsc::Sender<Said>,
) -> Outcome {
    let mut body = ground.open(call).await?.into_body();
    let mut line = Vec::new();
    loop {
        let frame = tokio::select! {
            () = ground.cancel().cancelled() => return Err(Failure::Cancelled.into()),
            frame = body.frame() => frame,
        };
        let Some(Ok(frame)) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        let mut whole = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") {
                whole.extend_from_slice(prefix.as_bytes());
                whole.append(&mut line);
            }
        }
        if !whole.is_empty() && say.send(Said::Out(whole)).await.is_err() {
            return Ok(());
        }
    }
    if !line.is_empty() {
        let last = [prefix.as_bytes(), &line].concat();
        drop(say.send(Said::Out(last)).await);
    }
    Ok(())
}
