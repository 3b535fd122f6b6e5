//! `kubectl logs`.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Outcome;
use super::apply::Info;
use super::exec::container;
use super::select::{self, Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::undo::selector;
use crate::deploy::cluster::{Accept, Failure, Target};
use crate::deploy::kubectl::request::{Logs, Named, Selection, What};

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
        vec![pod_of(session, named, Asking::Logs).await?]
    } else {
        let pods = pods(session, logs.labels.clone()).await?;
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

async fn pods(session: &mut Session<'_>, labels: Option<String>) -> Result<Vec<Info>, Trouble> {
    let mapping = session.by_word("pods")?;
    let selection = Selection {
        what: What::Types(Vec::new()),
        all_namespaces: false,
        labels,
        fields: None,
        enforce_namespace: false,
    };
    let namespace = session.namespace().to_owned();
    let objects = select::list(session, &selection, &mapping).await?;
    Ok(objects
        .into_iter()
        .map(|object| {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            Info {
                mapping: mapping.clone(),
                name: name.unwrap_or_default().to_owned(),
                source: String::new(),
                namespace: namespace.clone(),
                object,
            }
        })
        .collect())
}

/// Who asks for a pod: errors are worded for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// `kubectl logs`.
    Logs,
    /// `kubectl exec`.
    Exec,
}

/// The pod itself, or the first of a workload's.
pub async fn pod_of(
    session: &mut Session<'_>,
    named: &Named,
    asking: Asking,
) -> Result<Info, Trouble> {
    let selection = Selection {
        what: What::Names(vec![named.clone()]),
        all_namespaces: false,
        labels: None,
        fields: None,
        enforce_namespace: false,
    };
    let (mut infos, mut troubles) = find(session, &selection, Read::Latest).await?;
    let namespace = session.namespace().to_owned();
    let Some(info) = infos.pop() else {
        return Err(match (troubles.pop(), asking) {
            (Some(Trouble::Status(status)), Asking::Logs) if status.reason == "NotFound" => {
                Trouble::text(format!(
                    "error from server (NotFound): {} in namespace \"{namespace}\"",
                    status.message
                ))
            }
            (Some(trouble), _) => trouble,
            (None, _) => Trouble::text(format!("{} not found", named.name)),
        });
    };
    if info.mapping.kind == "Pod" {
        return Ok(info);
    }
    let labels = match info.mapping.kind.as_str() {
        "Service" => {
            let wrapped = json!({"spec": {"selector": {"matchLabels": info.object.pointer("/spec/selector")}}});
            selector(&wrapped)
        }
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => selector(&info.object),
        _ => {
            return Err(Trouble::text(format!(
                "cannot get the logs from {}: selector for {} not implemented",
                info.mapping.resource(),
                info.mapping.kind
            )));
        }
    };
    let mut found = pods(session, Some(labels)).await?;
    let n_found = found.len();
    if found.is_empty() {
        return Err(Trouble::text("timed out waiting for the condition"));
    }
    let pod = found.remove(0);
    if n_found > 1 {
        session.err(format!("Found {n_found} pods, using pod/{}\n", pod.name));
    }
    Ok(pod)
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
