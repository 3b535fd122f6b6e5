//! The gate at work: ask, wait for late data, judge, and tell. Whatever goes wrong is a verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::combine::combine;
use super::judge::{Past, blank, columns_of, judge, settled, unfit};
use super::plan::{Check, Plan, SourceChoice};
use super::quality::restarted;
use super::reduce::Reduce;
use super::series::{Answer, Chosen, Query, Series, Window};
use super::settle::{Bounds, Look, Next, next};
use super::source::{self, MetricSource};
use super::summary::{CheckResult, Event, Summary};
use crate::unit::Span;
use crate::verdict::Verdict;

/// The live sources by name, in the policy's words.
pub type Sources = BTreeMap<String, Box<dyn MetricSource>>;

/// Nobody waits longer than this for a window to be over.
const AHEAD: Duration = Duration::from_hours(1);

/// Milliseconds from 1970, to both sides: more than 100,000 years.
const FARTHEST_MS: i64 = 1 << 52;

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
                    let failed = CheckResult {
                        verdict: Verdict::Error,
                        counts: Verdict::Error,
                        reason: unanswered.why,
                        ..blank(check)
                    };
                    settled(check, failed)
                }
            },
        };
        emit(Event::Judged(Box::new(result.clone())));
        checks.push(result);
    }
    let summary = Summary { is_platforms_fault, ..Summary::of(chosen, checks, plan.score) };
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

/// A question on behalf of a check.
#[derive(Clone, Copy)]
struct Question<'q> {
    check: &'q Check,
    choice: &'q SourceChoice,
    text: &'q str,
    window: Window,
}

/// An answer, and who gave it.
struct Heard<'a> {
    name: &'a str,
    answer: Answer,
    link: Option<String>,
}

impl<'a> Gate<'a> {
    async fn check(
        &mut self,
        check: &Check,
        emit: &mut Emit<'_>,
    ) -> Result<CheckResult, Unanswered> {
        let window = check.rule.widened(self.window);
        if let Some(why) = yet_to_come(window, now_ms()) {
            return Ok(unfit(check, blank(check), (&why, window)));
        }
        let of_check = Question { check, choice: &check.source, text: &check.query, window };
        let (name, link, answer) = if let Some(expr) = &check.value {
            let mut answers = Vec::with_capacity(check.operands.len());
            let (mut names, mut link) = (Vec::new(), None);
            for operand in &check.operands {
                let question =
                    Question { choice: &operand.source, text: &operand.query, ..of_check };
                let heard = self.ask(question, emit).await?;
                link = link.or(heard.link);
                if !names.contains(&heard.name) {
                    names.push(heard.name);
                }
                answers.push((operand.name.clone(), heard.answer));
            }
            (names.join(", "), link, combine(expr, &answers, check.rule.step(window)))
        } else {
            let heard = self.ask(of_check, emit).await?;
            (heard.name.to_owned(), heard.link, Ok(heard.answer))
        };
        let restarted = match &check.restarts {
            None => None,
            Some(query) => {
                let heard = self.ask(Question { text: query, ..of_check }, emit).await?;
                restarted(&check.rule, &heard.answer, window)
            }
        };
        let judged = match (answer, restarted) {
            (Ok(answer), None) => {
                let runs = self.plan.history.get(&check.name).map_or(&[][..], Vec::as_slice);
                judge(check, &answer, window, Past { runs, load: self.mean_rate() })
            }
            (Ok(_), Some(why)) | (Err(why), _) => unfit(check, blank(check), (&why, window)),
        };
        Ok(self.with_load(CheckResult { source: name, link, ..judged }, window))
    }

    /// The load's requests a second, where its report is there.
    fn rate(&self) -> Option<&Series> {
        let mut all = self.plan.recordings.get(source::LOAD)?.series.iter();
        all.find(|series| series.labels.get("__name__").is_some_and(|name| name == "rate"))
    }

    fn mean_rate(&self) -> Option<f64> {
        let inside = self.rate()?.points.iter().filter(|point| self.window.contains(point.at_ms));
        Reduce::Mean.over(&inside.map(|point| point.value).collect::<Vec<_>>())
    }

    /// Puts the load's rate beside the judged series, on the same columns.
    fn with_load(&self, mut result: CheckResult, window: Window) -> CheckResult {
        if let (Some(chart), Some(rate)) = (&mut result.chart, self.rate()) {
            chart.load = columns_of(&rate.points, window, chart.columns.len());
        }
        result
    }

    async fn ask(
        &mut self,
        question: Question<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<Heard<'a>, Unanswered> {
        let sources = self.sources;
        let granted = sources.iter().map(|(name, source)| (name.as_str(), source.kind()));
        let Some((name, source)) =
            question.choice.resolve(granted).and_then(|name| Some((name, sources.get(name)?)))
        else {
            let names: Vec<&str> = sources.keys().map(String::as_str).collect();
            let known = match names.as_slice() {
                [] => "there is none".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            };
            let why = format!("no source `{}` is there to ask; {known}", question.choice);
            return Err(Unanswered { why, is_platforms_fault: false });
        };
        if let Some(unanswered) = self.dead.get(name) {
            return Err(unanswered.clone());
        }
        let step = question.check.rule.step(question.window);
        let query = Query { text: question.text.to_owned(), window: question.window, step };
        let answer = self.settled(question, (name, source.as_ref()), &query, emit).await?;
        Ok(Heard { name, answer, link: source.link(&query) })
    }

    async fn settled(
        &mut self,
        Question { check, window, .. }: Question<'_>,
        (name, source): (&'a str, &dyn MetricSource),
        query: &Query,
        emit: &mut Emit<'_>,
    ) -> Result<Answer, Unanswered> {
        let kind = source.kind();
        let settle = match self.plan.settle {
            // What was recorded does not grow.
            Some(settle) if !kind.settle().is_zero() => settle.0,
            Some(_) | None => kind.settle(),
        };
        let bounds = Bounds { window, step: query.step, settle };
        emit(Event::Asked {
            check: check.name.clone(),
            source: name.to_owned(),
            url: source.url(query),
        });
        let mut before = None;
        let mut told = Told::default();
        loop {
            let answered = self.patiently(check, source.query(query), emit).await;
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

/// Says that a window ends too far ahead to wait for it: a wrong year, a clock that is wrong, a step of
/// days.
fn yet_to_come(window: Window, now_ms: i64) -> Option<String> {
    // Whoever hands a window on may write anything: what lies this far off is nobody's time.
    if window.start_ms.min(window.end_ms) < -FARTHEST_MS || window.end_ms > FARTHEST_MS {
        return Some("the window is no time".to_owned());
    }
    let ahead = u64::try_from(window.end_ms.saturating_sub(now_ms)).unwrap_or(0);
    let ahead = Duration::from_secs(Duration::from_millis(ahead).as_secs());
    (ahead > AHEAD).then(|| {
        format!("the window ends {} from now: a gate waits {} at most", Span(ahead), Span(AHEAD))
    })
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
    fn no_window_is_waited_for_that_ends_far_ahead() {
        let window = |ahead_ms: i64| Window { start_ms: 0, end_ms: 1_000_000 + ahead_ms };
        let told = |ahead_ms: i64| yet_to_come(window(ahead_ms), 1_000_000);
        assert_eq!(told(-5_000), None);
        assert_eq!(told(3_600_000), None);
        let why = told(86_400_000).unwrap();
        assert_eq!(why, "the window ends 24h from now: a gate waits 1h at most");
        let all = [(i64::MIN, i64::MAX), (i64::MIN, i64::MIN + 1), (0, i64::MAX), (i64::MIN, 0)];
        for (start_ms, end_ms) in all {
            let window = Window { start_ms, end_ms };
            assert_eq!(yet_to_come(window, 0).unwrap(), "the window is no time", "{window}");
        }
        let days = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_086_400_000 };
        assert_eq!(days.to_string(), "2023-11-14 22:13:20 – 2023-11-15 22:13:20 UTC (24h)");
    }

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
