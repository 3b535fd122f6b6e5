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
    /// The job's own tokens.
    pub tokens: JobTokens,
}

/// Everything that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .mistakes.join("\n"))]
pub struct Error {
    /// One line each: key, value and the way out.
    pub mistakes: Vec<String>,
}

impl Plan {
    /// Makes a plan of what is written.
    ///
    /// # Errors
    /// With all mistakes at once.
    pub fn build(written: Written, overrides: Overrides, vars: &dyn Vars) -> Result<Self, Error> {
        let gate = written.gate.unwrap_or_default();
        let mut mistakes = Vec::new();
        if written.checks.is_empty() {
            mistakes.push(
                "`checks:` is empty: a gate needs at least one check (name, source, query, limit)"
                    .to_owned(),
            );
        }
        let mut checks: Vec<Check> = Vec::new();
        for (n, file) in written.checks.iter().enumerate() {
            let place = if file.name.is_empty() {
                format!("checks[{n}]")
            } else {
                format!("checks[{n}] `{}`", file.name)
            };
            if file.name.trim().is_empty() {
                mistakes.push(format!("{place}: `name` is empty"));
            } else if checks.iter().any(|check| check.name == file.name) {
                mistakes.push(format!("{place}: another check has the same name"));
            }
            match check(file, &gate, vars) {
                Ok(check) => checks.push(check),
                Err(found) => {
                    mistakes.extend(found.into_iter().map(|found| format!("{place}: {found}")));
                }
            }
        }
        let window = overrides.window.map_or_else(|| window(&gate), Ok);
        let window = window.map_err(|mistake| mistakes.push(mistake)).ok();
        let score = gate.score.as_ref().map(score).transpose();
        let score = score.map_err(|mistake| mistakes.push(mistake)).ok().flatten();
        let has_weight = |check: &Check| !check.weight.dry_run && check.weight.share > 0.0;
        if score.is_some() && mistakes.is_empty() && !checks.iter().any(has_weight) {
            mistakes.push("gate.score: no check has a weight".to_owned());
        }
        let settle = overrides.settle.or(gate.settle);
        if settle.is_some_and(|settle| settle.0 > LONGEST) {
            mistakes.push(format!("settle: at most {}", Span(LONGEST)));
        }
        let key = overrides.variable.or(gate.variable);
        match window {
            Some(window) if mistakes.is_empty() => Ok(Self {
                name: overrides.name,
                checks,
                window,
                settle,
                score,
                history: BTreeMap::new(),
                recordings: BTreeMap::new(),
                tokens: overrides.tokens,
                variable: key.map(|key| Variable { key, scope: None }),
                style: Style::Gate,
            }),
            Some(_) | None => Err(Error { mistakes }),
        }
    }
}

fn score(file: &ScoreFile) -> Result<Score, String> {
    let read = |key: &str, text: &str| {
        share(text).ok_or_else(|| format!("gate.score.{key}: `{text}` is no share; write `90%`"))
    };
    let pass = read("pass", &file.pass)?;
    let warn = file.warn.as_deref().map_or(Ok(pass), |text| read("warn", text))?;
    if warn <= 0.0 {
        return Err(
            "gate.score: `0%` forgives everything; a check that is only told is a `dry-run`"
                .to_owned(),
        );
    }
    if warn > pass {
        return Err("gate.score.warn: lies above `pass`".to_owned());
    }
    Ok(Score { pass, warn })
}

fn window(gate: &GateFile) -> Result<WindowChoice, String> {
    let moment = |text: &str| {
        text.parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_millisecond)
            .map_err(|_| format!("gate.window: `{text}` is no time; write `2026-03-01T12:00:00Z`"))
    };
    match &gate.window {
        None | Some(WindowFile::Load) => Ok(WindowChoice::Load { otherwise: gate.without_load }),
        Some(WindowFile::Last(span)) => Ok(WindowChoice::Last(*span)),
        Some(WindowFile::Explicit { start, end }) => {
            let window = Window { start_ms: moment(start)?, end_ms: moment(end)? };
            if window.start_ms < window.end_ms {
                Ok(WindowChoice::Explicit(window))
            } else {
                Err(format!("gate.window: it ends ({end}) before it starts ({start})"))
            }
        }
    }
}

fn check(file: &CheckFile, gate: &GateFile, vars: &dyn Vars) -> Result<Check, Vec<String>> {
    let mut mistakes = Vec::new();
    let unit = file.unit.as_deref().and_then(|name| {
        let unit = Unit::find(name);
        if unit.is_none() {
            mistakes.push(format!("unit: `{name}` is no unit: one of {}", Unit::names()));
        }
        unit
    });
    let rule = conditions(file, unit, &mut mistakes);
    if file.source.trim().is_empty() {
        mistakes.push("source: is empty; name a source of the runner's policy".to_owned());
    }
    let asked = asked(file, vars, &mut mistakes);
    let restarts = file.restarts.as_deref().and_then(|query| {
        expand(query, vars).map_err(|why| mistakes.push(format!("restarts: {why}"))).ok()
    });
    if file.step.is_some_and(|step| step.0 < Duration::from_secs(1)) {
        mistakes.push("step: must be at least 1s".to_owned());
    }
    let share = file.weight.unwrap_or(1.0);
    if !(0.0..=HEAVIEST).contains(&share) {
        mistakes.push(format!("weight: must be 0 or more, and at most {HEAVIEST}"));
    }
    if file.must_pass && file.dry_run {
        mistakes.push("dry-run: counts for nothing, so it cannot be `must-pass`".to_owned());
    }
    let quality = quality(file.quality.as_ref(), gate.quality.as_ref());
    let quality = quality.map_err(|mistake| mistakes.push(mistake)).ok();
    match (asked, quality) {
        (Some((query, operands, value)), Some(quality)) if mistakes.is_empty() => Ok(Check {
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
        }),
        _ => Err(mistakes),
    }
}

/// Reads what must hold.
fn conditions(file: &CheckFile, unit: Option<Unit>, mistakes: &mut Vec<String>) -> Rule {
    let mut read = |key: &str, text: &str| {
        Limit::parse(text, unit).map_err(|why| mistakes.push(format!("{key}: {why}"))).ok()
    };
    let has_limit = !file.limit.trim().is_empty();
    let has_other = file.argo.is_some() || file.regression.is_some();
    let limit = if has_limit { read("limit", &file.limit) } else { None };
    let warn = file.warn.as_deref().and_then(|text| read("warn", text));
    if let (Some(limit), Some(warn)) = (&limit, &warn) {
        mistakes.extend(useless_warning(limit, warn));
    }
    if !has_limit && !has_other {
        mistakes.push("limit: is missing; write what must hold: `mean < 800`".to_owned());
    }
    if has_limit && file.argo.is_some() {
        mistakes.push("argo: `limit` and `argo` exclude each other".to_owned());
    }
    if !has_limit && file.warn.is_some() {
        mistakes.push("warn: without a `limit` there is nothing to warn before".to_owned());
    }
    let argo = file.argo.as_ref().map(argo).transpose();
    let argo = argo.map_err(|mistake| mistakes.push(mistake)).ok().flatten();
    let regression = file.regression.as_ref().map(|file| against(file, limit.as_ref())).transpose();
    let regression = regression.map_err(|mistake| mistakes.push(mistake)).ok().flatten();
    Rule { limit, warn, argo, regression, ..Rule::default() }
}

fn reduce(key: &str, text: Option<&str>, otherwise: Reduce) -> Result<Reduce, String> {
    text.map_or(Ok(otherwise), |text| text.parse().map_err(|why| format!("{key}.reduce: {why}")))
}

fn argo(file: &ArgoFile) -> Result<Argo, String> {
    let read = |key: &str, text: &Option<String>| {
        text.as_deref()
            .map(|text| {
                let expr = Expr::parse(text, &["result"]);
                let expr = expr.map_err(|why| format!("argo.{key}: {why}"))?;
                let looks = expr.names().contains("result");
                let blind = || format!("argo.{key}: `{text}` does not look at `result`");
                looks.then_some(expr).ok_or_else(blind)
            })
            .transpose()
    };
    let success = read("success-condition", &file.success_condition)?;
    let failure = read("failure-condition", &file.failure_condition)?;
    let parts = [("success", &file.success_condition), ("failure", &file.failure_condition)];
    let told: Vec<String> = parts
        .into_iter()
        .filter_map(|(key, text)| Some(format!("{key} when {}", text.as_deref()?)))
        .collect();
    if told.is_empty() {
        // Argo itself takes this for a success.
        return Err("argo: neither `success-condition` nor `failure-condition`".to_owned());
    }
    Ok(Argo {
        text: told.join(", "),
        reduce: reduce("argo", file.reduce.as_deref(), Reduce::Mean)?,
        success,
        failure,
    })
}

fn against(file: &RegressionFile, limit: Option<&Limit>) -> Result<Against, String> {
    let read = |key: &str, text: &Option<String>, otherwise: f64| {
        text.as_deref().map_or(Some(otherwise), share).ok_or_else(|| {
            let text = text.as_deref().unwrap_or_default();
            format!("regression.{key}: `{text}` is no share; write `10%`")
        })
    };
    let confidence = read("confidence", &file.confidence, 0.95)?;
    if !(0.5..1.0).contains(&confidence) {
        return Err("regression.confidence: lies between 50% and 100%".to_owned());
    }
    let (at_least, last) = (file.at_least.unwrap_or(5), file.last.unwrap_or(20));
    if at_least < 3 || last < at_least {
        return Err("regression: `at-least` is 3 or more, `last` not smaller".to_owned());
    }
    let of_limit = limit.map_or(Reduce::Mean, |limit| limit.reduce);
    Ok(Against {
        reduce: reduce("regression", file.reduce.as_deref(), of_limit)?,
        is_upper: match file.worse {
            Some(worse) => worse == Worse::More,
            None => limit.is_none_or(|limit| limit.operator.is_upper()),
        },
        worse_by: read("worse-by", &file.worse_by, 0.1)?,
        confidence,
        at_least,
        last,
    })
}

type Asked = (String, Vec<Operand>, Option<Expr>);

/// Reads what is asked: one query, or several and what is made of them.
fn asked(file: &CheckFile, vars: &dyn Vars, mistakes: &mut Vec<String>) -> Option<Asked> {
    if file.queries.is_empty() {
        if file.query.trim().is_empty() {
            mistakes.push("query: is empty".to_owned());
        }
        if file.value.is_some() || !file.sources.is_empty() {
            mistakes.push("value: is made of `queries`, and there are none".to_owned());
        }
        let query = expand(&file.query, vars);
        let query = query.map_err(|why| mistakes.push(format!("query: {why}"))).ok()?;
        return Some((query, Vec::new(), None));
    }
    if !file.query.trim().is_empty() {
        mistakes.push("query: `query` and `queries` exclude each other".to_owned());
    }
    for name in file.sources.keys().filter(|name| !file.queries.contains_key(*name)) {
        mistakes.push(format!("sources.{name}: there is no query of this name"));
    }
    let mut operands = Vec::with_capacity(file.queries.len());
    for (name, query) in &file.queries {
        match expand(query, vars) {
            Ok(query) => operands.push(Operand {
                name: name.clone(),
                source: SourceChoice::Named(file.sources.get(name).unwrap_or(&file.source).clone()),
                query,
            }),
            Err(why) => mistakes.push(format!("queries.{name}: {why}")),
        }
    }
    let Some(text) = &file.value else {
        mistakes.push("value: says what is made of the queries: `errors / all`".to_owned());
        return None;
    };
    let names: Vec<&str> = file.queries.keys().map(String::as_str).collect();
    let value = Expr::parse(text, &names);
    let value = value.map_err(|why| mistakes.push(format!("value: {why}"))).ok()?;
    let used = value.names();
    for name in names.iter().filter(|name| !used.contains(**name)) {
        mistakes.push(format!("queries.{name}: `value` makes nothing of it"));
    }
    Some((text.clone(), operands, Some(value)))
}

/// A warning that can only be crossed when the limit is crossed too would never be seen.
fn useless_warning(limit: &Limit, warn: &Limit) -> Option<String> {
    let same = limit.reduce == warn.reduce;
    if same && limit.operator.is_upper() != warn.operator.is_upper() {
        return Some(format!("warn: `{warn}` looks the other way than the limit `{limit}`"));
    }
    let beyond = if limit.operator.is_upper() {
        warn.threshold > limit.threshold
    } else {
        warn.threshold < limit.threshold
    };
    (same && beyond).then(|| format!("warn: `{warn}` lies beyond the limit `{limit}`"))
}

fn quality(own: Option<&QualityFile>, of_all: Option<&QualityFile>) -> Result<Quality, String> {
    let (none, all) = (QualityFile::default(), QualityFile::default());
    let (own, of_all) = (own.unwrap_or(&none), of_all.unwrap_or(&all));
    let coverage = match own.coverage.as_ref().or(of_all.coverage.as_ref()) {
        None => None,
        Some(text) => Some(share(text).ok_or_else(|| {
            format!("quality.coverage: `{text}` is no share; write `80%`, between 0% and 100%")
        })?),
    };
    Ok(Quality {
        points: own.points.or(of_all.points),
        series: own.series.or(of_all.series),
        coverage,
        max_gap: own.max_gap.or(of_all.max_gap),
        max_age: own.max_age.or(of_all.max_age),
        allow_restarts: own.allow_restarts.or(of_all.allow_restarts).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
