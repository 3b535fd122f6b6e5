//! The job's own kubeconfig: which cluster a command is for, and with what credential.

mod choice;
mod own;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use choice::{choose, worded};

use super::mistake;
use crate::deploy::kubectl::flags::Parsed;
use crate::deploy::kubectl::{Files, Usage};
use crate::deploy::manifest;

/// The kubeconfig files of a command: `--kubeconfig`, else what the environment says.
pub fn files(flags: &Parsed, files: &dyn Files) -> Vec<PathBuf> {
    match flags.filled("kubeconfig") {
        Some(path) => vec![PathBuf::from(path)],
        None => files.kubeconfigs(),
    }
}

/// Reads one kubeconfig; `None` when it is not there. It may be empty.
pub fn read(path: &Path, files: &dyn Files) -> Result<Option<Value>, Usage> {
    let content = match files.read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(mistake(format!(
                "error loading config file \"{}\": {} {}: {}",
                path.display(),
                if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" },
                path.display(),
                super::go_error(&error)
            )));
        }
    };
    let value = manifest::parse(&content).map_err(|error| {
        let why = error.trim_start_matches("error converting YAML to JSON: ");
        mistake(format!("error loading config file \"{}\": {why}", path.display()))
    })?;
    if value.is_null() {
        return Ok(Some(json!({})));
    }
    match no_kubeconfig(&value) {
        None => Ok(Some(value)),
        Some(why) => {
            Err(mistake(format!("error loading config file \"{}\": {why}", path.display())))
        }
    }
}

/// Why a document is no kubeconfig, in the words of Go's decoder.
fn no_kubeconfig(value: &Value) -> Option<String> {
    const HEAD: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind \
                        string \"json:\\\"kind,omitempty\\\"\" }";
    const LISTS: [(&str, &str); 3] = [
        ("clusters", "[]v1.NamedCluster"),
        ("users", "[]v1.NamedAuthInfo"),
        ("contexts", "[]v1.NamedContext"),
    ];
    let Value::Object(map) = value else {
        let kind = manifest::go_kind(value);
        return Some(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go \
             value of type {HEAD}"
        ));
    };
    let said = |key: &str, default: &str| {
        let text = text(map.get(key));
        if text.is_empty() { default.to_owned() } else { text }
    };
    let (version, kind) = (said("apiVersion", "v1"), said("kind", "Config"));
    if version != "v1" || kind != "Config" {
        return Some(format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
             \"pkg/runtime/scheme.go:111\""
        ));
    }
    LISTS.iter().find_map(|(key, expected)| {
        let list = map.get(*key).filter(|list| !list.is_array() && !list.is_null())?;
        let kind = manifest::go_kind(list);
        Some(format!(
            "json: cannot unmarshal {kind} into Go struct field Config.{key} of type {expected}"
        ))
    })
}

/// All kubeconfigs as one: the first to name a thing wins. Relative paths in a file are relative to
/// it.
pub fn merged(paths: &[PathBuf], explicit: bool, from: &dyn Files) -> Result<Value, Usage> {
    merged_with(paths, explicit, from, true)
}

/// The same, with the paths resolved or as they are written.
pub fn merged_with(
    paths: &[PathBuf],
    explicit: bool,
    from: &dyn Files,
    resolved: bool,
) -> Result<Value, Usage> {
    let mut merged = json!({"clusters": [], "users": [], "contexts": []});
    for path in paths {
        let Some(mut config) = read(path, from)? else {
            if explicit {
                return Err(mistake(format!("stat {}: no such file or directory", path.display())));
            }
            continue;
        };
        if resolved {
            resolve(&mut config, path.parent().unwrap_or(Path::new("")));
        }
        for list in ["clusters", "users", "contexts"] {
            let entries = config.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            for entry in entries {
                if find(&merged, list, entry_name(&entry)).is_none()
                    && let Some(Value::Array(known)) = merged.get_mut(list)
                {
                    known.push(entry);
                }
            }
        }
        let current = text(config.get("current-context"));
        if let (true, Value::Object(map)) =
            (text(merged.get("current-context")).is_empty(), &mut merged)
        {
            map.insert("current-context".to_owned(), Value::String(current));
        }
    }
    Ok(merged)
}

fn resolve(config: &mut Value, folder: &Path) {
    let keys = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
    for (list, inner) in [("clusters", "cluster"), ("users", "user")] {
        let entries = config.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            for key in keys {
                if let Some(Value::String(path)) =
                    entry.get_mut(inner).and_then(|inner| inner.get_mut(key))
                    && !path.is_empty()
                    && !path.starts_with('/')
                {
                    *path = folder.join(&*path).display().to_string();
                }
            }
        }
    }
}

/// The named entry's content out of one of the lists.
pub fn find<'a>(config: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    static EMPTY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!({}));
    let inner = match list {
        "clusters" => "cluster",
        "users" => "user",
        _ => "context",
    };
    config
        .get(list)?
        .as_array()?
        .iter()
        .find(|entry| entry_name(entry) == name)
        .map(|entry| entry.get(inner).filter(|inner| inner.is_object()).unwrap_or(&EMPTY))
}

/// An entry's name.
pub fn entry_name(entry: &Value) -> &str {
    entry.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A text, empty when it is none.
pub fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}
