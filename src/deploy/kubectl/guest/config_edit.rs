//! `kubectl config set-…`, `delete-…`, `rename-context`, `set`, `unset`: one kubeconfig file
//! changed and written back.

use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Map, Value, json};

use super::config::told;
use super::kubeconfig::{entry_name, files, find, read, text};
use super::{Context, go_error, mistake, misuse};
use crate::deploy::kubectl::flags;
use crate::deploy::kubectl::{Parsed, Usage};
use crate::deploy::manifest;

/// A change as asked for.
pub struct Edit<'a> {
    /// The flags; what is no flag stands behind the verb.
    pub flags: &'a flags::Parsed,
    /// `set-context`, …
    pub verb: &'a str,
}

type Config = Map<String, Value>;

/// Does the change and says so.
pub fn run(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    match edit.verb {
        "set-context" => set_context(context, edit),
        "set-cluster" => set_cluster(context, edit),
        "set-credentials" => set_credentials(context, edit),
        "delete-context" => delete(context, edit, "contexts", "context"),
        "delete-cluster" => delete(context, edit, "clusters", "cluster"),
        "delete-user" => delete(context, edit, "users", "user"),
        "rename-context" => rename(context, edit),
        _ => property(context, edit),
    }
}

/// Changes the file that kubectl would change: the first that is there, else the last named.
pub fn change<T>(
    context: &Context<'_>,
    flags: &flags::Parsed,
    edit: impl FnOnce(&mut Config) -> Result<T, Usage>,
) -> Result<T, Usage> {
    let paths = files(flags, context.files);
    let mut chosen: Option<(PathBuf, Value)> = None;
    for path in &paths {
        if let Some(config) = read(path, context.files)? {
            chosen = Some((path.clone(), config));
            break;
        }
    }
    let (path, config) = match (chosen, paths.last()) {
        (Some(chosen), _) => chosen,
        (None, Some(last)) => (last.clone(), json!({})),
        (None, None) => {
            return Err(mistake("no kubeconfig file to write: neither KUBECONFIG nor HOME is set"));
        }
    };
    let Value::Object(mut config) = config else { return Err(mistake("no kubeconfig")) };
    let done = edit(&mut config)?;
    config.entry("apiVersion").or_insert_with(|| Value::String("v1".to_owned()));
    config.entry("kind").or_insert_with(|| Value::String("Config".to_owned()));
    config.entry("current-context").or_insert_with(|| Value::String(String::new()));
    config.remove("preferences");
    for list in ["clusters", "users", "contexts"] {
        let value = config.entry(list).or_insert(Value::Null);
        match value.as_array_mut() {
            Some(entries) if !entries.is_empty() => {
                entries.sort_by(|left, right| entry_name(left).cmp(entry_name(right)));
            }
            _ => *value = Value::Null,
        }
    }
    context
        .files
        .write(&path, manifest::yaml(&Value::Object(config)).as_bytes())
        .map_err(|error| mistake(format!("cannot write {}: {error}", path.display())))?;
    Ok(done)
}

/// Changes (or makes) an entry; true when it was there.
fn entry(config: &mut Config, list: &str, name: &str, edit: impl FnOnce(&mut Config)) -> bool {
    let inner = match list {
        "clusters" => "cluster",
        "users" => "user",
        _ => "context",
    };
    let entries = config.entry(list).or_insert_with(|| json!([]));
    if !entries.is_array() {
        *entries = json!([]);
    }
    let Value::Array(entries) = entries else { return false };
    let at = entries.iter().position(|entry| entry_name(entry) == name);
    let existed = at.is_some();
    if at.is_none() {
        entries.push(json!({"name": name, inner: {}}));
    }
    let at = at.unwrap_or(entries.len() - 1);
    if let Some(Value::Object(entry)) = entries.get_mut(at) {
        let content = entry.entry(inner).or_insert_with(|| json!({}));
        if !content.is_object() {
            *content = json!({});
        }
        if let Value::Object(content) = content {
            edit(content);
            if inner == "context" {
                for key in ["cluster", "user"] {
                    content.entry(key).or_insert_with(|| Value::String(String::new()));
                }
            }
            if inner == "cluster" {
                content.entry("server").or_insert_with(|| Value::String(String::new()));
            }
        }
    }
    existed
}

fn put(content: &mut Config, key: &str, value: Option<&str>) {
    match value {
        Some("") => {
            content.remove(key);
        }
        Some(value) => {
            content.insert(key.to_owned(), Value::String(value.to_owned()));
        }
        None => {}
    }
}

fn only_name<'a>(edit: &'a Edit<'_>) -> Result<&'a str, Usage> {
    match edit.flags.args.as_slice() {
        [name] if !name.is_empty() => Ok(name),
        args => Err(misuse(
            &format!("Unexpected args: [{}]", args.join(" ")),
            &format!("kubectl config {}", edit.verb),
        )),
    }
}

fn set_context(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    let flags = edit.flags;
    let is_current = flags.is("current", false);
    if is_current && !flags.args.is_empty() {
        return Err(mistake("you cannot specify both a context name and --current"));
    }
    if !is_current && flags.args.iter().all(String::is_empty) {
        return Err(mistake("you must specify a non-empty context name or --current"));
    }
    let name = if is_current { None } else { Some(only_name(edit)?.to_owned()) };
    let (name, existed) = change(context, flags, |config| {
        let name = match name {
            Some(name) => name,
            None => match text(config.get("current-context")) {
                name if name.is_empty() => return Err(mistake("no current context is set")),
                name => name,
            },
        };
        let existed = entry(config, "contexts", &name, |content| {
            put(content, "cluster", flags.text("cluster"));
            put(content, "user", flags.text("user"));
            put(content, "namespace", flags.text("namespace"));
        });
        Ok((name, existed))
    })?;
    let done = if existed { "modified" } else { "created" };
    Ok(told(format!("Context \"{name}\" {done}.\n")))
}

fn embedded(context: &Context<'_>, flag: &str, path: &str) -> Result<String, Usage> {
    let content = context.files.read(Path::new(path)).map_err(|error| {
        mistake(format!("could not stat {flag} file {path}: stat {path}: {}", go_error(&error)))
    })?;
    Ok(base64::engine::general_purpose::STANDARD.encode(content))
}

/// Where the kubeconfig that is changed stands.
fn folder(context: &Context<'_>, flags: &flags::Parsed) -> PathBuf {
    let paths = files(flags, context.files);
    let there = paths.iter().find(|path| context.files.list(path).is_ok());
    let path = there.or(paths.last()).and_then(|path| std::path::absolute(path).ok());
    path.and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_default()
}

/// A path as a kubeconfig in the folder names it: relative to it where it is below it.
fn beside(folder: &Path, path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.into()).components() {
        if part == std::path::Component::ParentDir {
            whole.pop();
        } else {
            whole.push(part);
        }
    }
    whole.strip_prefix(folder).unwrap_or(&whole).display().to_string()
}

fn set_cluster(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    let flags = edit.flags;
    let name = only_name(edit)?;
    let ca = flags.text("certificate-authority");
    let folder = folder(context, flags);
    let embed = flags.is("embed-certs", false);
    let data = match ca.filter(|ca| embed && !ca.is_empty()) {
        Some(path) => Some(embedded(context, "certificate-authority", path)?),
        None => None,
    };
    change(context, flags, |config| {
        entry(config, "clusters", name, |content| {
            if let Some(server) = flags.text("server") {
                put(content, "server", Some(server));
                content.remove("tls-server-name");
            }
            put(content, "tls-server-name", flags.text("tls-server-name"));
            put(content, "proxy-url", flags.text("proxy-url"));
            // Whoever does not ask for it again has it no longer.
            content.remove("insecure-skip-tls-verify");
            if flags.is("insecure-skip-tls-verify", false) {
                content.insert("insecure-skip-tls-verify".to_owned(), Value::Bool(true));
                content.remove("certificate-authority");
                content.remove("certificate-authority-data");
            }
            if let Some(ca) = ca {
                content.remove("insecure-skip-tls-verify");
                content.remove("certificate-authority-data");
                if data.is_some() {
                    content.remove("certificate-authority");
                    put(content, "certificate-authority-data", data.as_deref());
                } else {
                    put(content, "certificate-authority", Some(&beside(&folder, ca)));
                }
            }
        });
        Ok(())
    })?;
    Ok(told(format!("Cluster \"{name}\" set.\n")))
}

fn set_credentials(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    let flags = edit.flags;
    let name = only_name(edit)?;
    for flag in ["auth-provider", "exec-command"] {
        if flags.has(flag) {
            return Err(mistake(format!(
                "dyno does not run programs for credentials, so it does not know --{flag}"
            )));
        }
    }
    let folder = folder(context, flags);
    let embed = flags.is("embed-certs", false);
    let mut pems = Vec::new();
    for key in ["client-certificate", "client-key"] {
        if let Some(path) = flags.text(key) {
            let data =
                if embed && !path.is_empty() { Some(embedded(context, key, path)?) } else { None };
            pems.push((key, path, data));
        }
    }
    if flags.filled("token").is_some() && flags.filled("username").is_some() {
        return Err(mistake(
            "you cannot specify more than one authentication method at the same time: --token, \
             --username/--password",
        ));
    }
    change(context, flags, |config| {
        entry(config, "users", name, |content| {
            for (key, path, data) in &pems {
                let data_key = format!("{key}-data");
                content.remove(&data_key);
                content.remove(*key);
                match data {
                    Some(data) => put(content, &data_key, Some(data)),
                    None => put(content, key, Some(&beside(&folder, path))),
                }
            }
            if flags.filled("token").is_some() {
                content.remove("username");
                content.remove("password");
                content.remove("tokenFile");
            }
            if flags.filled("username").is_some() || flags.filled("password").is_some() {
                content.remove("token");
                content.remove("tokenFile");
            }
            for key in ["token", "username", "password"] {
                put(content, key, flags.text(key));
            }
        });
        Ok(())
    })?;
    Ok(told(format!("User \"{name}\" set.\n")))
}

fn delete(context: &Context<'_>, edit: &Edit<'_>, list: &str, what: &str) -> Result<Parsed, Usage> {
    let name = only_name(edit)?;
    let path = files(edit.flags, context.files)
        .into_iter()
        .next()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let was_current = change(context, edit.flags, |config| {
        let known = find(&Value::Object(config.clone()), list, name).is_some();
        if !known {
            return Err(mistake(format!("cannot delete {what} {name}, not in {path}")));
        }
        if let Some(Value::Array(entries)) = config.get_mut(list) {
            entries.retain(|entry| entry_name(entry) != name);
        }
        Ok(text(config.get("current-context")) == name)
    })?;
    let stderr = if what == "context" && was_current {
        "warning: this removed your active context, use \"kubectl config use-context\" to select a different one\n".to_owned()
    } else {
        String::new()
    };
    Ok(Parsed::Local { stdout: format!("deleted {what} {name} from {path}\n"), stderr, code: 0 })
}

fn rename(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    let [old, new] = edit.flags.args.as_slice() else {
        return Err(misuse(
            &format!("Unexpected args: [{}]", edit.flags.args.join(" ")),
            "kubectl config rename-context",
        ));
    };
    let path = files(edit.flags, context.files).into_iter().next().unwrap_or_default();
    change(context, edit.flags, |config| {
        let whole = Value::Object(config.clone());
        if find(&whole, "contexts", old).is_none() {
            return Err(mistake(format!(
                "cannot rename the context \"{old}\", it's not in {}",
                path.display()
            )));
        }
        if find(&whole, "contexts", new).is_some() {
            return Err(mistake(format!(
                "cannot rename the context \"{old}\", the context \"{new}\" already exists in {}",
                path.display()
            )));
        }
        let entries = config.get_mut("contexts").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter(|entry| entry_name(entry) == old) {
            if let Value::Object(entry) = entry {
                entry.insert("name".to_owned(), Value::String(new.clone()));
            }
        }
        if text(config.get("current-context")) == *old {
            config.insert("current-context".to_owned(), Value::String(new.clone()));
        }
        Ok(())
    })?;
    Ok(told(format!("Context \"{old}\" renamed to \"{new}\".\n")))
}

/// `set PROPERTY VALUE` and `unset PROPERTY`: `current-context`, `contexts.NAME.namespace`, …
fn property(context: &Context<'_>, edit: &Edit<'_>) -> Result<Parsed, Usage> {
    let (path, value) = match (edit.verb, edit.flags.args.as_slice()) {
        ("set", [path, value]) => (path, Some(value.clone())),
        ("unset", [path]) => (path, None),
        (verb, args) => {
            return Err(misuse(
                &format!("Unexpected args: [{}]", args.join(" ")),
                &format!("kubectl config {verb}"),
            ));
        }
    };
    let parts: Vec<&str> = path.split('.').collect();
    change(context, edit.flags, |config| {
        match parts.as_slice() {
            ["current-context"] => match &value {
                Some(value) => {
                    config.insert("current-context".to_owned(), Value::String(value.clone()));
                }
                None => {
                    config.insert("current-context".to_owned(), Value::String(String::new()));
                }
            },
            [list @ ("clusters" | "users" | "contexts")] if value.is_none() => {
                config.insert((*list).to_owned(), Value::Null);
            }
            [list @ ("clusters" | "users" | "contexts"), middle @ .., last] => {
                let name = if middle.is_empty() { (*last).to_owned() } else { middle.join(".") };
                if middle.is_empty() {
                    if let (None, Some(Value::Array(entries))) = (&value, config.get_mut(*list)) {
                        entries.retain(|entry| entry_name(entry) != name);
                    }
                    return Ok(());
                }
                let whole = Value::Object(config.clone());
                if value.is_none() && find(&whole, list, &name).is_none() {
                    return Err(mistake(format!("current map key `{name}` is invalid")));
                }
                entry(config, list, &name, |content| {
                    put(content, last, Some(value.as_deref().unwrap_or_default()));
                });
            }
            _ => return Err(mistake(format!("unable to parse {path} after [] at api.Config"))),
        }
        Ok(())
    })?;
    let done = if value.is_some() { "set" } else { "unset" };
    Ok(told(format!("Property \"{path}\" {done}.\n")))
}
