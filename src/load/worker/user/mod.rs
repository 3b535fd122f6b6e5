//! A virtual user: walks through its journey, round by round.

mod steps;
mod knowledge;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::load::failure::{Failure, Kind};
use crate::load::feed::Next;
use crate::load::file::{FeedOrder, FeedPer};
use crate::load::plan::LONGEST_TIMEOUT;
use crate::load::script::{CompiledJourney, USER};
use crate::load::think::Think;
use crate::load::worker::cookie::Jar;
use crate::load::worker::dial::Stream;
use crate::load::worker::http2::Seat;
use crate::load::worker::local::Local;
use crate::load::worker::watch::Watch;
use crate::load::worker::websocket::Socket;
use crate::load::worker::wire::Connection;
use knowledge::scope;
use steps::Until;

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
            let begun = self.now;
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
    /// Notes whether the target was there.
    pub fn note_connection(&mut self, result: &Result<(), Failure>) {
        let is_unconnected = result.as_ref().is_err_and(|failure| failure.kind() != Kind::Answer);
        self.n_unconnected = if is_unconnected { self.n_unconnected.saturating_add(1) } else { 0 };
    }
}
