//! The journeys compiled: templates read, names resolved to slots, endpoints numbered.
//!
//! Building a plan compiles it to find its mistakes; the worker compiles it to run it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::load::check::CompiledCheck;
use crate::load::error::Mistakes;
use crate::load::file::AuthFile;
use crate::load::gauge::Tags;
use crate::load::plan::{
    Action, Body, Journey, LONGEST_TIMEOUT, Method, Origin, Plan, Request, Status, Step,
};
use crate::load::take::Take;
use crate::load::template::{Condition, Names, Template, Tree};
use crate::load::think::Think;

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
    /// Its number among the script's endpoints.
    pub endpoint: usize,
    /// Headers.
    pub headers: Vec<(HeaderName, CompiledHeader)>,
    /// What is sent.
    pub body: CompiledBody,
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
    /// The statuses that are fine; empty: 2xx and 3xx.
    pub status: Vec<Status>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A header's value.
#[derive(Debug)]
pub enum CompiledHeader {
    /// The same each time.
    Fixed(HeaderValue),
    /// Rendered each time.
    Template(Template),
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
}

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
        Self { journeys, weights, endpoints, tags, checks, env, n_feeds, solo }
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

fn collect<'a>(steps: &'a [CompiledStep], found: &mut Vec<&'a CompiledRequest>) {
    for step in steps {
        match &step.action {
            CompiledAction::Request(request) => found.push(request),
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
        Action::Group(steps) | Action::Choice(steps) => {
            for step in steps {
                add_names(step, names);
            }
        }
    }
}

struct Compiler<'a> {
    names: Names,
    endpoints: &'a mut Vec<String>,
    tags: &'a mut Tags,
    checks: &'a mut Vec<(String, String)>,
    n_requests: &'a mut usize,
    n_feeds: &'a mut usize,
    timeout: Duration,
    mistakes: &'a mut Mistakes,
}

impl Compiler<'_> {
    fn journey(&mut self, key: &str, journey: &Journey) -> CompiledJourney {
        let (start, end) = match key {
            "" => ("setup".to_owned(), "teardown".to_owned()),
            key => (format!("{key}.start"), format!("{key}.end")),
        };
        let user = journey.user.as_ref().map(|user| self.tree(format!("{key}.user"), user));
        let first_feed = *self.n_feeds;
        *self.n_feeds += journey.feeds.len();
        let mut compiled = CompiledJourney {
            given: Vec::new(),
            names: Vec::new(),
            feeds: journey.feeds.iter().map(|feed| self.names.variable(&feed.name)).collect(),
            first_feed,
            think: journey.think,
            pace: journey.pace.map(|span| span.0),
            data: journey.data.values().map(|list| Value::Array(list.clone())).collect(),
            user,
            start: self.steps(&start, &journey.start),
            steps: self.steps(&format!("{key}.steps"), &journey.steps),
            end: self.steps(&end, &journey.end),
            n_variables: self.names.n_variables(),
        };
        compiled.names = self.names.variables().map(str::to_owned).collect();
        compiled
    }

    fn steps(&mut self, key: &str, steps: &[Step]) -> Vec<CompiledStep> {
        steps.iter().enumerate().map(|(n, step)| self.step(&format!("{key}[{n}]"), step)).collect()
    }

    fn step(&mut self, key: &str, step: &Step) -> CompiledStep {
        let when = step.when.as_ref().and_then(|text| self.condition(format!("{key}.when"), text));
        let while_ =
            step.while_.as_ref().and_then(|text| self.condition(format!("{key}.while"), text));
        let set = step
            .set
            .iter()
            .map(|(name, value)| {
                (self.names.variable(name), self.tree(format!("{key}.set.{name}"), value))
            })
            .collect();
        let action = match &step.action {
            Action::Request(request) => {
                CompiledAction::Request(Box::new(self.request(key, request)))
            }
            Action::Group(steps) => {
                CompiledAction::Group(self.steps(&format!("{key}.steps"), steps))
            }
            Action::Choice(steps) => {
                let mut sum = 0;
                let sums = steps.iter().map(|step| {
                    sum += u64::from(step.weight);
                    sum
                });
                let sums: Vec<u64> = sums.collect();
                let steps = self.steps(&format!("{key}.choose"), steps);
                CompiledAction::Choice(sums.into_iter().zip(steps).collect())
            }
        };
        CompiledStep { when, while_, repeat: step.repeat, think: step.think, set, action }
    }

    fn request(&mut self, key: &str, request: &Request) -> CompiledRequest {
        let method = request.method;
        let endpoint = format!("{method} {}", request.name);
        for tag in &request.tags {
            let tagged = self.tags.entry(tag.clone()).or_default();
            if !tagged.contains(&endpoint) {
                tagged.push(endpoint.clone());
            }
        }
        let verb = method.to_string().to_lowercase();
        let path = self.template(format!("{key}.{verb}"), &request.path);
        let mut headers: Vec<(HeaderName, CompiledHeader)> = request
            .headers
            .iter()
            .filter_map(|(name, value)| self.header(key, name, value))
            .collect();
        headers.extend(request.auth.as_ref().and_then(|auth| self.auth(key, auth)));
        let save = self.takes(key, request);
        let checks = self.checks(key, request, &endpoint);
        let number = *self.n_requests;
        *self.n_requests += 1;
        CompiledRequest {
            number,
            method,
            origin: request.origin.clone(),
            path,
            endpoint: self.endpoint(endpoint),
            headers,
            body: self.body(key, &request.body),
            wants_body: save.iter().any(|(_, take)| take.wants_body())
                || checks.iter().any(CompiledCheck::wants_body),
            wants_json: checks.iter().any(CompiledCheck::wants_json),
            wants_headers: save.iter().any(|(_, take)| take.wants_headers())
                || checks.iter().any(CompiledCheck::wants_headers),
            save,
            checks,
            status: request.status.clone(),
            timeout: request.timeout.map_or(self.timeout, |span| span.0).min(LONGEST_TIMEOUT),
        }
    }

    fn takes(&mut self, key: &str, request: &Request) -> Vec<(usize, Take)> {
        request
            .save
            .iter()
            .filter_map(|(name, from)| {
                let slot = self.names.variable(name);
                let taken = Take::parse(from);
                let wrong = |text: String| self.mistakes.add(format!("{key}.save.{name}"), text);
                Some((slot, taken.map_err(wrong).ok()?))
            })
            .collect()
    }

    fn checks(&mut self, key: &str, request: &Request, endpoint: &str) -> Vec<CompiledCheck> {
        request
            .checks
            .iter()
            .filter_map(|check| {
                let own = (endpoint.to_owned(), check.name.clone());
                let at = self.checks.iter().position(|known| *known == own);
                let number = at.unwrap_or(self.checks.len());
                if at.is_none() {
                    self.checks.push(own);
                }
                let compiled = CompiledCheck::new(check, number, &self.names);
                let wrong = |text: String| self.mistakes.add(format!("{key}.check"), text);
                compiled.map_err(wrong).ok()
            })
            .collect()
    }

    fn endpoint(&mut self, name: String) -> usize {
        self.endpoints.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.endpoints.push(name);
            self.endpoints.len() - 1
        })
    }

    fn header(
        &mut self,
        key: &str,
        name: &str,
        value: &str,
    ) -> Option<(HeaderName, CompiledHeader)> {
        let key = format!("{key}.headers.{name}");
        let Ok(header) = HeaderName::try_from(name) else {
            self.mistakes.add(key, "this is not a header name");
            return None;
        };
        if ["host", "content-length", "transfer-encoding", "connection", "upgrade"]
            .contains(&header.as_str())
        {
            self.mistakes.add(key, "this header is set by dyno itself: leave it out");
            return None;
        }
        let template = self.template(key.clone(), value);
        let compiled = match template.as_fixed() {
            None => CompiledHeader::Template(template),
            Some(text) => {
                if let Ok(value) = HeaderValue::try_from(text) {
                    CompiledHeader::Fixed(value)
                } else {
                    self.mistakes.add(key, "a header's value cannot hold control characters");
                    return None;
                }
            }
        };
        Some((header, compiled))
    }

    fn auth(&mut self, key: &str, auth: &AuthFile) -> Option<(HeaderName, CompiledHeader)> {
        let template = match auth {
            AuthFile::Bearer(token) => Template::parse(&format!("Bearer {token}"), &self.names),
            AuthFile::Basic(basic) => Template::basic(&basic.user, &basic.password, &self.names),
        };
        let wrong = |error: crate::load::template::Error| {
            self.mistakes.add(format!("{key}.auth"), error.to_string());
        };
        Some((http::header::AUTHORIZATION, CompiledHeader::Template(template.map_err(wrong).ok()?)))
    }

    fn body(&mut self, key: &str, body: &Body) -> CompiledBody {
        match body {
            Body::None => CompiledBody::None,
            Body::Json(value) => CompiledBody::Json(self.tree(format!("{key}.json"), value)),
            Body::Text(text) => CompiledBody::Text(self.template(format!("{key}.body"), text)),
            Body::Form(fields) => CompiledBody::Form(
                fields
                    .iter()
                    .map(|(name, value)| {
                        let mut encoded = String::new();
                        crate::load::template::push_escaped(
                            &mut encoded,
                            name,
                            crate::load::template::Escape::Form,
                        );
                        (encoded, self.template(format!("{key}.form.{name}"), value))
                    })
                    .collect(),
            ),
        }
    }

    fn condition(&mut self, key: String, text: &str) -> Option<Condition> {
        let condition = Condition::parse(text, &self.names);
        condition.map_err(|error| self.mistakes.add(key, error.to_string())).ok()
    }

    fn template(&mut self, key: String, text: &str) -> Template {
        Template::parse(text, &self.names).unwrap_or_else(|error| {
            self.mistakes.add(key, error.to_string());
            Template::default()
        })
    }

    fn tree(&mut self, key: String, value: &Value) -> Tree {
        Tree::parse(value, &self.names).unwrap_or_else(|error| {
            self.mistakes.add(key, error.to_string());
            Tree::Fixed(Value::Null, String::new())
        })
    }
}
