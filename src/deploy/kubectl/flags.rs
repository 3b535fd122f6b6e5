//! Command-line flags as kubectl's own parser (pflag) reads them.

use std::collections::BTreeMap;

use super::Usage;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text; the last wins.
    Text,
    /// A truth value; bare is true.
    Bool,
    /// Texts, split at commas, in order.
    List,
    /// Texts, taken whole, in order.
    Array,
    /// A text that may be left out (`--dry-run`): what it is then.
    Optional(&'static str),
    /// A whole number.
    Number,
    /// A duration as Go writes it.
    Duration,
}

/// A flag that a command knows.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// The letter.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
}

/// A flag without a letter.
pub const fn flag(name: &'static str, kind: Kind) -> Flag {
    Flag { name, short: None, kind }
}

/// A flag with a letter.
pub const fn short(name: &'static str, short: char, kind: Kind) -> Flag {
    Flag { name, short: Some(short), kind }
}

/// The flags of every command.
pub const GLOBAL: &[Flag] = &[
    short("namespace", 'n', Kind::Text),
    flag("context", Kind::Text),
    flag("cluster", Kind::Text),
    flag("user", Kind::Text),
    flag("kubeconfig", Kind::Text),
    short("server", 's', Kind::Text),
    flag("token", Kind::Text),
    flag("as", Kind::Text),
    flag("as-group", Kind::Array),
    flag("as-uid", Kind::Text),
    flag("certificate-authority", Kind::Text),
    flag("client-certificate", Kind::Text),
    flag("client-key", Kind::Text),
    flag("insecure-skip-tls-verify", Kind::Bool),
    flag("tls-server-name", Kind::Text),
    flag("request-timeout", Kind::Text),
    flag("username", Kind::Text),
    flag("password", Kind::Text),
    flag("cache-dir", Kind::Text),
    flag("match-server-version", Kind::Bool),
    flag("disable-compression", Kind::Bool),
    flag("warnings-as-errors", Kind::Bool),
    flag("log-flush-frequency", Kind::Duration),
    flag("vmodule", Kind::Text),
    flag("kuberc", Kind::Text),
    flag("profile", Kind::Text),
    flag("profile-output", Kind::Text),
    short("v", 'v', Kind::Number),
    short("help", 'h', Kind::Bool),
];

/// A command line taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    values: BTreeMap<&'static str, Vec<String>>,
    /// What is no flag, in order.
    pub args: Vec<String>,
    /// What stands behind `--`; part of `args` too.
    pub n_after_dashes: usize,
    /// The flags as they were given, in order.
    given: Vec<(&'static str, String)>,
}

/// Takes a command line apart. `command` is for the hint of an error: `kubectl apply`.
pub fn parse(argv: &[String], flags: &[Flag], command: &str) -> Result<Parsed, Usage> {
    let mut parsed = Parsed::default();
    let mut rest = argv.iter();
    let wrong = |text: String| Usage(format!("error: {text}\nSee '{command} --help' for usage."));
    let find =
        |fits: &dyn Fn(&Flag) -> bool| flags.iter().chain(GLOBAL).find(|flag| fits(flag)).copied();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parsed.n_after_dashes = rest.len();
            parsed.args.extend(rest.cloned());
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(flag) = find(&|flag| flag.name == name) else {
                return Err(wrong(format!("unknown flag: --{name}")));
            };
            let value = match (value, implied(flag)) {
                (Some(value), _) => value.to_owned(),
                (None, Some(implied)) => implied.to_owned(),
                (None, None) => rest
                    .next()
                    .cloned()
                    .ok_or_else(|| wrong(format!("flag needs an argument: --{name}")))?,
            };
            parsed.set(flag, value).map_err(wrong)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            let letters = arg.get(1..).unwrap_or_default();
            let mut at = 0;
            while let Some(letter) = letters.get(at..).and_then(|rest| rest.chars().next()) {
                at += letter.len_utf8();
                let Some(flag) = find(&|flag| flag.short == Some(letter)) else {
                    let rest = letters.get(at - letter.len_utf8()..).unwrap_or_default();
                    return Err(wrong(format!("unknown shorthand flag: '{letter}' in -{rest}")));
                };
                let after = letters.get(at..).unwrap_or_default();
                let value = match (after.strip_prefix('='), implied(flag)) {
                    (Some(value), _) => {
                        at = letters.len();
                        value.to_owned()
                    }
                    (None, Some(implied)) => implied.to_owned(),
                    (None, None) if !after.is_empty() => {
                        at = letters.len();
                        after.to_owned()
                    }
                    (None, None) => rest.next().cloned().ok_or_else(|| {
                        wrong(format!("flag needs an argument: '{letter}' in -{letter}"))
                    })?,
                };
                parsed.set(flag, value).map_err(wrong)?;
            }
        } else {
            parsed.args.push(arg.clone());
        }
    }
    Ok(parsed)
}

/// The words of a command line before `--`: no flags, and no values of the flags that every command
/// has. A namespace may be called `job`.
pub fn words(argv: &[String]) -> Vec<&str> {
    let takes_the_next = |arg: &str| {
        GLOBAL.iter().filter(|flag| implied(**flag).is_none()).any(|flag| {
            arg.strip_prefix("--") == Some(flag.name)
                || flag.short.is_some_and(|short| arg == format!("-{short}"))
        })
    };
    let mut words = Vec::new();
    let mut rest = argv.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = rest.next() {
        if takes_the_next(arg) {
            rest.next();
        } else if !arg.starts_with('-') {
            words.push(arg.as_str());
        }
    }
    words
}

/// What a flag is when no value follows it.
fn implied(flag: Flag) -> Option<&'static str> {
    match flag.kind {
        Kind::Bool => Some("true"),
        Kind::Optional(implied) => Some(implied),
        Kind::Text | Kind::List | Kind::Array | Kind::Number | Kind::Duration => None,
    }
}

impl Parsed {
    fn set(&mut self, flag: Flag, value: String) -> Result<(), String> {
        self.given.push((flag.name, value.clone()));
        let shown = match flag.short {
            Some(short) => format!("-{short}, --{}", flag.name),
            None => format!("--{}", flag.name),
        };
        let wrong =
            |why: String| format!("invalid argument \"{value}\" for \"{shown}\" flag: {why}");
        let values = self.values.entry(flag.name).or_default();
        match flag.kind {
            Kind::Text | Kind::Optional(_) => *values = vec![value],
            Kind::Bool => {
                let truth = go_bool(&value).ok_or_else(|| {
                    wrong(format!("strconv.ParseBool: parsing \"{value}\": invalid syntax"))
                })?;
                *values = vec![truth.to_string()];
            }
            Kind::List if value.is_empty() => {}
            Kind::List => values.extend(value.split(',').map(str::to_owned)),
            Kind::Array => values.push(value),
            Kind::Number => {
                if value.parse::<i64>().is_err() {
                    return Err(wrong(format!(
                        "strconv.ParseInt: parsing \"{value}\": invalid syntax"
                    )));
                }
                *values = vec![value];
            }
            Kind::Duration => {
                if go_duration(&value).is_none() {
                    return Err(wrong(format!("time: {}", no_duration(&value))));
                }
                *values = vec![value];
            }
        }
        Ok(())
    }

    /// The command line as `--record` notes it: what is no flag first, credentials left out.
    pub fn recorded(&self, command: &str) -> String {
        let words: String = self.args.iter().flat_map(|arg| [" ", arg]).collect();
        let shown = |(name, value): &(&str, String)| {
            let value = if ["token", "password"].contains(name) { "CLASSIFIED" } else { value };
            format!(" --{name}={value}")
        };
        let flags: String = self.given.iter().map(shown).collect();
        format!("kubectl {command}{words}{flags}")
    }

    /// The flag's text, when it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|values| values.last()).map(String::as_str)
    }

    /// The flag's text, when it was given and is not empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The flag's texts.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The flag's truth value.
    pub fn is(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |text| text == "true")
    }

    /// The flag's number.
    pub fn number(&self, name: &str, default: i64) -> i64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// The flag's duration in milliseconds, negative ones too.
    pub fn duration_ms(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(go_duration)
    }

    /// The same without a flag that means something else to a command than to all others.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.values.remove(name);
        rest
    }

    /// True when the flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// Go's `ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `ParseDuration`, in milliseconds: `90s`, `1m30s`, `-1ms`, `0`.
pub fn go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut millis = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        millis += number
            * match rest.get(..end)? {
                "ns" => 1e-6,
                "us" | "µs" | "μs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 6e4,
                "h" => 36e5,
                _ => return None,
            };
        rest = rest.get(end..)?;
    }
    let whole = crate::unit::whole(millis)?;
    let whole = i64::try_from(whole).ok()?;
    Some(if sign < 0.0 { -whole } else { whole })
}

/// Why a text is no duration, in Go's words.
fn no_duration(text: &str) -> String {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text.trim_start_matches(['-', '+']);
    while rest.starts_with(number) {
        let unit = rest.trim_start_matches(number);
        let end = unit.find(number).unwrap_or(unit.len());
        let (name, after) = unit.split_at(end);
        if name.is_empty() {
            return format!("missing unit in duration \"{text}\"");
        }
        if !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&name) {
            return format!("unknown unit \"{name}\" in duration \"{text}\"");
        }
        rest = after;
    }
    format!("invalid duration \"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        short("filename", 'f', Kind::List),
        short("recursive", 'R', Kind::Bool),
        short("output", 'o', Kind::Text),
        flag("dry-run", Kind::Optional("unchanged")),
        flag("timeout", Kind::Duration),
    ];

    fn read(line: &str) -> Result<Parsed, Usage> {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&argv, FLAGS, "kubectl apply")
    }

    #[test]
    fn flags_stand_anywhere_and_in_every_spelling() {
        let parsed = read("-f a,b x -oyaml --dry-run y -n=z -Rf c --filename=d -- -q").unwrap();
        assert_eq!(parsed.list("filename"), ["a", "b", "c", "d"]);
        assert_eq!(parsed.args, ["x", "y", "-q"]);
        assert_eq!(parsed.text("output"), Some("yaml"));
        assert_eq!(parsed.text("dry-run"), Some("unchanged"));
        assert_eq!(parsed.text("namespace"), Some("z"));
        assert!(parsed.is("recursive", false));
        assert_eq!(read("-f -").unwrap().list("filename"), ["-"]);
    }

    #[test]
    fn the_value_of_a_flag_is_no_word() {
        let argv: Vec<String> =
            ["-n", "job", "deployment", "x", "--context", "c", "-njob", "--", "y"]
                .map(str::to_owned)
                .to_vec();
        assert_eq!(words(&argv), ["deployment", "x"]);
    }

    #[test]
    fn mistakes_are_told_in_kubectls_words() {
        for (line, error) in [
            ("--foo", "unknown flag: --foo"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-f", "flag needs an argument: 'f' in -f"),
            ("--output", "flag needs an argument: --output"),
            (
                "-R=foo",
                "invalid argument \"foo\" for \"-R, --recursive\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax",
            ),
        ] {
            let error = format!("error: {error}\nSee 'kubectl apply --help' for usage.");
            assert_eq!(read(line), Err(Usage(error)), "{line}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_why() {
        for (text, why) in [
            ("10", "missing unit in duration \"10\""),
            ("1m30", "missing unit in duration \"1m30\""),
            ("1d", "unknown unit \"d\" in duration \"1d\""),
            ("x", "invalid duration \"x\""),
            ("", "invalid duration \"\""),
        ] {
            assert_eq!(no_duration(text), why);
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, millis) in [
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("-1s", Some(-1000)),
            ("0", Some(0)),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(go_duration(text), millis, "{text}");
        }
    }
}
