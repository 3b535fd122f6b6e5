//! One object followed over time.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;

use super::info::Info;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Failure, Target};

/// What the follower of an object makes of one state of it.
pub enum Step<T> {
    /// Go on.
    Wait,
    /// That is it.
    Done(T),
}

/// How following an object ended.
pub enum Followed<T> {
    /// As the follower wanted.
    Done(T),
    /// The object is gone.
    Deleted,
    /// Time is up.
    TimedOut,
}

const NEVER: Duration = Duration::from_hours(10 * 365 * 24);
/// The server ends watches after some minutes; a new one starts where the old one ended.
const AGAIN: Duration = Duration::from_millis(200);

/// The moment after some time; none is never.
pub fn deadline(time: Option<Duration>) -> Instant {
    Instant::now() + time.unwrap_or(NEVER)
}

/// Shows every state of an object to `step`, the present one first. When the future is dropped the
/// watch ends.
pub async fn follow<T>(
    session: &mut Session<'_>,
    info: &Info,
    deadline: Instant,
    mut step: impl FnMut(&mut Session<'_>, &Value) -> Result<Step<T>, Trouble>,
) -> Result<Followed<T>, Trouble> {
    let mut version;
    'fresh: loop {
        let object = match session.get(&info.target()).await {
            Ok(object) => object,
            Err(failure) if failure.is_not_found() => return Ok(Followed::Deleted),
            Err(failure) => return Err(failure.into()),
        };
        if let Step::Done(done) = step(session, &object)? {
            return Ok(Followed::Done(done));
        }
        version = version_of(&object);
        loop {
            let Some(mut events) = open(session, info, &version, deadline).await? else {
                return Ok(Followed::TimedOut);
            };
            loop {
                let event = tokio::select! {
                    () = session.cancel().cancelled() => return Err(Failure::Cancelled.into()),
                    () = tokio::time::sleep_until(deadline) => return Ok(Followed::TimedOut),
                    event = events.next() => event,
                };
                let Some(event) = event else { break };
                let object = event.get("object").cloned().unwrap_or_default();
                match event.get("type").and_then(Value::as_str).unwrap_or_default() {
                    "DELETED" => return Ok(Followed::Deleted),
                    "ERROR" => continue 'fresh,
                    "BOOKMARK" => version = version_of(&object),
                    _ => {
                        version = version_of(&object);
                        if let Step::Done(done) = step(session, &object)? {
                            return Ok(Followed::Done(done));
                        }
                    }
                }
            }
            session.pause(AGAIN).await?;
        }
    }
}

fn version_of(object: &Value) -> String {
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.unwrap_or_default().to_owned()
}

async fn open(
    session: &mut Session<'_>,
    info: &Info,
    version: &str,
    deadline: Instant,
) -> Result<Option<Events>, Trouble> {
    let target = Target { name: "", ..info.target() };
    let query = vec![
        ("watch", "true".to_owned()),
        ("fieldSelector", format!("metadata.name={}", info.name)),
        ("resourceVersion", version.to_owned()),
        ("allowWatchBookmarks", "true".to_owned()),
    ];
    tokio::select! {
        () = tokio::time::sleep_until(deadline) => Ok(None),
        response = session.stream(&target, query, Accept::Json) => {
            Ok(Some(Events::of(response?.into_body())))
        }
    }
}

/// The events of a watch, one JSON line each.
pub struct Events {
    body: crate::deploy::cluster::Content,
    buffer: Vec<u8>,
}

/// No event is larger; a server that never ends a line is not listened to.
const MAX_EVENT: usize = 16 << 20;

impl Events {
    /// The events of an answer.
    pub fn of(body: crate::deploy::cluster::Content) -> Self {
        Self { body, buffer: Vec::new() }
    }

    /// The next event; `None` at the end of the watch. Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Ok(event) = serde_json::from_slice(&line) {
                    return Some(event);
                }
                continue;
            }
            if self.buffer.len() > MAX_EVENT {
                return None;
            }
            let data = self.body.frame().await?.ok()?.into_data().ok()?;
            self.buffer.extend_from_slice(&data);
        }
    }
}
