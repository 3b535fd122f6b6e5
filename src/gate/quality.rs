//! Whether data is good enough to be judged: asked before any condition is looked at.
//!
//! Every rule here gets stricter, never laxer, when samples are taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::Rule;
use super::series::{Answer, Point, Series, Window, millis};
use super::unit::show;
use crate::unit::{Span, float};

const POINTS: u32 = 3;
const COVERAGE: f64 = 0.7;
/// A counter of restarts may be silent for so long at both ends of the window.
const RESTARTS: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 86_400_000;

/// The usable samples of one series: within the window, in order of time.
pub struct Usable<'a> {
    /// Where they come from.
    pub series: &'a Series,
    /// At least one.
    pub points: Vec<Point>,
}

/// Returns the samples to judge, or what is wrong with the data.
pub fn usable<'a>(
    rule: &Rule,
    answer: &'a Answer,
    window: Window,
) -> Result<Vec<Usable<'a>>, String> {
    if window.span().is_zero() {
        return Err("the window is empty: it ends before it starts".to_owned());
    }
    let n_series = answer.series.len();
    let said = answer.warnings.join("; ");
    match (n_series, said.as_str()) {
        (0, "") => return Err("no series: nothing matches the query".to_owned()),
        (0, said) => return Err(format!("no series: nothing matches the query ({said})")),
        (_, "") => {}
        (_, said) => {
            return Err(format!("the source says that its answer is incomplete: {said}"));
        }
    }
    let least = rule.quality.series.unwrap_or(1);
    if u32::try_from(n_series).is_ok_and(|n_series| n_series < least) {
        return Err(format!("{n_series} series, needs {least} (quality.series)"));
    }
    if let Some(replaced) = replaced(&answer.series, window) {
        return Err(replaced);
    }
    let mut seen = BTreeSet::new();
    let mut usable = Vec::with_capacity(n_series);
    for series in &answer.series {
        if !seen.insert(&series.labels) {
            return Err(format!("the series {} is in the answer twice", series.name()));
        }
        let points = points(series, window).and_then(|points| {
            enough(rule, &points, window)?;
            began_anew(rule, &points)?;
            Ok(points)
        });
        match points {
            Ok(points) => usable.push(Usable { series, points }),
            Err(why) if n_series == 1 => return Err(why),
            Err(why) => return Err(format!("{why}, in the series {}", series.name())),
        }
    }
    Ok(usable)
}

type Labels = BTreeMap<String, String>;

/// Labels that a replaced pod has a new value of.
const OF_POD: &[&str] = &["pod", "pod_name", "container_id", "id", "uid", "instance", "name"];

/// Finds a pod that ended within the window, and the one that came in its place.
fn replaced(all: &[Series], window: Window) -> Option<String> {
    let pod = |series: &'_ Series| {
        let labels = &series.labels;
        labels.get("pod").or_else(|| labels.get("pod_name")).cloned()
    };
    let kin = |series: &Series| {
        let mut labels = series.labels.clone();
        labels.retain(|key, _| !OF_POD.contains(&key.as_str()));
        labels
    };
    let ends = |series: &Series| {
        let inside = || series.points.iter().map(|point| point.at_ms);
        let inside = || inside().filter(|at_ms| window.contains(*at_ms));
        Some((inside().min()?, inside().max()?))
    };
    // In order of their first samples, each is held against the kin whose end came first.
    let mut living: Vec<(Labels, String, (i64, i64))> =
        all.iter().filter_map(|series| Some((kin(series), pod(series)?, ends(series)?))).collect();
    living.sort_by_key(|(_, _, (first, _))| *first);
    // Of each kin the two earliest ends, of two names: one of them is another pod's, whoever comes.
    let mut ended: BTreeMap<&Labels, Vec<(i64, &str)>> = BTreeMap::new();
    for (kin, name, (_, last)) in &living {
        let earliest = ended.entry(kin).or_default();
        match earliest.iter_mut().find(|(_, known)| known == name) {
            Some((end, _)) => *end = (*end).min(*last),
            None => earliest.push((*last, name)),
        }
        earliest.sort_unstable();
        earliest.truncate(2);
    }
    living.iter().find_map(|(kin, next, (first, _))| {
        let mut others = ended.get(kin)?.iter();
        let (_, name) = others.find(|(last, name)| name != next && last < first)?;
        Some(format!(
            "the pod `{name}` was replaced by `{next}` within the window, at {}",
            clock(*first)
        ))
    })
}

/// A counter that goes back shows that its process began anew: what it grew by is unknown.
fn began_anew(rule: &Rule, points: &[Point]) -> Result<(), String> {
    let of_limits = rule.limit.iter().chain(&rule.warn).map(|limit| limit.reduce);
    let of_others = rule
        .regression
        .map(|against| against.reduce)
        .into_iter()
        .chain(rule.argo.as_ref().map(|argo| argo.reduce));
    let is_counter = of_limits.chain(of_others).any(super::reduce::Reduce::is_of_counter);
    if !is_counter || rule.quality.allow_restarts {
        return Ok(());
    }
    let back = points.windows(2).find_map(|pair| match pair {
        [a, b] if b.value < a.value => Some(b.at_ms),
        _ => None,
    });
    match back {
        None => Ok(()),
        Some(at_ms) => Err(format!(
            "a counter went back at {}: its process began anew (quality.allow-restarts)",
            clock(at_ms)
        )),
    }
}

/// Says why restarts within the window cannot be excluded: the counter grew, or says nothing of the
/// whole window.
pub fn restarted(rule: &Rule, answer: &Answer, window: Window) -> Option<String> {
    let untold = |why: &str| Some(format!("whether pods restarted cannot be told: {why}"));
    if let Some(said) = answer.warnings.first() {
        return untold(&format!("the source says that its answer is incomplete: {said}"));
    }
    if answer.series.is_empty() {
        return untold("`restarts` has no samples");
    }
    // It is often looked at more seldom than what is judged.
    let step = rule.step(window) * 2;
    let allowed = rule.quality.max_age.map_or(step.max(RESTARTS), |span| span.0.max(step));
    answer.series.iter().find_map(|series| {
        let points = match points(series, window) {
            Ok(points) => points,
            Err(why) => return untold(&format!("{why}, in {}", series.name())),
        };
        let (first, last) = (points.first()?, points.last()?);
        let most = points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
        let least = points.iter().map(|point| point.value).fold(f64::INFINITY, f64::min);
        if most > least {
            return Some(format!("a restart within the window, by the counter {}", series.name()));
        }
        if points.len() < 2 {
            return untold(&format!("one sample shows no change, in {}", series.name()));
        }
        let (before, after) =
            (duration(first.at_ms - window.start_ms), duration(window.end_ms - last.at_ms));
        (before.max(after) > allowed).then(|| {
            format!(
                "whether pods restarted cannot be told: {} at an end of the window without a sample, \
                 in {}",
                Span(before.max(after)),
                series.name()
            )
        })
    })
}

fn clock(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| format!("{at_ms} ms"), |at| at.strftime("%H:%M:%S UTC").to_string())
}

/// Returns the samples within the window in order of time: at least one, all finite.
fn points(series: &Series, window: Window) -> Result<Vec<Point>, String> {
    let mut points: Vec<Point> =
        series.points.iter().copied().filter(|point| window.contains(point.at_ms)).collect();
    points.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then(a.value.total_cmp(&b.value)));
    if points.is_empty() {
        return Err(nothing_inside(series, window));
    }
    if let Some(point) = points.iter().find(|point| !point.value.is_finite()) {
        return Err(format!("a sample is not finite ({})", point.value));
    }
    // Twice the same is one; nobody knows which of two is true.
    points.dedup_by(|a, b| a.at_ms == b.at_ms && a.value.total_cmp(&b.value).is_eq());
    let twice = points.windows(2).find_map(|pair| match pair {
        [a, b] if a.at_ms == b.at_ms => Some((a, b)),
        _ => None,
    });
    match twice {
        Some((a, b)) => Err(format!(
            "two samples of the same moment, {}: {} and {}",
            clock(a.at_ms),
            show(a.value),
            show(b.value)
        )),
        None => Ok(points),
    }
}

fn nothing_inside(series: &Series, window: Window) -> String {
    let newest = series.points.iter().map(|point| point.at_ms).max();
    let oldest = series.points.iter().map(|point| point.at_ms).min();
    match (newest, oldest) {
        (Some(newest), _) if newest < window.start_ms => format!(
            "too old: the newest sample is {} before the window",
            span(window.start_ms.saturating_sub(newest))
        ),
        (_, Some(oldest)) if oldest.saturating_sub(window.end_ms) > 1000 * DAY_MS => {
            "all samples lie years after the window: their times are in another unit".to_owned()
        }
        (Some(_), Some(_)) => "no samples within the window, only outside of it".to_owned(),
        (None, _) | (_, None) if series.n_absent > 0 => {
            format!("no samples: all {} are null or NaN", series.n_absent)
        }
        (None, _) | (_, None) => "no samples: the series is empty".to_owned(),
    }
}

fn enough(rule: &Rule, points: &[Point], window: Window) -> Result<(), String> {
    let quality = &rule.quality;
    let step = rule.step(window);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("no samples".to_owned());
    };
    let oldest_allowed = quality.max_age.map_or(step * 2, |span| span.0);
    let age = duration(window.end_ms - last.at_ms);
    if age > oldest_allowed {
        return Err(format!(
            "too old: the newest sample is {} before the window's end, allowed are {} \
             (quality.max-age)",
            Span(age),
            Span(oldest_allowed)
        ));
    }
    let fewest = quality.points.unwrap_or(POINTS);
    let moments: BTreeSet<i64> = points.iter().map(|point| point.at_ms).collect();
    if u32::try_from(moments.len()).is_ok_and(|n_points| n_points < fewest) {
        return Err(format!(
            "too few: {} in {}, needs {fewest} (quality.points)",
            counted(moments.len(), "sample"),
            Span(window.span())
        ));
    }
    let coverage = coverage(&moments, step, window);
    let wanted = quality.coverage.unwrap_or(COVERAGE);
    if coverage < wanted {
        return Err(format!(
            "too patchy: {} cover {} % of the window at a sample every {}, needs {} % \
             (quality.coverage, step)",
            counted(moments.len(), "sample"),
            show((coverage * 1000.0).floor() / 10.0),
            Span(step),
            show(wanted * 100.0),
        ));
    }
    let longest_allowed = quality.max_gap.map_or(step * 3, |span| span.0);
    let gaps = points.windows(2).map(|pair| match pair {
        [a, b] => duration(b.at_ms - a.at_ms),
        _ => Duration::ZERO,
    });
    let gap = gaps.chain([duration(first.at_ms - window.start_ms), age]).max().unwrap_or_default();
    if gap > longest_allowed {
        return Err(format!(
            "too patchy: {} without a sample, allowed are {} (quality.max-gap)",
            Span(gap),
            Span(longest_allowed)
        ));
    }
    Ok(())
}

/// Returns the share of the window near a sample: half a step on both sides, and a little more so
/// that samples on time leave no hole.
fn coverage(moments: &BTreeSet<i64>, step: Duration, window: Window) -> f64 {
    let reach = millis((step.mul_f64(0.55)).as_secs_f64()).unwrap_or(i64::MAX);
    let (mut covered, mut until) = (0_i64, window.start_ms);
    for &moment in moments {
        let from = moment.saturating_sub(reach).max(until);
        let to = moment.saturating_add(reach).min(window.end_ms);
        if to > from {
            covered += to - from;
            until = to;
        }
    }
    let whole = u64::try_from(window.span().as_millis()).unwrap_or(u64::MAX);
    float(u64::try_from(covered).unwrap_or(0)) / float(whole.max(1))
}

/// Returns `1 sample`, `2 samples`.
pub fn counted(n: usize, noun: &str) -> String {
    match (n, noun) {
        (1, _) => format!("1 {noun}"),
        (n, "series") => format!("{n} series"),
        (n, _) => format!("{n} {noun}s"),
    }
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn span(ms: i64) -> String {
    match ms / DAY_MS {
        0 => Span(Duration::from_secs(u64::try_from(ms / 1000).unwrap_or(0))).to_string(),
        days => counted(usize::try_from(days).unwrap_or(usize::MAX), "day"),
    }
}
