//! The judgement of one answer: pure, quality before condition.

use super::plan::{Across, Check, OnInconclusive, Rule};
use super::quality::{Usable, counted, usable};
use super::reduce::Reduce;
use super::series::{Answer, Point, Window};
use super::summary::{Chart, CheckResult};
use super::unit::show;
use crate::unit::{float, whole};
use crate::verdict::Verdict;

const COLUMNS: u64 = 48;

/// Judges an answer. Without good data there is no value and no `passed`.
pub fn judge(check: &Check, answer: &Answer, window: Window) -> CheckResult {
    let mut result = blank(check);
    result.points = answer.n_points(window);
    result.series = u64::try_from(answer.series.len()).unwrap_or(u64::MAX);
    match usable(&check.rule, answer, window).and_then(|usable| decide(&check.rule, &usable)) {
        Ok(decided) => {
            result.verdict = decided.verdict;
            result.counts = decided.verdict;
            result.value = Some(decided.value);
            result.reason = reason(check, &decided, &result, window);
            let column = |points: &[Point]| columns(points, window);
            result.chart = Some(Chart {
                columns: column(&decided.shown),
                threshold: check.rule.limit.threshold,
            });
        }
        Err(why) => {
            result.reason = format!("{why}; window {window}");
            result.counts = counts(check.rule.on_inconclusive);
            if result.counts != Verdict::Inconclusive {
                result.reason.push_str("; the plan lets it go (on-inconclusive)");
            }
        }
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
        limit: check.rule.limit.to_string(),
        warn: check.rule.warn.as_ref().map(ToString::to_string),
        points: 0,
        series: 0,
        reason: String::new(),
        query: check.query.clone(),
        source: check.source.to_string(),
        unit: check.unit.clone(),
        chart: None,
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

fn decide(rule: &Rule, usable: &[Usable<'_>]) -> Result<Decided, String> {
    let (value, worst) = value(rule, rule.limit.reduce, usable)?;
    let verdict = match (&rule.warn, rule.limit.holds(value)) {
        (_, false) => Verdict::Failed,
        (None, true) => Verdict::Passed,
        (Some(warn), true) => {
            let warned = Rule { limit: warn.clone(), ..rule.clone() };
            if warn.holds(self::value(&warned, warn.reduce, usable)?.0) {
                Verdict::Passed
            } else {
                Verdict::Warned
            }
        }
    };
    let how = match (rule.across, usable.len()) {
        (_, 1) => rule.limit.reduce.to_string(),
        (Across::Any, n) => format!("worst {} of {n} series", rule.limit.reduce),
        (Across::Mean, n) => format!("mean of {n} series' {}", rule.limit.reduce),
        (Across::Max, n) => format!("greatest {} of {n} series", rule.limit.reduce),
        (Across::Min, n) => format!("least {} of {n} series", rule.limit.reduce),
        (Across::Sum, n) => format!("sum of {n} series' {}", rule.limit.reduce),
    };
    let shown = usable.get(worst).map(|usable| usable.points.clone()).unwrap_or_default();
    Ok(Decided { verdict, value, how, shown })
}

/// Returns the value, and which series is the worst.
fn value(rule: &Rule, reduce: Reduce, usable: &[Usable<'_>]) -> Result<(f64, usize), String> {
    let mut values = Vec::with_capacity(usable.len());
    for series in usable {
        let samples: Vec<f64> = series.points.iter().map(|point| point.value).collect();
        let value = reduce.over(&samples).filter(|value| value.is_finite()).ok_or_else(|| {
            format!("the {reduce} of the series {} is not finite", series.series.name())
        })?;
        values.push(value);
    }
    let is_worse = |a: f64, b: f64| if rule.limit.operator.is_upper() { a > b } else { a < b };
    let mut worst = 0;
    for (at, value) in values.iter().enumerate() {
        if values.get(worst).is_some_and(|worst| is_worse(*value, *worst)) {
            worst = at;
        }
    }
    let across = match rule.across {
        Across::Any => values.get(worst).copied(),
        Across::Mean => Reduce::Mean.over(&values),
        Across::Max => Reduce::Max.over(&values),
        Across::Min => Reduce::Min.over(&values),
        Across::Sum => Some(values.iter().sum()),
    };
    let value = across
        .filter(|value| value.is_finite())
        .ok_or_else(|| "the value across all series is not finite".to_owned())?;
    Ok((value, worst))
}

fn reason(check: &Check, decided: &Decided, result: &CheckResult, window: Window) -> String {
    let unit = match check.unit.as_deref() {
        None => String::new(),
        Some("%") => " %".to_owned(),
        Some(unit) => format!(" {unit}"),
    };
    let crossed = match (decided.verdict, &check.rule.warn) {
        (Verdict::Warned, Some(warn)) => format!("crosses the warning level `{warn}`"),
        (Verdict::Failed, _) => format!("breaks `{}`", check.rule.limit),
        (Verdict::Passed | Verdict::Warned | Verdict::Inconclusive | Verdict::Error, _) => {
            format!("holds `{}`", check.rule.limit)
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

fn columns(points: &[Point], window: Window) -> Vec<Option<f64>> {
    let span = u64::try_from(window.span().as_millis()).unwrap_or(u64::MAX).max(1);
    let n_columns = u64::try_from(points.len()).unwrap_or(u64::MAX).clamp(1, COLUMNS);
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
mod tests;
