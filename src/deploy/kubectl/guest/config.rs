//! `kubectl config …`: the job's own kubeconfig, read and changed on the guest's side.

use base64::Engine;
use serde_json::Value;

use super::config_edit::{self, Edit};
use super::kubeconfig::{entry_name, files, find, merged_with, text};
use super::{Context, help, mistake, misuse};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Parsed, Usage};
use crate::deploy::manifest;

const FLAGS: &[Flag] = &[
    short("output", 'o', Kind::Text),
    flag("minify", Kind::Bool),
    flag("raw", Kind::Bool),
    flag("flatten", Kind::Bool),
    flag("merge", Kind::Optional("true")),
    flag("no-headers", Kind::Bool),
    flag("current", Kind::Bool),
    flag("embed-certs", Kind::Bool),
    flag("proxy-url", Kind::Text),
    flag("set-raw-bytes", Kind::Bool),
    flag("auth-provider", Kind::Text),
    flag("exec-command", Kind::Text),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Reads and does `kubectl config …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    let command = flags::words(context.argv)
        .first()
        .map_or_else(|| "kubectl config".to_owned(), |verb| format!("kubectl config {verb}"));
    let mut flags = context.flags(FLAGS, &command)?;
    if flags.args.is_empty() {
        return Err(help::bare("config"));
    }
    let verb = flags.args.remove(0);
    match verb.as_str() {
        "current-context" => current(context, &flags),
        "get-contexts" => contexts(context, &flags),
        "get-clusters" => names(context, &flags, "clusters"),
        "get-users" => names(context, &flags, "users"),
        "view" => view(context, &flags),
        "use-context" | "use" => use_context(context, &flags),
        "set-context" | "set-cluster" | "set-credentials" | "delete-context" | "delete-cluster"
        | "delete-user" | "rename-context" | "set" | "unset" => {
            let edit = Edit { flags: &flags, verb: &verb };
            config_edit::run(context, &edit)
        }
        other => Err(help::no_command(other, &flags.args, "kubectl config")),
    }
}

/// A text for standard output, and success.
pub fn told(stdout: String) -> Parsed {
    Parsed::Local { stdout, stderr: String::new(), code: 0 }
}

fn load(context: &Context<'_>, flags: &flags::Parsed) -> Result<Value, Usage> {
    let explicit = flags.filled("kubeconfig").is_some();
    merged_with(&files(flags, context.files), explicit, context.files, false)
}

fn current(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    let config = load(context, flags)?;
    match text(config.get("current-context")) {
        name if name.is_empty() => Err(mistake("current-context is not set")),
        name => Ok(told(format!("{name}\n"))),
    }
}

fn use_context(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    let [name] = flags.args.as_slice() else {
        return Err(misuse(
            &format!("Unexpected args: [{}]", flags.args.join(" ")),
            "kubectl config use-context",
        ));
    };
    let config = load(context, flags)?;
    if name.is_empty() {
        return Err(mistake("empty context names are not allowed"));
    }
    if find(&config, "contexts", name).is_none() {
        return Err(mistake(format!("no context exists with the name: \"{name}\"")));
    }
    config_edit::change(context, flags, |config| {
        config.insert("current-context".to_owned(), Value::String(name.clone()));
        Ok(())
    })?;
    Ok(told(format!("Switched to context \"{name}\".\n")))
}

fn names(context: &Context<'_>, flags: &flags::Parsed, list: &str) -> Result<Parsed, Usage> {
    let config = load(context, flags)?;
    let mut names: Vec<&str> = entries(&config, list).iter().map(entry_name).collect();
    names.sort_unstable();
    let lines: Vec<&str> = std::iter::once("NAME").chain(names).collect();
    Ok(told(lines.join("\n") + "\n"))
}

fn entries<'a>(config: &'a Value, list: &str) -> &'a [Value] {
    config.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn contexts(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    if let Some(other) = flags.text("output").filter(|output| !["", "name"].contains(output)) {
        return Err(mistake(format!(
            "--output {other} is not available in kubectl config get-contexts; resetting to \
             default output format"
        )));
    }
    let config = load(context, flags)?;
    let current = text(config.get("current-context"));
    let mut names: Vec<String> = if flags.args.is_empty() {
        entries(&config, "contexts").iter().map(|entry| entry_name(entry).to_owned()).collect()
    } else {
        flags.args.clone()
    };
    names.sort_unstable();
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for name in names {
        let Some(entry) = find(&config, "contexts", &name) else {
            missing.push(format!("context {name} not found"));
            continue;
        };
        let mark = if name == current { "*" } else { "" }.to_owned();
        let of = |key: &str| text(entry.get(key));
        rows.push(vec![mark, name, of("cluster"), of("user"), of("namespace")]);
    }
    let stdout = if flags.text("output") == Some("name") {
        rows.iter()
            .filter_map(|row| row.get(1))
            .map(String::as_str)
            .flat_map(|name| [name, "\n"])
            .collect()
    } else {
        let header = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned);
        let headed = (!flags.is("no-headers", false)).then(|| header.to_vec());
        crate::deploy::kubectl::print::aligned(headed.into_iter().chain(rows))
    };
    let code = u8::from(!missing.is_empty());
    let stderr = match missing.as_slice() {
        [] => String::new(),
        [one] => format!("error: {one}\n"),
        many => many.join("\n") + "\n",
    };
    Ok(Parsed::Local { stdout, stderr, code })
}

fn view(context: &Context<'_>, flags: &flags::Parsed) -> Result<Parsed, Usage> {
    if !flags.args.is_empty() {
        let args = flags.args.join(" ");
        return Err(misuse(&format!("unexpected arguments: [{args}]"), "kubectl config view"));
    }
    if !flags.is("merge", true) && flags.filled("kubeconfig").is_none() {
        return Err(mistake("if merge==false a precise file must be specified"));
    }
    let mut config = load(context, flags)?;
    if flags.is("flatten", false) {
        let explicit = flags.filled("kubeconfig").is_some();
        config = merged_with(&files(flags, context.files), explicit, context.files, true)?;
        flatten(&mut config, context)?;
    }
    if flags.is("minify", false) {
        minify(&mut config, flags)?;
    }
    if !flags.is("raw", false) {
        redact(&mut config);
    }
    if let Value::Object(map) = &mut config {
        map.insert("apiVersion".to_owned(), Value::String("v1".to_owned()));
        map.insert("kind".to_owned(), Value::String("Config".to_owned()));
        map.entry("current-context").or_insert_with(|| Value::String(String::new()));
        for list in ["clusters", "users", "contexts"] {
            if let Some(Value::Array(entries)) = map.get_mut(list) {
                if entries.is_empty() {
                    map.insert(list.to_owned(), Value::Null);
                } else {
                    entries.sort_by(|left, right| entry_name(left).cmp(entry_name(right)));
                }
            }
        }
    }
    let output = super::options::output(flags, false)?;
    let stdout = match &output {
        crate::deploy::kubectl::Output::Default | crate::deploy::kubectl::Output::Yaml => {
            manifest::yaml(&config)
        }
        crate::deploy::kubectl::Output::Json => {
            crate::deploy::kubectl::print::typed_json(&config, true) + "\n"
        }
        crate::deploy::kubectl::Output::JsonPath(template) => {
            crate::deploy::jsonpath::render(template, &config, true).map_err(mistake)?
        }
        output @ crate::deploy::kubectl::Output::GoTemplate(_) => {
            crate::deploy::kubectl::print::print_object(&config, output, "", true)
                .map_err(mistake)?
        }
        crate::deploy::kubectl::Output::Wide
        | crate::deploy::kubectl::Output::Name
        | crate::deploy::kubectl::Output::JsonPathAsJson(_)
        | crate::deploy::kubectl::Output::CustomColumns(_) => {
            return Err(mistake("config view prints yaml, json, jsonpath or go-template"));
        }
    };
    Ok(told(stdout))
}

/// Takes the files that are named into the kubeconfig itself.
fn flatten(config: &mut Value, context: &Context<'_>) -> Result<(), Usage> {
    let keys = ["certificate-authority", "client-certificate", "client-key"];
    for (list, inner) in [("clusters", "cluster"), ("users", "user")] {
        let entries = config.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            let Some(Value::Object(content)) = entry.get_mut(inner) else { continue };
            for key in keys {
                let path = text(content.get(key));
                if path.is_empty() {
                    continue;
                }
                let bytes = context.files.read(std::path::Path::new(&path)).map_err(|error| {
                    mistake(format!("open {path}: {}", super::go_error(&error)))
                })?;
                let data = base64::engine::general_purpose::STANDARD.encode(bytes);
                content.remove(key);
                content.insert(format!("{key}-data"), Value::String(data));
            }
        }
    }
    Ok(())
}

/// Keeps what the chosen context needs.
fn minify(config: &mut Value, flags: &flags::Parsed) -> Result<(), Usage> {
    let name = flags.filled("context").unwrap_or_else(|| text(config.get("current-context")));
    let Some(chosen) = find(config, "contexts", &name).cloned() else {
        return Err(mistake(if name.is_empty() {
            "current-context must exist in order to minify".to_owned()
        } else {
            format!("cannot locate context {name}")
        }));
    };
    for (list, keep) in [
        ("contexts", name.clone()),
        ("clusters", text(chosen.get("cluster"))),
        ("users", text(chosen.get("user"))),
    ] {
        if let Some(Value::Array(entries)) = config.get_mut(list) {
            entries.retain(|entry| entry_name(entry) == keep);
        }
    }
    Ok(())
}

/// What kubectl shows instead of secrets.
fn redact(config: &mut Value) {
    let marks = [
        ("clusters", "cluster", "certificate-authority-data", "DATA+OMITTED"),
        ("users", "user", "client-certificate-data", "DATA+OMITTED"),
        ("users", "user", "client-key-data", "DATA+OMITTED"),
        ("users", "user", "token", "REDACTED"),
        ("users", "user", "password", "REDACTED"),
    ];
    for (list, inner, key, mark) in marks {
        let entries = config.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            if let Some(value) = entry.get_mut(inner).and_then(|inner| inner.get_mut(key)) {
                *value = Value::String(mark.to_owned());
            }
        }
    }
}
