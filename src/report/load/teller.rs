//! A run as a job log or a terminal shows it, event by event.

use std::io::{self, Write};

use super::{table, walk};
use crate::load::{Event, Phase, Progress, Summary};
use crate::report::joblog::{Place, begin_section, end_section, printable};

/// Tells a run. Trouble with the log is no trouble of the run: what cannot be written is not.
#[derive(Debug)]
pub struct Teller {
    place: Place,
    phase: Option<Phase>,
    stage: String,
    is_live: bool,
    is_open: bool,
    is_walk: bool,
}

const SECTION: &str = "dyno_load";

impl Teller {
    /// Begins to tell.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            phase: None,
            stage: String::new(),
            is_live: false,
            is_open: false,
            is_walk: false,
        }
    }

    /// Tells an event.
    pub fn tell(&mut self, event: &Event, to: &mut dyn Write) {
        drop(self.try_tell(event, to));
        drop(to.flush());
    }

    /// Tells a line that is not the load's own.
    pub fn say(&mut self, text: &str, to: &mut dyn Write) {
        drop(self.clear(to));
        drop(writeln!(to, "{}", printable(text)));
        drop(to.flush());
    }

    fn try_tell(&mut self, event: &Event, to: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Started { target, load, threads, at, .. } => {
                let s = if *threads == 1 { "" } else { "s" };
                let target = printable(target);
                writeln!(to, "load: {target}: {load} ({threads} thread{s})")?;
                if load == crate::load::ONCE {
                    return Ok(());
                }
                self.is_open = true;
                begin_section(to, self.place, SECTION, "load: the course of the run", at / 1000)?;
                if self.place != Place::Terminal {
                    writeln!(to, "{}", table::course_head())?;
                }
                Ok(())
            }
            Event::Phase(phase) => {
                self.phase = Some(*phase);
                Ok(())
            }
            Event::Stage(name) => {
                self.stage.clone_from(name);
                Ok(())
            }
            Event::Progress(_) | Event::Interval(_) if self.is_walk => Ok(()),
            Event::Progress(progress) if self.place == Place::Terminal => self.live(progress, to),
            Event::Interval(progress) if self.place != Place::Terminal => {
                writeln!(to, "{}", table::course_line(progress, self.phase, &self.stage))
            }
            Event::Progress(_) | Event::Interval(_) => Ok(()),
            Event::Traced(traced) => {
                self.is_walk = true;
                to.write_all(walk::walk(traced).as_bytes())
            }
            Event::Warning(text) => {
                self.clear(to)?;
                writeln!(to, "load: warning: {}", printable(text))
            }
            Event::Finished(summary) => self.finish(summary, to),
        }
    }

    fn live(&mut self, progress: &Progress, to: &mut dyn Write) -> io::Result<()> {
        self.is_live = true;
        write!(to, "\r{}\u{1b}[K", table::live_line(progress))
    }

    fn clear(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_live) { write!(to, "\r\u{1b}[K") } else { Ok(()) }
    }

    fn finish(&mut self, summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
        self.clear(to)?;
        if std::mem::take(&mut self.is_open) {
            end_section(to, self.place, SECTION, summary.window.end / 1000)?;
        }
        let block = if self.is_walk { walk::end(summary) } else { table::block(summary) };
        to.write_all(block.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::load::table::tests::summary;

    fn told(place: Place, events: &[Event]) -> String {
        let mut to = Vec::new();
        let mut teller = Teller::new(place);
        for event in events {
            teller.tell(event, &mut to);
        }
        String::from_utf8(to).unwrap()
    }

    fn events() -> Vec<Event> {
        let progress = Progress {
            elapsed: 5000,
            duration: 60_000,
            users: 125,
            count: 700,
            failed: 7,
            rate: 140.0,
            p50: 1.25,
            p95: 12.5,
            total: 700,
            total_failed: 7,
        };
        vec![
            Event::Started {
                plan: "shop".to_owned(),
                target: "http://shop\u{1b}[2J".to_owned(),
                load: "250 users, 25/s starting, for 1m".to_owned(),
                threads: 2,
                at: 1_000_000,
            },
            Event::Phase(Phase::Ramp),
            Event::Progress(progress),
            Event::Interval(progress),
            Event::Warning("odd".to_owned()),
        ]
    }

    #[test]
    fn a_job_log_folds_the_course_and_shows_a_line_an_interval() {
        let mut events = events();
        events.push(Event::Finished(Box::new(summary())));
        let text = told(Place::GitLab, &events);
        let head = "load: http://shop\\u{1b}[2J: 250 users, 25/s starting, for 1m (2 threads)\n\
            section_start:1000:dyno_load[collapsed=true]\r\u{1b}[0Kload: the course of the run\n";
        assert!(text.starts_with(head), "{text}");
        assert_eq!(text.matches("140.0").count(), 1, "{text}");
        assert!(text.contains("\nload: warning: odd\n"), "{text}");
        let end = text.find("section_end:1060:dyno_load").unwrap();
        assert!(end < text.find("--- load: failed ---").unwrap(), "{text}");
    }

    #[test]
    fn a_terminal_shows_one_live_line() {
        let text = told(Place::Terminal, &events());
        assert!(text.contains("\r  5s of 1m"), "{text}");
        assert!(text.ends_with("\u{1b}[K\r\u{1b}[Kload: warning: odd\n"), "{text}");
    }
}
