//! A thread of the worker: its own runtime, its own users, its own recorder.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::time::ClockId;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use crate::load::error::Error;
use crate::load::model::{Kind, Spacing};
use crate::load::pace::{self, Share, next_boundary};
use crate::load::protocol::Snapshot;
use crate::load::stages::{Arrivals, user_parts};
use crate::load::worker::alarm::Alarm;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::{Crew, cpu_of};
use crate::unit::float;

/// What makes a thread different from the others.
#[derive(Debug)]
pub struct Post {
    /// Its number.
    pub index: u32,
    /// When the run begins.
    pub start: Instant,
    /// Ends the run before its time.
    pub stop: CancellationToken,
    /// Where its intervals go.
    pub sender: mpsc::Sender<Box<Snapshot>>,
}

/// Runs the thread's share to its end: of the target's load, and of the baseline's where there is
/// one.
pub fn run(crews: Vec<Arc<Crew>>, post: Post) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Stream)?;
    // The outer future is polled at every wake-up, so it is only a handle.
    let mut main = JoinSet::new();
    let set = LocalSet::new();
    main.spawn_local_on(drive(crews, post), &set);
    let ended = set.block_on(&runtime, main.join_next());
    ended.map_or(Ok(()), |ended| {
        ended.map_err(|_| Error::Worker("a thread of it panicked".to_owned()))?
    })
}

async fn drive(crews: Vec<Arc<Crew>>, post: Post) -> Result<(), Error> {
    let side = |crew: Arc<Crew>| {
        let share = crew.share.part(post.index, crew.n_threads);
        (Rc::new(Local::new(crew, post.start, share)), share)
    };
    let mut sides = crews.into_iter().map(side);
    let Some((local, share)) = sides.next() else { return Ok(()) };
    let baseline = sides.next();
    let cuts = local.crew.plan.model.cuts();
    let mut clerk = Clerk {
        local: &local,
        baseline: baseline.as_ref().map(|(local, _)| &**local),
        post: &post,
        number: 0,
        from: Duration::ZERO,
        cuts,
    };
    let done = tokio::select! {
        result = both(&local, share, baseline.as_ref(), post.start) => Some(result),
        () = clerk.keep() => None,
        () = local.patrol.walk() => None,
        () = walk(baseline.as_ref()) => None,
        () = post.stop.cancelled() => None,
    };
    if done.is_some() {
        clerk.finish().await;
    }
    let end = post.start.elapsed();
    // What the load's end has closed already needs no interval of no length.
    if clerk.from < end || clerk.number == 0 {
        clerk.close(end).await;
    }
    done.unwrap_or(Ok(()))
}

/// The users of the baseline and their share.
type Other = (Rc<Local>, Share);

/// Looks at the deadlines of the baseline's users; without a baseline there is nothing to look at.
async fn walk(baseline: Option<&Other>) {
    match baseline {
        Some((local, _)) => local.patrol.walk().await,
        None => std::future::pending().await,
    }
}

/// Generates on both sides, each in its own blocks.
async fn both(
    local: &Rc<Local>,
    share: Share,
    baseline: Option<&Other>,
    start: Instant,
) -> Result<(), Error> {
    match baseline {
        None => load(local, share, start).await,
        Some((other, own)) => {
            tokio::try_join!(load(local, share, start), load(other, *own, start))?;
            Ok(())
        }
    }
}

/// Generates until all is done. Dropped, it drops its users and what they wait for.
async fn load(local: &Rc<Local>, share: Share, start: Instant) -> Result<(), Error> {
    match local.crew.plan.model.kind {
        Kind::Users => {
            closed(local, share, start).await;
            Ok(())
        }
        Kind::Arrivals { max_users, .. } => {
            let room = usize::try_from(share.of_total(max_users)).unwrap_or(1).max(1);
            open(local, share, start, room).await.map_err(Error::Stream)
        }
    }
}

/// A user's number with its start and end.
type Life = (u32, Instant, Instant);

/// Returns when this thread's users start and end, in the order of their starts.
fn lives(crew: &Crew, share: Share, start: Instant) -> Vec<Life> {
    let mut lives = Vec::new();
    for n in 0..share.of_total(crew.plan.n_users()) {
        let Ok(number) = u32::try_from(share.nth(n.into())) else { break };
        for (begin, end) in user_parts(&crew.plan.model.stages, number) {
            lives.push((number, start + begin, start + end));
        }
    }
    lives.sort_by_key(|(_, begin, _)| *begin);
    lives
}

async fn closed(local: &Rc<Local>, share: Share, start: Instant) {
    let mut running = JoinSet::new();
    for (number, begin, end) in lives(&local.crew, share, start) {
        tokio::time::sleep_until(begin.into()).await;
        while running.try_join_next().is_some() {}
        let local = Rc::clone(local);
        running.spawn_local(async move {
            let _running = Running::new(&local);
            User::new(&local, number.into()).live(&local, end).await;
        });
    }
    while running.join_next().await.is_some() {}
}

/// The moments at which this thread's arrivals are meant to start.
struct Starts<'a> {
    share: Share,
    start: Instant,
    arrivals: Arrivals<'a>,
    /// The same draws in every thread: each takes its own arrivals of the one process.
    chance: Option<SmallRng>,
    n_drawn: u64,
    drawn: f64,
}

impl<'a> Starts<'a> {
    fn new(crew: &'a Crew, share: Share, start: Instant) -> Self {
        let chance = match crew.plan.model.kind {
            Kind::Arrivals { spacing: Spacing::Poisson, .. } => {
                Some(SmallRng::seed_from_u64(crew.seed))
            }
            Kind::Arrivals { spacing: Spacing::Even, .. } | Kind::Users => None,
        };
        let arrivals = Arrivals::new(&crew.plan.model.stages);
        Self { share, start, arrivals, chance, n_drawn: 0, drawn: 0.0 }
    }

    /// Returns the number and moment of this thread's `n`-th arrival; asked for in order.
    fn nth(&mut self, n: u64) -> Option<(u64, Instant)> {
        let number = self.share.nth(n);
        let due = match &mut self.chance {
            None => float(number),
            Some(chance) => {
                while self.n_drawn <= number {
                    self.drawn += -(1.0 - chance.random::<f64>()).ln();
                    self.n_drawn += 1;
                }
                self.drawn
            }
        };
        Some((number, self.start + self.arrivals.at(due)?))
    }
}

/// Arrivals closer to each other start together: a wake-up costs more than an exchange. Each keeps
/// its own meant moment, so the wait is part of what is measured.
const GRAIN: Duration = Duration::from_micros(100);

async fn open(local: &Rc<Local>, share: Share, start: Instant, room: usize) -> std::io::Result<()> {
    let alarm = Alarm::new()?;
    let mut running: JoinSet<User> = JoinSet::new();
    let mut idle: Vec<User> = Vec::new();
    let mut starts = Starts::new(&local.crew, share, start);
    let mut woken = start;
    for n in 0.. {
        let Some((number, meant)) = starts.nth(n) else { break };
        // Far behind, the loop would never wait: let what runs go on.
        if n.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
        if Instant::now() < meant {
            let wake = meant.max(woken + GRAIN);
            while Instant::now() < wake {
                tokio::select! {
                    rung = alarm.until(wake) => rung?,
                    Some(user) = running.join_next() => idle.extend(user.ok()),
                }
            }
            woken = wake;
        }
        while let Some(user) = running.try_join_next() {
            idle.extend(user.ok());
        }
        if running.len() >= room {
            local.recorder.borrow_mut().dropped();
            continue;
        }
        let mut user = match idle.pop() {
            Some(mut user) => {
                user.renew(local, number);
                user
            }
            None => User::new(local, number),
        };
        let local = Rc::clone(local);
        running.spawn_local(async move {
            let running = Running::new(&local);
            user.now = Instant::now();
            let behind = user.now.saturating_duration_since(meant);
            local.recorder.borrow_mut().started(behind);
            if pace::arrival(behind).is_late {
                local.recorder.borrow_mut().late();
            }
            user.meant = Some(meant);
            user.visit(&local).await;
            drop(running);
            user
        });
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Counts a user as running for as long as it lives.
struct Running<'a>(&'a Cell<u32>);

impl<'a> Running<'a> {
    fn new(local: &'a Local) -> Self {
        local.users.set(local.users.get() + 1);
        Self(&local.users)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Sends what was counted, interval by interval.
struct Clerk<'a> {
    local: &'a Local,
    /// The users of the baseline.
    baseline: Option<&'a Local>,
    post: &'a Post,
    number: u32,
    from: Duration,
    cuts: Vec<Duration>,
}

impl Clerk<'_> {
    /// Sends intervals for ever; ends when nobody takes them any more.
    async fn keep(&mut self) {
        loop {
            let to = next_boundary(self.from, &self.cuts);
            tokio::time::sleep_until((self.post.start + to).into()).await;
            if !self.close(to).await {
                return;
            }
        }
    }

    /// Ends every interval up to the load's end. The last arrival comes before it, the last answer
    /// often just behind it: neither may cost the last stage its end.
    async fn finish(&mut self) {
        let plan = &self.local.crew.plan;
        let end = plan.duration().0;
        let is_near = self.post.start.elapsed() + Duration::from_secs(1) >= end;
        if plan.is_once || !(is_near || plan.rate().is_some()) {
            return;
        }
        while self.from < end {
            let to = next_boundary(self.from, &self.cuts);
            if !self.close(to).await {
                return;
            }
        }
    }

    /// Ends the interval and sends it; false when nobody takes it.
    async fn close(&mut self, to: Duration) -> bool {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let to = to.max(self.from);
        let mut snapshot = Box::new(Snapshot {
            thread: self.post.index,
            number: self.number,
            from: micros(self.from),
            to: micros(to),
            users: self.local.users.get(),
            closed: micros(self.post.start.elapsed()),
            cpu: cpu_of(ClockId::ThreadCPUTime),
            rounds: self.local.rounds.take(),
            used_up: self.local.used_up.take(),
            ..Snapshot::default()
        });
        for counts in self.local.checks.borrow_mut().iter_mut() {
            snapshot.checks.push(std::mem::take(counts));
        }
        snapshot.fill(&mut self.local.recorder.borrow_mut());
        if let Some(other) = self.baseline {
            snapshot.users += other.users.get();
            snapshot.rounds += other.rounds.take();
            for (sum, own) in snapshot.used_up.iter_mut().zip(other.used_up.take()) {
                *sum += own;
            }
            other.checks.borrow_mut().iter_mut().for_each(|counts| *counts = [0; 2]);
            snapshot.fill_baseline(&mut other.recorder.borrow_mut());
        }
        self.number += 1;
        self.from = to;
        self.post.sender.send(snapshot).await.is_ok()
    }
}
