//! `kubectl logs`.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;

use super::apply::Info;
use super::exec::container;
use super::pods::Asking;
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, pods};
use crate::deploy::cluster::{Accept, Failure, Target};
use crate::deploy::kubectl::request::Logs;

/// Runs `kubectl logs`.
pub async fn run(session: &mut Session<'_>, logs: &Logs) -> Outcome {
    session.discover().await?;
    for (pod, container) in sources(session, logs).await? {
        one(session, logs, &pod, &container).await?;
    }
    Ok(())
}

/// The pods and containers whose logs are asked for.
async fn sources(session: &mut Session<'_>, logs: &Logs) -> Result<Vec<(Info, String)>, Trouble> {
    let pods = if let Some(named) = &logs.target {
        let timeout = Duration::from_millis(logs.pod_timeout_ms);
        vec![pods::of(session, named, Asking::Logs, timeout).await?.into_pod()]
    } else {
        let pods = pods::all(session, logs.labels.clone()).await?;
        if pods.is_empty() {
            let namespace = session.namespace().to_owned();
            session.err(format!("No resources found in {namespace} namespace.\n"));
        }
        pods
    };
    let mut sources = Vec::new();
    for pod in pods {
        let chosen = if logs.all_containers {
            container_names(&pod.object)
        } else {
            vec![container(session, logs.container.as_deref(), false, &pod)?]
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

async fn one(session: &mut Session<'_>, logs: &Logs, pod: &Info, container: &str) -> Outcome {
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
    query.extend(logs.since_seconds.map(|seconds| ("sinceSeconds", seconds.to_string())));
    let target = Target { subresource: "log", ..pod.target() };
    let response = session.stream(&target, query, Accept::Text).await?;
    let prefix =
        if logs.prefix { format!("[pod/{}/{container}] ", pod.name) } else { String::new() };
    let mut body = response.into_body();
    let mut line = Vec::new();
    loop {
        let frame = tokio::select! {
            () = session.cancel().cancelled() => return Err(Failure::Cancelled.into()),
            frame = body.frame() => frame,
        };
        let Some(Ok(frame)) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") {
                session.out(format!("{prefix}{}", String::from_utf8_lossy(&line)));
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        session.out(format!("{prefix}{}", String::from_utf8_lossy(&line)));
    }
    Ok(())
}
