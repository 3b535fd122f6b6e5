//! The parts of a run, beside the same parts of the accepted ones.

use crate::gate::summary::{BLOCKS, Measured};
use crate::statistics::mean;
use crate::unit::float;

/// The parts say nothing of a run's noise where fewer can be compared.
const FEWEST: usize = 4;

/// Returns how uncertain a run's own value is on the scale of ratios: the standard error of its
/// parts' means about the course that the accepted runs took (what climbs in every run alike is no
/// noise). 0 where those runs do not show a course; `None` where they do and this one lacks most of it.
///
/// Means of parts, for samples that follow each other are much alike (batch means: Law, Simulation
/// Modeling and Analysis, 9.5.3).
pub fn unrest(run: &Measured, past: &[Measured]) -> Option<f64> {
    let courses: Vec<Vec<Option<f64>>> = past.iter().map(course).collect();
    let common: Vec<Option<f64>> = (0..BLOCKS)
        .map(|n| {
            let there: Vec<f64> = courses.iter().filter_map(|course| part(course, n)).collect();
            (2 * there.len() > past.len()).then(|| mean(&there))
        })
        .collect();
    let n_common = common.iter().flatten().count();
    if n_common < FEWEST {
        return Some(0.0);
    }
    let own = course(run);
    let off: Vec<f64> =
        (0..BLOCKS).filter_map(|n| Some(part(&own, n)? - part(&common, n)?)).collect();
    if 2 * off.len() < n_common {
        return None;
    }
    let middle = mean(&off);
    let squares: f64 = off.iter().map(|off| (off - middle) * (off - middle)).sum();
    let n = float(u64::try_from(off.len()).ok()?);
    Some((squares / (n - 1.0) / n).sqrt())
}

/// The logarithms of a run's parts, about their mean.
fn course(run: &Measured) -> Vec<Option<f64>> {
    let fit = |block: &Option<f64>| block.filter(|value| value.is_finite() && *value > 0.0);
    let logs: Vec<Option<f64>> = run.blocks.iter().map(|block| fit(block).map(f64::ln)).collect();
    let there: Vec<f64> = logs.iter().copied().flatten().collect();
    let middle = mean(&there);
    logs.into_iter().map(|log| log.map(|log| log - middle)).collect()
}

fn part(course: &[Option<f64>], n: usize) -> Option<f64> {
    course.get(n).copied().flatten()
}
