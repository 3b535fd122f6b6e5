//! What the client sees, pushed to the platform's own store while the load runs, so that it stands
//! beside what the target tells of itself.
//!
//! A sink never holds the load up: each has a short queue of its own, and what finds it full is
//! dropped, counted and told at the end.

mod series;
mod remote_write;
mod otlp;
mod protobuf;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::job::http;
use crate::load::event::Event;
use crate::secret::Secret;
pub use series::Labels;
use series::{Batch, batch};

/// The languages that sinks speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Prometheus' remote write, version 1.
    RemoteWrite,
    /// OpenTelemetry's protocol over HTTP, in protobuf.
    Otlp,
}

/// A sink with its credential.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The policy's name for it.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where batches are posted.
    pub url: String,
    /// Bearer token.
    pub token: Option<Secret>,
    /// User and password.
    pub basic: Option<(String, Secret)>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Trusted beside the system's certificates.
    pub ca_file: Option<PathBuf>,
}

/// Batches that wait for a sink at most: a minute's worth.
const QUEUE: usize = 12;

/// A sink may take so long for a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is in the queues at the end is waited for no longer.
const GRACE: Duration = Duration::from_secs(10);

/// Pushes a run's figures to sinks. Dropped, it stops pushing at once.
pub struct Pusher {
    labels: Labels,
    started: i64,
    queues: Vec<Queue>,
    sinks: JoinSet<Ended>,
}

struct Queue {
    name: String,
    sender: mpsc::Sender<Arc<Batch>>,
    dropped: u32,
}

/// What became of a sink's batches.
struct Ended {
    name: String,
    sent: u32,
    lost: u32,
    why: String,
}

impl Pusher {
    /// Begins; a sink that cannot be used is told by [`Pusher::finish`].
    pub fn start(specs: Vec<Spec>, labels: Labels) -> Self {
        let mut pusher = Self { labels, started: 0, queues: Vec::new(), sinks: JoinSet::new() };
        for spec in specs {
            let (sender, batches) = mpsc::channel(QUEUE);
            pusher.queues.push(Queue { name: spec.name.clone(), sender, dropped: 0 });
            pusher.sinks.spawn(serve(spec, batches));
        }
        pusher
    }

    /// Takes what an event tells; returns at once.
    pub fn offer(&mut self, event: &Event) {
        match event {
            Event::Started { plan, target, at, .. } => {
                self.started = *at;
                self.labels.add("plan", plan);
                self.labels.add("target", target);
            }
            Event::Endpoints(state) if !self.queues.is_empty() => {
                let batch = Arc::new(batch(state, &self.labels, self.started));
                for queue in &mut self.queues {
                    if queue.sender.try_send(Arc::clone(&batch)).is_err() {
                        queue.dropped += 1;
                    }
                }
            }
            Event::Endpoints(_)
            | Event::Phase(_)
            | Event::Stage(_)
            | Event::Progress(_)
            | Event::Interval(_)
            | Event::Traced(_)
            | Event::Warning(_)
            | Event::Finished(_) => {}
        }
    }

    /// How many batches wait for the sinks.
    #[cfg(test)]
    pub fn n_waiting(&self) -> usize {
        self.queues.iter().map(|queue| QUEUE - queue.sender.capacity()).sum()
    }

    /// Waits for what is on its way, a short while; returns what was lost, a sentence a sink.
    pub async fn finish(mut self) -> Vec<String> {
        let mut told = Vec::new();
        let names: Vec<(String, u32)> =
            self.queues.drain(..).map(|queue| (queue.name, queue.dropped)).collect();
        let mut ended = Vec::new();
        let all = async {
            while let Some(sink) = self.sinks.join_next().await {
                ended.extend(sink);
            }
        };
        // What still hangs is let go with the set.
        drop(tokio::time::timeout(GRACE, all).await);
        for (name, dropped) in names {
            match ended.iter().find(|sink| sink.name == name) {
                None => told.push(format!("sink `{name}` still had figures to take, and was left")),
                Some(Ended { lost: 0, .. }) if dropped == 0 => {}
                Some(Ended { sent, lost, why, .. }) => {
                    let all = sent + lost + dropped;
                    let missed = lost + dropped;
                    let why = if why.is_empty() { "it was too slow" } else { why };
                    told.push(format!(
                        "sink `{name}` did not take {missed} of {all} pushes: {why}"
                    ));
                }
            }
        }
        told
    }
}

/// Sends one batch after the other.
async fn serve(spec: Spec, mut batches: mpsc::Receiver<Arc<Batch>>) -> Ended {
    let mut ended = Ended { name: spec.name.clone(), sent: 0, lost: 0, why: String::new() };
    let client = http::client(&spec.url, spec.ca_file.as_deref());
    while let Some(batch) = batches.recv().await {
        let sent = match &client {
            Ok(client) => send(client, &spec, &batch).await,
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => ended.sent += 1,
            Err(why) => {
                ended.lost += 1;
                if ended.why.is_empty() {
                    ended.why = why;
                }
            }
        }
    }
    ended
}

/// Asks whether a sink takes figures, by a batch that holds none.
///
/// # Errors
/// Why not, in words that name no URL.
pub async fn probe(spec: &Spec) -> Result<(), String> {
    let client = http::client(&spec.url, spec.ca_file.as_deref());
    let client = client.map_err(|error| error.to_string())?;
    send(&client, spec, &Batch { started: 0, at: 0, samples: Vec::new() }).await
}

async fn send(client: &reqwest::Client, spec: &Spec, batch: &Batch) -> Result<(), String> {
    let body = match spec.kind {
        Kind::RemoteWrite => remote_write::body(batch)?,
        Kind::Otlp => otlp::body(batch),
    };
    let mut request = client
        .post(&spec.url)
        .timeout(PATIENCE)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
        .body(body);
    if spec.kind == Kind::RemoteWrite {
        request = request
            .header(CONTENT_ENCODING, HeaderValue::from_static("snappy"))
            .header(HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0");
    }
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    if let Some(token) = &spec.token {
        request = request.bearer_auth(token.reveal());
    }
    if let Some((user, password)) = &spec.basic {
        request = request.basic_auth(user, Some(password.reveal()));
    }
    // Its own text may name the URL, which is the platform's; the kind of trouble is enough.
    let answer = request.send().await.map_err(|error| {
        let what = if error.is_timeout() { "no answer in time" } else { "it is not reachable" };
        what.to_owned()
    })?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
}
