//! The journeys compiled: templates read, names resolved to slots, endpoints numbered.
//!
//! Building a plan compiles it to find its mistakes; the worker compiles it to run it.

mod compiler;
mod sent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::load::body::Payload;
use crate::load::call::CompiledCall;
use crate::load::check::CompiledCheck;
use crate::load::error::Mistakes;
use crate::load::gauge::Tags;
use crate::load::plan::{Action, Journey, Method, Origin, Plan, Status, Step};
use crate::load::take::Take;
use crate::load::template::{Condition, Names, Template, Tree};
use crate::load::think::Think;
pub use compiler::Compiler;

/// All journeys of a plan, ready to run.
#[derive(Debug)]
pub struct Script {
    /// In the plan's order.
    pub journeys: Vec<CompiledJourney>,
    /// The weights of the journeys, in the same order.
    pub weights: Vec<u32>,
    /// `GET /products`, in order of first appearance.
    pub endpoints: Vec<String>,
    /// Tags and the endpoints that carry them.
    pub tags: Tags,
    /// The checks: endpoint and name.
    pub checks: Vec<(String, String)>,
    /// The values of `env.NAME`.
    pub env: Vec<Value>,
    /// What asks for tokens.
    pub tokens: Vec<CompiledRequest>,
    /// How many feeds all journeys have.
    pub n_feeds: usize,
    /// The number of the journey that is setup and teardown, behind all others.
    pub solo: Option<usize>,
}

/// A journey, ready to run.
#[derive(Debug)]
pub struct CompiledJourney {
    /// The pause after each step of the round.
    pub think: Think,
    /// How far apart rounds start at least.
    pub pace: Option<Duration>,
    /// Its lists, each an array.
    pub data: Vec<Value>,
    /// How many variables a user has.
    pub n_variables: usize,
    /// The variables' names, by slot.
    pub names: Vec<String>,
    /// Slots that begin with what the setup saved: own slot, the setup's.
    pub given: Vec<(usize, usize)>,
    /// The slots of the plan's feeds, and the number of the first one among all.
    pub feeds: Vec<usize>,
    /// How many feeds the journeys before it have.
    pub first_feed: usize,
    /// What the variable `user` (slot 0) is at a user's start.
    pub user: Option<Tree>,
    /// Done once.
    pub start: Vec<CompiledStep>,
    /// Done round after round.
    pub steps: Vec<CompiledStep>,
    /// Done once at the end.
    pub end: Vec<CompiledStep>,
}

/// A step, ready to run.
#[derive(Debug)]
pub struct CompiledStep {
    /// Left out unless this holds.
    pub when: Option<Condition>,
    /// Done again for as long as this holds.
    pub while_: Option<Condition>,
    /// How often at most.
    pub repeat: u32,
    /// The pause after it.
    pub think: Option<Think>,
    /// Variables set before it.
    pub set: Vec<(usize, Tree)>,
    /// What is done.
    pub action: CompiledAction,
}

/// What a step does, ready to run.
#[derive(Debug)]
pub enum CompiledAction {
    /// One request.
    Request(Box<CompiledRequest>),
    /// Something that is no HTTP request.
    Call(Box<CompiledCall>),
    /// Steps one after the other.
    Group(Vec<CompiledStep>),
    /// One of the steps; each with the sum of the weights up to its own.
    Choice(Vec<(u64, CompiledStep)>),
}

/// A request, ready to be rendered.
#[derive(Debug)]
pub struct CompiledRequest {
    /// Its number among the script's requests.
    pub number: usize,
    /// The method.
    pub method: Method,
    /// Where to connect; `None`: the target.
    pub origin: Option<Origin>,
    /// Path and query.
    pub path: Template,
    /// Headers.
    pub headers: Vec<(HeaderName, CompiledHeader)>,
    /// What is sent.
    pub body: CompiledBody,
    /// What is wanted of the answer, and how it is counted.
    pub want: Want,
}

/// What is wanted of an answer, and how it is counted.
#[derive(Debug)]
pub struct Want {
    /// Its number among the script's endpoints.
    pub endpoint: usize,
    /// What the status means.
    pub protocol: Protocol,
    /// Variables taken from the answer: slot and where from.
    pub save: Vec<(usize, Take)>,
    /// What is wanted of the answer.
    pub checks: Vec<CompiledCheck>,
    /// True when one of them looks at the body.
    pub wants_body: bool,
    /// True when a check looks at the body as JSON; what is saved finds its own way.
    pub wants_json: bool,
    /// True when one of them looks at headers.
    pub wants_headers: bool,
    /// The statuses that are fine; empty: those that are by themselves.
    pub status: Vec<Status>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 2xx and 3xx are fine by themselves.
    Http,
    /// 0 is fine by itself, as in all that follow; codes have names.
    Grpc,
    /// The same, with other names.
    Dns,
    /// There is none.
    Stream,
}

impl Want {
    /// True when the status is one that the step wants.
    pub fn is_fine(&self, status: u16) -> bool {
        if self.status.is_empty() {
            return match self.protocol {
                Protocol::Http => (200..400).contains(&status),
                Protocol::Grpc | Protocol::Dns | Protocol::Stream => status == 0,
            };
        }
        self.status.iter().any(|range| range.lo <= status && status <= range.hi)
    }
}

/// A header's value.
#[derive(Debug)]
pub enum CompiledHeader {
    /// The same each time.
    Fixed(HeaderValue),
    /// Rendered each time.
    Template(Template),
    /// The token of this number.
    Token(usize),
}

/// A request's body.
#[derive(Debug)]
pub enum CompiledBody {
    /// Nothing.
    None,
    /// JSON.
    Json(Tree),
    /// A form: encoded key and value.
    Form(Vec<(String, Template)>),
    /// A text.
    Text(Template),
    /// Bytes and their type.
    Upload(Arc<[Payload]>, String),
    /// What separates the parts, and each with its head.
    Multipart(String, Vec<(String, CompiledPart)>),
}

/// A part of a multipart body.
#[derive(Debug)]
pub enum CompiledPart {
    /// A text.
    Text(Template),
    /// Bytes.
    Bytes(Payload),
}

/// The type of bytes that nobody named one for.
pub const BYTES: &str = "application/octet-stream";

/// The slot of the variable `user`.
pub const USER: usize = 0;

impl Script {
    /// Compiles the plan's journeys; every mistake is added to `mistakes`.
    pub fn compile(plan: &Plan, mistakes: &mut Mistakes) -> Self {
        let mut endpoints = Vec::new();
        let mut tags = Tags::new();
        let mut checks = Vec::new();
        let mut n_requests = 0;
        let mut n_feeds = 0;
        let (mut oauths, mut tokens) = (Vec::new(), Vec::new());
        let mut journeys = Vec::new();
        let around = around(plan);
        let given = around.as_ref().map(names);
        let keys = (0..plan.journeys.len()).map(|n| format!("journeys[{n}]"));
        let all = keys.zip(&plan.journeys).chain(around.iter().map(|own| (String::new(), own)));
        for (key, journey) in all {
            let mut names = names(journey).with_env(plan.env.keys().cloned());
            // What the setup saves is there for everybody.
            for name in given.iter().flat_map(Names::variables) {
                names.variable(name);
            }
            let mut compiler = Compiler {
                names,
                endpoints: &mut endpoints,
                tags: &mut tags,
                checks: &mut checks,
                n_requests: &mut n_requests,
                n_feeds: &mut n_feeds,
                oauths: &mut oauths,
                tokens: &mut tokens,
                timeout: plan.timeout.0,
                mistakes,
            };
            let mut compiled = compiler.journey(&key, journey);
            compiled.given =
                given.as_ref().map(|given| pairs(&compiled.names, given)).unwrap_or_default();
            journeys.push(compiled);
        }
        let solo = around.map(|_| plan.journeys.len());
        let weights = plan.journeys.iter().map(|journey| journey.weight).collect();
        let env = plan.env.values().map(|value| value.reveal().as_str().into()).collect();
        Self { journeys, weights, endpoints, tags, checks, env, tokens, n_feeds, solo }
    }

    /// Returns what is wanted of all requests and calls.
    pub fn wants(&self) -> impl Iterator<Item = &Want> {
        let mut found = Vec::new();
        for journey in &self.journeys {
            for steps in [&journey.start, &journey.steps, &journey.end] {
                collect_wants(steps, &mut found);
            }
        }
        found.into_iter()
    }

    /// Returns all requests, in the order of their numbers.
    pub fn requests(&self) -> impl Iterator<Item = &CompiledRequest> {
        let mut found = Vec::new();
        for journey in &self.journeys {
            collect(&journey.start, &mut found);
            collect(&journey.steps, &mut found);
            collect(&journey.end, &mut found);
        }
        found.into_iter()
    }
}

fn collect_wants<'a>(steps: &'a [CompiledStep], found: &mut Vec<&'a Want>) {
    for step in steps {
        match &step.action {
            CompiledAction::Request(request) => found.push(&request.want),
            CompiledAction::Call(call) => found.push(&call.want),
            CompiledAction::Group(steps) => collect_wants(steps, found),
            CompiledAction::Choice(steps) => {
                for (_, step) in steps {
                    collect_wants(std::slice::from_ref(step), found);
                }
            }
        }
    }
}

fn collect<'a>(steps: &'a [CompiledStep], found: &mut Vec<&'a CompiledRequest>) {
    for step in steps {
        match &step.action {
            CompiledAction::Request(request) => found.push(request),
            CompiledAction::Call(_) => {}
            CompiledAction::Group(steps) => collect(steps, found),
            CompiledAction::Choice(steps) => {
                for (_, step) in steps {
                    collect(std::slice::from_ref(step), found);
                }
            }
        }
    }
}

/// Setup and teardown as the start and end of a journey without rounds.
fn around(plan: &Plan) -> Option<Journey> {
    let is_there = !plan.setup.is_empty() || !plan.teardown.is_empty();
    is_there.then(|| Journey {
        name: "setup".to_owned(),
        weight: 1,
        think: Think::NONE,
        pace: None,
        data: BTreeMap::new(),
        feeds: Vec::new(),
        user: None,
        start: plan.setup.clone(),
        steps: Vec::new(),
        end: plan.teardown.clone(),
    })
}

/// The slots of names that both have, apart from `user`.
fn pairs(own: &[String], given: &Names) -> Vec<(usize, usize)> {
    let given: Vec<&str> = given.variables().collect();
    let slot =
        |(at, name): (usize, &String)| Some((at, given.iter().position(|known| known == name)?));
    own.iter().enumerate().skip(1).filter_map(slot).collect()
}

/// Every name a journey may use: its lists, `user`, and all that any step sets or saves.
fn names(journey: &Journey) -> Names {
    let mut names = Names::new(journey.data.keys().cloned());
    names.variable("user");
    for feed in &journey.feeds {
        names.variable(&feed.name);
    }
    for step in journey.all_steps() {
        add_names(step, &mut names);
    }
    names
}

fn add_names(step: &Step, names: &mut Names) {
    for name in step.set.keys() {
        names.variable(name);
    }
    match &step.action {
        Action::Request(request) => {
            for name in request.save.keys() {
                names.variable(name);
            }
        }
        Action::Call(call) => {
            for name in call.save.keys() {
                names.variable(name);
            }
        }
        Action::Group(steps) | Action::Choice(steps) => {
            for step in steps {
                add_names(step, names);
            }
        }
    }
}
