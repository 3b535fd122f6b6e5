//! The worker: evaluates a plan and drives its share of the load.
//!
//! A process of its own, since a plan is a job's program: no environment, no names to resolve,
//! connections to the pinned addresses only.

mod alarm;
mod watch;
mod site;
mod tls;
mod tunnel;
mod dial;
mod answer;

mod wire;
mod http2;
mod websocket;
mod grpc;
mod dns;
mod tcp;
mod call;
mod oauth;
mod cookie;
mod message;
mod exchange;
mod judge;
mod recall;
mod local;
mod user;
mod solo;
mod thread;

pub use tls::mistakes as tls_mistakes;

use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use prost_reflect::DescriptorPool;

use crate::load::error::{Error, Mistakes};
use crate::load::failure::Failure;
use crate::load::pace::{Share, pattern};
use crate::load::plan::{Origin, Plan};
use crate::load::protocol::{self, Order, Report};
use crate::load::script::Script;
use message::Message;
use site::Site;

/// The main function of the worker process: the plan on stdin, snapshots on stdout.
pub fn worker() -> Result<(), Error> {
    confine();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Stream)?;
    let result = runtime.block_on(serve(tokio::io::stdin(), tokio::io::stdout()));
    // A read of stdin may still block; nothing is left to be waited for.
    runtime.shutdown_background();
    result
}

/// Gives up what a generator does not need and takes the open files that it does.
fn confine() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Where the kernel refuses one of these the run is still right, only less confined or smaller.
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}

/// What all threads of a worker share.
#[derive(Debug)]
pub struct Crew {
    plan: Plan,
    script: Script,
    sites: Vec<Site>,
    /// The messages of requests that are the same each time, by the requests' numbers.
    prepared: Vec<Option<Message<'static>>>,
    pattern: Vec<usize>,
    tls: Option<tls::Agent>,
    share: Share,
    n_threads: u32,
    seed: u64,
    /// What the setup saved, by its slots.
    given: OnceLock<Vec<Option<Arc<Value>>>>,
    /// What shows tokens, by their numbers.
    tokens: RwLock<Vec<String>>,
    /// What gRPC's services are.
    services: OnceLock<DescriptorPool>,
}

impl Crew {
    fn new(plan: Plan, share: Share) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let script = Script::compile(&plan, &mut mistakes);
        if !mistakes.0.is_empty() {
            return Err(Error::Plan(mistakes));
        }
        let has_tls = plan.origins().iter().any(|origin| origin.scheme.is_secure());
        let tls = if has_tls { Some(tls::Agent::new(&plan.tls)?) } else { None };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = u32::try_from(cores).unwrap_or(1);
        // The plan came over a socket: its numbers are bounded again here.
        let n_threads = plan.threads.unwrap_or(cores).clamp(1, plan.n_users().clamp(1, 256));
        let pattern = pattern(&script.weights);
        let seed = plan.seed.unwrap_or_else(|| SmallRng::from_os_rng().random());
        let sites = site::sites(&plan);
        let prepared = Vec::new();
        let (given, services) = (OnceLock::new(), OnceLock::new());
        let mut crew = Self {
            plan,
            script,
            sites,
            prepared,
            pattern,
            tls,
            share,
            n_threads,
            seed,
            given,
            tokens: RwLock::default(),
            services,
        };
        crew.prepared =
            crew.script.requests().map(|request| message::prepare(&crew, request)).collect();
        Ok(crew)
    }

    /// Returns the number of an origin's site; what is no site of the plan is not connected to.
    fn site(&self, origin: &Origin) -> Result<usize, Failure> {
        let at = self.sites.iter().position(|site| site.origin == *origin);
        at.ok_or_else(|| Failure::Redirect(origin.to_string()))
    }

    /// Returns the shortest time that a request may take.
    fn shortest_timeout(&self) -> Duration {
        let timeouts = self.script.wants().map(|want| want.timeout);
        timeouts.min().unwrap_or(self.plan.timeout.0)
    }
}

/// Serves one run: reads its orders, writes its reports, and ends with it. Ends early when the
/// orders do.
pub async fn serve(
    mut orders: impl AsyncRead + Unpin,
    mut reports: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    // Users on their own have tasks, too: those of the connections that they share.
    let result = tokio::task::LocalSet::new().run_until(follow(&mut orders, &mut reports)).await;
    if let Err(error) = &result {
        let error: &dyn std::error::Error = error;
        let text = std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        // Nobody may be there any more to be told.
        drop(protocol::write(&mut reports, &Report::Failed(text)).await);
    }
    result
}

async fn follow(
    orders: &mut (impl AsyncRead + Unpin),
    reports: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Error> {
    let Some(Order::Plan { plan, share }) = protocol::read(orders).await? else { return Ok(()) };
    let crew = Arc::new(Crew::new(*plan, share)?);
    let mut crews = vec![Arc::clone(&crew)];
    if let Some(plan) = crew.plan.of_baseline(crew.seed) {
        crews.push(Arc::new(Crew::new(plan, share)?));
    }
    // Those who renew tokens go on for as long as this does.
    let mut keepers = tokio::task::JoinSet::new();
    for crew in &crews {
        let ready = async {
            let renew = oauth::fetch(crew).await?;
            grpc::learn(crew).await.map(|()| renew)
        };
        match ready.await {
            Ok(renew) => {
                let crew = Arc::clone(crew);
                keepers.spawn_local(async move { oauth::keep(&crew, renew).await });
            }
            Err(why) => return protocol::write(reports, &Report::NoSetup(why)).await,
        }
        if let Some(why) = solo::setup(crew, reports).await? {
            return protocol::write(reports, &Report::NoSetup(why)).await;
        }
    }
    let threads = if crew.plan.is_once { 1 } else { crew.n_threads };
    protocol::write(reports, &Report::Ready { threads }).await?;
    let Some(Order::Start { at }) = protocol::read(orders).await? else { return Ok(()) };
    let start = instant_of(at);
    let is_ended = if crew.plan.is_once {
        tokio::select! {
            walked = solo::once(&crew, start, reports) => walked.map(|()| false)?,
            () = end_of(orders) => true,
        }
    } else {
        drive(&crews, start, (&mut *orders, &mut *reports)).await?
    };
    // Whoever ended the run does not wait for long.
    let longest = is_ended.then_some(Duration::from_secs(2));
    for crew in &crews {
        if let Some(why) = solo::teardown(crew, longest, reports).await? {
            protocol::write(reports, &Report::NoTeardown(why)).await?;
        }
    }
    protocol::write(reports, &Report::Done { cpu: cpu_of(rustix::time::ClockId::ProcessCPUTime) })
        .await
}

/// Drives the load in all threads; true when it was ended before its time.
async fn drive(
    crews: &[Arc<Crew>],
    start: Instant,
    (orders, reports): (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
) -> Result<bool, Error> {
    let stop = CancellationToken::new();
    let _ends_with_this = stop.clone().drop_guard();
    let (sender, mut counted) = mpsc::channel(64);
    let mut threads = Vec::new();
    for index in 0..crews.first().map_or(0, |crew| crew.n_threads) {
        let post = thread::Post { index, start, stop: stop.clone(), sender: sender.clone() };
        let crews = crews.to_vec();
        let thread = std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || thread::run(crews, post))
            .map_err(Error::Stream)?;
        threads.push(thread);
    }
    drop(sender);
    let mut is_ended = false;
    loop {
        tokio::select! {
            counted = counted.recv() => {
                let Some(snapshot) = counted else { break };
                protocol::write(reports, &Report::Snapshot(snapshot)).await?;
            }
            () = end_of(orders), if !is_ended => {
                is_ended = true;
                stop.cancel();
            }
        }
    }
    for thread in threads {
        thread.join().map_err(|_| Error::Worker("a thread of it panicked".to_owned()))??;
    }
    Ok(is_ended)
}

/// Waits for the end of the orders.
async fn end_of(orders: &mut (impl AsyncRead + Unpin)) {
    let mut byte = [0];
    while matches!(orders.read(&mut byte).await, Ok(1..)) {}
}

fn instant_of(at: i64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    Instant::now() + at.saturating_sub(now)
}

/// Reads a CPU clock, in microseconds.
fn cpu_of(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}
