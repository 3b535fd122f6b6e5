//! A command in a container, over a `WebSocket`.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::Cluster;
use super::failure::{Failure, Status};

/// What is to be run, and where.
pub struct Command<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// The command.
    pub words: &'a [String],
    /// True when it gets an input.
    pub stdin: bool,
}

/// A command that runs.
pub struct Running {
    process: AttachedProcess,
    /// Its input.
    pub stdin: Option<Box<dyn AsyncWrite + Unpin + Send>>,
    /// Its output.
    pub stdout: Box<dyn AsyncRead + Unpin + Send>,
    /// Its errors.
    pub stderr: Box<dyn AsyncRead + Unpin + Send>,
}

impl Running {
    /// Its exit code, or why there is none.
    pub async fn ended(mut self) -> Result<u8, String> {
        let status = match self.process.take_status() {
            Some(status) => status.await,
            None => None,
        };
        let status = status.ok_or("the connection to the container broke")?;
        code(&status)
    }
}

fn code(status: &v1::Status) -> Result<u8, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref());
    let code =
        causes.into_iter().flatten().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_deref()?.parse::<u8>().ok());
    code.ok_or_else(|| status.message.clone().unwrap_or_default())
}

impl Cluster {
    /// Starts a command in a container. The caller has looked at the fence.
    pub async fn exec(&self, command: Command<'_>) -> Result<Running, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), command.namespace);
        let params = AttachParams::default()
            .container(command.container)
            .stdin(command.stdin)
            .stdout(true)
            .stderr(true);
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let started = pods.exec(command.pod, words, &params).await;
        let mut process = started.map_err(|error| self.upgrade(&error))?;
        let nothing = || -> Box<dyn AsyncRead + Unpin + Send> { Box::new(tokio::io::empty()) };
        Ok(Running {
            stdin: process
                .stdin()
                .map(|stdin| -> Box<dyn AsyncWrite + Unpin + Send> { Box::new(stdin) }),
            stdout: process.stdout().map_or_else(nothing, |stdout| Box::new(stdout)),
            stderr: process.stderr().map_or_else(nothing, |stderr| Box::new(stderr)),
            process,
        })
    }

    /// Why a connection could not become a stream.
    pub(super) fn upgrade(&self, error: &kube::Error) -> Failure {
        if let kube::Error::Api(status) = error {
            return Failure::Status(Box::new(Status {
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
                ..Status::default()
            }));
        }
        self.network(error)
    }
}
