//! The gate at work: ask, wait for late data, judge, and tell. Whatever goes wrong is a verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::judge::{blank, judge};
use super::plan::{Check, Plan};
use super::series::{Answer, Chosen, Query, Window};
use super::settle::{Bounds, Look, Next, next};
use super::source::{self, MetricSource};
use super::summary::{CheckResult, Event, Summary};
use crate::verdict::Verdict;

/// The live sources by name, in the policy's words.
pub type Sources = BTreeMap<String, Box<dyn MetricSource>>;

/// How often a wait is told again: GitLab learns of a cancel from new output.
const TELL: Duration = Duration::from_secs(10);

type Emit<'a> = dyn FnMut(Event) + Send + 'a;

/// Runs every check of a plan over a window. A source that does not answer is verdict `error`.
///
/// On cancel, or when the future is dropped, nothing is left behind; cancelled checks are
/// inconclusive.
pub async fn run(
    plan: &Plan,
    window: impl Into<Chosen>,
    sources: &Sources,
    emit: &mut Emit<'_>,
    cancel: &CancellationToken,
) -> Summary {
    let chosen = window.into();
    emit(Event::Window { window: chosen.window, note: chosen.note.clone() });
    let mut gate = Gate { plan, window: chosen.window, sources, dead: BTreeMap::new() };
    let mut checks = Vec::with_capacity(plan.checks.len());
    let mut is_platforms_fault = false;
    for check in &plan.checks {
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                CheckResult { reason: "interrupted".to_owned(), ..blank(check) }
            }
            result = gate.check(check, emit) => match result {
                Ok(result) => result,
                Err(unanswered) => {
                    is_platforms_fault |= unanswered.is_platforms_fault;
                    CheckResult {
                        verdict: Verdict::Error,
                        counts: Verdict::Error,
                        reason: unanswered.why,
                        ..blank(check)
                    }
                }
            },
        };
        emit(Event::Judged(Box::new(result.clone())));
        checks.push(result);
    }
    let summary = Summary { is_platforms_fault, ..Summary::of(chosen, checks) };
    emit(Event::Finished(Box::new(summary.clone())));
    summary
}

#[derive(Clone)]
struct Unanswered {
    why: String,
    is_platforms_fault: bool,
}

struct Gate<'a> {
    plan: &'a Plan,
    window: Window,
    sources: &'a Sources,
    /// Sources that could not be reached: asking them again would only take time.
    dead: BTreeMap<&'a str, Unanswered>,
}

impl<'a> Gate<'a> {
    async fn check(
        &mut self,
        check: &Check,
        emit: &mut Emit<'_>,
    ) -> Result<CheckResult, Unanswered> {
        let sources = self.sources;
        let granted = sources.iter().map(|(name, source)| (name.as_str(), source.kind()));
        let Some((name, source)) =
            check.source.resolve(granted).and_then(|name| Some((name, sources.get(name)?)))
        else {
            let why = format!("no source `{}` is there to ask", check.source);
            return Err(Unanswered { why, is_platforms_fault: false });
        };
        if let Some(unanswered) = self.dead.get(name) {
            return Err(unanswered.clone());
        }
        let window = check.rule.widened(self.window);
        let answer = self.settled((check, window), name, source.as_ref(), emit).await?;
        Ok(CheckResult { source: name.to_owned(), ..judge(check, &answer, window) })
    }

    async fn settled(
        &mut self,
        (check, window): (&Check, Window),
        name: &'a str,
        source: &dyn MetricSource,
        emit: &mut Emit<'_>,
    ) -> Result<Answer, Unanswered> {
        let step = check.rule.step(window);
        let bounds = Bounds { window, step, settle: self.plan.settle.0 };
        let query = Query { text: check.query.clone(), window, step };
        emit(Event::Asked {
            check: check.name.clone(),
            source: name.to_owned(),
            url: source.url(&query),
        });
        let mut before = None;
        let mut told = Told::default();
        loop {
            let answered = self.patiently(check, source.query(&query), emit).await;
            let answer = match answered {
                Ok(answer) => answer,
                Err(error) => return Err(self.unanswered(check, name, &error, emit)),
            };
            let look = Look::at(&answer, window);
            let now_ms = now_ms();
            match next(&bounds, now_ms, look, before) {
                Next::Judge => {
                    emit(Event::Answered {
                        check: check.name.clone(),
                        status: answer.status.clone(),
                        series: u64::try_from(answer.series.len()).unwrap_or(u64::MAX),
                        points: look.n_points,
                    });
                    return Ok(answer);
                }
                Next::Again { pause, at_most, why } => {
                    if told.is_due(&why, Instant::now()) {
                        emit(settling(check, why, at_most));
                    }
                    // A look before the window's end says nothing of what comes at its end.
                    before = (now_ms >= window.end_ms).then_some(look);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Waits for one answer, and tells that it does.
    async fn patiently<T>(
        &self,
        check: &Check,
        answer: impl Future<Output = T>,
        emit: &mut Emit<'_>,
    ) -> T {
        let asked = Instant::now();
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = tokio::time::sleep(TELL) => {
                    let left = source::LONGEST.saturating_sub(asked.elapsed());
                    emit(settling(check, "no answer yet".to_owned(), left));
                }
            }
        }
    }

    fn unanswered(
        &mut self,
        check: &Check,
        name: &'a str,
        error: &source::Error,
        emit: &mut Emit<'_>,
    ) -> Unanswered {
        let unanswered =
            Unanswered { why: source::told(error), is_platforms_fault: error.is_platforms_fault() };
        emit(Event::Unanswered {
            check: check.name.clone(),
            status: error.status(),
            why: unanswered.why.clone(),
        });
        if error.is_unreachable() {
            self.dead.insert(name, unanswered.clone());
        }
        unanswered
    }
}

fn settling(check: &Check, why: String, at_most: Duration) -> Event {
    let at_most_ms = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
    Event::Settling { check: check.name.clone(), why, at_most_ms }
}

/// What was told last of a wait, and when.
#[derive(Debug, Default)]
struct Told(Option<(String, Instant)>);

impl Told {
    /// True when a reason is to be told: it is a new one, or was told some time ago.
    fn is_due(&mut self, why: &str, now: Instant) -> bool {
        let is_fresh = self
            .0
            .as_ref()
            .is_some_and(|(told, at)| told == why && now.saturating_duration_since(*at) < TELL);
        if !is_fresh {
            self.0 = Some((why.to_owned(), now));
        }
        !is_fresh
    }
}

/// Milliseconds since 1970. A clock before that is a clock nobody can judge by: then 0.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_at_once_when_its_reason_changes_and_every_ten_seconds() {
        let start = Instant::now();
        let mut told = Told::default();
        for (seconds, why, expected) in [
            (0, "no sample yet", true),
            (5, "no sample yet", false),
            (9, "no sample yet", false),
            (10, "no sample yet", true),
            (15, "no sample yet", false),
            (16, "samples may still come in", true),
            (25, "samples may still come in", false),
            (26, "samples may still come in", true),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(told.is_due(why, now), expected, "{seconds}");
        }
    }
}
