//! `kubectl auth …`, `kubectl api-resources`, `kubectl api-versions` and `kubectl top`, from the
//! command line to the request.

use super::{Context, help, mistake, misuse, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{CanI, Kinds, Operation, Output, Parsed, Top, Usage};

/// Reads `kubectl auth …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    const FLAGS: &[Flag] = &[
        short("all-namespaces", 'A', Kind::Bool),
        short("quiet", 'q', Kind::Bool),
        short("output", 'o', Kind::Text),
        flag("subresource", Kind::Text),
        flag("list", Kind::Bool),
        flag("no-headers", Kind::Bool),
        flag("template", Kind::Text),
        flag("show-managed-fields", Kind::Bool),
        flag("allow-missing-template-keys", Kind::Bool),
    ];
    let verb = flags::words(context.argv).first().copied();
    let command = verb.map_or("kubectl auth".to_owned(), |verb| format!("kubectl auth {verb}"));
    let mut flags = context.flags(FLAGS, &command)?;
    if flags.args.is_empty() {
        return Err(help::bare("auth"));
    }
    let verb = flags.args.remove(0);
    match verb.as_str() {
        "whoami" => {
            let output = options::output(&flags, false)?;
            context.request(&flags, Vec::new(), Operation::WhoAmI { output })
        }
        "can-i" if flags.is("list", false) => list(context, &flags),
        "can-i" => can_i(context, &flags),
        other => Err(mistake(format!("dyno's kubectl does not know \"auth {other}\""))),
    }
}

/// Reads `kubectl auth can-i --list`.
fn list(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    if !flags.args.is_empty() {
        return Err(mistake("list option must be specified with no arguments"));
    }
    if ["quiet", "all-namespaces"].iter().any(|name| flags.is(name, false))
        || flags.filled("subresource").is_some()
    {
        return Err(mistake(
            "list option can't be specified with neither quiet, all-namespaces nor \
             subresource options",
        ));
    }
    let no_headers = flags.is("no-headers", false);
    context.request(flags, Vec::new(), Operation::CanIList { no_headers })
}

/// Reads `kubectl auth can-i VERB TYPE[/NAME]`.
fn can_i(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    let [verb, what] = flags.args.as_slice() else {
        return Err(mistake(
            "you must specify two arguments: verb resource or verb \
             resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
        ));
    };
    if flags.is("no-headers", false) {
        return Err(mistake("--no-headers cannot be set without --list specified"));
    }
    let subresource = flags.filled("subresource").unwrap_or_default();
    let is_url = what.starts_with('/');
    if is_url && !subresource.is_empty() {
        return Err(mistake("--subresource can not be used with NonResourceURL"));
    }
    let (what, name) = match what.split_once('/') {
        Some((what, name)) if !is_url => (what, name),
        _ => (what.as_str(), ""),
    };
    let ask = CanI {
        verb: verb.clone(),
        what: what.to_owned(),
        name: name.to_owned(),
        subresource,
        all_namespaces: flags.is("all-namespaces", false),
        quiet: flags.is("quiet", false),
    };
    context.request(flags, Vec::new(), Operation::CanI(ask))
}

/// Reads `kubectl api-resources …`.
pub fn parse_kinds(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl api-resources";
    const FLAGS: &[Flag] = &[
        short("output", 'o', Kind::Text),
        flag("api-group", Kind::Text),
        flag("namespaced", Kind::Bool),
        flag("verbs", Kind::List),
        flag("categories", Kind::List),
        flag("sort-by", Kind::Text),
        flag("no-headers", Kind::Bool),
        flag("cached", Kind::Bool),
        flag("show-managed-fields", Kind::Bool),
    ];
    let flags = context.flags(FLAGS, COMMAND)?;
    if !flags.args.is_empty() {
        let args = flags.args.join(" ");
        return Err(misuse(&format!("unexpected arguments: [{args}]"), COMMAND));
    }
    let output = match flags.text("output").unwrap_or_default() {
        "" => Output::Default,
        "wide" => Output::Wide,
        "name" => Output::Name,
        "json" => Output::Json,
        "yaml" => Output::Yaml,
        "kyaml" => {
            return Err(mistake("dyno's kubectl api-resources does not print \"kyaml\"; use yaml"));
        }
        other => {
            return Err(mistake(format!(
                "unable to match a printer suitable for the output format \"{other}\", allowed \
                 formats are: json,kyaml,name,wide,yaml"
            )));
        }
    };
    let sort_by = flags.filled("sort-by").unwrap_or_default();
    if !["", "name", "kind"].contains(&sort_by.as_str()) {
        return Err(mistake("--sort-by accepts only name or kind"));
    }
    let kinds = Kinds {
        group: flags.text("api-group").map(str::to_owned),
        namespaced: flags.has("namespaced").then(|| flags.is("namespaced", true)),
        verbs: flags.list("verbs").to_vec(),
        categories: flags.list("categories").to_vec(),
        sort_by,
        no_headers: flags.is("no-headers", false),
        output,
    };
    context.request(&flags, Vec::new(), Operation::Kinds(kinds))
}

/// Reads `kubectl api-versions`.
pub fn parse_versions(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl api-versions";
    let flags = context.flags(&[], COMMAND)?;
    if !flags.args.is_empty() {
        let args = flags.args.join(" ");
        return Err(misuse(&format!("unexpected arguments: [{args}]"), COMMAND));
    }
    context.request(&flags, Vec::new(), Operation::Versions)
}

/// Reads `kubectl top …`.
pub fn parse_top(context: &Context<'_>) -> Result<Parsed, Usage> {
    const FLAGS: &[Flag] = &[
        short("selector", 'l', Kind::Text),
        short("all-namespaces", 'A', Kind::Bool),
        flag("field-selector", Kind::Text),
        flag("sort-by", Kind::Text),
        flag("containers", Kind::Bool),
        flag("no-headers", Kind::Bool),
        flag("sum", Kind::Bool),
        flag("use-protocol-buffers", Kind::Bool),
        flag("show-capacity", Kind::Bool),
        flag("show-swap", Kind::Bool),
    ];
    let verb = flags::words(context.argv).first().copied();
    let command = verb.map_or("kubectl top".to_owned(), |verb| format!("kubectl top {verb}"));
    let mut flags = context.flags(FLAGS, &command)?;
    if flags.args.is_empty() {
        return Err(help::bare("top"));
    }
    let nodes = match flags.args.remove(0).as_str() {
        "node" | "nodes" | "no" => true,
        "pod" | "pods" | "po" => false,
        other => {
            let other = other.to_owned();
            return Err(help::no_command(&other, &flags.args, "kubectl top"));
        }
    };
    for name in ["show-capacity", "show-swap"] {
        if flags.is(name, false) {
            return Err(mistake(format!("dyno's kubectl top does not know --{name}")));
        }
    }
    let sort_by = flags.filled("sort-by").unwrap_or_default();
    if !["", "cpu", "memory"].contains(&sort_by.as_str()) {
        return Err(mistake("--sort-by accepts only cpu or memory"));
    }
    let labels = flags.filled("selector");
    let name = match flags.args.as_slice() {
        [] => None,
        [_] if labels.is_some() => {
            return Err(mistake("only one of NAME or --selector can be provided"));
        }
        [name] => Some(name.clone()),
        [..] => {
            let args = flags.args.join(" ");
            return Err(misuse(&format!("unexpected arguments: [{args}]"), &command));
        }
    };
    let top = Top {
        nodes,
        name,
        labels,
        fields: flags.filled("field-selector"),
        all_namespaces: flags.is("all-namespaces", false),
        containers: flags.is("containers", false),
        sort_by,
        no_headers: flags.is("no-headers", false),
        sum: flags.is("sum", false),
    };
    context.request(&flags, Vec::new(), Operation::Top(top))
}
