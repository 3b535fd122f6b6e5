//! One answer of several: `errors / all`, series by series and moment by moment. What has no partner
//! has no value.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expr::{Expr, Value};
use super::series::{Answer, Point, Series};

/// Labels that say what was asked, not of whom.
const NAMES: &[&str] = &["__name__", "label", "target", "metric", "field", "expression", "id"];

type Labels = BTreeMap<String, String>;

/// Reckons an expression over the answers to its names.
///
/// # Errors
/// With what has no partner or no value.
pub fn combine(
    expr: &Expr,
    answers: &[(String, Answer)],
    step: Duration,
) -> Result<Answer, String> {
    let mut warnings = Vec::new();
    let mut by_labels: Vec<(&str, BTreeMap<Labels, &Series>)> = Vec::new();
    for (name, answer) in answers {
        warnings.extend(answer.warnings.iter().map(|text| format!("`{name}`: {text}")));
        if answer.series.is_empty() {
            return Err(format!("no series: nothing matches the query of `{name}`"));
        }
        let mut found = BTreeMap::new();
        for series in &answer.series {
            let mut labels = series.labels.clone();
            labels.retain(|key, _| !NAMES.contains(&key.as_str()));
            if found.insert(labels, series).is_some() {
                return Err(format!("`{name}` has two series that only differ by name"));
            }
        }
        by_labels.push((name, found));
    }
    let widest = by_labels.iter().map(|(_, found)| found.len()).max().unwrap_or(0);
    let Some((first, all)) = by_labels.iter().find(|(_, found)| found.len() == widest) else {
        return Err("there is no query".to_owned());
    };
    let mut series = Vec::with_capacity(all.len());
    for labels in all.keys() {
        let mut operands = Vec::with_capacity(by_labels.len());
        for (name, found) in &by_labels {
            let partner = match found.len() {
                1 => found.values().next(),
                _ => found.get(labels),
            };
            let partner = partner.ok_or_else(|| {
                let told = Series { labels: labels.clone(), ..Series::default() }.name();
                format!("the series {told} is in `{first}` but not in `{name}`")
            })?;
            operands.push((*name, *partner));
        }
        if let Some((name, found)) =
            by_labels.iter().find(|(_, found)| found.len() > 1 && found.len() != widest)
        {
            return Err(format!(
                "`{name}` has {} series, `{first}` has {widest}: some have no partner",
                found.len()
            ));
        }
        series.push(one(expr, labels, &operands, step)?);
    }
    let status = answers.last().map(|(_, answer)| answer.status.clone()).unwrap_or_default();
    Ok(Answer { series, warnings, status, ..Answer::default() })
}

fn one(
    expr: &Expr,
    labels: &Labels,
    operands: &[(&str, &Series)],
    step: Duration,
) -> Result<Series, String> {
    let reach = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let sorted: Vec<(&str, Vec<Point>)> = operands
        .iter()
        .map(|(name, series)| {
            let mut points = series.points.clone();
            points.sort_by_key(|point| point.at_ms);
            (*name, points)
        })
        .collect();
    // The one with the fewest samples sets the moments: none of them is used twice.
    let moments = sorted.iter().map(|(_, points)| points).min_by_key(|points| points.len());
    let mut out = Series { labels: labels.clone(), ..Series::default() };
    for moment in moments.into_iter().flatten() {
        // What is divided by what is not finite would be 0, and look well.
        if let Some((name, value)) = infinite(&sorted, moment.at_ms, reach) {
            return Err(format!("a sample of `{name}` is not finite ({value})"));
        }
        let values: Option<Vec<(&str, f64)>> = sorted
            .iter()
            .map(|(name, points)| Some((*name, nearest(points, moment.at_ms, reach)?)))
            .collect();
        let Some(values) = values else {
            out.n_absent += 1;
            continue;
        };
        let of = |name: &str| {
            let found = values.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| Value::Number(*value))
        };
        match expr.value(&of) {
            Ok(Value::Number(value)) => out.points.push(Point { at_ms: moment.at_ms, value }),
            Ok(Value::Truth(_) | Value::List(_)) => {
                return Err("the expression comes to no number".to_owned());
            }
            Err(why) => {
                let at = jiff::Timestamp::from_millisecond(moment.at_ms)
                    .map_or_else(|_| String::new(), |at| at.strftime("%H:%M:%S").to_string());
                return Err(format!("{why} at {at}"));
            }
        }
    }
    Ok(out)
}

fn infinite<'a>(
    sorted: &[(&'a str, Vec<Point>)],
    at_ms: i64,
    reach: i64,
) -> Option<(&'a str, f64)> {
    let near = |points: &[Point]| nearest(points, at_ms, reach).filter(|near| !near.is_finite());
    sorted.iter().find_map(|(name, points)| Some((*name, near(points)?)))
}

fn nearest(points: &[Point], at_ms: i64, reach: i64) -> Option<f64> {
    let after = points.partition_point(|point| point.at_ms < at_ms);
    let distance = |point: &&Point| point.at_ms.abs_diff(at_ms);
    let near = [after.checked_sub(1), Some(after)];
    let found = near.into_iter().flatten().filter_map(|at| points.get(at)).min_by_key(distance)?;
    (found.at_ms.abs_diff(at_ms) <= reach.unsigned_abs()).then_some(found.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(pod: &str, offset: i64, values: &[f64]) -> Series {
        let points = (0..).zip(values);
        Series {
            labels: [("__name__", "x"), ("pod", pod)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            points: points
                .map(|(n, value)| Point { at_ms: n * 10_000 + offset, value: *value })
                .collect(),
            n_absent: 0,
        }
    }

    fn of(a: Vec<Series>, b: Vec<Series>) -> Result<Answer, String> {
        let expr = Expr::parse("a / b", &["a", "b"]).unwrap();
        let answer = |series| Answer { series, ..Answer::default() };
        let all = [("a".to_owned(), answer(a)), ("b".to_owned(), answer(b))];
        combine(&expr, &all, Duration::from_secs(10))
    }

    #[test]
    fn series_meet_by_their_labels_and_moments_by_their_nearness() {
        let answer = of(
            vec![series("1", 0, &[1.0, 2.0]), series("2", 0, &[3.0, 4.0])],
            vec![series("2", 900, &[10.0, 10.0]), series("1", -900, &[2.0, 2.0])],
        )
        .unwrap();
        let values: Vec<Vec<f64>> = answer
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| point.value).collect())
            .collect();
        assert_eq!(values, [[0.5, 1.0], [0.3, 0.4]]);
        let one_for_all =
            of(vec![series("1", 0, &[1.0]), series("2", 0, &[3.0])], vec![series("", 0, &[2.0])]);
        assert_eq!(one_for_all.unwrap().series.len(), 2);
    }

    proptest::proptest! {
        /// The values do not move: taking samples of one side away only ever leaves moments out.
        #[test]
        fn removing_samples_of_an_operand_adds_no_moment(
            keep in proptest::collection::vec(proptest::prelude::any::<bool>(), 12),
        ) {
            let whole = of(vec![series("1", 0, &[1.0; 12])], vec![series("1", 300, &[2.0; 12])]);
            let mut thinned = series("1", 300, &[2.0; 12]);
            let mut keep = keep.into_iter();
            thinned.points.retain(|_| keep.next().unwrap_or(true));
            let thinned = of(vec![series("1", 0, &[1.0; 12])], vec![thinned]).unwrap();
            let n = |answer: &Answer| answer.series[0].points.len();
            proptest::prop_assert!(n(&thinned) <= n(&whole.unwrap()));
            let is_half = |point: &Point| (point.value - 0.5).abs() < 1e-12;
            proptest::prop_assert!(thinned.series[0].points.iter().all(is_half));
        }
    }

    #[test]
    fn what_has_no_partner_or_no_value_fails() {
        let good = || vec![series("1", 0, &[1.0, 1.0])];
        for (a, b, part) in [
            (good(), Vec::new(), "nothing matches the query of `b`"),
            (Vec::new(), good(), "nothing matches the query of `a`"),
            (good(), vec![series("1", 0, &[0.0, 1.0])], "division by 0 at 00:00:00"),
            (
                good(),
                vec![series("1", 0, &[1.0, f64::INFINITY])],
                "a sample of `b` is not finite (inf)",
            ),
            (
                vec![series("1", 0, &[1.0]), series("2", 0, &[1.0])],
                vec![series("1", 0, &[1.0]), series("3", 0, &[1.0])],
                "is in `a` but not in `b`",
            ),
            (
                vec![series("1", 0, &[1.0]), series("2", 0, &[1.0]), series("3", 0, &[1.0])],
                vec![series("1", 0, &[1.0]), series("2", 0, &[1.0])],
                "some have no partner",
            ),
        ] {
            let error = of(a, b).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let apart = of(good(), vec![series("1", 60_000, &[1.0, 1.0])]).unwrap();
        assert_eq!((apart.series[0].points.len(), apart.series[0].n_absent), (0, 2));
    }
}
