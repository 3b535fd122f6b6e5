//! The driver's end of the socket: one connection, one task.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::policy::{Policy, Profile, Who};

use super::perform::perform;
use super::protocol::{self, Ask, Event, Tell};
use super::rights::{Desk, Granted, Rights, own_worker};

/// Tasks of one job at the same time; more are refused.
const MAX_TASKS: u32 = 16;

/// Events that may wait for a guest that reads slowly: hours of a load's progress.
const MAX_EVENTS: usize = 16_384;

/// Serves the guests of one stage.
pub struct Broker<'a> {
    desk: Desk<'a>,
    n_tasks: AtomicU32,
}

impl<'a> Broker<'a> {
    /// A broker with a job's rights.
    pub fn for_job(policy: &'a Policy, profile: &'a Profile, job: &'a Job, who: Who) -> Self {
        let user = rustix::process::geteuid().is_root().then(|| policy.user_for(job.id));
        let rights = Rights::Granted(Box::new(Granted { policy, profile, job, who }));
        Self { desk: Desk::new(rights, own_worker(user)), n_tasks: AtomicU32::new(0) }
    }

    /// True once a part of the platform failed a task.
    pub fn has_platform_failed(&self) -> bool {
        self.desk.has_platform_failed()
    }

    /// Serves until `ending` fires; then cancels what still runs and waits for it.
    pub async fn serve(&self, listener: UnixListener, ending: &CancellationToken) {
        let mut tasks = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => tasks.push(self.answer(stream, ending)),
                    Err(error) => tracing::warn!(%error, "cannot accept a guest"),
                },
                Some(()) = tasks.next(), if !tasks.is_empty() => (),
                () = ending.cancelled() => break,
            }
        }
        while tasks.next().await.is_some() {}
    }

    async fn answer(&self, stream: UnixStream, ending: &CancellationToken) {
        let (mut from, mut to) = stream.into_split();
        let n_tasks = self.n_tasks.fetch_add(1, Ordering::Relaxed);
        let ended = if n_tasks < MAX_TASKS {
            self.one_task(&mut from, &mut to, ending).await
        } else {
            Err(Error::refused(format!("more than {MAX_TASKS} tasks of this job at the same time")))
        };
        self.n_tasks.fetch_sub(1, Ordering::Relaxed);
        let last = match ended {
            Ok(Some(outcome)) => Tell::Ended(outcome),
            Ok(None) => return,
            Err(error) => Tell::Failed(error.told()),
        };
        if let Err(error) = protocol::write(&mut to, &last).await {
            tracing::debug!(%error, "the guest left before its answer");
        }
    }

    /// Performs the task that a guest sends; `None` when it sent none.
    async fn one_task(
        &self,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
        ending: &CancellationToken,
    ) -> Result<Option<Outcome>> {
        let asked = tokio::select! {
            asked = protocol::read::<Ask>(from) => asked.map_err(Error::job)?,
            () = ending.cancelled() => return Ok(None),
        };
        let Some(ask) = asked else { return Ok(None) };
        if ask.version != env!("CARGO_PKG_VERSION") {
            return Err(Error::job(format!(
                "the guest is dyno {}, the driver {}",
                ask.version,
                env!("CARGO_PKG_VERSION")
            ))
            .hint("call the `dyno` that is first on PATH"));
        }
        let cancel = ending.child_token();
        let queue = Queue::default();
        let performed = async {
            let emit = &mut |event| queue.push(event, &cancel);
            let outcome = perform(&self.desk, ask.task, emit, &cancel).await;
            queue.close();
            outcome
        };
        let sent = async {
            while let Some(event) = queue.next().await {
                if protocol::write(to, &Tell::Event(Box::new(event))).await.is_err() {
                    cancel.cancel();
                }
            }
        };
        let mut both = std::pin::pin!(async { tokio::join!(performed, sent).0 });
        let mut is_there = true;
        loop {
            tokio::select! {
                outcome = &mut both => return if is_there { outcome.map(Some) } else { Ok(None) },
                // A guest sends nothing after its task: whatever comes is its end. The task then
                // ends in its own time: what it began, it cleans up.
                _ = from.read_u8(), if is_there => {
                    is_there = false;
                    cancel.cancel();
                }
            }
        }
    }
}

/// Events on their way to the guest. The task never waits for a guest that reads slowly; one that
/// does not read at all ends its task.
#[derive(Default)]
struct Queue {
    events: Mutex<(VecDeque<Event>, bool)>,
    changed: Notify,
}

impl Queue {
    fn push(&self, event: Event, cancel: &CancellationToken) {
        let mut held = self.held();
        if held.0.len() < MAX_EVENTS {
            held.0.push_back(event);
        } else {
            tracing::warn!("a guest does not read its events; its task is cancelled");
            cancel.cancel();
        }
        drop(held);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.held().1 = true;
        self.changed.notify_one();
    }

    async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut held = self.held();
                if let Some(event) = held.0.pop_front() {
                    return Some(event);
                }
                if held.1 {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn held(&self) -> MutexGuard<'_, (VecDeque<Event>, bool)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
