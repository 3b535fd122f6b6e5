//! Gate tasks: the load's window is found or waited for, sources get their credential, the gate
//! judges.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::gate::{self, Check, Plan, SourceChoice, Sources, Summary, Watch, Window, source};
use crate::mistake::suggest;
use crate::outcome::Outcome;
use crate::policy::SourceEntry;
use crate::unit::Span;
use crate::verdict::Verdict;

use super::protocol::Event;
use super::records::{Choice, Records, choose};
use super::rights::{Desk, Granted, Rights};
use super::variable;

/// How often the records of the pipeline are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How often the job log is told what is waited for: GitLab learns of a cancel from new output.
const TELL: Duration = Duration::from_secs(10);

/// Judges the plan's checks.
pub(super) async fn perform(
    desk: &Desk<'_>,
    plan: &Plan,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    if let Rights::Granted(granted) = &desk.rights {
        granted.profile.allow_gate(granted.policy, plan)?;
        if let Some(warning) = variable::shadow(granted, plan) {
            emit(Event::Said(warning));
        }
    }
    let mut plan = with_named_sources(desk, plan);
    let load = match &desk.rights {
        Rights::Granted(granted) if plan.window.wants_load() => {
            let found = find_and_watch(desk, &mut plan, granted, emit);
            tokio::select! {
                load = found => load?,
                () = cancel.cancelled() => return Ok(Outcome::Interrupted),
            }
        }
        Rights::Granted(_) | Rights::Own(_) => Load::None,
    };
    // Whatever a guest claims of earlier runs, only what is kept counts.
    plan.history = if plan.checks.iter().any(|check| check.rule.regression.is_some()) {
        super::baseline::history(desk, &plan, emit).await
    } else {
        std::collections::BTreeMap::new()
    };
    let plan = &plan;
    let sources = connect(desk, plan)?;
    let window = match load {
        Load::Window(window) => Some(window),
        Load::None => None,
        Load::Unusable(reason) => return Ok(inconclusive(reason, emit)),
    };
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let Some(chosen) = plan.window.resolve(window, now_ms) else {
        let reason = "no load ran in this job or pipeline, and the plan names no other window";
        return Ok(inconclusive(reason.to_owned(), emit));
    };
    let summary =
        gate::run(plan, chosen, &sources, &mut |event| emit(Event::Gate(event)), cancel).await;
    if summary.is_platforms_fault {
        desk.note_platform_failure();
    }
    if cancel.is_cancelled() {
        return Ok(Outcome::Interrupted);
    }
    if let Rights::Granted(granted) = &desk.rights {
        super::baseline::keep(granted, desk, (plan, &summary), emit).await;
        super::verdict::tell(granted, plan, &summary, emit).await;
    }
    Ok(outcome(&summary))
}

/// A query that its source cannot read is bad input, as a plan that cannot be read is.
fn outcome(summary: &Summary) -> Outcome {
    match summary.verdict {
        Verdict::Error if !summary.is_platforms_fault => Outcome::Usage,
        verdict @ (Verdict::Passed
        | Verdict::Warned
        | Verdict::Inconclusive
        | Verdict::Error
        | Verdict::Failed) => verdict.into(),
    }
}

/// Without a window there is nothing to judge, and that is never a pass.
fn inconclusive(reason: String, emit: &mut (dyn FnMut(Event) + Send)) -> Outcome {
    let summary = Summary::without_checks(Verdict::Inconclusive, reason);
    emit(Event::Gate(gate::Event::Finished(Box::new(summary))));
    Outcome::Inconclusive
}

enum Load {
    Window(Window),
    None,
    Unusable(String),
}

/// Finds the load to judge, and samples beside it what has no history.
async fn find_and_watch(
    desk: &Desk<'_>,
    plan: &mut Plan,
    granted: &Granted<'_>,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<Load> {
    let watches: Vec<Watch> = plan.checks.iter().flat_map(Check::questions).collect();
    let is_over = CancellationToken::new();
    let found = async {
        let load = find_load(granted, emit).await;
        is_over.cancel();
        load
    };
    let (load, recorded) = tokio::join!(found, super::watch::record(desk, &watches, &is_over));
    for (name, recording) in recorded? {
        // What was recorded through the whole load is better than what came of waiting for its end.
        plan.recordings.entry(name).or_insert(recording);
    }
    Ok(load)
}

/// Finds the load to judge. One that has not started is waited for a short time, one that runs
/// for longer: jobs of one stage start side by side.
async fn find_load(granted: &Granted<'_>, emit: &mut (dyn FnMut(Event) + Send)) -> Load {
    let records = Records::of(&granted.policy.state, granted.job);
    let rule = &granted.profile.gate;
    let started = Instant::now();
    let mut seen: Option<Instant> = None;
    let mut told: Option<Instant> = None;
    loop {
        let (waits_for, bound, since) = match choose(&records.read(), granted.job.id) {
            Choice::Judge { window, of } => {
                emit(Event::Said(format!("Judging the load of job {of}.")));
                return Load::Window(window);
            }
            Choice::Broken { of } => {
                return Load::Unusable(format!(
                    "the load of job {of} gave no steady phase to judge"
                ));
            }
            Choice::WaitForEnd { of } => {
                let since = *seen.get_or_insert_with(Instant::now);
                (format!("the load of job {of} to end"), rule.wait_for_load_end, since)
            }
            Choice::None => {
                ("a load of this pipeline to start".to_owned(), rule.wait_for_load_start, started)
            }
        };
        if since.elapsed() >= bound.0 {
            return match seen {
                None => Load::None,
                Some(_) => Load::Unusable(format!("waited {bound} for {waits_for}")),
            };
        }
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            let left = Span(Duration::from_secs(bound.0.saturating_sub(since.elapsed()).as_secs()));
            emit(Event::Said(format!("Waiting for {waits_for} (at most {left} more).")));
        }
        sleep(LOOK).await;
    }
}

/// The sources that may be asked, in the order in which a kind is looked for.
pub(super) fn offered<'a>(desk: &'a Desk<'_>) -> Vec<(&'a str, &'a SourceEntry)> {
    match (&desk.rights, desk.policy()) {
        (Rights::Granted(granted), _) => granted.profile.granted_sources(granted.policy).collect(),
        (Rights::Own(_), Some(policy)) => {
            policy.sources.iter().map(|(name, entry)| (&**name, entry)).collect()
        }
        (Rights::Own(_), None) => Vec::new(),
    }
}

/// The plan with each check's source by its name; one that is not offered stays as it was asked.
fn with_named_sources(desk: &Desk<'_>, plan: &Plan) -> Plan {
    let offered = offered(desk);
    let mut plan = plan.clone();
    for check in &mut plan.checks {
        let of_operands = check.operands.iter_mut().map(|operand| &mut operand.source);
        for source in std::iter::once(&mut check.source).chain(of_operands) {
            let kinds = offered.iter().map(|(name, entry)| (*name, entry.kind()));
            if let Some(name) = source.resolve(kinds) {
                *source = SourceChoice::Named(name.to_owned());
            }
        }
    }
    plan
}

/// Opens the sources that the plan asks, each with the policy's credential or else the job's own.
fn connect(desk: &Desk<'_>, plan: &Plan) -> Result<Sources> {
    let asked = || plan.checks.iter().flat_map(Check::sources);
    let mut sources = Sources::new();
    if asked().any(SourceChoice::is_load) {
        let recording = plan.recordings.get(source::LOAD).cloned();
        let load = source::Recorded { kind: source::Kind::Load, recording };
        sources.insert(source::LOAD.to_owned(), Box::new(load));
    }
    if desk.policy().is_none() && !asked().all(SourceChoice::is_load) {
        return Err(Error::job("no metric source is defined on this machine")
            .hint("write a file with `sources:` and name it with --policy"));
    }
    let offers = offered(desk);
    let kinds = || offers.iter().map(|(name, entry)| (*name, entry.kind()));
    let is_there = |choice: &SourceChoice| choice.is_load() || choice.resolve(kinds()).is_some();
    let asks = plan.checks.iter().flat_map(|check| check.sources().map(move |of| (check, of)));
    if let Some((check, other)) = asks.into_iter().find(|(_, choice)| !is_there(choice)) {
        let names: Vec<&str> = offers.iter().map(|(name, _)| *name).collect();
        return Err(Error::job(format!(
            "the check `{}` asks the source `{other}`, and none of this name is defined",
            check.name
        ))
        .hint(suggest(&other.to_string(), &names)));
    }
    for (name, entry) in offers {
        let kind = entry.kind();
        if !asked().any(|choice| choice.resolve([(name, kind)]).is_some()) {
            continue;
        }
        let source: Box<dyn source::MetricSource> = if kind.is_sampled() {
            let recording = plan.recordings.get(name).cloned();
            Box::new(source::Recorded { kind, recording })
        } else {
            // A token in the policy wins over a job's; a job's goes to the policy's address only.
            let spec = entry.spec()?.or_token(plan.tokens.source.as_ref());
            source::connect(&spec).map_err(Error::system)?
        };
        sources.insert(name.to_owned(), source);
    }
    Ok(sources)
}
