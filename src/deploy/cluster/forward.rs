//! A connection to a port of a pod, over a `WebSocket`.

use std::pin::Pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::DuplexStream;

use super::connect::Cluster;
use super::failure::Failure;

/// How long a pod that hung up may take to say why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A connection to a port of a pod.
pub struct Wire {
    /// Its bytes.
    pub stream: DuplexStream,
    /// Why the pod hung up, once its bytes have ended.
    pub complaint: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
}

impl Cluster {
    /// Connects to a port of a pod. The caller has looked at the fence, and at the name.
    pub async fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<Wire, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let opened = pods.portforward(pod, &[port]).await;
        let mut opened = opened.map_err(|error| self.upgrade(&error))?;
        let stream = opened.take_stream(port);
        let complaint = opened.take_error(port);
        let (Some(stream), Some(complaint)) = (stream, complaint) else {
            return Err(Failure::Malformed(format!("no stream for port {port}")));
        };
        let complaint =
            async move { tokio::time::timeout(LAST_WORD, complaint).await.ok().flatten() };
        Ok(Wire { stream, complaint: Box::pin(complaint) })
    }
}
