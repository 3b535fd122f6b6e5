//! The judgement of one answer: pure, quality before condition.

use super::expr::{Expr, Value};
use super::limit::Limit;
use super::plan::{Across, Argo, Check, OnInconclusive, Rule};
use super::quality::{Usable, counted, usable};
use super::reduce::Reduce;
use super::regression::compare;
use super::series::{Answer, Point, Window};
use super::summary::{BLOCKS, Chart, CheckResult, Measured};
use super::unit::{Unit, show};
use crate::unit::{float, whole};
use crate::verdict::Verdict;

const COLUMNS: u64 = 48;

/// What a run is compared with, and under which load it was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'a> {
    /// What the accepted runs measured, oldest first.
    pub runs: &'a [Measured],
    /// This run's load, in requests a second.
    pub load: Option<f64>,
}

/// Judges an answer. Without good data there is no value and no `passed`.
pub fn judge(check: &Check, answer: &Answer, window: Window, past: Past<'_>) -> CheckResult {
    let mut result = blank(check);
    result.points = answer.n_points(window);
    result.series = u64::try_from(answer.series.len()).unwrap_or(u64::MAX);
    let fit = unit_mistake(check, answer).map_or(Ok(()), Err);
    let decided = fit.and_then(|()| usable(&check.rule, answer, window)).and_then(|usable| {
        let decided = decide(check, &usable)?;
        let run = measured(&check.rule, &usable, window, past.load)?;
        Ok((decided, run))
    });
    match decided {
        Ok((decided, run)) => {
            result.value = Some(decided.value);
            result.verdict = decided.verdict;
            result.reason = reason(check, &decided, &result, window);
            result.chart = Some(Chart {
                columns: columns(&decided.shown, window),
                threshold: check.rule.limit.as_ref().map(|limit| limit.threshold),
                load: Vec::new(),
            });
            result.counts = decided.verdict;
            if let (Some(against), Some(run)) = (&check.rule.regression, &run) {
                let compared = compare(against, run, past.runs);
                result.reason = format!("{}; {}", result.reason, compared.reason);
                if compared.verdict > result.verdict {
                    result.verdict = compared.verdict;
                    result.counts = match compared.verdict {
                        Verdict::Inconclusive => counts(check.rule.on_inconclusive),
                        verdict @ (Verdict::Passed
                        | Verdict::Warned
                        | Verdict::Error
                        | Verdict::Failed) => verdict,
                    }
                    .max(decided.verdict);
                }
                result.regression = Some(compared);
            }
            result.run = run;
        }
        Err(why) => return unfit(check, result, (&why, window)),
    }
    settled(check, result)
}

/// Holds what the source says of its values' unit against what the check says of it: 200 ms are not
/// less than 300 s.
fn unit_mistake(check: &Check, answer: &Answer) -> Option<String> {
    let rule = &check.rule;
    let limits = || rule.limit.iter().chain(&rule.warn);
    let is_number = |reduce: Reduce| reduce == Reduce::Count;
    if rule.across == Across::Count || limits().any(|limit| is_number(limit.reduce)) {
        return None;
    }
    // What seconds grow by a second is no time any more.
    let is_rate = limits().any(|limit| limit.reduce.is_per_second());
    let given = check.unit.as_deref().and_then(Unit::find);
    let of_limits: Vec<Unit> = limits().filter_map(Limit::unit).collect();
    let mut told = answer.units.iter().filter(|told| !(is_rate && told.is_time()));
    told.find_map(|told| told.mistake(given, &of_limits))
}

/// Returns the result of data that does not allow a judgement.
pub fn unfit(check: &Check, mut result: CheckResult, (why, window): (&str, Window)) -> CheckResult {
    result.reason = format!("{why}; window {window}");
    result.counts = counts(check.rule.on_inconclusive);
    if result.counts != Verdict::Inconclusive {
        result.reason.push_str("; the plan lets it go (on-inconclusive)");
    }
    settled(check, result)
}

/// Returns the result with what the check's weight makes of it.
pub fn settled(check: &Check, mut result: CheckResult) -> CheckResult {
    if check.weight.dry_run {
        result.counts = Verdict::Passed;
        result.reason.push_str("; a dry run, it counts for nothing");
    }
    result
}

/// Returns the result of a check that has not been judged: inconclusive.
pub fn blank(check: &Check) -> CheckResult {
    CheckResult {
        name: check.name.clone(),
        verdict: Verdict::Inconclusive,
        counts: Verdict::Inconclusive,
        value: None,
        limit: check.rule.condition(),
        warn: check.rule.warn.as_ref().map(ToString::to_string),
        points: 0,
        series: 0,
        reason: String::new(),
        query: check.query.clone(),
        source: check.source.to_string(),
        unit: check.unit.clone(),
        chart: None,
        link: None,
        weight: check.weight,
        run: None,
        regression: None,
    }
}

/// Returns what poor data adds to the gate's verdict.
pub fn counts(rule: OnInconclusive) -> Verdict {
    match rule {
        OnInconclusive::Fail => Verdict::Inconclusive,
        OnInconclusive::Warn => Verdict::Warned,
        OnInconclusive::Pass => Verdict::Passed,
    }
}

struct Decided {
    verdict: Verdict,
    value: f64,
    /// How the value came about: `mean`, `max of 3 series' p95`.
    how: String,
    /// Samples of the series that decided.
    shown: Vec<Point>,
}

fn decide(check: &Check, usable: &[Usable<'_>]) -> Result<Decided, String> {
    let rule = &check.rule;
    if let Some(argo) = &rule.argo {
        return by_conditions(argo, usable);
    }
    let Some(limit) = &rule.limit else {
        // Only the accepted runs say whether this is good.
        let against = rule.regression.ok_or("there is nothing to hold the value against")?;
        let found = value(rule, (against.reduce, against.is_upper), usable)?;
        let how = how(rule, against.reduce, usable);
        return Ok(Decided {
            verdict: Verdict::Passed,
            value: found.value,
            how,
            shown: found.shown(usable),
        });
    };
    let of = |limit: &Limit| value(rule, (limit.reduce, limit.operator.is_upper()), usable);
    let found = of(limit)?;
    let verdict = match (&rule.warn, limit.holds(found.value)) {
        (_, false) => Verdict::Failed,
        (None, true) => Verdict::Passed,
        (Some(warn), true) if warn.holds(of(warn)?.value) => Verdict::Passed,
        (Some(_), true) => Verdict::Warned,
    };
    let how = how(rule, limit.reduce, usable);
    Ok(Decided { verdict, value: found.value, how, shown: found.shown(usable) })
}

/// Judges as Argo Rollouts does, but only what has a value.
fn by_conditions(argo: &Argo, usable: &[Usable<'_>]) -> Result<Decided, String> {
    let mut values = Vec::with_capacity(usable.len());
    for series in usable {
        values.push(reduced(argo.reduce, series)?);
    }
    let holds = |expr: &Option<Expr>| -> Result<Option<bool>, String> {
        let Some(expr) = expr else { return Ok(None) };
        match expr.value(&|_| Some(Value::List(values.clone())))? {
            Value::Truth(truth) => Ok(Some(truth)),
            Value::Number(_) | Value::List(_) => {
                Err(format!("`{}` comes to no true or false", argo.text))
            }
        }
    };
    let verdict = match (holds(&argo.success)?, holds(&argo.failure)?) {
        (_, Some(true)) | (Some(false), None) => Verdict::Failed,
        (Some(true), _) | (None, Some(false)) => Verdict::Passed,
        (Some(false), Some(false)) | (None, None) => {
            return Err(format!("neither holds: {}", argo.text));
        }
    };
    let told: Vec<String> = values.iter().take(8).map(|value| show(*value)).collect();
    let value = Reduce::Mean.over(&values).filter(|value| value.is_finite());
    Ok(Decided {
        verdict,
        value: value.ok_or("the mean of all series is not finite")?,
        how: format!("{} by series [{}], mean", argo.reduce, told.join(", ")),
        shown: usable.first().map(|usable| usable.points.clone()).unwrap_or_default(),
    })
}

/// A value, and which series is the worst.
struct Found {
    value: f64,
    worst: usize,
}

impl Found {
    fn shown(&self, usable: &[Usable<'_>]) -> Vec<Point> {
        usable.get(self.worst).map(|usable| usable.points.clone()).unwrap_or_default()
    }
}

fn reduced(reduce: Reduce, series: &Usable<'_>) -> Result<f64, String> {
    reduce.of(&series.points).filter(|value| value.is_finite()).ok_or_else(|| {
        format!(
            "the {reduce} of the series {} is not finite or needs more samples",
            series.series.name()
        )
    })
}

/// Returns the value: of every group, and of those the worst.
fn value(
    rule: &Rule,
    (reduce, is_upper): (Reduce, bool),
    usable: &[Usable<'_>],
) -> Result<Found, String> {
    let mut groups: std::collections::BTreeMap<&str, Vec<(usize, f64)>> =
        std::collections::BTreeMap::new();
    for (at, series) in usable.iter().enumerate() {
        let group = match &rule.by {
            None => "",
            Some(label) => {
                series.series.labels.get(label).map(String::as_str).ok_or_else(|| {
                    format!("the series {} has no label `{label}` (by)", series.series.name())
                })?
            }
        };
        groups.entry(group).or_default().push((at, reduced(reduce, series)?));
    }
    let mut worst: Option<Found> = None;
    for members in groups.values() {
        let found = of_group(rule.across, is_upper, members)?;
        let is_worse = worst.as_ref().is_none_or(|worst| worse(is_upper, found.value, worst.value));
        if is_worse {
            worst = Some(found);
        }
    }
    worst.ok_or_else(|| "there is no series".to_owned())
}

fn worse(is_upper: bool, a: f64, b: f64) -> bool {
    if is_upper { a > b } else { a < b }
}

fn of_group(across: Across, is_upper: bool, members: &[(usize, f64)]) -> Result<Found, String> {
    let pick = |is_better: bool| {
        members.iter().copied().reduce(|best, next| {
            if worse(is_upper != is_better, next.1, best.1) { next } else { best }
        })
    };
    let (worst, best) = (pick(false), pick(true));
    let values: Vec<f64> = members.iter().map(|(_, value)| *value).collect();
    let value = match across {
        Across::Every => worst.map(|(_, value)| value),
        Across::Any => best.map(|(_, value)| value),
        Across::Mean => Reduce::Mean.over(&values),
        Across::Max => Reduce::Max.over(&values),
        Across::Min => Reduce::Min.over(&values),
        Across::Sum => Some(values.iter().sum()),
        Across::Count => Reduce::Count.over(&values),
    };
    let shown = if across == Across::Any { best } else { worst };
    match (value.filter(|value| value.is_finite()), shown) {
        (Some(value), Some((worst, _))) => Ok(Found { value, worst }),
        _ => Err("the value across all series is not finite".to_owned()),
    }
}

fn how(rule: &Rule, reduce: Reduce, usable: &[Usable<'_>]) -> String {
    let told = match (rule.across, usable.len()) {
        (Across::Count, _) => "number of series".to_owned(),
        (_, 1) => reduce.to_string(),
        (Across::Every, n) => format!("worst {reduce} of {n} series"),
        (Across::Any, n) => format!("best {reduce} of {n} series"),
        (Across::Mean, n) => format!("mean of {n} series' {reduce}"),
        (Across::Max, n) => format!("greatest {reduce} of {n} series"),
        (Across::Min, n) => format!("least {reduce} of {n} series"),
        (Across::Sum, n) => format!("sum of {n} series' {reduce}"),
    };
    match &rule.by {
        Some(label) => format!("{told}, worst by {label}"),
        None => told,
    }
}

/// Returns what runs to come are compared with: the whole window's value, and its parts'.
fn measured(
    rule: &Rule,
    usable: &[Usable<'_>],
    window: Window,
    load: Option<f64>,
) -> Result<Option<Measured>, String> {
    let Some(against) = rule.regression else { return Ok(None) };
    let kind = (against.reduce, against.is_upper);
    let whole = value(rule, kind, usable)?.value;
    let n_blocks = i64::try_from(BLOCKS).unwrap_or(i64::MAX);
    let length = (window.end_ms - window.start_ms) / n_blocks;
    let block = |n: i64| {
        let start_ms = window.start_ms + length * n;
        let within = |point: &Point| start_ms <= point.at_ms && point.at_ms < start_ms + length;
        let inside: Vec<Usable<'_>> = usable
            .iter()
            .map(|series| Usable {
                series: series.series,
                points: series.points.iter().copied().filter(within).collect(),
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        value(rule, kind, &inside).ok().map(|found| found.value)
    };
    Ok(Some(Measured { value: whole, blocks: (0..n_blocks).map(block).collect(), load }))
}

fn reason(check: &Check, decided: &Decided, result: &CheckResult, window: Window) -> String {
    let unit = match check.unit.as_deref() {
        None => String::new(),
        Some("%") => " %".to_owned(),
        Some(unit) => format!(" {unit}"),
    };
    let condition = check.rule.condition();
    let crossed = match (decided.verdict, &check.rule.warn) {
        (Verdict::Warned, Some(warn)) => format!("crosses the warning level `{warn}`"),
        (Verdict::Failed, _) => format!("breaks `{condition}`"),
        (Verdict::Passed | Verdict::Warned | Verdict::Inconclusive | Verdict::Error, _) => {
            format!("holds `{condition}`")
        }
    };
    format!(
        "{} {}{unit} {crossed}; {} in {}, window {window}",
        decided.how,
        show(decided.value),
        counted(usize::try_from(result.points).unwrap_or(usize::MAX), "sample"),
        counted(usize::try_from(result.series).unwrap_or(usize::MAX), "series"),
    )
}

/// Returns a series in the columns of a chart.
pub fn columns_of(points: &[Point], window: Window, n_columns: usize) -> Vec<Option<f64>> {
    within(points, window, u64::try_from(n_columns).unwrap_or(COLUMNS))
}

fn columns(points: &[Point], window: Window) -> Vec<Option<f64>> {
    let n_columns = u64::try_from(points.len()).unwrap_or(u64::MAX).clamp(1, COLUMNS);
    within(points, window, n_columns)
}

fn within(points: &[Point], window: Window, n_columns: u64) -> Vec<Option<f64>> {
    let span = u64::try_from(window.span().as_millis()).unwrap_or(u64::MAX).max(1);
    (0..n_columns)
        .map(|column| {
            let inside: Vec<f64> = points
                .iter()
                .filter(|point| {
                    let offset = u64::try_from(point.at_ms - window.start_ms).unwrap_or(0);
                    let at = float(offset) / float(span) * float(n_columns);
                    whole(at.floor()).map(|at| at.min(n_columns - 1)) == Some(column)
                })
                .map(|point| point.value)
                .collect();
            Reduce::Mean.over(&inside).filter(|mean| mean.is_finite())
        })
        .collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
