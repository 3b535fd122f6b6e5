//! A run as a job log or a terminal shows it, event by event.

use std::io::{self, Write};

use super::live::View;
use super::{table, walk};
use crate::load::{Event, Phase, Summary};
use crate::report::joblog::{Place, begin_section, end_section, printable, width};

/// Tells a run. Trouble with the log is no trouble of the run: what cannot be written is not.
#[derive(Debug)]
pub struct Teller {
    place: Place,
    /// When the run began, in milliseconds since 1970.
    started: i64,
    /// Up to when the lines go, in milliseconds since then.
    told: u64,
    phase: Option<Phase>,
    stage: String,
    view: View,
    /// The section that is open, by its title.
    open: Option<String>,
    n_sections: u32,
    is_running: bool,
    is_walk: bool,
}

const SECTION: &str = "dyno_load";

impl Teller {
    /// Begins to tell.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            started: 0,
            told: 0,
            phase: None,
            stage: String::new(),
            view: View::default(),
            open: None,
            n_sections: 0,
            is_running: false,
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
        drop(to.write_all(self.view.erase().as_bytes()));
        drop(writeln!(to, "{}", printable(text)));
        drop(to.flush());
    }

    fn try_tell(&mut self, event: &Event, to: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Started { target, load, threads, at, .. } => {
                let s = if *threads == 1 { "" } else { "s" };
                let target = printable(target);
                self.started = *at;
                self.is_running = load != crate::load::ONCE;
                writeln!(to, "load: {target}: {load} ({threads} thread{s})")
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
            Event::Progress(progress) => {
                if self.place == Place::Terminal {
                    let note = self.title();
                    to.write_all(self.view.draw(progress, &note, width()).as_bytes())?;
                }
                Ok(())
            }
            Event::Interval(progress) if self.place != Place::Terminal => {
                self.section(to)?;
                self.told = progress.elapsed;
                writeln!(to, "{}", table::course_line(progress))
            }
            Event::Interval(_) | Event::Endpoints(_) => Ok(()),
            Event::Traced(traced) => {
                self.is_walk = true;
                to.write_all(walk::walk(traced).as_bytes())
            }
            Event::Warning(text) => {
                to.write_all(self.view.erase().as_bytes())?;
                writeln!(to, "load: warning: {}", printable(text))
            }
            Event::Finished(summary) => self.finish(summary, to),
        }
    }

    /// What is going on.
    fn title(&self) -> String {
        let phase = match self.phase {
            Some(Phase::Drain) => "waiting for the last answers",
            Some(Phase::Ramp) if !self.stage.is_empty() => "not judged",
            Some(Phase::Ramp) => "the load goes to its level",
            Some(Phase::Steady) | None => "judged by the limits",
        };
        match (self.phase, &*self.stage) {
            (Some(Phase::Drain), _) | (_, "") => phase.to_owned(),
            (_, stage) => format!("{}, {phase}", printable(stage)),
        }
    }

    /// Opens a section for what is going on now, unless it is open.
    fn section(&mut self, to: &mut dyn Write) -> io::Result<()> {
        let title = self.title();
        if !self.is_running || self.open.as_ref() == Some(&title) {
            return Ok(());
        }
        self.end_section(to)?;
        self.n_sections += 1;
        let (name, line) = (self.section_name(), format!("load: {title}"));
        begin_section(to, self.place, &name, &line, self.at(self.told))?;
        writeln!(to, "{}", table::course_head())?;
        self.open = Some(title);
        Ok(())
    }

    fn end_section(&mut self, to: &mut dyn Write) -> io::Result<()> {
        match self.open.take() {
            Some(_) => end_section(to, self.place, &self.section_name(), self.at(self.told)),
            None => Ok(()),
        }
    }

    fn section_name(&self) -> String {
        format!("{SECTION}_{}", self.n_sections)
    }

    /// When the run was so many milliseconds old, in seconds since 1970.
    fn at(&self, elapsed: u64) -> i64 {
        self.started.saturating_add_unsigned(elapsed) / 1000
    }

    fn finish(&mut self, summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(self.view.erase().as_bytes())?;
        self.end_section(to)?;
        let block = if self.is_walk { walk::end(summary) } else { table::block(summary) };
        to.write_all(block.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Progress;
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
    fn a_job_log_folds_each_phase_and_shows_a_line_an_interval() {
        let mut events = events();
        let progress = Progress { elapsed: 10_000, rate: 200.0, ..Progress::default() };
        events.extend([
            Event::Phase(Phase::Steady),
            Event::Stage("peak".to_owned()),
            Event::Progress(progress),
            Event::Interval(progress),
            Event::Interval(progress),
        ]);
        events.push(Event::Finished(Box::new(summary())));
        let text = told(Place::GitLab, &events);
        let course = text.split("--- load: failed ---").next().unwrap();
        let readable = course.replace('\r', "\\r").replace('\u{1b}', "\\e");
        insta::assert_snapshot!(readable, @r"
        load: http://shop\u{1b}[2J: 250 users, 25/s starting, for 1m (2 threads)
        section_start:1000:dyno_load_1[collapsed=true]\r\e[0Kload: the load goes to its level
            time   users requests/s       p50       p95   errors
              5s     125      140.0    1.25ms    12.5ms    1.00%
        load: warning: odd
        section_end:1005:dyno_load_1\r\e[0K
        section_start:1005:dyno_load_2[collapsed=true]\r\e[0Kload: peak, judged by the limits
            time   users requests/s       p50       p95   errors
             10s       0      200.0    0.00ms    0.00ms        -
             10s       0      200.0    0.00ms    0.00ms        -
        section_end:1010:dyno_load_2\r\e[0K
        ");
        let plain = told(Place::Plain, &events);
        assert!(plain.contains("\nload: peak, judged by the limits\n    time "), "{plain}");
        assert!(!plain.contains("section_"), "{plain}");
    }

    #[test]
    fn a_terminal_shows_a_view_that_is_drawn_again() {
        let text = told(Place::Terminal, &events());
        assert!(text.contains("5s of 1m  the load goes to its level"), "{text}");
        assert!(text.ends_with("\u{1b}[5A\r\u{1b}[Jload: warning: odd\n"), "{text}");
    }
}
