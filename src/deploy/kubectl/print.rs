//! Objects and lines as kubectl prints them, shared by both sides of the socket.

use serde_json::{Map, Value, json};

use super::Output;
use crate::deploy::gotemplate::Missing;
use crate::deploy::{gotemplate, jsonpath, manifest};

/// The annotation that `apply` keeps its memory in.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `deployment.apps/x`.
pub fn type_and_name(object: &Value) -> String {
    let text = |value: Option<&Value>, key: &str| {
        value.and_then(|value| value.get(key)?.as_str()).unwrap_or_default().to_owned()
    };
    let kind = text(Some(object), "kind").to_lowercase();
    let version = text(Some(object), "apiVersion");
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let name = text(object.get("metadata"), "name");
    if group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{group}/{name}") }
}

/// Prints one object of a command that changes it: a line, or the object itself. `typed` objects
/// (those that kubectl makes itself) have their JSON keys in Go's order.
pub fn print_object(
    object: &Value,
    output: &Output,
    operation: &str,
    typed: bool,
) -> Result<String, String> {
    match output {
        Output::Default | Output::Wide => Ok(format!("{} {operation}\n", type_and_name(object))),
        Output::Name => Ok(format!("{}\n", type_and_name(object))),
        Output::Json if typed => Ok(typed_json(object, true) + "\n"),
        Output::Json => Ok(manifest::indented(object) + "\n"),
        Output::Yaml => Ok(manifest::yaml(object)),
        Output::JsonPath(template) => jsonpath::render(template, object, true),
        Output::JsonPathAsJson(template) => jsonpath::render_json(template, object, true),
        Output::GoTemplate(template) => {
            let (text, ended) = gotemplate::render(template, object, Missing::Allowed);
            ended.map(|()| text)
        }
        Output::CustomColumns(_) => Err("custom-columns are for `kubectl get`".to_owned()),
    }
}

/// The last-applied annotation's value for an object, without the annotation itself.
pub fn last_applied(object: &Value, typed: bool) -> String {
    let mut bare = object.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Value::Object(annotations) = annotations {
            annotations.remove(LAST_APPLIED);
        }
        // Go leaves an empty map out of what it makes itself.
        if typed && metadata.get("annotations") == Some(&json!({})) {
            metadata.remove("annotations");
        }
    }
    if typed { typed_json(&bare, false) + "\n" } else { manifest::compact(&bare) + "\n" }
}

/// Writes the last-applied annotation into an object.
pub fn annotate(object: &mut Value, typed: bool) {
    let text = last_applied(object, typed);
    let Value::Object(map) = object else { return };
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Value::Object(annotations) = annotations {
            annotations.insert(LAST_APPLIED.to_owned(), Value::String(text));
        }
    }
}

/// An object as it is created: compact, with its memory in the annotation, Written at once, and not by way
/// of a tree of its own.
pub fn annotated(object: &Value) -> String {
    let memory = manifest::compact_marked(object, LAST_APPLIED, None) + "\n";
    manifest::compact_marked(object, LAST_APPLIED, Some(&memory))
}

/// The keys of what kubectl makes itself, in the order of Go's structs; others follow.
const ORDER: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "immutable",
    "secrets",
    "data",
    "stringData",
    "binaryData",
    "spec",
    "status",
    "ingressClassName",
    "defaultBackend",
    "tls",
    "rules",
    "aggregationRule",
    "subjects",
    "roleRef",
    "verbs",
    "apiGroups",
    "apiGroup",
    "schedule",
    "jobTemplate",
    "hard",
    "scopes",
    "replicas",
    "name",
    "image",
    "command",
    "args",
    "protocol",
    "port",
    "targetPort",
    "nodePort",
    "ports",
    "env",
    "resources",
    "resourceNames",
    "nonResourceURLs",
    "minAvailable",
    "selector",
    "maxUnavailable",
    "template",
    "strategy",
    "clusterIP",
    "type",
    "externalName",
    "generateName",
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority",
    "certificate-authority-data",
    "proxy-url",
    "cluster",
    "user",
    "context",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "as",
    "as-groups",
    "username",
    "groups",
    "extra",
    "password",
    "clusters",
    "users",
    "contexts",
    "current-context",
    "value",
    "globalDefault",
    "description",
    "preemptionPolicy",
    "host",
    "http",
    "hosts",
    "secretName",
    "path",
    "pathType",
    "backend",
    "number",
    "disruptionsAllowed",
    "currentHealthy",
    "desiredHealthy",
    "expectedPods",
    "audiences",
    "expirationSeconds",
    "boundObjectRef",
];

/// JSON with its keys in the order of Go's structs where kubectl has structs.
pub fn typed_json(value: &Value, indent: bool) -> String {
    let mut text = String::new();
    typed(value, indent.then_some(0), Keys::Struct, &mut text);
    text
}

/// Whose keys they are: a struct's are in its order, a map's (data, labels) are sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Struct,
    Map,
}

fn typed(value: &Value, depth: Option<usize>, keys: Keys, text: &mut String) {
    let new_line = |depth: Option<usize>, text: &mut String| {
        if let Some(depth) = depth {
            text.push('\n');
            text.push_str(&"    ".repeat(depth));
        }
    };
    let inner = depth.map(|depth| depth + 1);
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('{');
            let is_map = [
                "data",
                "stringData",
                "binaryData",
                "labels",
                "matchLabels",
                "annotations",
                "hard",
                "roleRef",
            ];
            for (n, (key, value)) in ordered(map, keys).into_iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                new_line(inner, text);
                text.push_str(&manifest::compact(&Value::String(key.clone())));
                text.push_str(if inner.is_some() { ": " } else { ":" });
                let keys = if is_map.contains(&key.as_str()) { Keys::Map } else { keys };
                typed(value, inner, keys, text);
            }
            new_line(depth, text);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (n, value) in items.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                new_line(inner, text);
                typed(value, inner, keys, text);
            }
            new_line(depth, text);
            text.push(']');
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => text.push_str(&manifest::compact(value)),
    }
}

fn ordered(map: &Map<String, Value>, keys: Keys) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    if keys == Keys::Struct {
        fields.sort_by_key(|(key, _)| {
            ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len())
        });
    }
    fields
}

/// Rows as kubectl's table writer aligns them: three blanks between columns, six wide at least.
pub fn aligned(rows: impl Iterator<Item = Vec<String>>) -> String {
    aligned_on(rows, &mut Vec::new())
}

/// The same with columns at least as wide as they were before; how wide they are now is kept.
pub fn aligned_on(rows: impl Iterator<Item = Vec<String>>, widths: &mut Vec<usize>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    for row in &rows {
        // The last cell of a row ends no column.
        for (n, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
            let width = (cell.chars().count() + 3).max(6);
            match widths.get_mut(n) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (n, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if n + 1 < row.len() {
                let width = widths.get(n).copied().unwrap_or(0);
                text.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
            }
        }
        text.push('\n');
    }
    text
}

/// A text with no line longer than `width` where a blank allows it.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut word, mut blanks) = (String::new(), String::new());
    let (mut n_word, mut n_blanks, mut column) = (0, 0, 0);
    for c in text.chars() {
        if c == '\n' || (c.is_whitespace() && c != '\u{a0}') {
            let is_end = c == '\n';
            if !word.is_empty() || (is_end && column + n_blanks <= width) {
                out.push_str(&blanks);
                out.push_str(&word);
                column += n_blanks + n_word;
                (n_word, n_blanks) = (0, 0);
                word.clear();
                blanks.clear();
            }
            if is_end {
                (column, n_blanks) = (0, 0);
                blanks.clear();
                out.push(c);
            } else {
                blanks.push(c);
                n_blanks += 1;
            }
        } else {
            word.push(c);
            n_word += 1;
            if column + n_blanks + n_word > width && n_word < width {
                out.push('\n');
                (column, n_blanks) = (0, 0);
                blanks.clear();
            }
        }
    }
    if !word.is_empty() || column + n_blanks <= width {
        out.push_str(&blanks);
        out.push_str(&word);
    }
    out
}

/// A line as kubectl's logger writes it: kubectl tells deprecations this way.
pub fn logged(level: char, place: &str, text: &str) -> String {
    let now = jiff::Zoned::now();
    format!(
        "{level}{} {:>7} {place}] {text}\n",
        now.strftime("%m%d %H:%M:%S%.6f"),
        std::process::id()
    )
}

/// The version of kubectl that dyno answers like.
pub fn client_version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.3",
        "gitCommit": concat!("dyno-", env!("CARGO_PKG_VERSION")),
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": "dyno",
        "platform": "linux/amd64",
    })
}

/// What kubectl warns of where client and server are more than one minor version apart.
pub fn version_skew(client: &Value, server: &Value) -> Option<String> {
    let [client, server] = [number(client)?, number(server)?];
    let is_near = client.0 == server.0 && client.1.abs_diff(server.1) <= 1;
    (!is_near).then(|| {
        format!(
            "WARNING: version difference between client ({}.{}) and server ({}.{}) exceeds the \
             supported minor version skew of +/-1\n",
            client.0, client.1, server.0, server.1
        )
    })
}

/// The two numbers of `v1.36.3`.
fn number(version: &Value) -> Option<(u32, u32)> {
    let text = version.get("gitVersion")?.as_str()?;
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `kubectl version`.
pub fn version_text(client: &Value, server: Option<&Value>, output: &Output) -> String {
    let kustomize = "none";
    let mut all = json!({"clientVersion": client, "kustomizeVersion": kustomize});
    if let (Some(server), Value::Object(map)) = (server, &mut all) {
        map.insert("serverVersion".to_owned(), server.clone());
    }
    let of = |version: &Value| {
        version.get("gitVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&all).unwrap_or_default();
            format!("{text}\n")
        }
        Output::Yaml => manifest::yaml(&all) + "\n",
        Output::Default
        | Output::Wide
        | Output::Name
        | Output::JsonPath(_)
        | Output::JsonPathAsJson(_)
        | Output::GoTemplate(_)
        | Output::CustomColumns(_) => {
            let server = server.map(|server| format!("Server Version: {}\n", of(server)));
            format!("Client Version: {}\nKustomize Version: {kustomize}\n", of(client))
                + &server.unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_as_kubectl_aligns_them() {
        let rows = [["A", "LONG", "LAST"], ["1", "a-longer-cell", "x"], ["", "y", ""]];
        let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
        assert_eq!(
            aligned(rows),
            "A     LONG            LAST\n1     a-longer-cell   x\n      y               \n"
        );
    }

    #[test]
    fn made_objects_have_their_keys_in_gos_order() {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {}, "status": {},
        });
        assert_eq!(
            last_applied(&object, true),
            "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\"}},\"spec\":{},\"status\":{}}\n"
        );
        assert_eq!(
            print_object(&object, &Output::Json, "", true).unwrap(),
            "{\n    \"kind\": \"Namespace\",\n    \"apiVersion\": \"v1\",\n    \"metadata\": {\n        \"name\": \"x\",\n        \"labels\": {\n            \"a\": \"b\"\n        }\n    },\n    \"spec\": {},\n    \"status\": {}\n}\n"
        );
    }

    #[test]
    fn versions_far_apart_are_warned_of() {
        let server = |version: &str| json!({"gitVersion": version});
        let warning = |version: &str| version_skew(&client_version(), &server(version));
        for near in ["v1.35.0", "v1.36.3", "v1.37.0-beta.1", "nothing"] {
            assert_eq!(warning(near), None, "{near}");
        }
        let expected = "WARNING: version difference between client (1.36) and server (1.33) \
            exceeds the supported minor version skew of +/-1\n";
        assert_eq!(warning("v1.33.1+k3s1").as_deref(), Some(expected));
        assert!(warning("v2.36.0").is_some());
    }
}
