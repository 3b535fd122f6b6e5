//! From the plan as written to the plan as meant: all mistakes are told at once.

use std::collections::BTreeMap;

use crate::job::Vars;
use crate::load::aims;
use crate::load::call::proto::Protos;
use crate::load::call::{self};
use crate::load::check;
use crate::load::connection;
use crate::load::error::{Error, Mistakes};
use crate::load::feed::{self, Feed};
use crate::load::file::{AuthFile, FeedFile, JourneyFile, ModelFile, StepFile};
use crate::load::limit::Limit;
use crate::load::model::Preset;
use crate::load::plan::{
    Action, Journey, LONGEST_TIMEOUT, Method, Origin, Overrides, Plan, Request, Scheme, Status,
    Step, Target, Written,
};
use crate::load::regression;
use crate::load::script::Script;
use crate::load::shape;
use crate::load::template::squeeze;
use crate::load::think::Think;
use crate::load::url;
use crate::secret::Secret;
use crate::unit::Span;

const MAX_STEPS: usize = 1000;
/// Rounds of a `while` without `repeat`.
const MAX_ROUNDS: u32 = 1000;
const TIMEOUT: Span = Span::seconds(30);
pub const TIMEOUTS: &str = "use more than nothing and at most 10m";

impl Plan {
    /// Builds the plan; environment variables in the target come from `vars`.
    #[expect(clippy::too_many_lines, reason = "one entry a key of the plan")]
    pub fn build(written: &Written, overrides: &Overrides, vars: &dyn Vars) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let file = written.load.clone().unwrap_or_default();
        let file = shape::chosen(&file, overrides, &mut mistakes);
        let target = overrides.target.as_deref().or(written.target.as_deref());
        let target = read_target("target", target, vars, &mut mistakes);
        let timeout = overrides.timeout.or(file.timeout).unwrap_or(TIMEOUT);
        if timeout.0.is_zero() || timeout.0 > LONGEST_TIMEOUT {
            mistakes.add("load.timeout", TIMEOUTS);
        }
        let threads = overrides.threads.or(file.threads);
        if threads.is_some_and(|n| n == 0 || n > 256) {
            mistakes.add("load.threads", "use 1 to 256 threads");
        }
        let model = shape::model(file.clone(), &mut mistakes);
        let baseline = (model.preset == Some(Preset::Regression)).then(|| {
            let written = file.baseline.as_ref().and_then(|baseline| baseline.target.as_deref());
            let target = read_target("load.baseline.target", written, vars, &mut mistakes);
            regression::baseline(&file, &model, target, &mut mistakes)
        });
        let mut protos = Protos::default();
        let around = (&target, &mut protos);
        let journeys = journeys(written, overrides, &file, around, &mut mistakes);
        let (setup, teardown) = self::around(written, (&target, &mut protos), &mut mistakes);
        let limits = aims::limits(written, overrides, &model, &mut mistakes);
        let (limit_keys, limits): (Vec<String>, Vec<Limit>) = limits.into_iter().unzip();
        let mut plan = Self {
            name: written.name.clone(),
            model,
            journeys,
            setup,
            teardown,
            is_once: overrides.is_once,
            limits,
            baseline,
            tags: BTreeMap::new(),
            checks: Vec::new(),
            env: env(written, vars),
            threads,
            seed: file.seed,
            timeout,
            http: connection::http(written.http.as_ref(), overrides, vars, &mut mistakes),
            tls: connection::tls(written, overrides, &mut mistakes),
            protos: protos.packed(),
            push: push(&file.push, &overrides.push),
            extra: None,
            target,
            pins: BTreeMap::new(),
            looked_up: Vec::new(),
        };
        if plan.is_once {
            plan.model = plan.model.once();
            plan.limits.clear();
            plan.baseline = None;
        }
        let script = Script::compile(&plan, &mut mistakes);
        plan.tags.clone_from(&script.tags);
        plan.checks.clone_from(&script.checks);
        aims::check_names(&limit_keys, &plan.limits, &script, &mut mistakes);
        if let Some(baseline) = &plan.baseline {
            let compared = &baseline.compared;
            let key = |n: usize| format!("load.baseline.compare[{n}]");
            let keys: Vec<String> = (0..compared.len()).map(key).collect();
            aims::check_names(&keys, compared, &script, &mut mistakes);
        }
        if mistakes.0.is_empty() { Ok(plan) } else { Err(Error::Plan(mistakes)) }
    }
}

/// Returns the variables that templates name by `env.NAME`; an unset one is told where it is used.
fn env(written: &Written, vars: &dyn Vars) -> BTreeMap<String, Secret<String>> {
    // The texts of a plan are JSON's, too: where in it the name stands does not matter.
    let parts = (&written.journeys, &written.setup, &written.teardown);
    let text = serde_json::to_string(&parts).unwrap_or_default();
    let mut env = BTreeMap::new();
    for (at, _) in text.match_indices("env.") {
        let rest = &text[at + "env.".len()..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        if let Some(value) = vars.filled(name) {
            env.insert(name.to_owned(), Secret::new(value));
        }
    }
    env
}

/// Returns the sinks that are named, each once.
fn push(file: &[String], more: &[String]) -> Vec<String> {
    let mut push: Vec<String> = Vec::new();
    for name in file.iter().chain(more) {
        if !push.contains(name) {
            push.push(name.clone());
        }
    }
    push
}

fn read_target(
    key: &str,
    written: Option<&str>,
    vars: &dyn Vars,
    mistakes: &mut Mistakes,
) -> Target {
    let nowhere = || Target {
        origin: Origin { scheme: Scheme::Http, host: "localhost".to_owned(), port: 80 },
        base: String::new(),
    };
    let Some(text) = written else {
        mistakes.add(key, "it is missing: say where the load goes, `http://host`");
        return nowhere();
    };
    let parsed = url::expand(text, vars).and_then(|url| {
        let (origin, base) = url::split_by(&url, &Scheme::ALL)?;
        if origin.port == 0 {
            return Err(url::Error::Port(String::new()));
        }
        Ok(Target { origin, base: base.trim_end_matches('/').to_owned() })
    });
    match parsed {
        Ok(target) if target.base.contains(['?', '#']) => {
            mistakes.add(key, "a query belongs to the steps, not to the target");
            target
        }
        Ok(target) => {
            let is_path = target.base.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
            if !is_path {
                mistakes.add(key, "its path holds characters that no URL has");
            }
            target
        }
        Err(error) => {
            mistakes.add(key, error.to_string());
            nowhere()
        }
    }
}

fn journeys(
    written: &Written,
    overrides: &Overrides,
    model: &ModelFile,
    (target, protos): (&Target, &mut Protos),
    mistakes: &mut Mistakes,
) -> Vec<Journey> {
    let files = &written.journeys;
    let think = model.think.unwrap_or(Think::NONE);
    if !overrides.get.is_empty() || files.is_empty() {
        let paths = if overrides.get.is_empty() { &[String::new()] } else { &*overrides.get };
        let steps = paths
            .iter()
            .map(|path| StepFile { get: Some(path.clone()), ..StepFile::default() })
            .collect();
        let file = JourneyFile { name: Some("get".to_owned()), steps, ..JourneyFile::default() };
        return vec![
            Steps {
                headers: &BTreeMap::new(),
                auth: None,
                tags: Vec::new(),
                mistakes,
                files: &written.files,
                blobs: &written.blobs,
                target,
                protos,
                n: 0,
            }
            .journey("--get", 0, &file, think),
        ];
    }
    let mut journeys = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let tags = file.tags.clone();
        let mut steps = Steps {
            headers: &file.headers,
            auth: file.auth.as_ref(),
            tags,
            mistakes,
            files: &written.files,
            blobs: &written.blobs,
            target,
            protos,
            n: 0,
        };
        journeys.push(steps.journey(&format!("journeys[{n}]"), n, file, think));
    }
    journeys
}

/// Setup and teardown.
fn around(
    written: &Written,
    (target, protos): (&Target, &mut Protos),
    mistakes: &mut Mistakes,
) -> (Vec<Step>, Vec<Step>) {
    let headers = BTreeMap::new();
    let (files, blobs) = (&written.files, &written.blobs);
    let (auth, tags, n) = (None, Vec::new(), 0);
    let mut steps =
        Steps { headers: &headers, auth, tags, mistakes, files, blobs, target, protos, n };
    let setup = steps.steps("setup", &written.setup, 0);
    (setup, steps.steps("teardown", &written.teardown, 0))
}

/// Builds steps; what is wrong is told by its key.
#[derive(Debug)]
pub struct Steps<'a> {
    headers: &'a BTreeMap<String, String>,
    /// The journey's own.
    pub auth: Option<&'a AuthFile>,
    /// Those of the journey and the groups around a step.
    pub tags: Vec<String>,
    /// What is wrong so far.
    pub mistakes: &'a mut Mistakes,
    /// The texts of the files that the plan names.
    pub files: &'a BTreeMap<String, String>,
    /// The contents of those that are no texts.
    pub blobs: &'a BTreeMap<String, Vec<u8>>,
    /// The plan's target.
    pub target: &'a Target,
    /// What proto files define.
    pub protos: &'a mut Protos,
    n: usize,
}

impl Steps<'_> {
    fn journey(&mut self, key: &str, n: usize, file: &JourneyFile, think: Think) -> Journey {
        if file.weight == Some(0) {
            self.mistakes.add(format!("{key}.weight"), "use 1 or more, or leave the journey out");
        }
        if file.steps.is_empty() {
            self.mistakes.add(format!("{key}.steps"), "a journey needs at least one step");
        }
        for (name, list) in &file.data {
            if list.is_empty() {
                self.mistakes.add(format!("{key}.data.{name}"), "the list is empty");
            }
        }
        let feeds =
            file.feed.iter().filter_map(|(name, feed)| self.feed(key, name, feed)).collect();
        let journey = Journey {
            feeds,
            name: file.name.clone().unwrap_or_else(|| format!("journey {}", n + 1)),
            weight: file.weight.unwrap_or(1),
            think: file.think.unwrap_or(think),
            pace: file.pace,
            data: file.data.clone(),
            user: file.user.clone(),
            start: self.steps(&format!("{key}.start"), &file.start, 0),
            steps: self.steps(&format!("{key}.steps"), &file.steps, 0),
            end: self.steps(&format!("{key}.end"), &file.end, 0),
        };
        if self.n > MAX_STEPS {
            self.mistakes.add(key, format!("more than {MAX_STEPS} steps"));
        }
        journey
    }

    fn feed(&mut self, key: &str, name: &str, file: &FeedFile) -> Option<Feed> {
        let key = format!("{key}.feed");
        self.variable(&key, name);
        let text = self.files.get(&file.file).ok_or_else(|| "it names no file".to_owned());
        let rows = text.and_then(|text| feed::rows(&file.file, text));
        let wrong = |error: String| self.mistakes.add(format!("{key}.{name}.file"), error);
        Some(Feed {
            name: name.to_owned(),
            rows: rows.map_err(wrong).ok()?,
            order: file.order,
            per: file.per,
            at_end: file.at_end,
        })
    }

    fn steps(&mut self, key: &str, files: &[StepFile], depth: usize) -> Vec<Step> {
        if depth > 8 {
            self.mistakes.add(key, "steps are nested deeper than 8");
            return Vec::new();
        }
        self.n += files.len();
        files
            .iter()
            .enumerate()
            .map(|(n, file)| self.step(&format!("{key}[{n}]"), file, depth))
            .collect()
    }

    #[expect(clippy::too_many_lines, reason = "one entry a key of the plan")]
    fn step(&mut self, key: &str, file: &StepFile, depth: usize) -> Step {
        let n_tags = self.tags.len();
        for tag in &file.tags {
            if tag.is_empty() || tag.contains(char::is_whitespace) {
                self.mistakes.add(format!("{key}.tags"), format!("`{tag}` is not one word"));
            }
        }
        self.tags.extend(file.tags.iter().cloned());
        if file.repeat == Some(0) {
            self.mistakes.add(format!("{key}.repeat"), "use 1 or more, or leave the step out");
        }
        if file.weight == Some(0) {
            self.mistakes.add(format!("{key}.weight"), "use 1 or more, or leave the step out");
        }
        let kinds = [!file.steps.is_empty(), !file.choose.is_empty()];
        let n_calls = call::n_calls(file);
        let action = match (self.request_line(key, file), kinds) {
            (None, [false, false]) if n_calls == 1 => self.call(key, file),
            _ if n_calls > 0 => {
                self.mistakes.add(
                    key,
                    "a step is one request or one of `websocket`, `grpc`, `dns`, `tcp`: make more \
                     steps",
                );
                Action::Group(Vec::new())
            }
            (Some((method, url)), [false, false]) => {
                Action::Request(Box::new(self.request(key, file, method, url)))
            }
            (None, [true, false]) => {
                self.only_requests(key, file);
                Action::Group(self.steps(&format!("{key}.steps"), &file.steps, depth + 1))
            }
            (None, [false, true]) => {
                self.only_requests(key, file);
                Action::Choice(self.steps(&format!("{key}.choose"), &file.choose, depth + 1))
            }
            // A step may do no more than set variables.
            (None, [false, false]) if !file.set.is_empty() => Action::Group(Vec::new()),
            (None, [false, false]) => {
                self.mistakes.add(
                    key,
                    "a step needs one of `get`, `post`, `put`, `patch`, `delete`, `head`, `websocket`, \
                     `grpc`, `dns`, `tcp`, `steps`, `choose` or `set`",
                );
                Action::Group(Vec::new())
            }
            (Some(_), _) | (None, [true, true]) => {
                self.mistakes
                    .add(key, "a step is one request or has `steps` or `choose`, not two of them");
                Action::Group(Vec::new())
            }
        };
        self.tags.truncate(n_tags);
        let is_only_set = matches!(&action, Action::Group(steps) if steps.is_empty());
        for name in file.set.keys() {
            self.variable(&format!("{key}.set"), name);
        }
        Step {
            when: file.when.clone(),
            while_: file.while_.clone(),
            repeat: file.repeat.unwrap_or(if file.while_.is_some() { MAX_ROUNDS } else { 1 }),
            weight: file.weight.unwrap_or(1),
            think: file.think.or(is_only_set.then_some(Think::NONE)),
            set: file.set.clone(),
            action,
        }
    }

    fn request_line<'a>(&mut self, key: &str, file: &'a StepFile) -> Option<(Method, &'a str)> {
        let mut found = [
            (Method::Get, &file.get),
            (Method::Post, &file.post),
            (Method::Put, &file.put),
            (Method::Patch, &file.patch),
            (Method::Delete, &file.delete),
            (Method::Head, &file.head),
        ]
        .into_iter()
        .filter_map(|(method, url)| Some((method, url.as_deref()?)));
        let first = found.next();
        if let (Some((a, _)), Some((b, _))) = (first, found.next()) {
            self.mistakes.add(key, format!("{a} and {b} are two requests: make two steps"));
        }
        first
    }

    /// Tells what stands at a group but belongs to requests.
    fn only_requests(&mut self, key: &str, file: &StepFile) {
        for (name, is_there) in [
            ("json", file.json.is_some()),
            ("form", !file.form.is_empty()),
            ("body", file.body.is_some()),
            ("upload", file.upload.is_some()),
            ("multipart", !file.multipart.is_empty()),
            ("headers", !file.headers.is_empty()),
            ("save", !file.save.is_empty()),
            ("check", file.check.is_some()),
            ("timeout", file.timeout.is_some()),
            ("auth", file.auth.is_some()),
        ] {
            if is_there {
                self.mistakes
                    .add(format!("{key}.{name}"), "it belongs to a request, not to a group");
            }
        }
    }

    fn request(&mut self, key: &str, file: &StepFile, method: Method, url: &str) -> Request {
        let (origin, path) = self.path(key, method, url);
        let name = match &file.name {
            Some(name) => name.split_whitespace().collect::<Vec<_>>().join(" "),
            None => squeeze(url),
        };
        let name = if name.is_empty() { "/".to_owned() } else { name };
        let headers = self.all_headers(file);
        let body = self.body(key, file);
        if file.timeout.is_some_and(|span| span.0.is_zero() || span.0 > LONGEST_TIMEOUT) {
            self.mistakes.add(format!("{key}.timeout"), TIMEOUTS);
        }
        for name in file.save.keys() {
            self.variable(&format!("{key}.save"), name);
        }
        Request {
            method,
            origin,
            path,
            name,
            tags: self.tags.clone(),
            auth: file.auth.as_ref().or(self.auth).cloned(),
            headers,
            body,
            save: file.save.clone(),
            checks: file.check.as_ref().map(check::checks).unwrap_or_default(),
            status: self.statuses(key, file),
            timeout: file.timeout,
        }
    }

    /// The journey's headers and the step's own, names in lower case.
    pub fn all_headers(&self, file: &StepFile) -> BTreeMap<String, String> {
        let all = self.headers.iter().chain(&file.headers);
        all.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
    }

    /// Tells a name that no variable can have.
    pub fn variable(&mut self, key: &str, name: &str) {
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !is_name {
            self.mistakes.add(
                format!("{key}.{name}"),
                "a variable's name is made of letters, digits and underscores",
            );
        }
    }

    fn path(&mut self, key: &str, method: Method, url: &str) -> (Option<Origin>, String) {
        let key = format!("{key}.{}", method.to_string().to_lowercase());
        if url::is_absolute(url) {
            return match url::split(url) {
                Ok((origin, path)) => (Some(origin), path.to_owned()),
                Err(error) => {
                    self.mistakes.add(key, error.to_string());
                    (None, String::new())
                }
            };
        }
        if !self.target.origin.scheme.is_http() {
            let text = format!("the target is no HTTP server: name one, `http://host{url}`");
            self.mistakes.add(&*key, text);
        }
        if !url.is_empty() && !url.starts_with(['/', '?']) && !url.starts_with("{{") {
            self.mistakes.add(key, format!("`{url}` is not a path: begin it with `/`"));
        }
        (None, url.to_owned())
    }

    fn statuses(&mut self, key: &str, file: &StepFile) -> Vec<Status> {
        let written = file.check.as_ref().and_then(|check| check.status.as_ref());
        let mut statuses = Vec::new();
        for text in written.iter().flat_map(|list| &list.0) {
            match status(text) {
                Some(status) => statuses.push(status),
                None => self.mistakes.add(
                    format!("{key}.check.status"),
                    format!("`{text}` is not a status such as `200` or `2xx`"),
                ),
            }
        }
        statuses
    }
}

fn status(text: &str) -> Option<Status> {
    if let Some(class) = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok()) {
        return (1..=5).contains(&class).then(|| Status { lo: class * 100, hi: class * 100 + 99 });
    }
    let status: u16 = text.parse().ok()?;
    (100..=599).contains(&status).then_some(Status { lo: status, hi: status })
}
