//! `kubectl exec`: a command in a container, its input sent whole, its output told as it comes.

use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::info::Info;
use super::pods::Asking;
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, pods, select};
use crate::deploy::cluster::{Command, Failure};
use crate::deploy::kubectl::request::Exec;

/// How much output is read at a time.
const PIECE: usize = 32 << 10;

/// Runs `kubectl exec`. When it is cancelled the connection ends, and with it the command's input
/// and output; whether the command itself ends is its own matter.
pub async fn run(session: &mut Session<'_>, exec: &Exec) -> Outcome {
    session.discover().await?;
    let timeout = Duration::from_millis(exec.pod_timeout_ms);
    let pod = pods::of(session, &exec.target, Asking::Inside, timeout).await?.into_pod();
    let phase = pod.object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if ["Succeeded", "Failed"].contains(&phase) {
        return Err(Trouble::text(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let wanted = exec.container.as_deref();
    let container = container(session, wanted, exec.quiet, &pod)?;
    session.check(&select::part(&pod, "exec"))?;
    let stdin = match &exec.stdin {
        Some(text) => Some(
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|_| Trouble::text("the input is no base64 text"))?,
        ),
        None => None,
    };
    let command = Command {
        namespace: &pod.namespace,
        pod: &pod.name,
        container: &container,
        words: &exec.command,
        stdin: stdin.is_some(),
    };
    let cancel = session.cancel();
    let mut running = tokio::select! {
        () = cancel.cancelled() => return Err(Failure::Cancelled.into()),
        running = session.cluster().exec(command) => running?,
    };
    let input = running.stdin.take();
    let feed = async {
        if let (Some(mut input), Some(bytes)) = (input, stdin) {
            // A command that does not read its input to the end is no error.
            drop(input.write_all(&bytes).await);
            drop(input.shutdown().await);
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        () = cancel.cancelled() => return Err(Failure::Cancelled.into()),
        () = feed => return Ok(()),
        ended = told(session, &mut running.stdout, &mut running.stderr) => ended,
    };
    ended?;
    match running.ended().await {
        Ok(0) => Ok(()),
        Ok(code) => Err(Trouble::Exit(code, format!("command terminated with exit code {code}\n"))),
        Err(text) => Err(Trouble::text(text)),
    }
}

async fn told(
    session: &mut Session<'_>,
    stdout: &mut (dyn AsyncRead + Unpin + Send),
    stderr: &mut (dyn AsyncRead + Unpin + Send),
) -> Outcome {
    let (mut out, mut err) = (vec![0; PIECE], vec![0; PIECE]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            read = stdout.read(&mut out), if out_open => match read {
                Ok(n @ 1..) => session.bytes(out.get(..n).unwrap_or_default()),
                Ok(0) | Err(_) => out_open = false,
            },
            read = stderr.read(&mut err), if err_open => match read {
                Ok(n @ 1..) => {
                    session.err(String::from_utf8_lossy(err.get(..n).unwrap_or_default()));
                }
                Ok(0) | Err(_) => err_open = false,
            },
        }
    }
    Ok(())
}

/// The container that is asked for, or the pod's default one, which is told unless that is not wanted.
pub fn container(
    session: &mut Session<'_>,
    wanted: Option<&str>,
    is_quiet: bool,
    Info { object: pod, name, .. }: &Info,
) -> Result<String, Trouble> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod.pointer(list).and_then(Value::as_array);
        let names = containers.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
        names.map(str::to_owned).collect()
    };
    let plain = names("/spec/containers");
    let (ephemeral, init) = (names("/spec/ephemeralContainers"), names("/spec/initContainers"));
    let all: Vec<String> = plain
        .iter()
        .cloned()
        .chain(ephemeral.iter().map(|name| format!("{name} (ephem)")))
        .chain(init.iter().map(|name| format!("{name} (init)")))
        .collect();
    let all = all.join(", ");
    let default = pod
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1default-container")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    if let Some(wanted) = wanted.or(default) {
        let is_there =
            [&plain, &ephemeral, &init].iter().any(|names| names.iter().any(|one| one == wanted));
        return if is_there {
            Ok(wanted.to_owned())
        } else {
            Err(Trouble::text(format!(
                "container {wanted} is not valid for pod {name} out of: {all}"
            )))
        };
    }
    let Some(first) = plain.first() else {
        return Err(Trouble::text(format!("pod {name} does not have any containers")));
    };
    if !is_quiet && (plain.len() > 1 || !ephemeral.is_empty() || !init.is_empty()) {
        session.err(format!("Defaulted container \"{first}\" out of: {all}\n"));
    }
    Ok(first.clone())
}
