//! Tables of the judge.

mod limits;
mod evidence;
mod counting;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::gate::limit::Limit;
use crate::gate::plan::{Against, Quality, Score, SourceChoice, Weight};
use crate::gate::series::Series;
use crate::gate::summary::Summary;
use crate::gate::unit::Unit;
use crate::unit::Span;

pub const WINDOW: Window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };

pub fn judge(check: &Check, answer: &Answer, window: Window) -> CheckResult {
    super::judge(check, answer, window, Past::default())
}

pub fn check(limit: &str, unit: Option<&str>) -> Check {
    let limit = Limit::parse(limit, unit.and_then(Unit::find)).unwrap();
    let rule = Rule { limit: Some(limit), ..Rule::default() };
    Check {
        name: "cpu".to_owned(),
        source: SourceChoice::Named("w".to_owned()),
        query: "cpu".to_owned(),
        operands: Vec::new(),
        value: None,
        restarts: None,
        weight: Weight::default(),
        unit: unit.map(ToOwned::to_owned),
        rule,
    }
}

/// A series with a sample every 10 s from 5 s into the window on.
pub fn series(name: &str, values: &[f64]) -> Series {
    let points = (0..)
        .zip(values)
        .map(|(n, value)| Point { at_ms: WINDOW.start_ms + 5000 + n * 10_000, value: *value });
    Series {
        labels: BTreeMap::from([("pod".to_owned(), name.to_owned())]),
        points: points.collect(),
        n_absent: 0,
    }
}

pub fn answer(series: Vec<Series>) -> Answer {
    Answer { series, ..Answer::default() }
}

pub fn good(values: [f64; 6]) -> Answer {
    answer(vec![series("a", &values)])
}

/// Results of checks with these verdicts and weights.
pub fn results(all: &[(Verdict, f64, bool)]) -> Vec<CheckResult> {
    let result = |(verdict, share, must_pass): &(Verdict, f64, bool)| CheckResult {
        verdict: *verdict,
        counts: *verdict,
        weight: Weight { share: *share, must_pass: *must_pass, dry_run: false },
        ..blank(&check("mean < 1", None))
    };
    all.iter().map(result).collect()
}
