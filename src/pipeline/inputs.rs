//! `spec: inputs:` of a pipeline file: defaults, values of the file that includes it, `$[[ … ]]`.

use crate::pipeline::yaml::{Entry, Node, Remark, Value};

/// Puts the values of the inputs into a file's tree; every mistake at once.
pub fn apply(header: &Node, given: Option<&Node>, root: &Node) -> Result<Node, Vec<Remark>> {
    let mut inputs = Inputs { values: Vec::new(), wrong: Vec::new() };
    let spec = header.get("spec").and_then(|spec| spec.get("inputs"));
    let declared = spec.map(Node::entries).unwrap_or_default();
    for entry in given.map(Node::entries).unwrap_or_default() {
        if !declared.iter().any(|input| input.key == entry.key) {
            let text = format!("input `{}` is not declared by the included file", entry.key);
            inputs.wrong.push(Remark::new(&entry.place, text));
        }
    }
    for input in declared {
        let own = given.and_then(|given| given.get(&input.key));
        if let Some(value) = own.or_else(|| input.node.get("default")) {
            inputs.take(input, value);
        } else {
            let name = &input.key;
            let text = format!(
                "input `{name}` has no value: give it a `default:`, or include the file with \
                 `inputs: {{ {name}: … }}`"
            );
            inputs.wrong.push(Remark::new(&input.place, text));
        }
    }
    // Without its values every use of an input would be one more mistake.
    if !inputs.wrong.is_empty() {
        return Err(inputs.wrong);
    }
    let root = inputs.filled(root);
    if inputs.wrong.is_empty() { Ok(root) } else { Err(inputs.wrong) }
}

struct Inputs {
    values: Vec<(String, Node)>,
    wrong: Vec<Remark>,
}

impl Inputs {
    /// Takes a value that is of the input's type and among its options.
    fn take(&mut self, input: &Entry, value: &Node) {
        let kind = input.node.get("type").and_then(Node::text).unwrap_or("string");
        let fits = match (kind, &value.value) {
            ("array", Value::List(_)) | ("string", Value::Scalar { .. } | Value::Null) => true,
            ("boolean", Value::Scalar { text, .. }) => ["true", "false"].contains(&text.as_str()),
            ("number", Value::Scalar { text, .. }) => text.parse::<f64>().is_ok(),
            _ => false,
        };
        let options = input.node.get("options").map(|node| &node.value);
        let text = match options {
            _ if !["string", "number", "boolean", "array"].contains(&kind) => {
                format!("input `{}`: there is no type `{kind}`", input.key)
            }
            _ if !fits => format!("input `{}` must be of type {kind}", input.key),
            Some(Value::List(items)) if !items.iter().any(|item| item.text() == value.text()) => {
                let allowed: Vec<&str> = items.iter().filter_map(Node::text).collect();
                format!("input `{}` must be one of {}", input.key, allowed.join(", "))
            }
            Some(_) | None => {
                self.values.push((input.key.clone(), value.clone()));
                return;
            }
        };
        self.wrong.push(Remark::new(&value.place, text));
    }

    fn filled(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Scalar { text, plain } if text.contains("$[[") => {
                self.scalar(node, text, *plain)
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.filled(item)).collect()),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| Entry {
                        place: entry.place.clone(),
                        key: self.text(node, &entry.key),
                        node: self.filled(&entry.node),
                    })
                    .collect(),
            ),
            other @ (Value::Null | Value::Scalar { .. } | Value::Reference(_)) => other.clone(),
        };
        Node { place: node.place.clone(), value }
    }

    /// An input that stands alone keeps its kind: a list stays a list.
    fn scalar(&mut self, node: &Node, text: &str, plain: bool) -> Value {
        let alone = text.trim().strip_prefix("$[[").and_then(|inner| inner.strip_suffix("]]"));
        match alone.filter(|inner| !inner.contains("$[[")) {
            Some(inner) => self.value(node, inner).map_or(Value::Null, |value| value.value),
            None => Value::Scalar { text: self.text(node, text), plain },
        }
    }

    fn text(&mut self, node: &Node, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$[[") {
            out.push_str(before);
            let Some((inner, after)) = after.split_once("]]") else {
                self.wrong.push(Remark::new(&node.place, "`$[[` without its `]]`"));
                return out;
            };
            if let Some(value) = self.value(node, inner) {
                match (&value.value, value.text()) {
                    (_, Some(text)) => out.push_str(text),
                    (Value::Null, None) => (),
                    (_, None) => {
                        let text =
                            format!("`$[[{inner}]]` is {}: let it stand alone", value.kind());
                        self.wrong.push(Remark::new(&node.place, text));
                    }
                }
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// What `inputs.NAME` stands for.
    fn value(&mut self, node: &Node, inner: &str) -> Option<Node> {
        let (name, function) = match inner.split_once('|') {
            Some((name, function)) => (name.trim(), Some(function.trim())),
            None => (inner.trim(), None),
        };
        let text = if let Some(function) = function {
            format!("`$[[{inner}]]`: the function `{function}` is not done here")
        } else if let Some(input) = name.strip_prefix("inputs.") {
            let found = self.values.iter().find(|(name, _)| name == input);
            if let Some((_, value)) = found {
                return Some(value.clone());
            }
            format!("`$[[{inner}]]`: the header declares no input `{input}`")
        } else {
            format!("`$[[{inner}]]`: only `inputs.NAME` is known here")
        };
        self.wrong.push(Remark::new(&node.place, text));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::file::{self, Merged};

    fn given(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Merged, file::Error>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let merged = file::read(&folder.path().join(".gitlab-ci.yml"), folder.path());
        (folder, merged)
    }

    #[test]
    fn inputs_have_defaults_and_the_values_of_the_file_that_includes() {
        let lib = "spec:\n  inputs:\n    name: {default: x}\n    n: {type: number, default: 1}\n\
                   \x20   list: {type: array, default: [a, b]}\n    env: {options: [dev, prod]}\n---\n\
                   \"job-$[[ inputs.name ]]\":\n  script: run $[[inputs.env]] $[[ inputs.n ]] times\n\
                   \x20 tags: $[[ inputs.list ]]\n";
        let (_folder, merged) = given(&[
            (
                ".gitlab-ci.yml",
                "spec:\n  inputs:\n    env: {default: prod}\n---\ninclude:\n  - local: lib.yml\n\
                 \x20   inputs: {env: '$[[ inputs.env ]]', name: y}\n",
            ),
            ("lib.yml", lib),
        ]);
        let merged = merged.unwrap();
        let job = merged.jobs.first().unwrap();
        assert_eq!(job.key, "job-y");
        assert_eq!(job.node.get("script").and_then(Node::text), Some("run prod 1 times"));
        let Some(Value::List(tags)) = job.node.get("tags").map(|node| &node.value) else {
            panic!()
        };
        assert_eq!(tags.iter().filter_map(Node::text).collect::<Vec<_>>(), ["a", "b"]);
        for (given_, expected) in [
            (
                "",
                "lib.yml:6: input `env` has no value: give it a `default:`, or include the file \
                  with `inputs: { env: … }`",
            ),
            ("env: test", ".gitlab-ci.yml:3: input `env` must be one of dev, prod"),
            ("env: dev, n: many", ".gitlab-ci.yml:3: input `n` must be of type number"),
            (
                "env: dev, nmae: z",
                ".gitlab-ci.yml:3: input `nmae` is not declared by the included file",
            ),
        ] {
            let root = format!("include:\n  - local: lib.yml\n    inputs: {{{given_}}}\n");
            let (_folder, merged) = given(&[(".gitlab-ci.yml", &root), ("lib.yml", lib)]);
            assert_eq!(merged.unwrap_err().to_string(), expected);
        }
        for (used, expected) in [
            ("$[[ inputs.y ]]", "`$[[ inputs.y ]]`: the header declares no input `y`"),
            (
                "a $[[ inputs.x | expand_vars ]]",
                "`$[[ inputs.x | expand_vars ]]`: the function `expand_vars` is not done here",
            ),
            ("$[[ component.name ]]", "`$[[ component.name ]]`: only `inputs.NAME` is known here"),
            ("a $[[ inputs.x", "`$[[` without its `]]`"),
        ] {
            let root =
                format!("spec: {{inputs: {{x: {{default: 1}}}}}}\n---\na:\n  script: '{used}'\n");
            let (_folder, merged) = given(&[(".gitlab-ci.yml", &root)]);
            assert_eq!(merged.unwrap_err().to_string(), format!(".gitlab-ci.yml:4: {expected}"));
        }
    }
}
