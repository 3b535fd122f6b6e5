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

use crate::deploy::kubectl::Operation;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::policy::{Policy, Profile, Task, Who};

use super::perform::perform;
use super::protocol::{self, Ask, Budget, Event, Tell};
use super::rights::{Desk, Granted, Rights, own_worker};
use super::tunnel;

/// Tasks of one job at the same time; more are refused.
const MAX_TASKS: u32 = 16;

/// Connections into pods of one job at the same time; more are refused.
const MAX_TUNNELS: u32 = 256;

/// Bytes of events that may wait for a guest that reads slowly: hours of a load's progress.
const MAX_WAITING: usize = 32 << 20;

/// Serves the guests of one stage.
pub struct Broker<'a> {
    desk: Desk<'a>,
    guests: Seats,
    tasks: Seats,
    tunnels: Seats,
    budget: Budget,
}

/// How many of something there may be.
struct Seats {
    most: u32,
    n_taken: AtomicU32,
}

impl Seats {
    fn new(most: u32) -> Self {
        Self { most, n_taken: AtomicU32::new(0) }
    }

    /// Takes one, unless all are taken; it is given back when it is dropped.
    fn take(&self, what: &str) -> Result<Seat<'_>> {
        let seat = Seat(&self.n_taken);
        if self.n_taken.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(seat);
        }
        let most = self.most;
        Err(Error::refused(format!("more than {most} {what} of this job at the same time")))
    }
}

struct Seat<'a>(&'a AtomicU32);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Broker<'a> {
    /// A broker with a job's rights.
    pub fn for_job(policy: &'a Policy, profile: &'a Profile, job: &'a Job, who: Who) -> Self {
        let user = rustix::process::geteuid().is_root().then(|| policy.user_for(job));
        let rights = Rights::Granted(Box::new(Granted { policy, profile, job, who }));
        let desk = Desk::new(rights, own_worker(user));
        Self {
            desk,
            guests: Seats::new(MAX_TASKS + MAX_TUNNELS),
            tasks: Seats::new(MAX_TASKS),
            tunnels: Seats::new(MAX_TUNNELS),
            budget: Budget::default(),
        }
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
        let ended = match self.guests.take("guests") {
            Ok(_seat) => Box::pin(self.one_task(&mut from, &mut to, ending)).await,
            Err(error) => Err(error),
        };
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
            asked = protocol::read_within::<Ask>(from, &self.budget) => asked.map_err(Error::job)?,
            () = ending.cancelled() => return Ok(None),
        };
        let Some((ask, _share)) = asked else { return Ok(None) };
        if ask.version != env!("CARGO_PKG_VERSION") {
            return Err(Error::job(format!(
                "the guest is dyno {}, the driver {}",
                ask.version,
                env!("CARGO_PKG_VERSION")
            ))
            .hint("call the `dyno` that is first on PATH"));
        }
        let cancel = ending.child_token();
        if let Task::Kubectl(request) = &ask.task
            && let Operation::Tunnel(_) = &request.operation
        {
            let _seat = self.tunnels.take("connections into pods")?;
            return tunnel::serve(&self.desk, request, (from, to), &cancel).await.map(Some);
        }
        let _seat = self.tasks.take("tasks")?;
        Box::pin(self.told(ask.task, (from, to), &cancel)).await
    }

    /// Performs a task, and tells its guest what happens.
    async fn told(
        &self,
        task: Task,
        (from, to): (&mut OwnedReadHalf, &mut OwnedWriteHalf),
        cancel: &CancellationToken,
    ) -> Result<Option<Outcome>> {
        let queue = Queue::default();
        let performed = async {
            let emit = &mut |event| queue.push(event, cancel);
            let outcome = perform(&self.desk, task, emit, cancel).await;
            queue.close();
            outcome
        };
        let sent = async {
            while let Some(frame) = queue.next().await {
                if protocol::write_frame(to, &frame).await.is_err() {
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
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    n_bytes: usize,
    is_closed: bool,
}

impl Queue {
    fn push(&self, event: Event, cancel: &CancellationToken) {
        let frame = match protocol::frame(&Tell::Event(Box::new(event))) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "an event cannot be told");
                return;
            }
        };
        let mut held = self.held();
        // A single one always fits: a kubectl answer may be long.
        if held.frames.is_empty() || held.n_bytes + frame.len() <= MAX_WAITING {
            held.n_bytes += frame.len();
            held.frames.push_back(frame);
        } else {
            tracing::warn!("a guest does not read its events; its task is cancelled");
            cancel.cancel();
        }
        drop(held);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.held().is_closed = true;
        self.changed.notify_one();
    }

    async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut held = self.held();
                if let Some(frame) = held.frames.pop_front() {
                    held.n_bytes -= frame.len();
                    return Some(frame);
                }
                if held.is_closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
