//! The plan as meant: cannot be wrong, and goes as data to whoever performs it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::load::body::Fill;
use crate::load::call::Call;
use crate::load::check::Check;
pub use crate::load::connection_file::Version;
use crate::load::connection_file::{HttpFile, TlsFile};
use crate::load::feed::Feed;
use crate::load::file::{AuthFile, CriterionFile, JourneyFile, ModelFile, StepFile};
use crate::load::gauge::Tags;
use crate::load::histogram::Histogram;
use crate::load::limit::Limit;
use crate::load::model::{Model, Preset};
pub use crate::load::origin::{Origin, Scheme, Target};
use crate::load::proxy::Proxy;
use crate::load::stages::Stage;
use crate::load::think::Think;
use crate::load::url;
use crate::secret::Secret;
use crate::unit::{Rate, Size, Span};

/// The load parts of a plan file and what the command line says beside it.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The plan's name, for people: the file's name, say.
    pub name: String,
    /// `target:`.
    pub target: Option<String>,
    /// `http:`.
    pub http: Option<HttpFile>,
    /// `tls:`.
    pub tls: Option<TlsFile>,
    /// `load:`.
    pub load: Option<ModelFile>,
    /// `journeys:`.
    pub journeys: Vec<JourneyFile>,
    /// `setup:`.
    pub setup: Vec<StepFile>,
    /// `teardown:`.
    pub teardown: Vec<StepFile>,
    /// `limits:`.
    pub limits: Vec<String>,
    /// `criteria:`.
    pub criteria: Vec<CriterionFile>,
    /// The texts of the files that it names.
    pub files: BTreeMap<String, String>,
    /// The contents of files that are no texts.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// What the command line says in place of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--target`.
    pub target: Option<String>,
    /// `--get`: replaces the journeys by GETs of these paths.
    pub get: Vec<String>,
    /// `--users`.
    pub users: Option<u32>,
    /// `--spawn-rate`.
    pub spawn_rate: Option<Rate>,
    /// `--arrivals`.
    pub arrivals: Option<Rate>,
    /// `--duration`.
    pub duration: Option<Span>,
    /// `--preset`.
    pub preset: Option<Preset>,
    /// `--baseline`.
    pub baseline: Option<String>,
    /// `--push`, in addition to the file's.
    pub push: Vec<String>,
    /// `--threads`.
    pub threads: Option<u32>,
    /// `--timeout`.
    pub timeout: Option<Span>,
    /// `--once`.
    pub is_once: bool,
    /// `--limit`, in addition to the file's.
    pub limits: Vec<String>,
    /// `--http`.
    pub http: Option<Version>,
    /// `--streams`.
    pub streams: Option<u32>,
    /// `--proxy`.
    pub proxy: Option<String>,
    /// `--ca-file` and its like: in place of the file's, one by one.
    pub tls: TlsFile,
}

/// No request may take longer: it is also the longest time that is told apart.
pub const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);

/// A load test as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For people.
    pub name: String,
    /// Where the paths of the steps belong.
    pub target: Target,
    /// How much and how long.
    pub model: Model,
    /// What users do; never empty.
    pub journeys: Vec<Journey>,
    /// Done once by one user before everything else; what it saves is there for all.
    pub setup: Vec<Step>,
    /// Done once by one user after everything else.
    pub teardown: Vec<Step>,
    /// True when each journey is walked through once, and shown.
    pub is_once: bool,
    /// What the client may see at most.
    pub limits: Vec<Limit>,
    /// What the target is compared with.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Tags and the endpoints that carry them.
    pub tags: Tags,
    /// The checks: endpoint and name.
    pub checks: Vec<(String, String)>,
    /// The variables that templates name by `env.NAME`.
    pub env: BTreeMap<String, Secret<String>>,
    /// How many threads generate at most; one a core otherwise.
    pub threads: Option<u32>,
    /// Makes the random choices repeatable.
    pub seed: Option<u64>,
    /// How long a request may take.
    pub timeout: Span,
    /// How HTTP is spoken.
    pub http: Http,
    /// How TLS is spoken.
    pub tls: Tls,
    /// What proto files define, as base64.
    pub protos: String,
    /// Sinks that get the figures while the load runs, by the policy's names.
    #[serde(default)]
    pub push: Vec<String>,
    /// What the policy gives beyond the load's duration for setup, last answers and teardown; filled
    /// by whoever performs the plan, `None` on a laptop.
    #[serde(default)]
    pub extra: Option<Span>,
    /// What the worker may connect to; filled by whoever performs the plan, empty before.
    pub pins: Pins,
    /// How long it took to look the names up, in microseconds.
    pub looked_up: Vec<u64>,
}

impl Plan {
    /// Returns what the plan connects to, each once, the target first.
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins = vec![self.target.origin.clone()];
        let baseline = self.baseline.iter().map(|baseline| baseline.target.origin.clone());
        origins.extend(baseline.filter(|origin| *origin != self.target.origin));
        let steps = self.journeys.iter().flat_map(Journey::all_steps);
        for step in steps.chain(&self.setup).chain(&self.teardown) {
            step.collect_origins(&mut origins);
        }
        if let Some(proxy) = &self.http.proxy
            && !origins.contains(&proxy.origin)
        {
            origins.push(proxy.origin.clone());
        }
        origins
    }

    /// Returns how many users run at the same time at most.
    pub fn n_users(&self) -> u32 {
        self.model.n_users()
    }

    /// Returns the asked rate of journeys; `None` where the target decides it (closed model).
    pub fn rate(&self) -> Option<Rate> {
        self.model.rate()
    }

    /// Returns how long it took to look the names up.
    pub fn lookups(&self) -> Histogram {
        let mut all = Histogram::default();
        self.looked_up.iter().for_each(|micros| all.record(*micros));
        all
    }

    /// Returns how long the load lasts.
    pub fn duration(&self) -> Span {
        self.model.duration()
    }
}

/// What the target is compared with: it gets the same load, block by block in turn with the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Where it is.
    pub target: Target,
    /// Its stages: those of the target with the blocks exchanged.
    pub stages: Vec<Stage>,
    /// The smallest change that matters, as a share.
    pub effect: f64,
    /// How sure a verdict is, as a share.
    pub confidence: f64,
    /// What is compared; each as the limit that it is reported as.
    pub compared: Vec<Limit>,
}

impl Plan {
    /// Returns the plan that the baseline gets.
    pub fn of_baseline(&self, seed: u64) -> Option<Self> {
        let baseline = self.baseline.as_ref()?;
        let model = Model { stages: baseline.stages.clone(), ..self.model.clone() };
        let target = baseline.target.clone();
        let mut plan = Self { target, model, seed: Some(seed), baseline: None, ..self.clone() };
        let journeys = plan.journeys.iter_mut().flat_map(|journey| {
            [&mut journey.start, &mut journey.steps, &mut journey.end].into_iter()
        });
        for steps in journeys.chain([&mut plan.setup, &mut plan.teardown]) {
            for step in steps.iter_mut() {
                step.go_to(&plan.target.origin);
            }
        }
        Some(plan)
    }
}

/// How HTTP is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Which one.
    pub version: Version,
    /// HTTP/2: how many users share a connection; never zero.
    pub streams: u32,
    /// What connections go through.
    pub proxy: Option<Proxy>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Trust anchors beside the system's, PEM.
    pub ca: Option<String>,
    /// The client's certificate and those that vouch for it, PEM.
    pub certificate: Option<String>,
    /// The key of the client's certificate, PEM.
    pub key: Option<Secret<String>>,
    /// What the server is called in place of its host.
    pub server_name: Option<String>,
    /// True when whoever answers is taken for the target.
    pub is_insecure: bool,
}

/// The addresses behind each `host:port`: what the worker may connect to, and nothing else.
pub type Pins = BTreeMap<String, Vec<IpAddr>>;

/// What one user does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Its name, for people.
    pub name: String,
    /// Its share among the journeys; never zero.
    pub weight: u32,
    /// The pause after each step of the round.
    pub think: Think,
    /// How far apart rounds start at least.
    pub pace: Option<Span>,
    /// Lists to choose from.
    pub data: BTreeMap<String, Vec<Value>>,
    /// Rows of files.
    pub feeds: Vec<Feed>,
    /// What `user` stands for; a template.
    pub user: Option<Value>,
    /// Done once at a user's start.
    pub start: Vec<Step>,
    /// Done round after round; never empty.
    pub steps: Vec<Step>,
    /// Done once at a user's end.
    pub end: Vec<Step>,
}

impl Journey {
    /// Returns its steps: of its start, its rounds and its end.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.start.iter().chain(&self.steps).chain(&self.end)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Left out unless this condition holds.
    pub when: Option<String>,
    /// Done again for as long as this condition holds.
    pub while_: Option<String>,
    /// How often it is done at most; never zero.
    pub repeat: u32,
    /// Its share where one of several is chosen; never zero.
    pub weight: u32,
    /// The pause after it; `None`: the journey's, or none inside a group.
    pub think: Option<Think>,
    /// Variables set before it; templates.
    pub set: BTreeMap<String, Value>,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// Sends calls that go to the target to another one.
    fn go_to(&mut self, target: &Origin) {
        match &mut self.action {
            Action::Request(_) => {}
            Action::Call(call) => {
                if let Some(origin) = call.origin.as_mut().filter(|_| call.is_at_target) {
                    *origin = origin.moved_to(target);
                }
            }
            Action::Group(steps) | Action::Choice(steps) => {
                for step in steps {
                    step.go_to(target);
                }
            }
        }
    }

    fn collect_origins(&self, origins: &mut Vec<Origin>) {
        let (own, auth) = match &self.action {
            Action::Request(request) => (&request.origin, &request.auth),
            Action::Call(call) => (&call.origin, &call.auth),
            Action::Group(_) | Action::Choice(_) => (&None, &None),
        };
        let token = match auth {
            Some(AuthFile::Oauth(oauth)) => url::split(&oauth.token_url).ok(),
            Some(AuthFile::Basic(_) | AuthFile::Bearer(_)) | None => None,
        };
        for origin in own.iter().chain(token.iter().map(|(origin, _)| origin)) {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        }
        match &self.action {
            Action::Request(_) | Action::Call(_) => {}
            Action::Group(steps) | Action::Choice(steps) => {
                for step in steps {
                    step.collect_origins(origins);
                }
            }
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// One request.
    Request(Box<Request>),
    /// Something that is no HTTP request.
    Call(Box<Call>),
    /// Steps one after the other, without pauses.
    Group(Vec<Step>),
    /// One of the steps, by weight.
    Choice(Vec<Step>),
}

/// A request; path, header values and bodies are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to connect; `None`: the plan's target.
    pub origin: Option<Origin>,
    /// Path and query, a template; the target's base is put before it when `origin` is `None`.
    pub path: String,
    /// The endpoint it is counted under, without the method.
    pub name: String,
    /// What limits may name it by.
    pub tags: Vec<String>,
    /// Who sends it.
    pub auth: Option<AuthFile>,
    /// Header names in lower case with their value templates.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Body,
    /// Variable → where it is taken from.
    pub save: BTreeMap<String, String>,
    /// What is wanted of the answer.
    pub checks: Vec<Check>,
    /// The statuses that are fine; empty: 2xx and 3xx.
    pub status: Vec<Status>,
    /// How long it may take; `None`: the plan's.
    pub timeout: Option<Span>,
}

/// The methods that journeys know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
}

impl Method {
    /// As it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a request sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Nothing.
    None,
    /// JSON with templates in its strings.
    Json(Value),
    /// A form with templates in its values.
    Form(BTreeMap<String, String>),
    /// A text with templates.
    Text(String),
    /// Bytes, with their type.
    Upload(Content, Option<String>),
    /// Parts by name.
    Multipart(Vec<(String, Part)>),
}

/// Bytes that are no text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A file's, as base64.
    File(String),
    /// So many, made.
    Made(Size, Fill),
}

/// A part of a `multipart/form-data` body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A text with templates.
    Text(String),
    /// A file: its name, its type, its bytes.
    File(String, String, Content),
}

/// A range of statuses that are fine, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The first.
    pub lo: u16,
    /// The last.
    pub hi: u16,
}
