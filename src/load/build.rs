//! From the plan as written to the plan as meant: all mistakes are told at once.

use std::collections::BTreeMap;

use crate::job::Vars;
use crate::load::aims;
use crate::load::call::proto::Protos;
use crate::load::connection;
use crate::load::error::{Error, Mistakes};
use crate::load::file::{JourneyFile, ModelFile, StepFile};
use crate::load::hosts;
use crate::load::limit::Limit;
use crate::load::model::{Model, Preset};
use crate::load::plan::{
    Baseline, Journey, LONGEST_TIMEOUT, Origin, Overrides, Plan, Scheme, Step, Target, Written,
};
use crate::load::regression;
use crate::load::script::Script;
use crate::load::shape;
use crate::load::steps::{Steps, TIMEOUTS};
use crate::load::think::Think;
use crate::load::url;
use crate::secret::Secret;
use crate::unit::Span;

const TIMEOUT: Span = Span::seconds(30);
const MAX_THREADS: u32 = 256;

/// What a plan without a target lacks.
const WHERE: &str = "it is missing: say where the load goes, `http://host`";
const BESIDE: &str =
    "it is missing: say where the version runs that it is compared with, `http://host`";

impl Plan {
    /// Builds the plan; environment variables in the target come from `vars`.
    pub fn build(written: &Written, overrides: &Overrides, vars: &dyn Vars) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let written = &hosts::named(written.clone(), vars, &mut mistakes);
        let file = written.load.clone().unwrap_or_default();
        let file = shape::chosen(&file, overrides, &mut mistakes);
        let target = overrides.target.as_deref().or(written.target.as_deref());
        let target = read_target(("target", WHERE), target, vars, &mut mistakes);
        let (timeout, threads) = generator(&file, overrides, &mut mistakes);
        let model = shape::model(file.clone(), &mut mistakes);
        let baseline = baseline(&file, &model, vars, &mut mistakes);
        let mut protos = Protos::default();
        let around = (&target, &mut protos);
        let journeys = journeys(written, overrides, &file, around, &mut mistakes);
        let (setup, teardown) = self::around(written, (&target, &mut protos), &mut mistakes);
        let limits = aims::limits(written, overrides, &model, &mut mistakes);
        let (limit_keys, limits): (Vec<String>, Vec<Limit>) = limits.into_iter().unzip();
        let plan = Self {
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
        let plan = plan.compiled(&limit_keys, &mut mistakes);
        if mistakes.0.is_empty() { Ok(plan) } else { Err(Error::Plan(mistakes)) }
    }

    /// Compiles the journeys to see whether all that is named in them is there.
    fn compiled(mut self, limit_keys: &[String], mistakes: &mut Mistakes) -> Self {
        if self.is_once {
            self.model = self.model.once();
            self.limits.clear();
            self.baseline = None;
        }
        let script = Script::compile(&self, mistakes);
        self.tags.clone_from(&script.tags);
        self.checks.clone_from(&script.checks);
        aims::check_names(limit_keys, &self.limits, &script, mistakes);
        if let Some(baseline) = &self.baseline {
            let compared = &baseline.compared;
            let key = |n: usize| format!("load.baseline.compare[{n}]");
            let keys: Vec<String> = (0..compared.len()).map(key).collect();
            aims::check_names(&keys, compared, &script, mistakes);
        }
        self
    }
}

/// How long an answer is waited for, and on how many threads.
fn generator(
    file: &ModelFile,
    overrides: &Overrides,
    mistakes: &mut Mistakes,
) -> (Span, Option<u32>) {
    let timeout = overrides.timeout.or(file.timeout).unwrap_or(TIMEOUT);
    if timeout.0.is_zero() || timeout.0 > LONGEST_TIMEOUT {
        mistakes.add("load.timeout", format!("{TIMEOUTS}, not `{timeout}`"));
    }
    let threads = overrides.threads.or(file.threads);
    if let Some(n) = threads.filter(|n| *n == 0 || *n > MAX_THREADS) {
        mistakes.add("load.threads", format!("use 1 to {MAX_THREADS} threads, not `{n}`"));
    }
    (timeout, threads)
}

fn baseline(
    file: &ModelFile,
    model: &Model,
    vars: &dyn Vars,
    mistakes: &mut Mistakes,
) -> Option<Baseline> {
    (model.preset == Some(Preset::Regression)).then(|| {
        let written = file.baseline.as_ref().and_then(|baseline| baseline.target.as_deref());
        let target = read_target(("load.baseline.target", BESIDE), written, vars, mistakes);
        regression::baseline(file, model, target, mistakes)
    })
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
    (key, missing): (&str, &str),
    written: Option<&str>,
    vars: &dyn Vars,
    mistakes: &mut Mistakes,
) -> Target {
    let nowhere = || Target {
        origin: Origin { scheme: Scheme::Http, host: "localhost".to_owned(), port: 80 },
        base: String::new(),
    };
    let Some(text) = written else {
        mistakes.add(key, missing);
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
        let headers = BTreeMap::new();
        let mut steps = Steps::new(written, (target, protos), &headers, mistakes);
        return vec![steps.journey("--get", 0, &file, think)];
    }
    let mut journeys: Vec<Journey> = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let key = format!("journeys[{n}]");
        let mut steps = Steps::new(written, (target, &mut *protos), &file.headers, &mut *mistakes);
        steps.auth = file.auth.as_ref();
        steps.tags.clone_from(&file.tags);
        let journey = steps.journey(&key, n, file, think);
        if file.name.is_some() && journeys.iter().any(|known| known.name == journey.name) {
            let text = format!("two journeys are named `{}`", journey.name);
            mistakes.add(format!("{key}.name"), text);
        }
        journeys.push(journey);
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
    let mut steps = Steps::new(written, (target, protos), &headers, mistakes);
    let setup = steps.steps("setup", &written.setup, 0);
    (setup, steps.steps("teardown", &written.teardown, 0))
}
