//! `kubectl label` and `kubectl annotate`, from the command line to the request.

use std::collections::BTreeMap;

use super::get::{self, Bare};
use super::{Context, input, mistake, options};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{DryRun, Mark, Marks, Operation, Output, Parsed, Usage};

pub const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("output", 'o', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("field-selector", Kind::Text),
    flag("all", Kind::Bool),
    flag("overwrite", Kind::Bool),
    flag("list", Kind::Bool),
    flag("local", Kind::Bool),
    flag("resource-version", Kind::Text),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("field-manager", Kind::Text),
    flag("record", Kind::Bool),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// What the two commands word differently.
struct Words {
    command: &'static str,
    pair: &'static str,
    manager: &'static str,
}

fn words(what: Marks) -> Words {
    match what {
        Marks::Labels => {
            Words { command: "kubectl label", pair: "label", manager: "kubectl-label" }
        }
        Marks::Annotations => {
            Words { command: "kubectl annotate", pair: "annotation", manager: "kubectl-annotate" }
        }
    }
}

/// Reads `kubectl label …` or `kubectl annotate …`.
pub fn parse(mut context: Context<'_>, what: Marks) -> Result<Parsed, Usage> {
    let words = words(what);
    let mut flags = context.flags(FLAGS, words.command)?;
    let mut notes = Vec::new();
    let mut dry_run = options::dry_run(&flags, &mut notes)?;
    if flags.is("local", false) {
        return Err(mistake(format!("dyno's kubectl {} does not know --local", words.pair)));
    }
    let (resources, pairs) = apart(std::mem::take(&mut flags.args), words.pair)?;
    flags.args = resources;
    let (set, remove) = match what {
        Marks::Labels => labels(&pairs)?,
        Marks::Annotations => annotations(&pairs)?,
    };
    let list = flags.is("list", false);
    let output = options::output(&flags, false)?;
    if list && output != Output::Default {
        return Err(mistake("--list and --output may not be specified together"));
    }
    for name in ["selector", "field-selector"] {
        if flags.is("all", false) && flags.filled(name).is_some() {
            return Err(mistake(format!("cannot set --all and --{name} at the same time")));
        }
    }
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(mistake(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if set.is_empty() && remove.is_empty() && !list {
        return Err(mistake(format!("at least one {} update is required", words.pair)));
    }
    if what == Marks::Annotations {
        let both: Vec<&str> =
            remove.iter().filter(|key| set.contains_key(*key)).map(String::as_str).collect();
        if !both.is_empty() {
            return Err(mistake(format!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.join(", ")
            )));
        }
    }
    if list {
        dry_run = DryRun::Client;
    }
    let selection = get::selection(&mut context, &flags, Bare::Mistake)?;
    let mark = Mark {
        single: get::is_single(&selection, &flags),
        selection,
        what,
        set: set.into_iter().collect(),
        remove,
        overwrite: flags.is("overwrite", false),
        list,
        resource_version: flags.filled("resource-version"),
        dry_run,
        field_manager: flags.text("field-manager").unwrap_or(words.manager).to_owned(),
        output,
    };
    context.request(&flags, notes, Operation::Mark(mark))
}

/// Resources first, then what changes.
pub fn apart(args: Vec<String>, pair: &str) -> Result<(Vec<String>, Vec<String>), Usage> {
    let (mut resources, mut pairs) = (Vec::new(), Vec::new());
    for arg in args {
        let changes =
            (arg.contains('=') && !arg.starts_with('=')) || (arg.ends_with('-') && arg != "-");
        if changes {
            pairs.push(arg);
        } else if pairs.is_empty() {
            resources.push(arg);
        } else {
            return Err(mistake(format!(
                "all resources must be specified before {pair} changes: {arg}"
            )));
        }
    }
    Ok((resources, pairs))
}

type Pairs = (BTreeMap<String, String>, Vec<String>);

fn labels(pairs: &[String]) -> Result<Pairs, Usage> {
    let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
    for pair in pairs {
        if let Some((key, value)) = pair.split_once('=') {
            if value.contains('=') {
                return Err(mistake(format!("invalid label spec: {pair}")));
            }
            let wrong = invalid(value);
            if !wrong.is_empty() {
                return Err(mistake(format!("invalid label value: {pair:?}: {}", wrong.join(";"))));
            }
            set.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = pair.strip_suffix('-') {
            remove.push(key.to_owned());
        } else {
            return Err(mistake(format!("unknown label spec: {pair}")));
        }
    }
    if remove.iter().any(|key| set.contains_key(key)) {
        return Err(mistake("can not both modify and remove a label in the same command"));
    }
    Ok((set, remove))
}

/// What is wrong with a label's value.
fn invalid(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > 63 {
        wrong.push("must be no more than 63 bytes".to_owned());
    }
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(value.chars().all(inside) && ends(value.chars().next()) && ends(value.chars().last())) {
        wrong.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' \
             or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
             'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    wrong
}

fn annotations(pairs: &[String]) -> Result<Pairs, Usage> {
    let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
    let mut wrong: Vec<&str> = Vec::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                set.insert(key.to_owned(), value.to_owned());
            }
            _ => match pair.strip_suffix('-') {
                Some(key) if !key.is_empty() => remove.push(key.to_owned()),
                _ => wrong.push(pair),
            },
        }
    }
    if wrong.is_empty() {
        return Ok((set, remove));
    }
    Err(mistake(format!("invalid annotation format: {}", wrong.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_changes_stands_behind_what_it_changes() {
        let (resources, pairs) = apart(words("pods a x=1 y-"), "label").unwrap();
        assert_eq!((resources, pairs), (words("pods a"), words("x=1 y-")));
        let error = apart(words("pods x=1 a"), "label").unwrap_err().0;
        assert_eq!(error, "error: all resources must be specified before label changes: a");
    }

    #[test]
    fn labels_are_looked_at_before_they_are_sent() {
        assert!(labels(&words("a=b c- d=")).is_ok());
        for (pairs, error) in [
            ("a=b=c", "invalid label spec: a=b=c"),
            ("a=-", "invalid label value: \"a=-\": a valid label"),
            ("a=b a-", "can not both modify and remove"),
        ] {
            let found = labels(&words(pairs)).unwrap_err().0;
            assert!(found.contains(error), "{found}");
        }
    }
}
