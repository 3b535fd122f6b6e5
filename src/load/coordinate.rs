//! The coordinator: starts the worker, merges its snapshots, tells and judges.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::load::aims::MAX_LIMITS;
use crate::load::collect::{Books, latency};
use crate::load::error::Error;
use crate::load::event::{Event, Phase};
use crate::load::gauge::micros;
use crate::load::mask::Mask;
use crate::load::pace::Share;
use crate::load::plan::Plan;
use crate::load::protocol::{self, Order, Report};
use crate::load::result::{End, INSECURE, summarise};
use crate::load::shape::MAX_STAGES;
use crate::load::summary::{Generator, Summary};
use crate::unit::float;

/// How the worker process is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSpec {
    /// The program: this executable.
    pub program: PathBuf,
    /// Its arguments: `worker`.
    pub args: Vec<String>,
    /// The uid and gid to drop to; `None`: as the caller.
    pub user: Option<u32>,
}

/// A worker that is silent for longer than this is lost: it reports every second.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a worker may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the plan in a worker and judges what it saw.
///
/// On cancel it returns the summary so far, marked as interrupted. When the future is dropped the
/// worker is killed.
pub async fn run(
    plan: &Plan,
    worker: &WorkerSpec,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    let mut child = start(worker)?;
    let broken = || Error::Worker("its streams are missing".to_owned());
    let orders = child.stdin.take().ok_or_else(broken)?;
    let reports = child.stdout.take().ok_or_else(broken)?;
    let stderr = child.stderr.take().ok_or_else(broken)?;
    let mut last_words = String::new();
    let conducted = async {
        let result = conduct(plan, orders, reports, emit, cancel).await;
        // It ends by itself when its orders have; what does not is killed.
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            child.kill().await.map_err(Error::Stream)?;
        }
        result
    };
    let (result, ()) = tokio::join!(conducted, hear(stderr, &mut last_words));
    match result {
        Err(Error::Worker(text)) if !last_words.trim().is_empty() => {
            Err(Error::Worker(format!("{text}: {}", last_words.trim())))
        }
        other => other,
    }
}

fn start(worker: &WorkerSpec) -> Result<Child, Error> {
    let mut command = Command::new(&worker.program);
    command
        .args(&worker.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A signal to the driver's group cancels the run; the worker ends with its orders.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(user) = worker.user {
        // Root's further groups are dropped with its uid.
        command.uid(user).gid(user);
    }
    command.spawn().map_err(|source| Error::Start { program: worker.program.clone(), source })
}

/// Keeps the first words of the worker's stderr and drains the rest.
async fn hear(mut stderr: impl AsyncRead + Unpin, words: &mut String) {
    const KEPT: usize = 4096;
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
        if words.len() < KEPT {
            words.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    }
}

/// Drives a worker that is there already, over its two streams.
pub async fn conduct(
    plan: &Plan,
    mut orders: impl AsyncWrite + Unpin + Send,
    reports: impl AsyncRead + Unpin + Send,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    // The plan may have come over a socket: what costs the coordinator is bounded again here. A
    // stage as written may be two, and a preset adds limits.
    if plan.limits.len() > 3 * MAX_LIMITS || plan.model.stages.len() > 2 * MAX_STAGES {
        return Err(Error::Worker("the plan has too many limits or stages".to_owned()));
    }
    // What a policy gives bounds the whole: setup, load, last answers and teardown.
    let over = plan.extra.map(|extra| Instant::now() + plan.duration().0 + extra.0);
    // Reading a frame must not be cut in the middle, so it has a task of its own.
    let (sender, mut frames) = mpsc::channel(16);
    let read = async move {
        let mut reports = reports;
        loop {
            let frame = protocol::read::<Report>(&mut reports).await;
            let is_last = !matches!(frame, Ok(Some(_)));
            if sender.send(frame).await.is_err() || is_last {
                return;
            }
        }
    };
    let work = async {
        let order = Order::Plan { plan: Box::new(plan.clone()), share: Share::WHOLE };
        // A worker that dies at once is told by its reports' end.
        let told = protocol::write(&mut orders, &order).await;
        let threads = loop {
            match next(&mut frames).await? {
                Report::Ready { threads } => break threads,
                Report::Waiting => {}
                Report::NoSetup(why) => {
                    let text = Mask::of(plan).hide(&why).into_owned();
                    return Ok(unready(plan, &text, emit));
                }
                Report::Failed(text) => return Err(Error::Worker(text)),
                Report::Snapshot(_)
                | Report::Done { .. }
                | Report::Traced(_)
                | Report::NoTeardown(_) => return Err(unexpected()),
            }
        };
        told?;
        let at = now().saturating_add(20);
        protocol::write(&mut orders, &Order::Start { at }).await?;
        emit(Event::Started {
            plan: plan.name.clone(),
            target: plan.target.to_string(),
            load: plan.model.words.clone(),
            threads,
            at,
        });
        if plan.tls.is_insecure {
            emit(Event::Warning(format!("{INSECURE}: whoever answers is taken for the target")));
        }
        let books = Books::new(threads, at, plan);
        let streams = Streams { orders: Some(orders), frames: &mut frames, over };
        let summary = follow(plan, books, streams, emit, cancel).await?;
        emit(Event::Finished(Box::new(summary.clone())));
        Ok(summary)
    };
    tokio::pin!(read, work);
    tokio::select! {
        result = &mut work => result,
        () = &mut read => work.await,
    }
}

type Frames = mpsc::Receiver<Result<Option<Report>, Error>>;

fn unexpected() -> Error {
    Error::Worker("it spoke out of turn".to_owned())
}

async fn next(frames: &mut Frames) -> Result<Report, Error> {
    match tokio::time::timeout(SILENCE, frames.recv()).await {
        Err(_) => Err(Error::Worker(format!("it was silent for {} s", SILENCE.as_secs()))),
        Ok(Some(frame)) => frame?.ok_or_else(|| Error::Worker("it ended early".to_owned())),
        Ok(None) => Err(Error::Worker("it ended early".to_owned())),
    }
}

/// What a run is followed by.
struct Streams<'a, W> {
    /// Dropped, they end the worker.
    orders: Option<W>,
    frames: &'a mut Frames,
    /// When the whole must be over.
    over: Option<Instant>,
}

/// Waits for a moment; without one for ever.
async fn passing(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Follows a run from its start to its end, or until it is cancelled.
async fn follow<W>(
    plan: &Plan,
    books: Books,
    Streams { mut orders, frames, over }: Streams<'_, W>,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    let mut follower = Follower { mask: Mask::of(plan), phases: Phases::new(plan), books, emit };
    let mut stopped = None;
    let mut is_overdue = false;
    let cpu = loop {
        let report = if orders.is_some() {
            tokio::select! {
                report = next(frames) => report?,
                // The worker takes the end of its orders as the order to end.
                () = cancel.cancelled() => {
                    orders = None;
                    continue;
                }
                () = passing(over) => {
                    is_overdue = true;
                    orders = None;
                    continue;
                }
            }
        } else {
            // What it counted so far is here already: no reason to wait for long.
            match tokio::time::timeout(GRACE, next(frames)).await {
                Ok(report) => report?,
                Err(_) => break 0,
            }
        };
        match follower.take(report)? {
            Next::Wait => {}
            Next::Stop(why) => {
                stopped.get_or_insert(why);
                orders = None;
            }
            Next::End(cpu) => break cpu,
        }
    };
    let Follower { books, emit, .. } = follower.finish();
    if is_overdue && books.users() == 0 {
        emit(Event::Warning("the teardown took longer than the policy gives, and was cut".into()));
    }
    let generator = generator(&books, cpu);
    let end = match (&orders, stopped) {
        (_, Some(why)) => End::Stopped(why),
        (Some(_), None) if plan.is_once => End::Walked,
        (Some(_), None) => End::Reached,
        (None, None) if is_overdue && books.users() == 0 => End::Reached,
        (None, None) if is_overdue => End::Overdue,
        (None, None) => End::Cut,
    };
    Ok(summarise(plan, &books, generator, &end))
}

/// Keeps the books of a run and tells what happens.
struct Follower<'a> {
    mask: Mask,
    phases: Phases,
    books: Books,
    emit: &'a mut (dyn FnMut(Event) + Send),
}

/// What a report means for the run.
enum Next {
    Wait,
    /// It ends early, for this reason.
    Stop(String),
    /// It is over; the worker took so many microseconds of processor time.
    End(u64),
}

impl Follower<'_> {
    fn take(&mut self, report: Report) -> Result<Next, Error> {
        match report {
            Report::Snapshot(mut snapshot) => {
                self.mask.clean(&mut snapshot);
                self.phases.emit(snapshot.to, self.emit);
                let told = self.books.add(&snapshot)?;
                told.second.into_iter().for_each(|progress| (self.emit)(Event::Progress(progress)));
                if let Some(state) = told.endpoints {
                    (self.emit)(Event::Endpoints(Box::new(state)));
                }
                told.interval
                    .into_iter()
                    .for_each(|progress| (self.emit)(Event::Interval(progress)));
                return Ok(told.stop.map_or(Next::Wait, Next::Stop));
            }
            Report::Traced(mut traced) => {
                traced.clean(&self.mask);
                (self.emit)(Event::Traced(traced));
            }
            Report::Waiting => {}
            Report::NoTeardown(why) => {
                let text = format!("the teardown failed: {}", self.mask.hide(&why));
                (self.emit)(Event::Warning(text));
            }
            Report::Done { cpu } => return Ok(Next::End(cpu)),
            Report::Failed(text) => return Err(Error::Worker(text)),
            Report::Ready { .. } | Report::NoSetup(_) => return Err(unexpected()),
        }
        Ok(Next::Wait)
    }

    /// Tells what is left to tell.
    fn finish(mut self) -> Self {
        if let Some(progress) = self.books.finish() {
            (self.emit)(Event::Interval(progress));
        }
        if let Some(state) = self.books.recent(self.books.end(false)) {
            (self.emit)(Event::Endpoints(Box::new(state)));
        }
        self
    }
}

fn generator(books: &Books, cpu: u64) -> Generator {
    Generator {
        cpu_seconds: float(cpu) / 1e6,
        cpu_share: crate::load::collect::round(books.cpu_share()),
        threads: u32::try_from(books.n_threads()).unwrap_or(1),
        dropped: books.dropped,
        late: books.late,
        skipped: books.skipped,
        lag: latency(&books.lag),
    }
}

/// The summary of a run that could not begin.
fn unready(plan: &Plan, why: &str, emit: &mut (dyn FnMut(Event) + Send)) -> Summary {
    let mut books = Books::new(1, now(), plan);
    books.finish();
    let generator = Generator { threads: 1, ..Generator::default() };
    let mut summary = summarise(plan, &books, generator, &End::Walked);
    summary.reasons = vec![format!("the setup failed: {why}")];
    emit(Event::Finished(Box::new(summary.clone())));
    summary
}

struct Phases {
    judged: Option<(u64, u64)>,
    duration: u64,
    /// Name and end of each stage; empty where the phase says it all.
    stages: Vec<(String, u64)>,
    told: Option<Phase>,
    told_stage: Option<usize>,
}

impl Phases {
    fn new(plan: &Plan) -> Self {
        let model = &plan.model;
        let ends =
            crate::load::stages::parts(&model.stages).into_iter().map(|(_, end)| micros(end));
        let names = model.stages.iter().map(|stage| stage.name.clone());
        let stages: Vec<(String, u64)> = names.zip(ends).collect();
        Self {
            judged: model.judged().map(|(begin, end)| (micros(begin), micros(end))),
            duration: micros(plan.duration().0),
            stages: if stages.len() > 2 { stages } else { Vec::new() },
            told: None,
            told_stage: None,
        }
    }

    fn emit(&mut self, at: u64, emit: &mut (dyn FnMut(Event) + Send)) {
        let is_judged = self.judged.is_some_and(|(begin, end)| begin < at && at <= end);
        let phase = if at > self.duration {
            Phase::Drain
        } else if is_judged {
            Phase::Steady
        } else {
            Phase::Ramp
        };
        if self.told != Some(phase) {
            self.told = Some(phase);
            emit(Event::Phase(phase));
        }
        let stage = self.stages.iter().position(|(_, end)| at <= *end);
        if stage > self.told_stage
            && let Some((name, _)) = stage.and_then(|at| self.stages.get(at))
        {
            self.told_stage = stage;
            emit(Event::Stage(name.clone()));
        }
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
