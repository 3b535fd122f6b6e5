//! One user on its own: the setup before a run, the teardown after it, and a plan's journeys walked
//! through once for whoever writes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWrite;

use crate::load::error::Error;
use crate::load::pace::Share;
use crate::load::protocol::{self, Report, Snapshot};
use crate::load::trace::Traced;
use crate::load::worker::Crew;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;

/// How often the coordinator is told that something still goes on.
const SIGN: Duration = Duration::from_secs(5);

/// Setup and teardown may not take longer.
const LONGEST: Duration = Duration::from_mins(10);

/// Does the setup; the values it saved are there for all users from now on. Returns why it failed,
/// when it did.
pub async fn setup(
    crew: &Arc<Crew>,
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<Option<String>, Error> {
    let Some(number) = crew.script.solo else { return Ok(None) };
    let (failed, values) =
        with_signs(act(crew, number, longest(crew), Part::Setup), reports).await?;
    if failed.is_none() {
        // Only this sets it, and only once.
        drop(crew.given.set(values));
    }
    Ok(failed)
}

/// How long a setup or a teardown may take.
fn longest(crew: &Crew) -> Duration {
    crew.plan.extra.map_or(LONGEST, |extra| extra.0.min(LONGEST))
}

/// Does the teardown; returns why it failed, when it did.
pub async fn teardown(
    crew: &Arc<Crew>,
    at_most: Option<Duration>,
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<Option<String>, Error> {
    let Some(number) = crew.script.solo else { return Ok(None) };
    let part = act(crew, number, at_most.unwrap_or(longest(crew)), Part::Teardown);
    Ok(with_signs(part, reports).await?.0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Setup,
    Teardown,
}

async fn act(
    crew: &Arc<Crew>,
    number: usize,
    longest: Duration,
    part: Part,
) -> (Option<String>, Vec<Option<Arc<Value>>>) {
    let local = Box::new(Local::new(Arc::clone(crew), Instant::now(), Share::WHOLE));
    let mut user = User::of(&local, number);
    let until = Instant::now() + longest;
    let steps = async {
        match part {
            Part::Setup => user.start(&local, until).await,
            Part::Teardown => user.finish(&local, until).await,
        }
    };
    let is_over = tokio::select! {
        () = steps => false,
        () = local.patrol.walk() => true,
        () = tokio::time::sleep_until(until.into()) => true,
    };
    let mut seen = Snapshot::default();
    seen.fill(&mut local.recorder.borrow_mut());
    let failed = seen.endpoints.iter().find_map(|endpoint| {
        let (text, _, _) = endpoint.failures.first()?;
        Some(format!("{}: {text}", endpoint.name))
    });
    let late = is_over.then(|| format!("it took longer than {} s", longest.as_secs()));
    let left = (seen.skipped > 0).then(|| "a step lacked a value that it needs".to_owned());
    (failed.or(late).or(left), user.variables)
}

/// Waits for something and tells every few seconds that it still goes on.
async fn with_signs<T>(
    work: impl Future<Output = T>,
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<T, Error> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(SIGN) => protocol::write(reports, &Report::Waiting).await?,
        }
    }
}

/// Walks through each journey once and tells every exchange.
pub async fn once(
    crew: &Arc<Crew>,
    start: Instant,
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Error> {
    let mut local = Box::new(Local::new(Arc::clone(crew), start, Share::WHOLE));
    local.trace = Some(std::cell::RefCell::default());
    for number in 0..crew.plan.journeys.len() {
        let name = crew.plan.journeys.get(number).map_or_else(String::new, |j| j.name.clone());
        tell(&local, vec![Traced::Journey(name)], reports).await?;
        let mut user = User::of(&local, number);
        let walk = async {
            tokio::select! {
                () = user.visit(&local) => {}
                () = local.patrol.walk() => {}
            }
        };
        tokio::pin!(walk);
        loop {
            let is_done = tokio::select! {
                () = &mut walk => true,
                () = tokio::time::sleep(Duration::from_millis(200)) => false,
            };
            tell(&local, Vec::new(), reports).await?;
            if is_done {
                break;
            }
        }
    }
    let to = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let checks = local.checks.take();
    let mut snapshot = Box::new(Snapshot { to, closed: to, checks, ..Snapshot::default() });
    snapshot.fill(&mut local.recorder.borrow_mut());
    protocol::write(reports, &Report::Snapshot(snapshot)).await
}

async fn tell(
    local: &Local,
    mut told: Vec<Traced>,
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Error> {
    if let Some(trace) = &local.trace {
        told.append(&mut trace.borrow_mut());
    }
    if told.is_empty() {
        return protocol::write(reports, &Report::Waiting).await;
    }
    for one in told {
        protocol::write(reports, &Report::Traced(Box::new(one))).await?;
    }
    Ok(())
}
