//! Locust's command line, in the spelling of 0.x and of today.

use crate::load::error::Error;
use crate::unit::Span;

/// A Locust command line as meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LocustArgs {
    /// `-f`: a locustfile or a plan of dyno's.
    pub file: Option<String>,
    /// `-H`: where the load goes.
    pub host: Option<String>,
    /// `-u`, `-c`: how many users.
    pub users: Option<u32>,
    /// `-r`: how many of them start a second.
    pub spawn_rate: Option<f64>,
    /// `-t`: how long.
    pub run_time: Option<Span>,
    /// `--headless`, `--no-web`.
    pub is_headless: bool,
    /// `--only-summary`: nothing while it runs.
    pub only_summary: bool,
    /// `--csv`: the prefix of the result files.
    pub csv: Option<String>,
    /// `--exit-code-on-error`; 1 when left out.
    pub exit_code_on_error: Option<u8>,
    /// Options that change nothing here, as written.
    pub ignored: Vec<String>,
    /// What is asked in place of a run.
    pub asks: Option<Ask>,
}

/// What is asked in place of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    File,
    Host,
    Users,
    SpawnRate,
    RunTime,
    Headless,
    OnlySummary,
    Csv,
    ExitCode,
    Help,
    Version,
    /// Without effect here.
    Flag,
    /// Without effect here, with a value.
    Value,
    /// What a run on several machines needs, and dyno does not.
    Distributed,
}

impl Key {
    fn takes_value(self) -> bool {
        match self {
            Self::File
            | Self::Host
            | Self::Users
            | Self::SpawnRate
            | Self::RunTime
            | Self::Csv
            | Self::ExitCode
            | Self::Value => true,
            Self::Headless
            | Self::OnlySummary
            | Self::Help
            | Self::Version
            | Self::Flag
            | Self::Distributed => false,
        }
    }
}

const OPTIONS: [(&str, Key); 58] = [
    ("-f", Key::File),
    ("--locustfile", Key::File),
    ("-H", Key::Host),
    ("--host", Key::Host),
    ("-u", Key::Users),
    ("-c", Key::Users),
    ("--users", Key::Users),
    ("--clients", Key::Users),
    ("-r", Key::SpawnRate),
    ("--spawn-rate", Key::SpawnRate),
    ("--hatch-rate", Key::SpawnRate),
    ("-t", Key::RunTime),
    ("--run-time", Key::RunTime),
    ("--headless", Key::Headless),
    ("--no-web", Key::Headless),
    ("--only-summary", Key::OnlySummary),
    ("--csv", Key::Csv),
    ("--csv-base-name", Key::Csv),
    ("--exit-code-on-error", Key::ExitCode),
    ("-h", Key::Help),
    ("--help", Key::Help),
    ("-V", Key::Version),
    ("--version", Key::Version),
    ("-L", Key::Value),
    ("--loglevel", Key::Value),
    ("--logfile", Key::Value),
    ("--skip-log-setup", Key::Flag),
    ("--print-stats", Key::Flag),
    ("--reset-stats", Key::Flag),
    ("--csv-full-history", Key::Flag),
    ("--autostart", Key::Flag),
    ("--autoquit", Key::Value),
    ("--html", Key::Value),
    ("--json", Key::Flag),
    ("--json-file", Key::Value),
    ("-s", Key::Value),
    ("--stop-timeout", Key::Value),
    ("-T", Key::Value),
    ("--tags", Key::Value),
    ("-E", Key::Value),
    ("--exclude-tags", Key::Value),
    ("--processes", Key::Value),
    ("--config", Key::Value),
    ("--web-host", Key::Value),
    ("-P", Key::Value),
    ("--web-port", Key::Value),
    ("--port", Key::Value),
    ("--equal-weights", Key::Flag),
    ("--use-uvloop", Key::Flag),
    ("--enable-rebalancing", Key::Flag),
    ("--master", Key::Distributed),
    ("--slave", Key::Distributed),
    ("--worker", Key::Distributed),
    ("--expect-slaves", Key::Distributed),
    ("--expect-workers", Key::Distributed),
    ("--master-host", Key::Distributed),
    ("-n", Key::Value),
    ("--num-request", Key::Value),
];

/// Reads a command line, the program's name left out.
pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<LocustArgs, Error> {
    let mut args = LocustArgs::default();
    let mut unknown: Vec<&str> = Vec::new();
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        let Some((key, inline)) = split(word)? else {
            unknown.push(word);
            continue;
        };
        if key.takes_value() {
            let value = match inline {
                Some(value) => value,
                None => words.next().ok_or_else(|| {
                    Error::Locust(format!("argument {word}: expected one argument"))
                })?,
            };
            set(&mut args, key, word, value.trim())?;
        } else if inline.is_some() {
            return Err(Error::Locust(format!("argument {word}: it takes no value")));
        } else {
            flag(&mut args, key, word)?;
        }
    }
    // A user class on the command line chooses among those of a locustfile; a plan has none.
    if unknown.is_empty() {
        Ok(args)
    } else {
        Err(Error::Locust(format!("unrecognized arguments: {}", unknown.join(" "))))
    }
}

/// Finds the option of a word and the value that is part of the word: `--run-time=1m`, `-c250`, and
/// `-c 250` as one word, as the ACME shop's `traffic_gen.py` has it.
fn split(word: &str) -> Result<Option<(Key, Option<&str>)>, Error> {
    let find = |name: &str| OPTIONS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    if word.starts_with("--") {
        let end = word.find(['=', ' ']).unwrap_or(word.len());
        let (name, value) = word.split_at(end);
        let value = value.get(1..);
        if let Some(key) = find(name) {
            return Ok(Some((key, value)));
        }
        // The original takes every unambiguous beginning of an option.
        let mut begun = OPTIONS.iter().filter(|(known, _)| known.starts_with(name));
        return match (begun.next(), begun.next()) {
            (Some((_, key)), None) if name.len() > 2 => Ok(Some((*key, value))),
            (Some((_, a)), Some((_, b))) if name.len() > 2 && a != b => Err(Error::Locust(
                format!("ambiguous option: {name} could match several: write it in full"),
            )),
            (Some((_, key)), Some(_)) if name.len() > 2 => Ok(Some((*key, value))),
            _ => Ok(None),
        };
    }
    let Some(name) = word.get(..2).filter(|name| name.starts_with('-')) else { return Ok(None) };
    let value = word.get(2..).filter(|value| !value.is_empty());
    let value = value.map(|value| value.strip_prefix('=').unwrap_or(value));
    Ok(find(name).map(|key| (key, value)))
}

fn set(args: &mut LocustArgs, key: Key, word: &str, value: &str) -> Result<(), Error> {
    let invalid = || Error::Locust(format!("argument {word}: invalid value: '{value}'"));
    match key {
        Key::File => args.file = Some(value.to_owned()),
        Key::Host => args.host = Some(value.to_owned()),
        Key::Users => args.users = Some(value.parse().map_err(|_| invalid())?),
        Key::SpawnRate => {
            let rate = value.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
            args.spawn_rate = Some(rate.ok_or_else(invalid)?);
        }
        Key::RunTime => args.run_time = Some(run_time(value).ok_or_else(invalid)?),
        Key::Csv => args.csv = Some(value.to_owned()),
        Key::ExitCode => args.exit_code_on_error = Some(value.parse().map_err(|_| invalid())?),
        Key::Value => args.ignored.push(word.to_owned()),
        Key::Headless
        | Key::OnlySummary
        | Key::Help
        | Key::Version
        | Key::Flag
        | Key::Distributed => {}
    }
    Ok(())
}

fn flag(args: &mut LocustArgs, key: Key, word: &str) -> Result<(), Error> {
    match key {
        Key::Headless => args.is_headless = true,
        Key::OnlySummary => args.only_summary = true,
        Key::Help => args.asks = Some(Ask::Help),
        Key::Version => args.asks = Some(Ask::Version),
        Key::Flag => args.ignored.push(word.to_owned()),
        Key::Distributed => {
            return Err(Error::Locust(format!(
                "argument {word}: dyno drives its users from one process on all cores: leave \
                 master and workers out"
            )));
        }
        Key::File
        | Key::Host
        | Key::Users
        | Key::SpawnRate
        | Key::RunTime
        | Key::Csv
        | Key::ExitCode
        | Key::Value => {}
    }
    Ok(())
}

/// `60` is seconds; `1h30m`, `1m`, `90s`.
fn run_time(text: &str) -> Option<Span> {
    let span = match text.parse::<u64>() {
        Ok(seconds) => Span::seconds(seconds),
        Err(_) => text.parse().ok()?,
    };
    (!span.0.is_zero()).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> LocustArgs {
        parse(words).unwrap()
    }

    #[test]
    fn the_old_and_the_new_spelling_mean_the_same() {
        let meant = LocustArgs {
            file: Some("/app/locustfile.py".to_owned()),
            host: Some("http://shop".to_owned()),
            users: Some(250),
            spawn_rate: Some(25.0),
            run_time: Some(Span::seconds(60)),
            is_headless: true,
            ..LocustArgs::default()
        };
        let file = ["-f", "/app/locustfile.py", "--host=http://shop"];
        for rest in [
            &["--no-web", "-c 250", "-r 25", "--run-time=1m"][..],
            &["--no-web", "-c", "250", "-r", "25", "-t", "1m"],
            &["--no-web", "--clients=250", "--hatch-rate=25", "-t60"],
            &["--headless", "-u", "250", "-r25", "-t", "60"],
            &["--headless", "--users", "250", "--spawn-rate", "25", "--run-time", "60s"],
            &["--headless", "--user=250", "--spawn=25", "--run=1m"],
        ] {
            assert_eq!(args(&[&file[..], rest].concat()), meant, "{rest:?}");
        }
    }

    #[test]
    fn options_without_effect_are_taken_and_told() {
        let args =
            args(&["--loglevel", "DEBUG", "--html=x.html", "--csv", "out", "--only-summary"]);
        assert_eq!(args.ignored, ["--loglevel", "--html=x.html"]);
        assert_eq!(args.csv.as_deref(), Some("out"));
        assert!(args.only_summary && !args.is_headless);
    }

    #[test]
    fn run_times_are_read_as_the_original_reads_them() {
        for (text, seconds) in [("60", Some(60)), ("1h30m", Some(5400)), ("20m", Some(1200))] {
            assert_eq!(run_time(text), seconds.map(Span::seconds), "{text}");
        }
        for text in ["", "0", "0s", "fast", "1w"] {
            assert_eq!(run_time(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said_as_the_original_says_it() {
        for (words, says) in [
            (&["--fast"][..], "unrecognized arguments: --fast"),
            (&["WebUser", "-x"], "unrecognized arguments: WebUser -x"),
            (&["-c"], "argument -c: expected one argument"),
            (&["-c", "many"], "argument -c: invalid value: 'many'"),
            (&["-r", "0"], "argument -r: invalid value: '0'"),
            (&["-t", "1w"], "argument -t: invalid value: '1w'"),
            (&["--headless=yes"], "takes no value"),
            (&["--master"], "leave master and workers out"),
            (&["--h"], "ambiguous"),
            (&["--"], "unrecognized arguments: --"),
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains(says), "{words:?}: {error}");
        }
    }
}
