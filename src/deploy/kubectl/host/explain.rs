//! `kubectl explain`: what a field means, out of the server's own OpenAPI documents.

use serde_json::{Map, Value};

use super::Outcome;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Call, Discovery, Mapping};
use crate::deploy::kubectl::print::wrapped;
use crate::deploy::kubectl::request::Explain;

/// No document of a real server says more; one of a job's own server might go on for ever.
const MAX_TEXT: usize = 32 << 20;
const MAX_DEPTH: usize = 100;
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const KIND: &str = "x-kubernetes-group-version-kind";

/// Runs `kubectl explain`.
pub async fn run(session: &mut Session<'_>, explain: &Explain) -> Outcome {
    let words = fields(&explain.what).ok_or_else(|| wrong("first node must be field node"))?;
    let Some((word, rest)) = words.split_first() else {
        return Err(wrong("first node must be field node"));
    };
    session.discover().await?;
    let (mapping, path) = find(session, explain, word, rest)?;
    let (group, version) = match explain.api_version.as_deref() {
        None => (mapping.group.clone(), mapping.version.clone()),
        Some(written) => match written.split('/').collect::<Vec<_>>().as_slice() {
            [version] => (String::new(), (*version).to_owned()),
            [group, version] => ((*group).to_owned(), (*version).to_owned()),
            _ => {
                let text = format!("unexpected GroupVersion string: {written}");
                return Err(Trouble::text(text));
            }
        },
    };
    let place =
        if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
    let resource = format!("{group}/{version}, Resource={}", mapping.plural);
    let index = session.plain(Call::get("/openapi/v3")).await?;
    let address = index.get("paths").and_then(|paths| paths.get(&place));
    let address = address.and_then(|entry| entry.get("serverRelativeURL")?.as_str());
    // Where the server says a document lies is taken as a path of this server.
    let Some(address) = address.filter(|address| address.starts_with("/openapi/v3")) else {
        return Err(Trouble::text(format!("couldn't find resource for \"{resource}\"")));
    };
    let document = session.plain(Call::get(address)).await?;
    let page = Page { document: &document, recursive: explain.recursive };
    let root = format!("/{place}");
    let Some(kind) = page.kind(&root, &mapping.plural) else {
        let text = format!("error: GVR ({resource}) not found in OpenAPI schema");
        return Err(Trouble::text(text));
    };
    session.out(heading(kind));
    let Some(schema) = page.schema(kind) else {
        return Err(Trouble::text("error: the kind is not found in OpenAPI schema"));
    };
    let mut text = String::new();
    page.output(schema, &path, &mut Vec::new(), (&mut text, 0));
    if text.len() > MAX_TEXT {
        return Err(Trouble::text("the explanation is too long"));
    }
    if let (true, Some(field)) = (text.is_empty(), path.last()) {
        return Err(Trouble::text(format!("field \"{field}\" does not exist")));
    }
    session.out(text + "\n");
    Ok(())
}

fn wrong(why: &str) -> Trouble {
    Trouble::text(format!("invalid jsonpath syntax, {why}"))
}

/// The fields of a path (`pods.spec.containers`); `None` where there is more than fields in it.
fn fields(text: &str) -> Option<Vec<String>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut fields = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => fields.last_mut()?.extend(chars.next()),
            '.' => fields.push(String::new()),
            '[' | ']' | '*' | '{' | '}' | '$' | '@' => return None,
            _ => fields.last_mut()?.push(c),
        }
    }
    fields.iter().all(|field| !field.is_empty()).then_some(fields)
}

/// The kind that a path begins with, and the fields behind it: a group may be a part of the name.
fn find(
    session: &Session<'_>,
    explain: &Explain,
    word: &str,
    rest: &[String],
) -> Result<(Mapping, Vec<String>), Trouble> {
    // kubectl tells this one without `error: `.
    let first =
        session.by_word(word).map_err(|trouble| Trouble::Exit(1, trouble.message() + "\n"))?;
    if explain.api_version.is_none() {
        let all = session.discovery().map(Discovery::mappings).unwrap_or_default();
        let same = all.iter().filter(|mapping| mapping.plural == first.plural);
        for mapping in same {
            let Some(after) = explain.what.strip_prefix(&mapping.resource()) else { continue };
            let after = after.trim_matches('.');
            let path = if after.is_empty() { Some(Vec::new()) } else { fields(after) };
            return Ok((mapping.clone(), path.unwrap_or_default()));
        }
    }
    Ok((first, rest.to_vec()))
}

fn heading(kind: &Value) -> String {
    let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default();
    let group = match text("group") {
        "" => String::new(),
        group => format!("GROUP:      {group}\n"),
    };
    format!("{group}KIND:       {}\nVERSION:    {}\n\n", text("kind"), text("version"))
}

type Schema = Map<String, Value>;

struct Page<'a> {
    document: &'a Value,
    recursive: bool,
}

impl<'a> Page<'a> {
    /// The kind that the paths of a resource are about.
    fn kind(&self, root: &str, plural: &str) -> Option<&'a Value> {
        let paths = self.document.get("paths")?;
        let places = [
            format!("{root}/{plural}"),
            format!("{root}/{plural}/{{name}}"),
            format!("{root}/namespaces/{{namespace}}/{plural}"),
            format!("{root}/namespaces/{{namespace}}/{plural}/{{name}}"),
        ];
        let operations = places.iter().filter_map(|place| paths.get(place));
        let of_path =
            |path: &'a Value| METHODS.iter().find_map(|method| path.get(*method)?.get(KIND));
        operations.filter_map(of_path).next_back()
    }

    fn schema(&self, kind: &Value) -> Option<&'a Schema> {
        let schemas = self.document.pointer("/components/schemas")?.as_object()?;
        let mut schemas = schemas.values().filter_map(Value::as_object);
        schemas.find(|schema| {
            schema.get(KIND).and_then(Value::as_array).is_some_and(|kinds| kinds.contains(kind))
        })
    }

    /// What a schema's `$ref` leads to, and the name of it.
    fn resolved<'b>(&'b self, schema: &'b Schema) -> (&'b str, &'b Schema) {
        let name = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
        (name, self.target(name).unwrap_or(schema))
    }

    fn target(&self, name: &str) -> Option<&'a Schema> {
        let parts = name.strip_prefix('#')?.split('/').filter(|part| !part.is_empty());
        let mut found = self.document;
        for part in parts {
            found = found.get(part)?;
        }
        found.as_object()
    }

    /// Follows a path of fields and describes what is at its end; nothing where it leads nowhere.
    fn output<'b>(
        &'b self,
        schema: &'b Schema,
        path: &[String],
        seen: &mut Vec<&'b str>,
        (text, depth): (&mut String, usize),
    ) {
        let (name, resolved) = self.resolved(schema);
        if depth > MAX_DEPTH {
            return;
        }
        let Some((field, rest)) = path.split_first() else {
            self.described(resolved, text);
            return;
        };
        if !name.is_empty() && seen.contains(&name) {
            return;
        }
        if let Some(inner) = object(resolved, "properties").and_then(|all| object(all, field)) {
            if rest.is_empty() {
                text.extend(["FIELD: ", field, " <", &self.type_of(inner, 0), ">\n"]);
                text.push_str(&values_long(inner));
                text.push_str("\n\n");
            }
            self.output(inner, rest, &mut Vec::new(), (text, depth + 1));
            return;
        }
        let length = seen.len();
        seen.push(name);
        if let Some(inner) = inside(resolved) {
            self.output(inner, path, seen, (text, depth + 1));
        } else {
            for inner in all_of(resolved) {
                let before = text.len();
                self.output(inner, path, seen, (text, depth + 1));
                if text.len() > before {
                    break;
                }
            }
        }
        seen.truncate(length);
    }

    fn described(&self, schema: &Schema, text: &mut String) {
        text.push_str("DESCRIPTION:\n");
        let mut description = String::new();
        self.description(schema, &mut description, 0);
        let description = if description.is_empty() { "<empty>" } else { &description };
        text.push_str(&indented(&wrapped(description, 76), 4));
        text.push('\n');
        if let Some(elsewhere) = object(schema, "externalDocs") {
            text.push_str("\nEXTERNAL DOCS:\n");
            text.push_str(&external(elsewhere, 76, 4));
        }
        let mut fields = String::new();
        self.fields(schema, 1, &mut Vec::new(), &mut fields);
        if !fields.is_empty() {
            text.push_str("FIELDS:\n");
            text.push_str(&fields);
        }
    }

    fn description(&self, schema: &Schema, text: &mut String, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let (_, resolved) = self.resolved(schema);
        if let Some(own) = filled(resolved, "description") {
            text.extend([own, "\n"]);
        }
        let both = [object(resolved, "items"), object(resolved, "additionalProperties")];
        for inner in all_of(resolved).chain(both.into_iter().flatten()) {
            self.description(inner, text, depth + 1);
        }
    }

    /// The fields of a schema, and with `--recursive` theirs.
    fn fields<'b>(
        &'b self,
        schema: &'b Schema,
        level: usize,
        seen: &mut Vec<&'b str>,
        text: &mut String,
    ) {
        let (name, resolved) = self.resolved(schema);
        let known = !name.is_empty() && seen.contains(&name);
        if known || level > MAX_DEPTH || seen.len() > MAX_DEPTH || text.len() > MAX_TEXT {
            return;
        }
        seen.push(name);
        for (field, inner) in object(resolved, "properties").into_iter().flatten() {
            let Some(inner) = inner.as_object() else { continue };
            self.field(resolved, (field, inner), level, text);
            if self.recursive {
                self.fields(inner, level + 1, seen, text);
            }
        }
        let both = [object(resolved, "items"), object(resolved, "additionalProperties")];
        for inner in all_of(resolved).chain(both.into_iter().flatten()) {
            self.fields(inner, level, seen, text);
        }
        seen.pop();
    }

    fn field(
        &self,
        schema: &Schema,
        (name, field): (&str, &Schema),
        level: usize,
        text: &mut String,
    ) {
        let indent = level * 2;
        let is_required = schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|required| required == name));
        text.extend([&" ".repeat(indent), name, "\t<", &self.type_of(field, 0), ">"]);
        text.push_str(if is_required { " -required-" } else { "" });
        text.push_str(&values_short(field, indent));
        text.push('\n');
        if self.recursive {
            return;
        }
        let description = filled(field, "description").unwrap_or("<no description>");
        let width = 78_usize.saturating_sub(indent);
        text.push_str(&indented(&wrapped(description, width), indent + 2));
        text.push('\n');
        if let Some(elsewhere) = object(field, "externalDocs") {
            text.push('\n');
            text.push_str(&indented("EXTERNAL DOCS:", indent + 2));
            text.push('\n');
            text.push_str(&external(elsewhere, width.saturating_sub(2), indent + 4));
        }
        text.push('\n');
    }

    /// `string`, `[]Container`, `map[string]string`.
    fn type_of(&self, schema: &Schema, depth: usize) -> String {
        if depth > MAX_DEPTH {
            return "Object".to_owned();
        }
        let own = filled(schema, "type");
        let all: Vec<&Schema> = all_of(schema).collect();
        if let Some(items) = object(schema, "items") {
            return format!("[]{}", self.type_of(items, depth + 1));
        }
        if let Some(values) = object(schema, "additionalProperties") {
            return format!("map[string]{}", self.type_of(values, depth + 1));
        }
        if let ([one], None) = (all.as_slice(), object(schema, "properties")) {
            return self.type_of(one, depth + 1);
        }
        if let Some(name) = filled(schema, "$ref") {
            let target = self.target(name).filter(|target| !target.is_empty());
            return match target.and_then(|target| filled(target, "type")) {
                None | Some("object") => {
                    let last = name.rsplit('/').next().unwrap_or_default();
                    let last = last.rsplit('.').next().unwrap_or_default();
                    if last.is_empty() { "Object".to_owned() } else { last.to_owned() }
                }
                Some(primitive) => primitive.to_owned(),
            };
        }
        match own {
            None | Some("object") => "Object".to_owned(),
            Some(own) => own.to_owned(),
        }
    }
}

/// What a list or a map holds.
fn inside(schema: &Schema) -> Option<&Schema> {
    object(schema, "items").or_else(|| object(schema, "additionalProperties"))
}

fn all_of(schema: &Schema) -> impl Iterator<Item = &Schema> {
    let all = schema.get("allOf").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_object)
}

/// A part that is there and says something.
fn object<'a>(schema: &'a Schema, key: &str) -> Option<&'a Schema> {
    schema.get(key)?.as_object().filter(|object| !object.is_empty())
}

fn filled<'a>(schema: &'a Schema, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn external(elsewhere: &Schema, width: usize, indent: usize) -> String {
    let mut text = String::new();
    if let Some(description) = filled(elsewhere, "description") {
        text.extend([&indented(&wrapped(description, width), indent), "\n"]);
    }
    if let Some(url) = filled(elsewhere, "url") {
        text.extend([&indented(&format!("URL: {url}"), indent), "\n"]);
    }
    text
}

fn indented(text: &str, amount: usize) -> String {
    let pad = " ".repeat(amount);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

fn values(schema: &Schema) -> Vec<String> {
    let values = schema.get("enum").and_then(Value::as_array);
    let shown = |value: &Value| match value.as_str() {
        Some("") => "\"\"".to_owned(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    values.into_iter().flatten().map(shown).collect()
}

fn values_short(schema: &Schema, indent: usize) -> String {
    let values = values(schema);
    if values.is_empty() {
        return String::new();
    }
    let first: Vec<String> = values.iter().take(4).cloned().collect();
    let more = if values.len() > first.len() { ", ...." } else { "" };
    format!("\n{}enum: {}{more}", " ".repeat(indent), first.join(", "))
}

fn values_long(schema: &Schema) -> String {
    let values = values(schema);
    if values.is_empty() {
        return String::new();
    }
    let lines: String = values.iter().flat_map(|value| ["\n    ", value]).collect();
    format!("ENUM:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_of_fields_only() {
        for (text, expected) in [
            ("pods.spec.", Some(vec!["pods", "spec"])),
            (r"cm.data.a\.b", Some(vec!["cm", "data", "a.b"])),
            ("pods.spec[0]", None),
            ("pods..spec", None),
            ("pods.*", None),
        ] {
            let found = fields(text);
            let found = found.as_ref().map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_schema_that_leads_to_itself_ends() {
        let document = serde_json::json!({"components": {"schemas": {"A": {
            "properties": {"a": {"$ref": "#/components/schemas/A"}, "b": {"type": "string"}},
            "items": {"$ref": "#/components/schemas/A"},
        }}}});
        let page = Page { document: &document, recursive: true };
        let schema = page.target("#/components/schemas/A").unwrap();
        let (mut text, mut other) = (String::new(), String::new());
        page.output(schema, &[], &mut Vec::new(), (&mut text, 0));
        page.output(schema, &["x".to_owned()], &mut Vec::new(), (&mut other, 0));
        assert!(text.contains("b\t<string>"), "{text}");
        assert_eq!(other, "");
    }
}
