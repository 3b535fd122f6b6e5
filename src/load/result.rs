//! From the books of a run to its summary: every limit judged, and what a preset looks for.

use std::time::Duration;

use crate::load::collect::{Books, EndpointTally, Tally, latency, rate, round};
use crate::load::failure::Kind;
use crate::load::findings::recovery;
use crate::load::gauge::{self, Gauge};
use crate::load::judge::{Evidence, Judgement, judge};
use crate::load::limit::LimitResult;
use crate::load::model::Preset;
use crate::load::plan::Plan;
use crate::load::record::{ENDPOINTS, OTHER};
use crate::load::shape::level_text;
use crate::load::summary::{
    CheckCount, Connections, Endpoint, Found, Generator, Latency, Point, StageSummary, Steady,
    Summary, Window,
};
use crate::statistics::{drift, growth};
use crate::unit::float;
use crate::verdict::Verdict;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// When it was meant to.
    Reached,
    /// By a limit that says so, or by a stress test's last step; with the reason.
    Stopped(String),
    /// When each journey was walked through once.
    Walked,
    /// Before its time, from outside.
    Cut,
    /// When the policy's time was over, with answers still awaited.
    Overdue,
}

/// What every run says that was not to look at certificates.
pub const INSECURE: &str = "certificates were not verified (`tls.insecure`)";

/// More than this, and errors grew over a soak.
const ERRORS_GROWTH: f64 = 0.01;

/// Puts the summary of a run together.
pub fn summarise(plan: &Plan, books: &Books, generator: Generator, how: &End) -> Summary {
    let end = books.end(!matches!(how, End::Reached | End::Overdue));
    let (begin, until) = books.steady();
    let (begin, until) = (begin.min(end), until.min(end));
    let all = Duration::from_micros(end);
    let held = match plan.baseline {
        None => Duration::from_micros(until - begin),
        // Between its blocks the target had no load.
        Some(_) => books.held(end),
    };
    let whole = books.sum(|endpoint| vec![&endpoint.ramp, &endpoint.steady]);
    let steady = books.sum(|endpoint| vec![&endpoint.steady]);
    let found = found(plan, books);
    let mut limits: Vec<LimitResult> =
        books.gauges.iter().map(|gauge| judge_gauge(gauge, books, &found, end)).collect();
    if plan.model.preset == Some(Preset::Acceptance) {
        limits.extend(checks(plan, books).iter().map(judge_check));
    }
    let comparison = books.blocks.as_ref().map(|blocks| {
        let (comparison, results) = blocks.judge();
        limits.extend(results);
        comparison
    });
    let judgement = judge_run(plan, books, (&whole, &generator, &limits), how);
    Summary {
        schema: Summary::SCHEMA.to_owned(),
        tool: "load".to_owned(),
        verdict: judgement.verdict,
        reasons: judgement.reasons,
        plan: plan.name.clone(),
        target: plan.target.to_string(),
        interrupted: *how == End::Cut,
        unreachable: judgement.is_unreachable,
        window: Window { start: books.at(0), end: books.at(end) },
        steady: Steady {
            start: books.at(begin),
            end: books.at(until),
            requests: steady.requests(held),
            latency: latency(&steady.response),
            service_time: latency(&steady.service),
            first_byte: latency(&steady.first_byte),
        },
        requests: whole.requests(all),
        rounds: books.rounds,
        latency: latency(&whole.response),
        service_time: latency(&whole.service),
        first_byte: latency(&whole.first_byte),
        connections: Connections { dns: latency(&plan.lookups()), ..connections(&whole) },
        endpoints: books.endpoints.iter().map(|endpoint| endpoint_of(endpoint, all)).collect(),
        checks: checks(plan, books),
        stages: stages(books, end),
        found,
        comparison,
        errors: whole.errors(),
        generator,
        limits,
        series: books.points.clone(),
    }
}

/// Judges a run as a whole.
fn judge_run(
    plan: &Plan,
    books: &Books,
    (whole, generator, limits): (&Tally, &Generator, &[LimitResult]),
    how: &End,
) -> Judgement {
    let needs_hold = plan.limits.iter().any(|limit| limit.during.is_none());
    let evidence = Evidence {
        whole,
        n_unconnected: whole.n_of(Kind::Connect),
        n_generator: whole.n_of(Kind::Generator),
        late: books.late,
        // A stress test ends where the target keeps all users busy.
        dropped: if plan.model.preset == Some(Preset::Stress) { 0 } else { books.dropped },
        cpu_share: generator.cpu_share,
        is_cut: *how == End::Cut,
        is_all_ramp: needs_hold && plan.model.judged().is_none(),
    };
    let mut judgement = judge(&evidence, limits);
    judge_preset(plan, books, &mut judgement);
    if *how == End::Walked {
        judge_walk(whole, generator.skipped, &mut judgement);
    }
    if plan.tls.is_insecure {
        judgement.worsen(Verdict::Passed, INSECURE.to_owned());
    }
    if *how == End::Overdue {
        let text = "answers were still awaited when the time that the policy gives beyond the \
                    load's duration was over";
        judgement.worsen(Verdict::Inconclusive, text);
    }
    if books.endpoints.iter().any(|endpoint| endpoint.name == OTHER) {
        let text = format!(
            "more than {ENDPOINTS} endpoints: the further ones are counted as `{OTHER}`; give steps \
             whose paths hold ids a `name`"
        );
        judgement.worsen(Verdict::Passed, text);
    }
    let [none, again] = books.used_up;
    if none > 0 {
        let text = format!("a feed ran out of rows: {none} users or rounds had none and ended");
        judgement.worsen(Verdict::Warned, text);
    }
    if again > 0 {
        let text = format!("a feed ran out of rows: {again} rounds or users took one again");
        judgement.worsen(Verdict::Passed, text);
    }
    if let (End::Stopped(why), false) = (how, plan.model.preset == Some(Preset::Stress)) {
        judgement.worsen(Verdict::Failed, format!("ended early by {why}"));
    }
    judgement
}

/// A walk through the plan is good when everything in it was.
fn judge_walk(whole: &Tally, skipped: u64, judgement: &mut Judgement) {
    if whole.failed > 0 && whole.failed < whole.count {
        let text = format!("{} of {} requests failed", whole.failed, whole.count);
        judgement.worsen(Verdict::Failed, text);
    }
    if skipped > 0 {
        let text = format!("{skipped} steps were left out: a value was missing");
        judgement.worsen(Verdict::Failed, text);
    }
}

fn connections(tally: &Tally) -> Connections {
    Connections {
        count: tally.connect.count(),
        dns: Latency::default(),
        connect: latency(&tally.connect),
        tls: latency(&tally.tls),
    }
}

fn endpoint_of(endpoint: &EndpointTally, span: Duration) -> Endpoint {
    let mut tally = Tally::default();
    tally.add(&endpoint.ramp);
    tally.add(&endpoint.steady);
    Endpoint {
        name: endpoint.name.clone(),
        requests: tally.requests(span),
        latency: latency(&tally.response),
        service_time: latency(&tally.service),
        first_byte: latency(&tally.first_byte),
        connections: connections(&tally),
        bytes: tally.bytes,
        errors: tally.errors(),
    }
}

fn checks(plan: &Plan, books: &Books) -> Vec<CheckCount> {
    let counted = plan.checks.iter().zip(&books.checks);
    let check = |((endpoint, name), [passes, fails]): (&(String, String), &[u64; 2])| CheckCount {
        endpoint: endpoint.clone(),
        name: name.clone(),
        passes: *passes,
        fails: *fails,
    };
    counted.map(check).collect()
}

/// A check as a criterion of an acceptance test: it must hold always.
fn judge_check(check: &CheckCount) -> LimitResult {
    let samples = check.passes + check.fails;
    let (verdict, reason) = match check.fails {
        _ if samples == 0 => (Verdict::Inconclusive, "no answer to look at".to_owned()),
        0 => (Verdict::Passed, format!("held {samples} times")),
        fails => (Verdict::Failed, format!("it failed {fails} of {samples} times")),
    };
    LimitResult {
        name: format!("check {}: {}", check.endpoint, check.name),
        verdict,
        value: (samples > 0).then(|| round(float(check.fails) / float(samples))),
        limit: 0.0,
        samples,
        reason,
        criterion: String::new(),
        interval: None,
    }
}

/// The stages that were begun, where there are several.
fn stages(books: &Books, end: u64) -> Vec<StageSummary> {
    // The blocks of a regression test are told by its comparison.
    if books.stages.len() < 2 || books.blocks.is_some() {
        return Vec::new();
    }
    let begun = books.stages.iter().filter(|stage| stage.seen.from < end);
    let stage = |stage: &crate::load::collect::StageTally| {
        let span = Duration::from_micros(stage.end.min(end).saturating_sub(stage.seen.from));
        StageSummary {
            name: stage.stage.name.clone(),
            start: books.at(stage.seen.from),
            end: books.at(stage.end.min(end)),
            from: round(stage.stage.from),
            to: round(stage.stage.to),
            requests: crate::load::summary::Requests {
                count: stage.seen.count,
                failed: stage.seen.failed,
                rate: rate(stage.seen.count, span),
            },
            latency: latency(&stage.seen.response),
            dropped: stage.dropped,
        }
    };
    begun.map(stage).collect()
}

/// The points of the part that is judged.
fn steady_points(books: &Books) -> Vec<Point> {
    let (begin, until) = books.steady();
    let until = until.min(books.end(false));
    let is_inside = |point: &&Point| {
        let end = point.start.saturating_add_unsigned(point.span);
        books.at(begin) <= point.start && end <= books.at(until)
    };
    books.points.iter().filter(is_inside).copied().collect()
}

/// The failed share over the run, in some twenty stretches: errors are few, and of short stretches
/// most would have none, which no slope of a median sees.
fn error_shares(points: &[Point]) -> Vec<f64> {
    const STRETCHES: usize = 20;
    let share = |points: &[Point]| {
        let count: f64 = points.iter().map(|point| point.rate * float(point.span) / 1000.0).sum();
        let failed: u64 = points.iter().map(|point| point.failed).sum();
        if count > 0.0 { float(failed) / count } else { 0.0 }
    };
    points.chunks(points.len().div_ceil(STRETCHES).max(1)).map(share).collect()
}

fn found(plan: &Plan, books: &Books) -> Found {
    let mut found = Found::default();
    match plan.model.preset {
        Some(Preset::Stress) => {
            let zero = books.capacity.bad.as_ref().map(|_| 0.0);
            found.capacity = books.capacity.good.or(zero).map(round);
            let good = books.stages.iter().rev().find(|stage| {
                books.capacity.good.is_some_and(|level| (stage.stage.to - level).abs() < 1e-9)
            });
            let achieved = good.map(|stage| rate(stage.seen.count, stage.stage.duration.0));
            found.capacity_requests = achieved.or(zero);
        }
        Some(Preset::Spike) => {
            let base = books.stages.first().map(|stage| &stage.seen);
            found.recovery = base.and_then(|base| recovery(base, &books.after));
        }
        Some(Preset::Soak) => {
            let points = steady_points(books);
            // A point without a request has no response time, not one of zero.
            let counted = points.iter().filter(|point| point.rate > 0.0);
            let p95: Vec<f64> = counted.map(|point| point.p95).collect();
            found.drift = drift(&p95).map(|drift| (drift * 10_000.0).round() / 10_000.0);
        }
        Some(Preset::Smoke | Preset::Load | Preset::Regression | Preset::Acceptance) | None => {}
    }
    found
}

fn judge_gauge(gauge: &Gauge, books: &Books, found: &Found, end: u64) -> LimitResult {
    let limit = &gauge.limit;
    match limit.metric.preset() {
        Some(Preset::Stress) => gauge::judge(limit, found.capacity, "no step came to its end"),
        Some(Preset::Spike) if found.recovery.is_none() && !books.after.is_empty() => LimitResult {
            verdict: Verdict::Failed,
            reason: "the target did not recover before the end".to_owned(),
            ..gauge::judge(limit, None, "")
        },
        Some(Preset::Spike) => gauge::judge(limit, found.recovery, "the run ended before"),
        Some(Preset::Soak) => gauge::judge(
            limit,
            found.drift,
            "too few points for a trend: ten seconds with answers are needed",
        ),
        // A stress test breaks limits: that is how it finds the capacity.
        None if books.is_stress() => {
            let whole = gauge.judge(end);
            if whole.value.is_none() {
                return whole;
            }
            let bad = books.capacity.bad.as_ref();
            let text = format!("{}: ", limit.condition());
            let why =
                bad.and_then(|(_, why)| why.split("; ").find_map(|why| why.strip_prefix(&text)));
            let reason = why.map_or_else(
                || "held in every step".to_owned(),
                |why| format!("held until the last step: {why}"),
            );
            LimitResult { verdict: Verdict::Passed, reason, ..whole }
        }
        Some(Preset::Smoke | Preset::Load | Preset::Regression | Preset::Acceptance) | None => {
            gauge.judge(end)
        }
    }
}

/// What a preset says beside the limits.
fn judge_preset(plan: &Plan, books: &Books, judgement: &mut Judgement) {
    match plan.model.preset {
        Some(Preset::Stress) => {
            let text = |level: f64| level_text(plan.model.kind, level);
            match (books.capacity.good, &books.capacity.bad) {
                (Some(good), Some((bad, why))) => judgement.worsen(
                    Verdict::Passed,
                    format!("the target is good up to {}; at {}: {why}", text(good), text(*bad)),
                ),
                (Some(good), None) => judgement.worsen(
                    Verdict::Passed,
                    format!(
                        "the target is good at {} and perhaps beyond: no step broke it",
                        text(good)
                    ),
                ),
                (None, Some((bad, why))) => judgement.worsen(
                    Verdict::Failed,
                    format!("even the first step, {}, was too much: {why}", text(*bad)),
                ),
                (None, None) => {
                    judgement.worsen(Verdict::Inconclusive, "no step came to its end");
                }
            }
        }
        Some(Preset::Soak) => {
            let errors = error_shares(&steady_points(books));
            if let Some(growth) = growth(&errors)
                && growth > ERRORS_GROWTH
            {
                let percent = round(growth * 100.0);
                let text = format!("errors grew by {percent} % of the requests over the run");
                judgement.worsen(Verdict::Failed, text);
            }
        }
        Some(
            Preset::Smoke | Preset::Load | Preset::Spike | Preset::Regression | Preset::Acceptance,
        )
        | None => {}
    }
}
