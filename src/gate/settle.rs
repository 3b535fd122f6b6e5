//! Waiting for a source's data to reach the window's end: how long still, and why.

use std::time::Duration;

use super::series::{Answer, Window};
use crate::unit::Span;

/// What one look at the source showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The newest sample's time within the window.
    pub newest_ms: Option<i64>,
    /// How many samples there are in the window.
    pub n_points: u64,
}

impl Look {
    /// Looks at an answer.
    pub fn at(answer: &Answer, window: Window) -> Self {
        let moments = answer.series.iter().flat_map(|series| &series.points);
        Self {
            newest_ms: moments.map(|point| point.at_ms).filter(|at| window.contains(*at)).max(),
            n_points: answer.n_points(window),
        }
    }
}

/// When to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Judge what is there.
    Judge,
    /// Look again after that time.
    Again {
        /// How long to wait.
        pause: Duration,
        /// Longest wait in all from now on.
        at_most: Duration,
        /// What for.
        why: String,
    },
}

/// How the wait is bounded.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What time is judged.
    pub window: Window,
    /// How often there should be a sample.
    pub step: Duration,
    /// How long after the window's end waiting makes sense.
    pub settle: Duration,
}

/// Decides whether the data has settled: the window is over, the newest sample is within a step of
/// its end and none was added between two looks. Long after the window's end nothing more comes.
pub fn next(bounds: &Bounds, now_ms: i64, look: Look, before: Option<Look>) -> Next {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let left = bounds.window.end_ms.saturating_add(millis(bounds.settle)).saturating_sub(now_ms);
    let Ok(left) = u64::try_from(left) else { return Next::Judge };
    if left == 0 {
        return Next::Judge;
    }
    let at_most = Duration::from_millis(left);
    let pause =
        (bounds.step / 2).clamp(Duration::from_millis(500), Duration::from_secs(5)).min(at_most);
    let reached = bounds.window.end_ms.saturating_sub(millis(bounds.step));
    let is_over = now_ms >= bounds.window.end_ms;
    let why = match look.newest_ms {
        _ if !is_over => "the window is not over yet".to_owned(),
        None => "no sample yet".to_owned(),
        Some(newest) if newest < reached => {
            let behind = bounds.window.end_ms.saturating_sub(newest) / 1000;
            let behind = Span::seconds(u64::try_from(behind).unwrap_or(0));
            format!("the newest sample is {behind} before the window's end")
        }
        Some(_) if before.is_none_or(|before| before.n_points != look.n_points) => {
            "samples may still come in".to_owned()
        }
        Some(_) => return Next::Judge,
    };
    Next::Again { pause, at_most, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1_000_000;

    #[track_caller]
    fn check(late_ms: i64, newest: Option<i64>, n_points: u64, before: Option<u64>) -> Next {
        let bounds = Bounds {
            window: Window { start_ms: END - 60_000, end_ms: END },
            step: Duration::from_secs(15),
            settle: Duration::from_secs(30),
        };
        let look = |n_points| Look { newest_ms: newest.map(|before| END - before), n_points };
        next(&bounds, END + late_ms, look(n_points), before.map(look))
    }

    #[test]
    fn data_that_reaches_the_end_and_stays_the_same_is_judged() {
        assert_eq!(check(5000, Some(10_000), 4, Some(4)), Next::Judge);
    }

    #[test]
    fn data_that_is_late_or_still_grows_is_waited_for() {
        for (newest, before, part) in [
            (None, None, "no sample yet"),
            (Some(40_000), Some(4), "40s before"),
            (Some(10_000), Some(3), "may still come"),
            (Some(10_000), None, "may still come"),
        ] {
            let Next::Again { pause, at_most, why } = check(5000, newest, 4, before) else {
                panic!("{newest:?} is judged");
            };
            assert!(why.contains(part), "{why}");
            assert!(pause <= at_most && at_most == Duration::from_secs(25));
        }
    }

    #[test]
    fn nothing_is_judged_before_the_window_is_over() {
        let next = check(-1, Some(0), 5, Some(5));
        assert!(matches!(next, Next::Again { why, .. } if why.contains("not over yet")));
    }

    #[test]
    fn the_wait_has_an_end_and_is_none_for_an_old_window() {
        assert_eq!(check(30_000, None, 0, None), Next::Judge);
        assert_eq!(check(86_400_000, Some(40_000), 4, None), Next::Judge);
    }
}
