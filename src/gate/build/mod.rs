//! From the plan file to the plan as meant: all mistakes at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::gate::expand::expand;
use crate::gate::expr::Expr;
use crate::gate::file::{
    ArgoFile, CheckFile, GateFile, QualityFile, RegressionFile, ScoreFile, WindowFile, Worse,
};
use crate::gate::limit::Limit;
use crate::gate::plan::{
    Against, Argo, Check, JobTokens, Operand, Plan, Quality, Rule, Score, SourceChoice, Style,
    Variable, Weight, WindowChoice,
};
use crate::gate::reduce::Reduce;
use crate::gate::series::Window;
use crate::gate::unit::{Unit, share};
use crate::job::Vars;
use crate::mistake::{Mistakes, suggest};
use crate::unit::Span;

/// No sum of so many weights is beyond all numbers.
const HEAVIEST: f64 = 1e6;
/// Nobody waits longer for late data.
const LONGEST: Duration = Duration::from_hours(1);

/// The gate's parts of a plan file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// `checks:`
    pub checks: Vec<CheckFile>,
    /// `gate:`
    pub gate: Option<GateFile>,
}

/// What the command line says over the plan file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// What the plan is called.
    pub name: String,
    /// What time to look at.
    pub window: Option<WindowChoice>,
    /// Longest wait for data.
    pub settle: Option<Span>,
    /// Name of the variable that gets the verdict.
    pub variable: Option<String>,
    /// Its environment scope in the project.
    pub scope: Option<String>,
    /// The job's own tokens.
    pub tokens: JobTokens,
}

/// Notes mistakes below one key of the plan.
struct Notes<'a> {
    key: String,
    mistakes: &'a mut Mistakes,
}

impl Notes<'_> {
    fn add(&mut self, key: &str, text: impl Into<String>) {
        let dot = if key.is_empty() || self.key.is_empty() { "" } else { "." };
        self.mistakes.add(format!("{}{dot}{key}", self.key), text);
    }

    /// Returns what was read; nothing, and a mistake at that key, where it was not.
    fn read<T>(&mut self, key: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.add(key, why)).ok()
    }

    fn share(&mut self, key: &str, text: &str) -> Option<f64> {
        let read = share(text);
        self.read(
            key,
            read.ok_or_else(|| format!("`{text}` is no share; write `90%`, between 0% and 100%")),
        )
    }

    fn below(&mut self, key: &str) -> Notes<'_> {
        let dot = if self.key.is_empty() { "" } else { "." };
        Notes { key: format!("{}{dot}{key}", self.key), mistakes: self.mistakes }
    }
}

impl Plan {
    /// Makes a plan of what is written.
    ///
    /// # Errors
    /// With all mistakes at once, each at its key in the file or on the command line.
    pub fn build(
        written: Written,
        overrides: Overrides,
        vars: &dyn Vars,
    ) -> Result<Self, Mistakes> {
        let gate = written.gate.unwrap_or_default();
        let mut mistakes = Mistakes::default();
        let mut notes = Notes { key: String::new(), mistakes: &mut mistakes };
        if written.checks.is_empty() {
            notes.add(
                "checks",
                "is empty: a gate needs at least one check (name, source, query, limit)",
            );
        }
        let mut checks: Vec<Check> = Vec::new();
        for (n, file) in written.checks.iter().enumerate() {
            let mut notes = notes.below(&format!("checks[{n}]"));
            if file.name.trim().is_empty() {
                notes.add("name", "is empty");
            } else if written.checks.iter().take(n).any(|other| other.name == file.name) {
                notes.add("name", format!("another check is called `{}`, too", file.name));
            }
            checks.extend(check(file, &gate, vars, &mut notes));
        }
        if let Some(text) = gate.quality.as_ref().and_then(|quality| quality.coverage.as_ref()) {
            notes.share("gate.quality.coverage", text);
        }
        let window = overrides.window.or_else(|| window(&gate, &mut notes));
        let score = gate.score.as_ref().and_then(|file| score(file, &mut notes));
        let has_weight = |check: &Check| !check.weight.dry_run && check.weight.share > 0.0;
        let is_whole = checks.len() == written.checks.len();
        if score.is_some() && is_whole && !checks.iter().any(has_weight) {
            notes.add("gate.score", "no check has a weight");
        }
        let settle = overrides.settle.or(gate.settle);
        if settle.is_some_and(|settle| settle.0 > LONGEST) {
            let key = if overrides.settle.is_some() { "--settle" } else { "gate.settle" };
            notes.add(key, format!("at most {}", Span(LONGEST)));
        }
        let key = overrides.variable.or(gate.variable);
        let place = if overrides.scope.is_some() { "--scope" } else { "gate.scope" };
        let scope = overrides.scope.or(gate.scope);
        if scope.is_some() && key.is_none() {
            notes.add(place, "is for a `variable`, and none is named");
        }
        match window {
            Some(window) if mistakes.0.is_empty() => Ok(Self {
                name: overrides.name,
                checks,
                window,
                settle,
                score,
                history: BTreeMap::new(),
                recordings: BTreeMap::new(),
                tokens: overrides.tokens,
                variable: key.map(|key| Variable { key, scope }),
                style: Style::Gate,
            }),
            Some(_) | None => Err(mistakes),
        }
    }
}

fn score(file: &ScoreFile, notes: &mut Notes<'_>) -> Option<Score> {
    let mut notes = notes.below("gate.score");
    let pass = notes.share("pass", &file.pass)?;
    let warn = file.warn.as_deref().map_or(Some(pass), |text| notes.share("warn", text))?;
    if warn <= 0.0 {
        let key = if file.warn.is_some() { "warn" } else { "pass" };
        notes.add(key, "`0%` forgives everything; a check that is only told is a `dry-run`");
        return None;
    }
    if warn > pass {
        notes.add("warn", format!("lies above `pass` ({})", file.pass));
        return None;
    }
    Some(Score { pass, warn })
}

fn window(gate: &GateFile, notes: &mut Notes<'_>) -> Option<WindowChoice> {
    let mut notes = notes.below("gate.window");
    let mut moment = |key: &str, text: &str| {
        let moment = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        let moment =
            moment.map_err(|_| format!("`{text}` is no time; write `2026-03-01T12:00:00Z`"));
        notes.read(key, moment)
    };
    match &gate.window {
        None | Some(WindowFile::Load) => Some(WindowChoice::Load { otherwise: gate.without_load }),
        Some(WindowFile::Last(span)) => Some(WindowChoice::Last(*span)),
        Some(WindowFile::Explicit { start, end }) => {
            let (from, to) = (moment("explicit.start", start), moment("explicit.end", end));
            let window = Window { start_ms: from?, end_ms: to? };
            if window.start_ms >= window.end_ms {
                notes.add("explicit.end", format!("it ends ({end}) before it starts ({start})"));
                return None;
            }
            Some(WindowChoice::Explicit(window))
        }
    }
}

/// Reads one check; nothing where a mistake was noted.
fn check(
    file: &CheckFile,
    gate: &GateFile,
    vars: &dyn Vars,
    notes: &mut Notes<'_>,
) -> Option<Check> {
    let n_before = notes.mistakes.0.len();
    let unit = file.unit.as_deref().and_then(|name| notes.read("unit", Unit::named(name)));
    let rule = conditions(file, unit, notes);
    if file.source.trim().is_empty() {
        notes.add("source", "is empty; name a source of the runner's policy");
    }
    let asked = asked(file, vars, notes);
    let restarts = file.restarts.as_deref();
    let restarts = restarts.and_then(|query| notes.read("restarts", expand(query, vars)));
    if file.step.is_some_and(|step| step.0 < Duration::from_secs(1)) {
        notes.add("step", "must be at least 1s");
    }
    let share = file.weight.unwrap_or(1.0);
    if !(0.0..=HEAVIEST).contains(&share) {
        notes.add("weight", format!("must be 0 or more, and at most {HEAVIEST}"));
    }
    if file.must_pass && file.dry_run {
        notes.add("dry-run", "counts for nothing, so it cannot be `must-pass`");
    }
    let quality = quality(file.quality.as_ref(), gate.quality.as_ref(), notes);
    let (query, operands, value) = asked?;
    (notes.mistakes.0.len() == n_before).then(|| Check {
        name: file.name.clone(),
        source: SourceChoice::Named(file.source.clone()),
        query,
        operands,
        value,
        restarts,
        weight: Weight { share, must_pass: file.must_pass, dry_run: file.dry_run },
        unit: file.unit.clone(),
        rule: Rule {
            across: file.across.unwrap_or_default(),
            by: file.by.clone(),
            quality,
            step: file.step,
            on_inconclusive: file.on_inconclusive.or(gate.on_inconclusive).unwrap_or_default(),
            ..rule
        },
    })
}

/// Reads what must hold.
fn conditions(file: &CheckFile, unit: Option<Unit>, notes: &mut Notes<'_>) -> Rule {
    let has_limit = !file.limit.trim().is_empty();
    let has_other = file.argo.is_some() || file.regression.is_some();
    let mut read = |key, text: &str| notes.read(key, Limit::parse(text, unit));
    let limit = if has_limit { read("limit", &file.limit) } else { None };
    let warn = file.warn.as_deref().and_then(|text| read("warn", text));
    if let (Some(limit), Some(warn)) = (&limit, &warn)
        && let Some(mistake) = useless_warning(limit, warn)
    {
        notes.add("warn", mistake);
    }
    if !has_limit && !has_other {
        notes.add("limit", "is missing; write what must hold: `mean < 800`");
    }
    if has_limit && file.argo.is_some() {
        notes.add("argo", "`limit` and `argo` exclude each other");
    }
    if !has_limit && file.warn.is_some() {
        notes.add("warn", "without a `limit` there is nothing to warn before");
    }
    let argo = file.argo.as_ref().and_then(|file| argo(file, &mut notes.below("argo")));
    let regression = file
        .regression
        .as_ref()
        .and_then(|file| against(file, limit.as_ref(), &mut notes.below("regression")));
    Rule { limit, warn, argo, regression, ..Rule::default() }
}

fn reduce(text: Option<&str>, otherwise: Reduce, notes: &mut Notes<'_>) -> Option<Reduce> {
    text.map_or(Some(otherwise), |text| notes.read("reduce", text.parse()))
}

fn argo(file: &ArgoFile, notes: &mut Notes<'_>) -> Option<Argo> {
    let mut told = Vec::new();
    let mut read = |key: &str, when: &str, text: Option<&str>| {
        let text = text?;
        told.push(format!("{when} when {text}"));
        let expr = notes.read(key, Expr::parse(text, &["result"]))?;
        let looks = expr.names().contains("result");
        let blind = || format!("`{text}` does not look at `result`");
        notes.read(key, looks.then_some(expr).ok_or_else(blind))
    };
    let success = read("success-condition", "success", file.success_condition.as_deref());
    let failure = read("failure-condition", "failure", file.failure_condition.as_deref());
    if told.is_empty() {
        // Argo itself takes this for a success.
        notes.add("", "neither `success-condition` nor `failure-condition`");
        return None;
    }
    let reduce = reduce(file.reduce.as_deref(), Reduce::Mean, notes)?;
    Some(Argo { text: told.join(", "), reduce, success, failure })
}

fn against(file: &RegressionFile, limit: Option<&Limit>, notes: &mut Notes<'_>) -> Option<Against> {
    let mut read = |key: &str, text: Option<&str>, otherwise: f64| {
        text.map_or(Some(otherwise), |text| notes.share(key, text))
    };
    let confidence = read("confidence", file.confidence.as_deref(), 0.95);
    let worse_by = read("worse-by", file.worse_by.as_deref(), 0.1);
    if confidence.is_some_and(|confidence| !(0.5..1.0).contains(&confidence)) {
        notes.add("confidence", "lies between 50% and 100%");
    }
    let (at_least, last) = (file.at_least.unwrap_or(5), file.last.unwrap_or(20));
    if at_least < 3 {
        notes.add("at-least", "is 3 or more: fewer runs say nothing of how they differ");
    }
    if last < at_least {
        notes.add("last", format!("is not smaller than `at-least` ({at_least})"));
    }
    let of_limit = limit.map_or(Reduce::Mean, |limit| limit.reduce);
    Some(Against {
        reduce: reduce(file.reduce.as_deref(), of_limit, notes)?,
        is_upper: match file.worse {
            Some(worse) => worse == Worse::More,
            None => limit.is_none_or(|limit| limit.operator.is_upper()),
        },
        worse_by: worse_by?,
        confidence: confidence?,
        at_least,
        last,
    })
}

type Asked = (String, Vec<Operand>, Option<Expr>);

/// Reads what is asked: one query, or several and what is made of them.
fn asked(file: &CheckFile, vars: &dyn Vars, notes: &mut Notes<'_>) -> Option<Asked> {
    if file.queries.is_empty() {
        if file.query.trim().is_empty() {
            notes.add("query", "is empty");
        }
        if file.value.is_some() || !file.sources.is_empty() {
            let key = if file.value.is_some() { "value" } else { "sources" };
            notes.add(key, "is for `queries`, and there are none");
        }
        let query = notes.read("query", expand(&file.query, vars))?;
        return Some((query, Vec::new(), None));
    }
    if !file.query.trim().is_empty() {
        notes.add("query", "`query` and `queries` exclude each other");
    }
    let names: Vec<&str> = file.queries.keys().map(String::as_str).collect();
    for name in file.sources.keys().filter(|name| !file.queries.contains_key(*name)) {
        let meant = suggest(name, &names);
        notes.add(&format!("sources.{name}"), format!("there is no query of this name; {meant}"));
    }
    let mut operands = Vec::with_capacity(file.queries.len());
    for (name, query) in &file.queries {
        let query = notes.read(&format!("queries.{name}"), expand(query, vars));
        operands.extend(query.map(|query| Operand {
            name: name.clone(),
            source: SourceChoice::Named(file.sources.get(name).unwrap_or(&file.source).clone()),
            query,
        }));
    }
    let Some(text) = &file.value else {
        notes.add("value", "is missing; it says what is made of the queries: `errors / all`");
        return None;
    };
    let value = notes.read("value", Expr::parse(text, &names))?;
    let used = value.names();
    for name in names.iter().filter(|name| !used.contains(**name)) {
        notes.add(&format!("queries.{name}"), "`value` makes nothing of it");
    }
    Some((text.clone(), operands, Some(value)))
}

/// A warning that can only be crossed when the limit is crossed too would never be seen.
fn useless_warning(limit: &Limit, warn: &Limit) -> Option<String> {
    let same = limit.reduce == warn.reduce;
    if same && limit.operator.is_upper() != warn.operator.is_upper() {
        return Some(format!("`{warn}` looks the other way than the limit `{limit}`"));
    }
    let beyond = if limit.operator.is_upper() {
        warn.threshold > limit.threshold
    } else {
        warn.threshold < limit.threshold
    };
    (same && beyond)
        .then(|| format!("`{warn}` lies beyond the limit `{limit}`: it would never be seen"))
}

fn quality(
    own: Option<&QualityFile>,
    of_all: Option<&QualityFile>,
    notes: &mut Notes<'_>,
) -> Quality {
    let (none, all) = (QualityFile::default(), QualityFile::default());
    let (own, of_all) = (own.unwrap_or(&none), of_all.unwrap_or(&all));
    let coverage = match (&own.coverage, &of_all.coverage) {
        (Some(text), _) => notes.share("quality.coverage", text),
        (None, text) => text.as_deref().and_then(share),
    };
    Quality {
        points: own.points.or(of_all.points),
        series: own.series.or(of_all.series),
        coverage,
        max_gap: own.max_gap.or(of_all.max_gap),
        max_age: own.max_age.or(of_all.max_age),
        allow_restarts: own.allow_restarts.or(of_all.allow_restarts).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests;
