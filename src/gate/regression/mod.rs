//! A run against the accepted ones: one value a run and the means of its parts, never one a request.
//! What could not have been seen is told, and is no pass.

mod blocks;

use serde::{Deserialize, Serialize};

use crate::gate::plan::Against;
use crate::gate::summary::Measured;
use crate::gate::unit::show;
use crate::statistics::mean;
use crate::unit::float;
use crate::verdict::Verdict;

/// How often a change that is really there should be found.
const POWER: f64 = 0.8;
/// Loads that differ by more than this share are not alike.
const OTHER_LOAD: f64 = 0.25;

/// What the comparison with the accepted runs came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// `passed`, `failed`, or `inconclusive`.
    pub verdict: Verdict,
    /// How many accepted runs there were.
    pub runs: u32,
    /// What they come to.
    pub baseline: Option<f64>,
    /// By how much this run is worse, as a share of that; below 0 it is better.
    pub change: Option<f64>,
    /// The least change that could have been seen, at 80 %.
    pub smallest: Option<f64>,
    /// One line.
    pub reason: String,
}

/// Compares a run with the accepted ones, oldest first.
///
/// What the runs come to decides whether this one is worse: how they differ from each other is the
/// noise. A run that is noisier in itself than that may be worse unseen, and does not pass for it.
pub fn compare(against: &Against, run: &Measured, past: &[Measured]) -> Compared {
    let all = past;
    let alike: Vec<Measured> =
        all.iter().filter(|other| is_alike(run.load, other.load)).cloned().collect();
    let last = usize::try_from(against.last).unwrap_or(usize::MAX);
    let past = alike.get(alike.len().saturating_sub(last)..).unwrap_or_default();
    let runs = u32::try_from(past.len()).unwrap_or(u32::MAX);
    if runs < against.at_least {
        return untold(runs, too_few(against, run.load, (runs, all.len() - alike.len())));
    }
    let values: Vec<f64> = past.iter().map(|run| run.value).collect();
    let Some(seen) = noise(run.value, &values) else {
        return untold(
            runs,
            "the accepted runs' values cannot be compared: 0 among them".to_owned(),
        );
    };
    let own = blocks::unrest(run, past);
    let n = float(u64::from(runs));
    let worse = if against.is_upper { seen.shift } else { -seen.shift };
    let critical = quantile(against.confidence, n - 1.0);
    let is_real = worse > critical * seen.spread * (1.0 + 1.0 / n).sqrt() && worse > 1e-12;
    let blur = own.unwrap_or(0.0).max(seen.spread) * (1.0 + 1.0 / n).sqrt();
    let visible = (critical + quantile(POWER, n - 1.0)) * blur;
    let (change, smallest) = (worse.exp_m1(), visible.exp_m1());
    let verdict = if is_real && change >= against.worse_by {
        Verdict::Failed
    } else if smallest <= against.worse_by && own.is_some() {
        Verdict::Passed
    } else {
        Verdict::Inconclusive
    };
    let by = percent(against.worse_by);
    let judged = match verdict {
        Verdict::Failed => format!("worse than {runs} accepted runs"),
        Verdict::Passed if is_real => format!("a change, but below {by}"),
        Verdict::Passed => "within the noise of the accepted runs".to_owned(),
        Verdict::Warned | Verdict::Inconclusive | Verdict::Error => {
            format!("{by} may be there unseen{}", unseen(own, seen.spread))
        }
    };
    Compared {
        verdict,
        runs,
        baseline: Some(seen.middle),
        change: Some(change),
        smallest: Some(smallest),
        reason: format!(
            "{} against {} of {runs} accepted runs ({} worse): {judged}; could have seen {}",
            show(run.value),
            show(seen.middle),
            percent(change),
            percent(smallest)
        ),
    }
}

/// Says why there is nothing to compare with yet.
fn too_few(against: &Against, load: Option<f64>, (runs, others): (u32, usize)) -> String {
    let so_far = match (others, runs) {
        (0, 0) => "no baseline yet".to_owned(),
        (0, _) => format!("{runs} accepted"),
        (others, _) => format!(
            "{runs} accepted with a load like this one's ({}), {others} with another",
            load.map_or("unknown".to_owned(), |rate| format!("{} requests/s", show(rate)))
        ),
    };
    format!(
        "{so_far}, the comparison begins with {} accepted runs of the default branch; this run \
         counts as one when all else passes",
        against.at_least
    )
}

/// Says what hid a change, where it was this run's own doing.
fn unseen(own: Option<f64>, spread: f64) -> &'static str {
    match own {
        None => ": this run has no samples in most parts of the window, and they have",
        Some(own) if own > spread => {
            ": this run is more restless in itself than they are among each other"
        }
        Some(_) => "",
    }
}

/// True where two runs had about the same load: what a service needs under half of it says nothing.
fn is_alike(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a <= b * (1.0 + OTHER_LOAD) && b <= a * (1.0 + OTHER_LOAD),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What cannot be compared.
fn untold(runs: u32, reason: String) -> Compared {
    Compared {
        verdict: Verdict::Inconclusive,
        runs,
        baseline: None,
        change: None,
        smallest: None,
        reason,
    }
}

fn percent(share: f64) -> String {
    let sign = if share < 0.0 { "" } else { "+" };
    format!("{sign}{} %", show((share * 1000.0).round() / 10.0))
}

struct Noise {
    /// The accepted runs' geometric mean.
    middle: f64,
    /// The logarithm of this run's share of it.
    shift: f64,
    /// The spread of the accepted runs' logarithms.
    spread: f64,
}

/// On the scale of ratios, where noise of response times and loads is alike at every height.
fn noise(value: f64, past: &[f64]) -> Option<Noise> {
    let is_fit = |value: &f64| value.is_finite() && *value > 0.0;
    if !is_fit(&value) || !past.iter().all(is_fit) {
        return None;
    }
    let logs: Vec<f64> = past.iter().map(|value| value.ln()).collect();
    let middle = mean(&logs);
    let squares: f64 = logs.iter().map(|log| (log - middle) * (log - middle)).sum();
    let degrees = float(u64::try_from(logs.len()).ok()?) - 1.0;
    let spread = (squares / degrees).sqrt();
    Some(Noise { middle: middle.exp(), shift: value.ln() - middle, spread })
}

/// Returns Student's t below which a share of all values lies: Hill's expansion of the normal
/// quantile, good to three figures from three degrees of freedom on.
fn quantile(share: f64, degrees: f64) -> f64 {
    let z = normal(share);
    let (z2, n) = (z * z, degrees.max(1.0));
    let g1 = (z2 + 1.0) * z / 4.0;
    let g2 = ((5.0 * z2 + 16.0) * z2 + 3.0) * z / 96.0;
    let g3 = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) * z / 384.0;
    let g4 = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) * z / 92_160.0;
    z + g1 / n + g2 / (n * n) + g3 / (n * n * n) + g4 / (n * n * n * n)
}

/// Returns the normal quantile, by halving between bounds: slow, exact and short.
fn normal(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0_f64, 9.0_f64);
    for _ in 0..60 {
        let middle = low.midpoint(high);
        if below(middle) < share { low = middle } else { high = middle }
    }
    low.midpoint(high)
}

/// Returns the share of normal values below `z` (Zelen and Severo, error below 1e-7).
fn below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429]
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly;
    if z > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests;
