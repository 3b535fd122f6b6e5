//! `locust`: its command line, old and new, answered by `dyno load`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::broker::Event;
use crate::command::guest::Guest;
use crate::command::{Streams, put};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::load::locust::{Ask, LocustArgs, parse};
use crate::load::{self, Overrides, Plan, Summary, Written};
use crate::outcome::Outcome;
use crate::policy::{self, Task};
use crate::report::joblog::Place;
use crate::report::load::{Teller, locust};
use crate::report::{self, Folder};
use crate::shutdown::Signals;
use crate::unit::{Rate, Span};

/// What the original prints where it cannot be followed.
const USAGE: &str = "usage: locust [-f PLAN.yaml] [-H HOST] [--headless] [-u USERS] \
                     [-r SPAWN_RATE] [-t RUN_TIME] [--only-summary] [--csv PREFIX]";

/// The original runs until it is stopped; dyno's plans end after a week.
const FOREVER: Span = Span::seconds(7 * 24 * 3600);

/// How a run is told and ends, apart from what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocustStyle {
    /// Nothing while it runs.
    pub only_summary: bool,
    /// The prefix of the result files.
    pub csv: Option<String>,
    /// The exit code when any request failed.
    pub code_on_error: u8,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Runs a Locust command line, the program's name left out.
///
/// # Errors
/// When it cannot be followed, the policy refuses, or the load could not be driven at all.
pub async fn run(argv: &[OsString], vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let words: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let args = parse(&words).map_err(usage)?;
    if let Some(ask) = args.asks {
        let text = match ask {
            Ask::Help => format!("{USAGE}\n\nAnswered by dyno; a plan of dyno's is named by -f."),
            Ask::Version => format!("locust, answered by dyno {}", env!("CARGO_PKG_VERSION")),
        };
        put(writeln!(streams.out, "{text}"))?;
        return Ok(Outcome::Passed);
    }
    let (plan, style) = plan(args, vars, &|path| std::fs::read_to_string(path))?;
    for note in &style.notes {
        put(writeln!(streams.err, "locust: {note}"))?;
    }
    drive(plan, &style, vars, streams).await
}

/// Turns a command line into a plan and a style; files are read by `read_file`.
///
/// # Errors
/// When the plan is missing or wrong.
pub fn plan(
    args: LocustArgs,
    vars: &dyn Vars,
    read_file: &dyn Fn(&Path) -> std::io::Result<String>,
) -> Result<(Plan, LocustStyle)> {
    let of = |name: &str| vars.filled(name);
    let mut notes = Vec::new();
    if !args.is_headless && of("LOCUST_HEADLESS").is_none() {
        if args.users.is_none() || args.run_time.is_none() {
            return Err(usage(load::Error::Locust(
                "dyno has no web interface and runs headless: give --headless, or users (-u) and \
                 a run time (-t)"
                    .to_owned(),
            )));
        }
        notes.push("dyno has no web interface and runs headless".to_owned());
    }
    if !args.ignored.is_empty() {
        notes.push(format!("without effect here: {}", args.ignored.join(", ")));
    }
    let named = args.file.clone().or_else(|| of("LOCUST_LOCUSTFILE"));
    let file = PathBuf::from(named.unwrap_or_else(|| "locustfile.py".to_owned()));
    let path = plan_of(&file, read_file)?;
    let sheet = policy::plan::read_by(&path, &|path| read_file(path).map(String::into_bytes), vars)
        .map_err(|error| match error {
            policy::plan::Error::Read { source, .. } => missing(&path, &source),
            other @ policy::plan::Error::Malformed(_) => Error::job(other),
        })?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let written = sheet.written(name.unwrap_or_default());
    let mut model = written.load.clone().unwrap_or_default();
    model.users = model.users.or(Some(1)).filter(|_| model.arrivals.is_none());
    model.duration = model.duration.or(Some(FOREVER));
    let written = Written { load: Some(model), ..written };
    let number = |name: &str| of(name).and_then(|text| text.trim().parse::<f64>().ok());
    let overrides = Overrides {
        target: args.host.or_else(|| of("LOCUST_HOST")),
        users: args
            .users
            .or_else(|| number("LOCUST_USERS").and_then(crate::unit::whole)?.try_into().ok()),
        spawn_rate: args.spawn_rate.or_else(|| number("LOCUST_SPAWN_RATE")).map(Rate),
        duration: args.run_time.or_else(|| of("LOCUST_RUN_TIME")?.parse().ok()),
        ..Overrides::default()
    };
    let plan = Plan::build(&written, &overrides, vars).map_err(|error| sheet.locate(error))?;
    let style = LocustStyle {
        only_summary: args.only_summary,
        csv: args.csv,
        code_on_error: args.exit_code_on_error.unwrap_or(1),
        notes,
    };
    Ok((plan, style))
}

/// Returns the plan that stands for a locustfile: itself when it is YAML, the one it names in a
/// comment, or the one of its name beside it.
fn plan_of(file: &Path, read_file: &dyn Fn(&Path) -> std::io::Result<String>) -> Result<PathBuf> {
    let is = |kind: &str| file.extension().is_some_and(|found| found == kind);
    if is("yaml") || is("yml") {
        return Ok(file.to_owned());
    }
    let text = read_file(file).map_err(|error| missing(file, &error))?;
    let named = text.lines().take(20).find_map(|line| line.trim().strip_prefix("# dyno-plan:"));
    if let Some(named) = named {
        return Ok(file.with_file_name("").join(named.trim()));
    }
    let beside = file.with_extension("yaml");
    if read_file(&beside).is_ok() {
        return Ok(beside);
    }
    let text =
        format!("`{}` cannot be run: dyno does not evaluate locustfiles yet", file.display());
    Err(Error::job(text).outcome(Outcome::Code(1)).hint(format!(
        "write its journey as a plan and put it beside it as {}, or name it by -f",
        beside.display()
    )))
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    Error::job(format!("could not find the locustfile `{}`: {error}", path.display()))
        .outcome(Outcome::Code(1))
        .hint("name a plan by -f")
}

fn usage(error: load::Error) -> Error {
    Error::job(error).hint(USAGE)
}

async fn drive(
    plan: Plan,
    style: &LocustStyle,
    vars: &dyn Vars,
    streams: &mut Streams,
) -> Result<Outcome> {
    let signals = Signals::listen().map_err(Error::system)?;
    let guest = Guest::find(None, vars)?;
    let mut teller = Teller::new(Place::of(vars, streams.is_terminal));
    let mut summary = None;
    let performed = guest
        .perform(
            Task::Load(Box::new(plan)),
            &mut |event| match event {
                Event::Load(load::Event::Finished(finished)) => summary = Some(finished),
                Event::Load(event) if !style.only_summary => teller.tell(&event, &mut streams.out),
                Event::Load(_)
                | Event::Gate(_)
                | Event::Kubectl(_)
                | Event::Deploy(_)
                | Event::Variable(_) => (),
                Event::Said(text) => teller.say(&text, &mut streams.out),
            },
            signals.cancel(),
        )
        .await;
    let Some(summary) = summary else {
        performed?;
        return Err(Error::system("the load ended without a summary"));
    };
    write(&summary, style, streams)?;
    Ok(outcome(&summary, style))
}

fn write(summary: &Summary, style: &LocustStyle, streams: &mut Streams) -> Result<()> {
    // A gate after it, and the merge request, find the load as they find one of `dyno load`.
    let folder = Folder::create(Path::new(Folder::DEFAULT)).map_err(Error::job)?;
    report::load::write(&folder, summary).map_err(Error::job)?;
    if let Some(prefix) = &style.csv {
        for (name, text) in
            [("stats", locust::stats_csv(summary)), ("failures", locust::failures_csv(summary))]
        {
            let path = format!("{prefix}_{name}.csv");
            std::fs::write(&path, text).map_err(|error| {
                Error::job(error).hint(format!("check --csv: `{path}` cannot be written"))
            })?;
        }
    }
    // Last, since nobody may read it any more.
    put(writeln!(streams.out, "{}", locust::tables(summary)))?;
    for reason in &summary.reasons {
        put(writeln!(streams.out, "note: {}", report::joblog::printable(reason)))?;
    }
    put(streams.out.flush())
}

/// The original's exit code: 1 when a request failed. Nothing sent is no success either.
fn outcome(summary: &Summary, style: &LocustStyle) -> Outcome {
    if summary.requests.count == 0 {
        Outcome::Code(1)
    } else if summary.requests.failed > 0 {
        Outcome::Code(style.code_on_error)
    } else {
        Outcome::Passed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PLAN: &str = "target: http://a\nload: { users: 3 }\njourneys: [{ steps: [{ get: /x }] }]";

    fn planned(words: &[&str], files: &[(&str, &str)]) -> Result<(Plan, LocustStyle)> {
        let files: BTreeMap<PathBuf, String> =
            files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
        let vars = BTreeMap::<String, String>::new();
        plan(parse(words).unwrap(), &vars, &|path| {
            files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
        })
    }

    #[test]
    fn a_command_line_becomes_a_plan_wherever_the_plan_lies() {
        let line = ["--no-web", "-H", "http://shop", "-c 250", "-r 25", "--run-time=1m"];
        for (file, files) in [
            ("p.yaml", &[("p.yaml", PLAN)][..]),
            ("/app/l.py", &[("/app/l.py", "import x"), ("/app/l.yaml", PLAN)]),
            ("/app/l.py", &[("/app/l.py", "# dyno-plan: acme.yaml\n"), ("/app/acme.yaml", PLAN)]),
        ] {
            let (plan, style) = planned(&[&line[..], &["-f", file]].concat(), files).unwrap();
            assert_eq!(plan.target.to_string(), "http://shop");
            assert_eq!(plan.model.words, "250 users, 25/s starting, for 1m");
            assert_eq!((style.code_on_error, style.notes.len()), (1, 0));
        }
    }

    #[test]
    fn without_numbers_the_plans_own_hold() {
        let (plan, _) = planned(&["--headless", "-f", "p.yaml"], &[("p.yaml", PLAN)]).unwrap();
        assert_eq!((plan.n_users(), plan.duration()), (3, FOREVER));
    }

    #[test]
    fn without_headless_it_runs_only_when_it_is_complete() {
        let files = [("p.yaml", PLAN)];
        let (_, style) = planned(&["-f", "p.yaml", "-u", "1", "-t", "9"], &files).unwrap();
        assert_eq!(style.notes, ["dyno has no web interface and runs headless"]);
        let error = planned(&["-f", "p.yaml", "-u", "1"], &files).unwrap_err();
        assert_eq!(error.as_outcome(), Outcome::Usage);
    }

    #[test]
    fn a_locustfile_without_a_plan_says_the_way_out() {
        let line = ["--headless", "-f", "/app/l.py"];
        let error = planned(&line, &[("/app/l.py", "class A: pass")]).unwrap_err();
        assert_eq!(error.as_outcome(), Outcome::Code(1));
        assert!(error.to_string().contains("/app/l.yaml"), "{error}");
        let error = planned(&line, &[]).unwrap_err();
        assert!(error.to_string().contains("could not find the locustfile"), "{error}");
    }
}
