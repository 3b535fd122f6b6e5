//! What a preset looks for: capacity, recovery. Pure arithmetic on what was counted.

use crate::load::gauge::Stretch;

/// A step whose arrivals came in full by less than this was too much for the target.
pub const ACHIEVED: f64 = 0.95;

/// What a stress test found so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capacity {
    /// The level of the last good step.
    pub good: Option<f64>,
    /// The level of the first bad step, and why it was.
    pub bad: Option<(f64, String)>,
}

/// A second after the spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Its start, in microseconds since the spike's end.
    pub from: u64,
    /// 95 % of the response times are below, in milliseconds; `None` without requests.
    pub p95: Option<f64>,
    /// The failed share.
    pub failed: f64,
}

/// So many seconds in a row must be good before the target counts as recovered.
const CALM: usize = 3;

/// Returns after how many milliseconds the target was as before the spike: three seconds in a row
/// in which p95 is within half of what it was (and 5 ms), and errors within a percent.
pub fn recovery(base: &Stretch, seconds: &[Second]) -> Option<f64> {
    let p95 = base.percentile(95.0);
    let most = (p95 * 1.5).max(p95 + 5.0);
    let failed = base.failed_share() + 0.01;
    let is_calm =
        |second: &Second| second.p95.is_some_and(|p95| p95 <= most) && second.failed <= failed;
    let calm = seconds.windows(CALM).find(|window| window.iter().all(is_calm))?;
    let first = calm.first()?;
    Some(crate::load::collect::millis(first.from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_has_recovered_when_it_stays_as_it_was() {
        let mut base = Stretch { count: 100, ..Stretch::default() };
        for _ in 0..100 {
            base.response.record(10_000);
        }
        let check = |p95: &[f64], expected: Option<f64>| {
            let second = |(n, p95): (usize, &f64)| Second {
                from: u64::try_from(n).unwrap() * 1_000_000,
                p95: Some(*p95).filter(|p95| *p95 > 0.0),
                failed: if *p95 > 900.0 { 0.5 } else { 0.0 },
            };
            let seconds: Vec<Second> = p95.iter().enumerate().map(second).collect();
            assert_eq!(recovery(&base, &seconds), expected, "{p95:?}");
        };
        check(&[11.0, 12.0, 10.0, 9.0], Some(0.0));
        check(&[500.0, 14.0, 300.0, 12.0, 14.9, 10.0], Some(3000.0));
        check(&[500.0, 14.0, 0.0, 12.0, 14.0, 10.0], Some(3000.0));
        check(&[14.0, 14.0, 999.0, 14.0, 14.0], None);
        check(&[], None);
    }
}
