//! The objects that a request brings, for whoever decides by content.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::request::{Item, Mark, Marks, Operation, Request, What};
use crate::deploy::cluster::builtin_by_word;

impl Request {
    /// The objects that this request would create or change, for decisions by content
    /// ([`crate::deploy::security::baseline`]). Of a label or an annotation only that is known. What
    /// a patch makes of an object is known on the server alone: see
    /// [`crate::deploy::cluster::ClusterSpec::guarded`].
    pub fn objects(&self) -> Vec<Cow<'_, Value>> {
        let items = match &self.operation {
            Operation::Apply(apply) => &apply.items,
            Operation::Create(create) | Operation::Replace(create) => &create.items,
            Operation::Diff(diff) => &diff.items,
            Operation::Mark(mark) => return marked(mark),
            Operation::Get(_)
            | Operation::Delete(_)
            | Operation::Rollout(_)
            | Operation::SetImage(_)
            | Operation::SetEnv(_)
            | Operation::Patch(_)
            | Operation::Scale(_)
            | Operation::Wait(_)
            | Operation::Logs(_)
            | Operation::Exec(_)
            | Operation::Forward(_)
            | Operation::Tunnel(_)
            | Operation::Token(_)
            | Operation::CanI(_)
            | Operation::WhoAmI { .. }
            | Operation::Kinds(_)
            | Operation::Explain(_)
            | Operation::Describe(_)
            | Operation::Raw(_)
            | Operation::CanIList { .. }
            | Operation::Versions
            | Operation::Top(_)
            | Operation::Version { .. }
            | Operation::ClusterInfo => return Vec::new(),
        };
        items
            .iter()
            .filter_map(|item| match item {
                Item::Object(manifest) => Some(Cow::Borrowed(&manifest.object)),
                Item::Error(_) => None,
            })
            .collect()
    }
}

/// What is marked, with the marks that change and no more.
fn marked(mark: &Mark) -> Vec<Cow<'_, Value>> {
    if mark.list {
        return Vec::new();
    }
    let removed = mark.remove.iter().map(|key| (key.clone(), json!("")));
    let marks: Map<String, Value> =
        mark.set.iter().map(|(key, value)| (key.clone(), json!(value))).chain(removed).collect();
    let field = match mark.what {
        Marks::Labels => "labels",
        Marks::Annotations => "annotations",
    };
    let object = |kind: &str, name: &str| {
        Cow::Owned(json!({ "kind": kind, "metadata": { "name": name, (field): marks } }))
    };
    let by_word = |word: &str, name: &str| {
        object(builtin_by_word(word).map_or(word, |builtin| builtin.kind), name)
    };
    match &mark.selection.what {
        What::Types(words) => words.iter().map(|word| by_word(word, "")).collect(),
        What::Names(names) => {
            names.iter().map(|named| by_word(&named.resource, &named.name)).collect()
        }
        What::Files(items) => items
            .iter()
            .filter_map(|item| match item {
                Item::Object(manifest) => {
                    let text = |pointer: &str| {
                        manifest.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
                    };
                    Some(object(text("/kind"), text("/metadata/name")))
                }
                Item::Error(_) => None,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::kubectl::guest::tests_support::Tree;
    use crate::deploy::kubectl::{Parsed, parse};

    #[test]
    fn of_what_is_marked_the_marks_are_known() {
        let argv = ["label", "ns", "x", "a=b", "c-"].map(str::to_owned);
        let parsed = parse(&argv, &Tree::new(&[]), &mut std::io::empty()).unwrap();
        let Parsed::Remote(request) = parsed else { panic!("it is local") };
        let labels = json!({"a": "b", "c": ""});
        let marked = json!({"kind": "Namespace", "metadata": {"name": "x", "labels": labels}});
        assert_eq!(request.objects(), [Cow::<Value>::Owned(marked)]);
    }
}
