//! What the users of a thread share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::load::pace::{self, Share};
use crate::load::record::Recorder;
use crate::load::template::Counter;
use crate::load::think::Think;
use crate::load::trace::Traced;
use crate::load::worker::Crew;
use crate::load::worker::answer::Memory;
use crate::load::worker::http2::Links;
use crate::load::worker::message::{Bodies, Pool};
use crate::load::worker::recall::Recall;
use crate::load::worker::watch::Patrol;

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
    pub share: Share,
    /// How often this thread took a row of each feed.
    pub fed: RefCell<Vec<u64>>,
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
    pub fn shared(&self, moment: Instant, think: Think) -> Instant {
        let slot = pace::slot(think.at(0.5), self.users.get());
        pace::put_off(self.start, moment, slot)
    }
}
