//! A virtual user: walks through its journey, step by step.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::load::check::{CompiledCheck, Seen};
use crate::load::failure::{Failure, Kind};
use crate::load::feed::Next;
use crate::load::file::{FeedOrder, FeedPer};
use crate::load::pace::{self, Share};
use crate::load::plan::LONGEST_TIMEOUT;
use crate::load::record::Recorder;
use crate::load::script::{CompiledAction, CompiledJourney, CompiledRequest, CompiledStep, USER};
use crate::load::template::{Condition, Counter, Missing, Scope};
use crate::load::think::Think;
use crate::load::trace::Traced;
use crate::load::worker::Crew;
use crate::load::worker::answer::Memory;
use crate::load::worker::cookie::Jar;
use crate::load::worker::dial::Stream;
use crate::load::worker::http2::{Links, Seat};
use crate::load::worker::message::{Bodies, Message, Pool, Unrendered};
use crate::load::worker::recall::Recall;
use crate::load::worker::watch::{Patrol, Watch};
use crate::load::worker::websocket::Socket;
use crate::load::worker::wire::Connection;

/// Answers are read in pieces of at most so many bytes.
const BUFFER: usize = 32 * 1024;

/// What the users of a thread share.
#[derive(Debug)]
pub struct Local {
    /// The worker's plan and script.
    pub crew: Arc<Crew>,
    /// Where requests are counted.
    pub recorder: RefCell<Recorder>,
    /// How many users run.
    pub users: Cell<u32>,
    /// How many rounds of journeys were finished since the last interval.
    pub rounds: Cell<u64>,
    /// The thread's part of the load.
    share: Share,
    /// How often this thread took a row of each feed.
    fed: RefCell<Vec<u64>>,
    /// How often a feed had no row any more, and how often it began anew.
    pub used_up: Cell<[u64; 2]>,
    /// What `counter()` counts by.
    pub counter: Counter,
    /// How often each check held and failed since the last interval.
    pub checks: RefCell<Vec<[u64; 2]>>,
    /// What is shown of a walk; `None` in a load.
    pub trace: Option<RefCell<Vec<Traced>>>,
    /// When the run begins.
    start: Instant,
    /// When nothing new starts any more.
    pub end: Instant,
    /// What answers are read into.
    pub buffer: Rc<RefCell<Box<[u8]>>>,
    /// The head that was read last.
    pub memory: RefCell<Memory>,
    /// The connections that users share.
    pub links: Links,
    /// What requests are written into.
    pub pool: Pool,
    /// What bodies are kept in while they are read.
    pub bodies: Bodies,
    /// What was taken from the last answers.
    pub recall: Recall,
    /// Looks at the users' deadlines.
    pub patrol: Patrol,
}

impl Local {
    /// Makes it for a run that begins at `start`.
    pub fn new(crew: Arc<Crew>, start: Instant, share: Share) -> Self {
        Self {
            counter: Counter::new(share.nth(0).saturating_add(1), u64::from(share.of)),
            recorder: RefCell::new(Recorder::new(crew.script.endpoints.clone())),
            share,
            fed: RefCell::new(vec![0; crew.script.n_feeds]),
            used_up: Cell::new([0; 2]),
            trace: None,
            users: Cell::new(0),
            rounds: Cell::new(0),
            checks: RefCell::new(vec![[0; 2]; crew.script.checks.len()]),
            start,
            end: start + crew.plan.duration().0,
            buffer: Rc::new(RefCell::new(vec![0; BUFFER].into())),
            memory: RefCell::default(),
            links: Links::default(),
            pool: Pool::default(),
            bodies: Bodies::default(),
            recall: Recall::default(),
            patrol: Patrol::new(crew.shortest_timeout()),
            crew,
        }
    }

    /// Puts the end of a pause off to a moment at which others end, too: a wake-up costs more than
    /// an exchange.
    fn shared(&self, moment: Instant, think: Think) -> Instant {
        let slot = pace::slot(think.at(0.5), self.users.get());
        pace::put_off(self.start, moment, slot)
    }
}

/// One virtual user.
pub struct User {
    /// From 0.
    pub number: u64,
    /// Its variables, by slot.
    pub variables: Vec<Option<Arc<Value>>>,
    /// Its cookies.
    pub jar: Jar,
    /// Its connections, at most one an origin.
    pub connections: Vec<Connection>,
    /// Its places in connections that it shares.
    pub seats: Vec<Seat>,
    /// Its WebSocket.
    pub socket: Option<Box<Socket>>,
    /// Its connections of plain TCP, by site.
    pub streams: Vec<(usize, Stream)>,
    /// What it asks name servers by.
    pub udp: Option<(SocketAddr, UdpSocket)>,
    /// How often it has connected: several addresses are used in turn.
    pub n_dialled: usize,
    /// When its next request was meant to start; `None`: when it starts.
    pub meant: Option<Instant>,
    /// When it looked at the clock last; no wait lies between then and now.
    pub now: Instant,
    /// The deadline of its request.
    pub watch: Rc<Watch>,
    rng: SmallRng,
    journey: usize,
    n_requests: u64,
    n_unconnected: u32,
}

impl User {
    /// Makes the user; its choices depend on the seed and its number alone.
    pub fn new(local: &Local, number: u64) -> Self {
        let seed = local.crew.seed;
        let mut user = Self {
            number,
            variables: Vec::new(),
            jar: Jar::default(),
            connections: Vec::new(),
            seats: Vec::new(),
            socket: None,
            streams: Vec::new(),
            udp: None,
            n_dialled: 0,
            meant: None,
            now: Instant::now(),
            watch: local.patrol.watch(),
            rng: SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            journey: 0,
            n_requests: 0,
            n_unconnected: 0,
        };
        user.renew(local, number);
        user
    }

    /// Makes a user of a certain journey.
    pub fn of(local: &Local, journey: usize) -> Self {
        let mut user = Self::new(local, 0);
        user.journey = journey;
        user.begin(local);
        user
    }

    /// Makes it a new user that keeps the old one's connections.
    pub fn renew(&mut self, local: &Local, number: u64) {
        let crew = &local.crew;
        let length = u64::try_from(crew.pattern.len()).unwrap_or(1).max(1);
        let at = usize::try_from(number % length).unwrap_or(0);
        self.number = number;
        self.journey = crew.pattern.get(at).copied().unwrap_or(0);
        self.begin(local);
    }

    /// Begins without cookies, and with what the setup saved.
    fn begin(&mut self, local: &Local) {
        let number = self.number;
        self.jar.clear();
        self.variables.clear();
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return };
        self.variables.resize(journey.n_variables, None);
        if let Some(given) = local.crew.given.get() {
            for (own, from) in &journey.given {
                self.variables[*own] = given.get(*from).cloned().flatten();
            }
        }
        let own = match &journey.user {
            Some(tree) => {
                let scope = scope(local, journey, &self.variables, self.number);
                tree.value(scope, &mut self.rng).ok()
            }
            None => Some(json!({ "id": number + 1 })),
        };
        if let Some(variable) = self.variables.get_mut(USER) {
            *variable = own.map(Arc::new);
        }
    }

    /// Does the steps of the start alone.
    pub async fn start(&mut self, local: &Local, until: Instant) {
        if let Some(journey) = local.crew.script.journeys.get(self.journey) {
            self.steps(local, &journey.start, Think::NONE, Until(until)).await;
        }
    }

    /// Does the steps of the end alone.
    pub async fn finish(&mut self, local: &Local, until: Instant) {
        if let Some(journey) = local.crew.script.journeys.get(self.journey) {
            self.steps(local, &journey.end, Think::NONE, Until(until)).await;
        }
    }

    /// Returns the name of a variable and its value.
    pub fn named(&self, local: &Local, slot: usize) -> Option<(String, String)> {
        let journey = local.crew.script.journeys.get(self.journey)?;
        let value = self.variables.get(slot)?.as_ref()?;
        Some((journey.names.get(slot)?.clone(), value.to_string()))
    }

    /// Does the steps of the start and one round: an arrival of the open model.
    pub async fn visit(&mut self, local: &Local) {
        if let Some(journey) = local.crew.script.journeys.get(self.journey)
            && self.feed(local, journey, FeedPer::User)
            && self.feed(local, journey, FeedPer::Round)
        {
            // It finishes what it began, but no plan may last for as long as its journeys like.
            let until = Until(local.end + local.crew.plan.timeout.0.min(LONGEST_TIMEOUT));
            self.steps(local, &journey.start, Think::NONE, until).await;
            self.steps(local, &journey.steps, journey.think, until).await;
            self.steps(local, &journey.end, Think::NONE, until).await;
            local.rounds.set(local.rounds.get() + 1);
        }
    }

    /// Does the steps of the start, then round after round until its end.
    pub async fn live(&mut self, local: &Local, end: Instant) {
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return };
        let until = Until(end);
        if !self.feed(local, journey, FeedPer::User) {
            return;
        }
        self.steps(local, &journey.start, Think::NONE, until).await;
        while !until.is_over(self.now) && self.feed(local, journey, FeedPer::Round) {
            let before = self.n_requests;
            let begun = Instant::now();
            self.steps(local, &journey.steps, journey.think, until).await;
            if !until.is_over(self.now) {
                local.rounds.set(local.rounds.get() + 1);
            }
            if self.n_requests == before && journey.think.is_none() {
                // A round of nothing but left-out steps would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.now = Instant::now();
            }
            if let Some(pace) = journey.pace {
                self.wait_until(begun + pace, until).await;
            }
        }
        let rest = local.crew.plan.timeout.0.min(LONGEST_TIMEOUT);
        self.meant = None;
        self.steps(local, &journey.end, Think::NONE, Until(Instant::now() + rest)).await;
    }

    /// Takes the next row of each feed; false when one has none any more.
    fn feed(&mut self, local: &Local, journey: &CompiledJourney, per: FeedPer) -> bool {
        let feeds = local.crew.plan.journeys.get(self.journey).map_or(&[][..], |plan| &plan.feeds);
        for (n, (feed, slot)) in feeds.iter().zip(&journey.feeds).enumerate() {
            if feed.per != per {
                continue;
            }
            let mut fed = local.fed.borrow_mut();
            let Some(count) = fed.get_mut(journey.first_feed + n) else { continue };
            let taken = match feed.order {
                FeedOrder::Random => Next::Row(self.rng.random_range(0..feed.rows.len().max(1))),
                FeedOrder::Sequential | FeedOrder::Unique => feed.next(local.share.nth(*count)),
            };
            *count += 1;
            let [none, again] = local.used_up.get();
            let row = match taken {
                Next::Row(row) => row,
                Next::Again(row) => {
                    local.used_up.set([none, again + 1]);
                    row
                }
                Next::None => {
                    local.used_up.set([none + 1, again]);
                    return false;
                }
            };
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = feed.rows.get(row).cloned().map(Arc::new);
            }
        }
        true
    }

    /// Waits for the next round's moment; a round that took longer is followed by the next at once.
    async fn wait_until(&mut self, moment: Instant, until: Until) {
        if moment > Instant::now() {
            tokio::time::sleep_until(until.or(moment).into()).await;
            self.now = Instant::now();
            self.meant = None;
        }
    }

    async fn steps(&mut self, local: &Local, steps: &[CompiledStep], think: Think, until: Until) {
        for step in steps {
            for _ in 0..step.repeat {
                if until.is_over(self.now) {
                    return;
                }
                if !self.meets(local, step.while_.as_ref()) {
                    break;
                }
                // A step that was left out still takes its time.
                drop(self.step(local, step, until).await);
                self.think(local, step.think.unwrap_or(think), until).await;
            }
        }
    }

    async fn step(
        &mut self,
        local: &Local,
        step: &CompiledStep,
        until: Until,
    ) -> Result<(), Missing> {
        if !self.meets(local, step.when.as_ref()) {
            return Ok(());
        }
        let done = self.act(local, step, until).await;
        if let Err(missing) = &done {
            local.recorder.borrow_mut().skipped();
            if let Some(trace) = &local.trace {
                trace.borrow_mut().push(Traced::LeftOut(missing.to_string()));
            }
        }
        done
    }

    async fn act(
        &mut self,
        local: &Local,
        step: &CompiledStep,
        until: Until,
    ) -> Result<(), Missing> {
        for (slot, tree) in &step.set {
            let Some(journey) = local.crew.script.journeys.get(self.journey) else { break };
            let scope = scope(local, journey, &self.variables, self.number);
            let value = tree.value(scope, &mut self.rng);
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = value.as_ref().ok().cloned().map(Arc::new);
            }
            value?;
        }
        match &step.action {
            CompiledAction::Request(request) => {
                self.n_requests += 1;
                self.request(local, request).await
            }
            CompiledAction::Call(call) => {
                self.n_requests += 1;
                Box::pin(self.call(local, call)).await
            }
            CompiledAction::Group(steps) => Box::pin(self.group(local, steps, until)).await,
            CompiledAction::Choice(steps) => {
                let sum = steps.last().map_or(1, |(sum, _)| *sum).max(1);
                let drawn = self.rng.random_range(0..sum);
                let Some((_, step)) = steps.iter().find(|(sum, _)| drawn < *sum) else {
                    return Ok(());
                };
                Box::pin(self.group(local, std::slice::from_ref(step), until)).await
            }
        }
    }

    /// Does the steps of a group; the first one that has to be left out ends it.
    async fn group(
        &mut self,
        local: &Local,
        steps: &[CompiledStep],
        until: Until,
    ) -> Result<(), Missing> {
        for step in steps {
            for _ in 0..step.repeat {
                if until.is_over(self.now) {
                    return Ok(());
                }
                if !self.meets(local, step.while_.as_ref()) {
                    break;
                }
                if !self.meets(local, step.when.as_ref()) {
                    continue;
                }
                self.act(local, step, until).await?;
                if let Some(think) = step.think {
                    self.think(local, think, until).await;
                }
            }
        }
        Ok(())
    }

    async fn think(&mut self, local: &Local, think: Think, until: Until) {
        if think.is_none() || local.trace.is_some() {
            self.back_off(until).await;
            return;
        }
        let pause = think.at(self.rng.random());
        let wake = until.or(local.shared(Instant::now() + pause, think));
        match &mut self.socket {
            None => tokio::time::sleep_until(wake.into()).await,
            // A server that asks whether it is still there gets its answer.
            Some(socket) => {
                drop(tokio::time::timeout_at(wake.into(), Box::pin(socket.idle())).await);
            }
        }
        self.now = Instant::now();
        let start = pace::after_think(self.now.saturating_duration_since(wake), pause);
        if start.is_late && !until.is_over(self.now) {
            local.recorder.borrow_mut().late();
        }
        self.meant = self.now.checked_sub(start.owed);
    }

    /// A user that cannot connect does not hammer: ten times a second at first, then once.
    async fn back_off(&mut self, until: Until) {
        if self.n_unconnected > 0 {
            let pause = Duration::from_millis(100) * self.n_unconnected.min(10);
            let wake = Instant::now() + pause;
            tokio::time::sleep_until(until.or(wake).into()).await;
            self.now = Instant::now();
        }
    }

    /// Notes whether the target was there.
    pub fn note_connection(&mut self, result: &Result<(), Failure>) {
        let is_unconnected = result.as_ref().is_err_and(|failure| failure.kind() != Kind::Answer);
        self.n_unconnected = if is_unconnected { self.n_unconnected.saturating_add(1) } else { 0 };
    }

    /// Renders a request with what the user knows.
    pub fn render<'a>(
        &mut self,
        local: &'a Local,
        request: &CompiledRequest,
    ) -> Result<Message<'a>, Unrendered> {
        if let Some(Some(message)) = local.crew.prepared.get(request.number) {
            return Ok(message.borrowed());
        }
        let Some(journey) = local.crew.script.journeys.get(self.journey) else {
            return Err(Missing::Nothing("journey".to_owned()).into());
        };
        let scope = scope(local, journey, &self.variables, self.number);
        Message::render(&local.crew, &local.pool, request, scope, &mut self.rng)
    }

    /// Renders the texts of something with what the user knows.
    pub fn with_scope<T>(
        &mut self,
        local: &Local,
        render: impl FnOnce(Scope<'_>, &mut SmallRng) -> Result<T, Missing>,
    ) -> Result<T, Missing> {
        let Some(journey) = local.crew.script.journeys.get(self.journey) else {
            return Err(Missing::Nothing("journey".to_owned()));
        };
        render(scope(local, journey, &self.variables, self.number), &mut self.rng)
    }

    /// Makes a check with what the user knows.
    pub fn holds(&mut self, local: &Local, check: &CompiledCheck, seen: &Seen<'_>) -> bool {
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return false };
        let scope = scope(local, journey, &self.variables, self.number);
        check.holds(seen, scope, &mut self.rng)
    }

    /// True when a condition holds, or there is none.
    fn meets(&mut self, local: &Local, condition: Option<&Condition>) -> bool {
        let Some(condition) = condition else { return true };
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return false };
        let scope = scope(local, journey, &self.variables, self.number);
        condition.holds(scope, &mut self.rng)
    }
}

/// When a user stops, also in the middle of its round.
#[derive(Debug, Clone, Copy)]
struct Until(Instant);

impl Until {
    fn is_over(self, now: Instant) -> bool {
        now >= self.0
    }

    fn or(self, moment: Instant) -> Instant {
        moment.min(self.0)
    }
}

fn scope<'a>(
    local: &'a Local,
    journey: &'a CompiledJourney,
    variables: &'a [Option<Arc<Value>>],
    number: u64,
) -> Scope<'a> {
    let user = u32::try_from(number + 1).unwrap_or(u32::MAX);
    Scope {
        data: &journey.data,
        variables,
        user,
        env: &local.crew.script.env,
        counter: Some(&local.counter),
    }
}
