//! `kubectl set env`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Named, Operation, Output, Parsed, SetEnv, Usage};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("output", 'o', Kind::Text),
    short("containers", 'c', Kind::Text),
    short("env", 'e', Kind::Array),
    flag("all", Kind::Bool),
    flag("from", Kind::Text),
    flag("prefix", Kind::Text),
    flag("keys", Kind::List),
    flag("list", Kind::Bool),
    flag("resolve", Kind::Bool),
    flag("local", Kind::Bool),
    flag("overwrite", Kind::Bool),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("field-manager", Kind::Text),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Reads `kubectl set env …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let mut flags = context.flags(FLAGS, "kubectl set env")?;
    flags.args.remove(0);
    for name in ["local", "resolve"] {
        if flags.is(name, false) {
            return Err(mistake(format!("dyno's kubectl set env does not know --{name}")));
        }
    }
    let args = std::mem::take(&mut flags.args);
    let (resources, written) = apart(&args).ok_or_else(|| {
        mistake(format!(
            "all resources must be specified before environment changes: {}",
            args.join(" ")
        ))
    })?;
    flags.args = resources;
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    let output = options::output(&flags, false)?;
    fits_together(&flags, &output)?;
    let all: Vec<String> = flags.list("env").iter().cloned().chain(written).collect();
    let (set, remove) = variables(&mut context, &all)?;
    let set = SetEnv {
        from: source(&flags)?,
        selection: get::selection(&mut context, &flags, Bare::Mistake)?,
        containers: flags.text("containers").unwrap_or("*").to_owned(),
        set,
        remove,
        prefix: flags.filled("prefix").unwrap_or_default(),
        keys: flags.list("keys").to_vec(),
        overwrite: flags.is("overwrite", true),
        list: flags.is("list", false),
        dry_run,
        field_manager: flags.text("field-manager").unwrap_or("kubectl-set").to_owned(),
        output,
    };
    context.request(&flags, notes, Operation::SetEnv(set))
}

/// Flags that need or exclude each other.
fn fits_together(flags: &flags::Parsed, output: &Output) -> Result<(), Usage> {
    if flags.is("all", false) && flags.filled("selector").is_some() {
        return Err(mistake("cannot set --all and --selector at the same time"));
    }
    if flags.args.is_empty() && !input::is_given(flags) {
        return Err(mistake(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if flags.is("list", false) && *output != Output::Default {
        return Err(mistake("--list and --output may not be specified together"));
    }
    if !flags.list("keys").is_empty() && flags.filled("from").is_none() {
        return Err(mistake(
            "when specifying --keys, a configmap or secret must be provided with --from",
        ));
    }
    Ok(())
}

/// The object that variables come from.
fn source(flags: &flags::Parsed) -> Result<Option<Named>, Usage> {
    let Some(from) = flags.filled("from") else { return Ok(None) };
    let Some((resource, name)) = from.split_once('/') else {
        return Err(mistake("resource(s) were provided, but no name was specified"));
    };
    Ok(Some(Named { resource: resource.to_owned(), name: name.to_owned() }))
}

/// Resources first, then variables; `None` where they are mixed.
fn apart(args: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    let changes = |arg: &String| arg.contains('=') || arg.ends_with('-');
    let first = args.iter().position(changes).unwrap_or(args.len());
    let (resources, variables) = args.split_at(first);
    variables.iter().all(changes).then(|| (resources.to_vec(), variables.to_vec()))
}

/// Kubernetes' rule for the names of variables.
pub const VARIABLE: &str = "a valid environment variable name must consist of alphabetic \
     characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or \
     'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";

/// True for a name that the rule allows.
pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || "_.-".contains(c))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

type Variables = (Vec<(String, String)>, Vec<String>);

fn variables(context: &mut Context<'_>, written: &[String]) -> Result<Variables, Usage> {
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for one in written {
        if one == "-" {
            let mut text = String::new();
            context
                .stdin
                .read_to_string(&mut text)
                .map_err(|error| mistake(format!("error reading standard input: {error}")))?;
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            for (name, value) in lines.filter_map(|line| line.split_once('=')) {
                set.push((name.to_owned(), value.to_owned()));
            }
        } else if let Some((name, value)) = one.split_once('=') {
            if !is_variable(name) {
                return Err(mistake(format!("\"{name}\" is not a valid key name: {VARIABLE}")));
            }
            set.push((name.to_owned(), value.to_owned()));
        } else if let Some(name) = one.strip_suffix('-') {
            remove.push(name.to_owned());
        } else {
            return Err(mistake(format!("unknown environment variable: {one}")));
        }
    }
    if set.iter().any(|(name, _)| remove.contains(name)) {
        return Err(mistake(
            "can not both modify and remove the same environment variable in the same command",
        ));
    }
    Ok((set, remove))
}
