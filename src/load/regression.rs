//! The blocks of a regression test: target and baseline get the same load in turn, so that what
//! drifts (the machine, its neighbours, the network) meets both.

use std::time::Duration;

use crate::load::error::Mistakes;
use crate::load::file::ModelFile;
use crate::load::limit::{Limit, Metric, parse_measure};
use crate::load::model::Model;
use crate::load::plan::{Baseline, Target};
use crate::load::stages::{self, Stage};
use crate::statistics::least_pairs;
use crate::unit::Share;

/// Whose block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The target's.
    Target,
    /// The baseline's.
    Baseline,
}

/// Pairs when the plan does not say.
const PAIRS: u32 = 10;

/// With fewer pairs no verdict is given.
pub const FEWEST_PAIRS: u32 = 6;

const MOST_PAIRS: u32 = 30;

/// More things are not compared at once.
const MOST_COMPARED: usize = 20;

const EFFECT: Share = Share(0.05);
const CONFIDENCE: Share = Share(0.95);

/// Errors are compared by their share of the requests: growth by this much matters.
pub const ERRORS_EFFECT: f64 = 0.01;

/// Shorter blocks measure nothing but their own beginning.
const SHORTEST_BLOCK: Duration = Duration::from_secs(1);

/// The part of a block in which its load begins; it is not compared.
const SETTLE: f64 = 0.2;

/// Returns how many pairs the plan asks for.
fn n_pairs(file: &ModelFile) -> u32 {
    file.baseline.as_ref().and_then(|baseline| baseline.pairs).unwrap_or(PAIRS)
}

/// Returns the stages of the target.
pub fn target_stages(
    file: &ModelFile,
    (level, duration): (f64, Duration),
    mistakes: &mut Mistakes,
) -> Vec<Stage> {
    let n_pairs = n_pairs(file);
    if !(FEWEST_PAIRS..=MOST_PAIRS).contains(&n_pairs) {
        let text = format!("use {FEWEST_PAIRS} to {MOST_PAIRS} pairs");
        mistakes.add("load.baseline.pairs", text);
    }
    let n_pairs = n_pairs.clamp(FEWEST_PAIRS, MOST_PAIRS);
    if duration / (2 * (n_pairs + 1)) < SHORTEST_BLOCK {
        let text = format!(
            "{n_pairs} pairs of blocks and a pair to warm up need {} s at least",
            2 * (n_pairs + 1)
        );
        mistakes.add("load.duration", text);
    }
    side_stages(n_pairs, (level, duration), Side::Target)
}

/// The blocks of one side: where the other has its turn, the level is zero. A first pair warms up;
/// the order within the pairs alternates, so that what grows or falls steadily favours none.
fn side_stages(n_pairs: u32, (level, duration): (f64, Duration), own: Side) -> Vec<Stage> {
    let block = duration / (2 * (n_pairs + 1));
    let settle = block.mul_f64(SETTLE);
    let hold = block.saturating_sub(settle);
    let mut stages = Vec::new();
    for pair in 0..=n_pairs {
        let mut sides = [Side::Baseline, Side::Target];
        if pair % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let name = match (pair, side) {
                (0, Side::Target) => "warm-up".to_owned(),
                (0, Side::Baseline) => "warm-up, baseline".to_owned(),
                (_, Side::Target) => format!("pair {pair} of {n_pairs}, target"),
                (_, Side::Baseline) => format!("pair {pair} of {n_pairs}, baseline"),
            };
            if side == own {
                stages.push(Stage::ramp(settle, 0.0, level));
                stages.push(Stage { is_judged: pair > 0, ..Stage::hold(&name, hold, level) });
            } else {
                stages.push(Stage::hold("", settle, 0.0));
                stages.push(Stage::hold(&name, hold, 0.0));
            }
        }
    }
    stages
}

/// Reads what the target is compared with.
pub fn baseline(
    file: &ModelFile,
    model: &Model,
    target: Target,
    mistakes: &mut Mistakes,
) -> Baseline {
    let written = file.baseline.clone().unwrap_or_default();
    let confidence = written.confidence.unwrap_or(CONFIDENCE).0;
    if !(0.8..=0.999).contains(&confidence) {
        mistakes.add("load.baseline.confidence", "use 80% to 99.9%");
    }
    let effect = written.effect.unwrap_or(EFFECT).0;
    if !(0.001..=10.0).contains(&effect) {
        mistakes.add("load.baseline.effect", "use 0.1% to 1000%");
    }
    let texts = if written.compare.is_empty() {
        ["p50", "p95", "errors"].map(str::to_owned).to_vec()
    } else {
        written.compare
    };
    let n_pairs = n_pairs(file).clamp(FEWEST_PAIRS, MOST_PAIRS);
    let least = least_pairs(texts.len(), confidence.clamp(0.8, 0.999));
    if texts.len() > MOST_COMPARED {
        mistakes.add("load.baseline.compare", format!("more than {MOST_COMPARED} things"));
    } else if usize::try_from(n_pairs).is_ok_and(|n_pairs| n_pairs < least) {
        let text = format!(
            "{n_pairs} pairs cannot tell a change of {} things from chance: use {least} at least",
            texts.len()
        );
        mistakes.add("load.baseline.pairs", text);
    }
    let mut compared = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        match parse_measure(text) {
            Ok(measure) => compared.push(reported(measure, effect)),
            Err(error) => mistakes.add(format!("load.baseline.compare[{n}]"), error.to_string()),
        }
    }
    let (level, duration) = (stages::peak(&model.stages), stages::duration(&model.stages));
    let stages = side_stages(n_pairs, (level, duration), Side::Baseline);
    Baseline { target, stages, effect, confidence, compared }
}

/// Names what is compared as it stands in reports.
fn reported(measure: Limit, effect: f64) -> Limit {
    let what = &measure.text;
    let (text, value) = match measure.metric {
        Metric::Errors => {
            let points = Share(ERRORS_EFFECT);
            (format!("{what} at most {points} of the requests above the baseline"), ERRORS_EFFECT)
        }
        Metric::Rate => (format!("{what} at most {} below the baseline", Share(effect)), effect),
        Metric::Mean
        | Metric::Percentile(_)
        | Metric::Max
        | Metric::Capacity
        | Metric::Recovery
        | Metric::Drift => (format!("{what} at most {} above the baseline", Share(effect)), effect),
    };
    Limit { text, value, ..measure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_take_turns_in_alternating_order_on_the_same_boundaries() {
        let whole = (10.0, Duration::from_secs(140));
        let [target, baseline] =
            [Side::Target, Side::Baseline].map(|side| side_stages(6, whole, side));
        assert_eq!(stages::parts(&target), stages::parts(&baseline));
        assert_eq!(stages::duration(&target), whole.1);
        let turns = |stages: &[Stage]| -> String {
            let holds = stages.iter().filter(|stage| !stage.name.is_empty());
            holds.map(|stage| if stage.to > 0.0 { 'x' } else { '.' }).collect()
        };
        assert_eq!(turns(&target), ".xx..xx..xx..x");
        assert_eq!(turns(&baseline), "x..xx..xx..xx.");
        for side in [&target, &baseline] {
            assert_eq!(side.iter().filter(|stage| stage.is_judged).count(), 6);
        }
        // The same number of arrivals, and of users, for both.
        let due = |stages: &[Stage]| stages.iter().map(Stage::due).sum::<f64>();
        assert!((due(&target) - due(&baseline)).abs() < 1e-6);
        assert_eq!(stages::user_parts(&target, 9).len(), 7);
    }
}
