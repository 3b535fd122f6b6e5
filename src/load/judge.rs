//! From what was counted to a verdict: data quality first, then the limits. Pure.

use crate::load::collect::{Tally, percent};
use crate::load::limit::LimitResult;
use crate::unit::float;
use crate::verdict::Verdict;

/// What the judgement rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The whole run.
    pub whole: &'a Tally,
    /// Requests that met no connection, and those that failed for want of means here.
    pub n_unconnected: u64,
    /// Requests that failed for want of sockets or ports on this machine.
    pub n_generator: u64,
    /// Starts that were too late.
    pub late: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// The busiest thread's share of a core.
    pub cpu_share: f64,
    /// True when the run was ended before its time.
    pub is_cut: bool,
    /// True when no stage holds a level that limits could be judged on, and some limit needs one.
    pub is_all_ramp: bool,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The worst of all that was found.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<String>,
    /// True when no connection could be made at all.
    pub is_unreachable: bool,
}

/// More than this share of late or dropped starts, and the target was not what was measured.
const LATE_SHARE: f64 = 0.01;

/// Fewer late starts than this are chance, whatever their share.
const LATE_LEAST: u64 = 10;

/// A thread busier than this delays what it measures.
const CPU_SHARE: f64 = 0.9;

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>, limits: &[LimitResult]) -> Judgement {
    let mut judgement =
        Judgement { verdict: Verdict::Passed, reasons: Vec::new(), is_unreachable: false };
    let whole = evidence.whole;
    if evidence.is_cut {
        judgement.worsen(Verdict::Inconclusive, "the run was ended before its time");
    }
    if whole.count == 0 {
        judgement.worsen(Verdict::Inconclusive, "no request was made");
        return judgement;
    }
    judgement.note_generator(evidence);
    if whole.failed == whole.count {
        let error = whole.errors().first().map_or_else(String::new, |error| error.text.clone());
        if evidence.n_unconnected == whole.count {
            judgement.is_unreachable = true;
            judgement.worsen(Verdict::Error, format!("the target was not reached: {error}"));
        } else {
            judgement.worsen(Verdict::Failed, format!("every request failed: {error}"));
        }
    }
    if evidence.is_all_ramp && !limits.is_empty() {
        judgement.worsen(
            Verdict::Inconclusive,
            "the ramp lasted as long as the run, so no limit can be judged: raise the duration or \
             the spawn rate, or aim limits by `during`",
        );
    }
    for limit in limits {
        match limit.verdict {
            Verdict::Passed => {}
            Verdict::Warned | Verdict::Inconclusive | Verdict::Error | Verdict::Failed => {
                judgement.worsen(limit.verdict, format!("{}: {}", limit.name, limit.reason));
            }
        }
    }
    judgement
}

impl Judgement {
    /// Takes a verdict that may be worse, and its reason.
    pub fn worsen(&mut self, verdict: Verdict, reason: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.push(reason.into());
    }

    fn note_generator(&mut self, evidence: &Evidence<'_>) {
        let asked = evidence.whole.count + evidence.dropped;
        let share = |n: u64| float(n) / float(asked.max(1));
        let what = "the generator, not the target, was the limit:";
        if share(evidence.dropped) > LATE_SHARE {
            let n = evidence.dropped;
            self.worsen(
                Verdict::Inconclusive,
                format!("{n} arrivals were dropped: all users were still busy (raise `max-users`)"),
            );
        }
        if share(evidence.late) > LATE_SHARE && evidence.late >= LATE_LEAST {
            let n = evidence.late;
            self.worsen(Verdict::Inconclusive, format!("{what} {n} starts came too late"));
        }
        if evidence.cpu_share > CPU_SHARE {
            let busy = percent(evidence.cpu_share);
            self.worsen(
                Verdict::Inconclusive,
                format!("{what} a thread of it was busy {busy} % of the time (raise `threads`, or ask for less)"),
            );
        }
        if evidence.n_generator > 0 {
            let n = evidence.n_generator;
            self.worsen(
                Verdict::Inconclusive,
                format!("{what} {n} requests found no free socket or port on this machine"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::failure::Kind;
    use crate::load::gauge::{Gauge, Stretch};

    fn tally(count: u64, failed: u64) -> Tally {
        let mut tally = Tally { count, failed, ..Tally::default() };
        for n in 0..count {
            tally.response.record(1000 * (n + 1));
        }
        if failed > 0 {
            tally.failures.insert("status 500".to_owned(), (Kind::Answer, failed));
        }
        tally
    }

    fn evidence(whole: &Tally) -> Evidence<'_> {
        Evidence {
            whole,
            n_unconnected: 0,
            n_generator: 0,
            late: 0,
            dropped: 0,
            cpu_share: 0.1,
            is_cut: false,
            is_all_ramp: false,
        }
    }

    /// A limit on the tally, as one stretch of ten seconds.
    fn limit(text: &str, tally: &Tally) -> LimitResult {
        const TEN_SECONDS: u64 = 10_000_000;
        let mut gauge = Gauge::new(text.parse().unwrap(), vec![(0, TEN_SECONDS)]);
        let seen = Stretch {
            count: tally.count,
            failed: tally.failed,
            response: tally.response.clone(),
            ..Stretch::default()
        };
        gauge.close(TEN_SECONDS, &seen);
        gauge.judge(TEN_SECONDS)
    }

    #[test]
    fn nothing_passes_for_want_of_data() {
        let (none, bad, good) = (tally(0, 0), tally(10, 10), tally(100, 1));
        let verdict = |evidence: Evidence<'_>| judge(&evidence, &[]).verdict;
        assert_eq!(verdict(evidence(&none)), Verdict::Inconclusive);
        assert_eq!(verdict(evidence(&bad)), Verdict::Failed);
        assert_eq!(verdict(evidence(&good)), Verdict::Passed);
        assert_eq!(verdict(Evidence { late: 10, ..evidence(&good) }), Verdict::Inconclusive);
        assert_eq!(verdict(Evidence { late: 9, ..evidence(&good) }), Verdict::Passed);
        assert_eq!(verdict(Evidence { dropped: 2, ..evidence(&good) }), Verdict::Inconclusive);
        assert_eq!(verdict(Evidence { n_generator: 1, ..evidence(&good) }), Verdict::Inconclusive);
        assert_eq!(verdict(Evidence { cpu_share: 0.95, ..evidence(&good) }), Verdict::Inconclusive);
        assert_eq!(verdict(Evidence { is_cut: true, ..evidence(&good) }), Verdict::Inconclusive);
    }

    #[test]
    fn a_target_that_was_never_reached_is_told_apart() {
        let mut refused = tally(10, 10);
        refused.failures.clear();
        let text = "connection refused by 127.0.0.1:81";
        refused.failures.insert(text.to_owned(), (Kind::Connect, 10));
        let judgement = judge(&Evidence { n_unconnected: 10, ..evidence(&refused) }, &[]);
        assert!(judgement.is_unreachable);
        assert_eq!(judgement.verdict, Verdict::Error);
        assert_eq!(judgement.reasons, [format!("the target was not reached: {text}")]);
    }

    #[test]
    fn the_worst_limit_decides_and_says_what_was_measured() {
        let tally = tally(100, 2);
        for (text, verdict, value) in [
            ("p50 < 51ms", Verdict::Passed, Some(50.015)),
            ("p50 < 40ms", Verdict::Failed, Some(50.015)),
            ("max <= 2s", Verdict::Passed, Some(100.031)),
            ("mean > 50ms", Verdict::Passed, Some(50.5)),
            ("errors < 2%", Verdict::Failed, Some(0.02)),
            ("errors <= 2%", Verdict::Passed, Some(0.02)),
            ("rate >= 10/s", Verdict::Passed, Some(10.0)),
        ] {
            let result = limit(text, &tally);
            assert_eq!(result.verdict, verdict, "{text}");
            let (found, expected) = (result.value.unwrap(), value.unwrap());
            assert!((found - expected).abs() < expected * 0.001, "{text}: {found}");
        }
        let results = [limit("p50 < 1s", &tally), limit("errors < 1%", &tally)];
        let judgement = judge(&evidence(&tally), &results);
        assert_eq!(judgement.verdict, Verdict::Failed);
        assert_eq!(judgement.reasons, ["errors < 1%: it was 2.00%, not 1.00%"]);
    }

    #[test]
    fn a_limit_without_requests_or_without_a_steady_phase_is_inconclusive() {
        let (none, some) = (tally(0, 0), tally(5, 0));
        let result = limit("p95 GET /a < 1s", &none);
        assert_eq!((result.verdict, result.value), (Verdict::Inconclusive, None));
        assert_eq!(judge(&evidence(&some), &[result]).verdict, Verdict::Inconclusive);
        let ramp = Evidence { is_all_ramp: true, ..evidence(&some) };
        assert_eq!(judge(&ramp, &[]).verdict, Verdict::Passed);
        assert_eq!(judge(&ramp, &[limit("p95 < 1s", &some)]).verdict, Verdict::Inconclusive);
    }
}
