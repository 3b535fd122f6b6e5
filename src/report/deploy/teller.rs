//! The lines of the job log, event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::place;
use crate::deploy::release::{
    Action, Change, Event, Evidence, Finding, Log, Mode, ObjectSummary, Severity, Sources, State,
    Summary, Undone,
};
use crate::report::joblog::{Place, begin_section, end_section, printable};

/// Lines of a diff that the log of a real deploy shows; `--plan` shows all.
const DIFF: usize = 200;

/// Tells a deploy.
pub struct Teller<'a> {
    place: Place,
    sources: &'a Sources,
    mode: Mode,
    names: BTreeMap<usize, String>,
    waited: BTreeSet<usize>,
    section: u32,
    now: fn() -> i64,
}

impl<'a> Teller<'a> {
    /// A teller for a place; `names` are what the plan's objects are called.
    pub fn new(place: Place, sources: &'a Sources, mode: Mode, names: Vec<String>) -> Self {
        Self {
            place,
            sources,
            mode,
            names: names.into_iter().enumerate().collect(),
            waited: BTreeSet::new(),
            section: 0,
            now: || jiff::Timestamp::now().as_second(),
        }
    }

    /// Tells an event. Trouble with the log is no trouble of the deploy.
    pub fn tell(&mut self, event: &Event, to: &mut dyn Write) {
        drop(self.write(event, to).and_then(|()| to.flush()));
    }

    fn name(&self, object: usize) -> &str {
        self.names.get(&object).map_or("an object", String::as_str)
    }

    fn write(&mut self, event: &Event, to: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Said(text) => writeln!(to, "deploy: {}", printable(text)),
            Event::Found(finding) => self.finding(finding, to),
            Event::Changes(changes) => self.changes(changes, to),
            Event::Applied { action: Action::Unchanged, .. } => Ok(()),
            Event::Applied { object, action } => {
                writeln!(to, "deploy: {} {}", self.name(*object), action.word())
            }
            Event::Progress { object, state } => self.progress(*object, state, to),
            Event::Evidence(evidence) => self.evidence(evidence, to),
            Event::Undone { object, undone } => {
                let told = match undone {
                    Undone::Restored => "is what it was".to_owned(),
                    Undone::Deleted => "is deleted: it had not been there".to_owned(),
                    Undone::Kept(why) => format!("stays: {why}"),
                    Undone::Failed(why) => format!("could not go back: {why}"),
                };
                writeln!(to, "deploy: {} {}", self.name(*object), printable(&told))
            }
            Event::Finished(summary) => self.summary(summary, to),
        }
    }

    fn finding(&self, finding: &Finding, to: &mut dyn Write) -> io::Result<()> {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let at = place(self.sources, finding).map(|place| format!("{place}: ")).unwrap_or_default();
        writeln!(to, "{at}{word}: {}", printable(&finding.text))?;
        match &finding.hint {
            Some(hint) => writeln!(to, "    hint: {}", printable(hint)),
            None => Ok(()),
        }
    }

    fn changes(&mut self, changes: &[Change], to: &mut dyn Write) -> io::Result<()> {
        let count = |action: Action| changes.iter().filter(|one| one.action == action).count();
        let parts: Vec<String> =
            [Action::Created, Action::Configured, Action::Unchanged, Action::Pruned]
                .into_iter()
                .filter(|action| count(*action) > 0)
                .map(|action| format!("{} {}", count(action), action.word()))
                .collect();
        let title = format!("deploy: {}: to be {}", count_of(changes.len()), parts.join(", "));
        let is_plan = self.mode == Mode::Show;
        if is_plan {
            writeln!(to, "{title}")?;
        } else {
            self.section += 1;
            begin_section(to, self.place, "dyno-deploy-changes", &title, (self.now)())?;
        }
        let most = if is_plan { usize::MAX } else { DIFF };
        // A terminal has no sections that fold: there a real deploy shows what changes only.
        let shows = is_plan || self.place == Place::GitLab;
        let mut n = 0;
        for change in changes.iter().filter(|one| shows && one.action != Action::Unchanged) {
            writeln!(to, "{} {}", change.action.word(), change.name)?;
            for line in change.diff.iter().take(most.saturating_sub(n)) {
                writeln!(to, "    {}", printable(line))?;
            }
            n += change.diff.len();
        }
        if n > most {
            writeln!(to, "    … {} lines more", n - most)?;
        }
        if is_plan {
            Ok(())
        } else {
            end_section(to, self.place, "dyno-deploy-changes", (self.now)())
        }
    }

    fn progress(&mut self, object: usize, state: &State, to: &mut dyn Write) -> io::Result<()> {
        let name = self.name(object).to_owned();
        match state {
            State::Waiting(why) => {
                self.waited.insert(object);
                writeln!(to, "deploy: {name}: {}", printable(why))
            }
            State::Ready(Some(note)) => {
                writeln!(to, "deploy: {name} is ready ({})", printable(note))
            }
            // What needed no waiting needs no line.
            State::Ready(None) if self.waited.contains(&object) => {
                writeln!(to, "deploy: {name} is ready")
            }
            State::Ready(None) => Ok(()),
            State::Failed(why) => writeln!(to, "deploy: {name} FAILED: {}", printable(why)),
        }
    }

    fn evidence(&mut self, evidence: &Evidence, to: &mut dyn Write) -> io::Result<()> {
        self.section += 1;
        let section = format!("dyno-deploy-evidence-{}", self.section);
        let name = self.name(evidence.object).to_owned();
        let title = format!("evidence: {name}: {}", printable(&evidence.reason));
        begin_section(to, self.place, &section, &title, (self.now)())?;
        if let Some(pod) = &evidence.pod {
            writeln!(to, "  pod {pod}")?;
        }
        for event in &evidence.events {
            writeln!(to, "  event {}", printable(event))?;
        }
        for log in &evidence.logs {
            log_lines(log, to)?;
        }
        if evidence.events.is_empty() && evidence.logs.is_empty() {
            writeln!(to, "  neither events nor logs")?;
        }
        end_section(to, self.place, &section, (self.now)())
    }

    fn summary(&self, summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "--- deploy: {} ---", summary.verdict)?;
        let ready = summary.objects.iter().filter(|object| object.ready).count();
        let n = summary.objects.len();
        let seconds =
            f64::from(i32::try_from(summary.end_ms - summary.start_ms).unwrap_or(0)) / 1e3;
        writeln!(to, "{} namespace {}", summary.server, summary.namespace)?;
        if summary.only_shown {
            writeln!(to, "{} looked at; nothing was changed", count_of(n))?;
        } else if n > 0 {
            writeln!(to, "{ready} of {} ready after {seconds:.1} s", count_of(n))?;
        }
        if let Some(url) = &summary.url {
            writeln!(to, "answers at {url}")?;
        }
        for object in summary.objects.iter().filter(|object| !object.ready) {
            self.unready(object, to)?;
        }
        let is_told = |reason: &&String| {
            let mut failed = summary.objects.iter().filter_map(|object| object.reason.as_deref());
            failed.any(|told| reason.contains(told))
        };
        for reason in summary.reasons.iter().filter(|reason| !is_told(reason)) {
            writeln!(to, "note: {}", printable(reason))?;
        }
        match &summary.hint {
            Some(hint) => writeln!(to, "hint: {}", printable(hint)),
            None => Ok(()),
        }
    }

    fn unready(&self, object: &ObjectSummary, to: &mut dyn Write) -> io::Result<()> {
        let Some(reason) = &object.reason else { return Ok(()) };
        let place = object.object.and_then(|index| self.sources.locate(index, ""));
        let place = place.map(|(file, place)| format!(" ({file}:{})", place.line));
        writeln!(
            to,
            "[failed] {} {}{}: {}",
            object.kind,
            object.name,
            place.unwrap_or_default(),
            printable(reason)
        )
    }
}

/// Tells a sentence. Trouble with the log is no trouble of the deploy.
pub fn say(text: &str, to: &mut dyn Write) {
    drop(writeln!(to, "deploy: {}", printable(text)).and_then(|()| to.flush()));
}

fn count_of(n: usize) -> String {
    if n == 1 { "1 object".to_owned() } else { format!("{n} objects") }
}

fn log_lines(log: &Log, to: &mut dyn Write) -> io::Result<()> {
    let run = if log.previous { ", the run before" } else { "" };
    writeln!(to, "  log of container {}{run}:", log.container)?;
    for line in &log.lines {
        writeln!(to, "  | {}", printable(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(place: Place, event: &Event) -> String {
        let sources = Sources::default();
        let names = vec!["Deployment shop/web".to_owned()];
        let mut teller = Teller::new(place, &sources, Mode::Apply, names);
        teller.now = || 7;
        let mut to = Vec::new();
        teller.tell(event, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn evidence_folds_in_gitlab() {
        let evidence = Event::Evidence(Evidence {
            object: 0,
            reason: "it crashed".to_owned(),
            pod: Some("web-1".to_owned()),
            events: vec!["BackOff (x2) on Pod web-1: m".to_owned()],
            logs: vec![Log {
                container: "web".to_owned(),
                previous: true,
                lines: vec!["boom".to_owned()],
            }],
        });
        assert_eq!(
            told(Place::GitLab, &evidence),
            "section_start:7:dyno-deploy-evidence-1[collapsed=true]\r\u{1b}[0Kevidence: Deployment shop/web: it crashed\n  \
             pod web-1\n  event BackOff (x2) on Pod web-1: m\n  log of container web, the run before:\n  | boom\n\
             section_end:7:dyno-deploy-evidence-1\r\u{1b}[0K\n"
        );
    }

    #[test]
    fn what_becomes_ready_at_once_needs_no_line() {
        let ready = Event::Progress { object: 0, state: State::Ready(None) };
        assert_eq!(told(Place::Plain, &ready), "");
        let failed = Event::Progress { object: 0, state: State::Failed("why".to_owned()) };
        assert_eq!(told(Place::Plain, &failed), "deploy: Deployment shop/web FAILED: why\n");
    }
}
