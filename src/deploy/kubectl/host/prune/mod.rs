//! `kubectl apply --prune`: what was applied once and is not in the input any more goes. By labels and
//! a list of kinds, or by the inventory of an `ApplySet`.

mod by_labels;
mod apply_set;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub use apply_set::ApplySet;
pub use by_labels::{by_labels, kinds, mappings};

use super::Outcome;
use super::apply::operation;
use super::select;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Mapping, Method, Target};
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{Apply, DryRun, Prune, Selection, What};
use crate::deploy::manifest;

/// What a run of `apply` left, and so what must stay.
#[derive(Debug, Default)]
pub struct Visited {
    /// The uids of all that was applied.
    pub uids: BTreeSet<String>,
    /// The namespaces that they lie in.
    pub namespaces: BTreeSet<String>,
}

impl Visited {
    /// Takes an applied object into account.
    pub fn add(&mut self, object: &Value) {
        let text = |key: &str| object.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
        self.uids.extend(text("uid").map(str::to_owned));
        self.namespaces.extend(text("namespace").map(str::to_owned));
    }
}

async fn list(
    session: &mut Session<'_>,
    labels: Option<String>,
    (namespace, mapping): (&str, &Mapping),
) -> Result<Vec<Value>, Trouble> {
    let selection = Selection {
        what: What::Types(Vec::new()),
        all_namespaces: false,
        labels,
        fields: None,
        enforce_namespace: false,
    };
    select::list_in(session, &selection, mapping, namespace).await
}

/// Deletes an object that was not applied, and tells it.
async fn remove(
    session: &mut Session<'_>,
    apply: &Apply,
    prune: &Prune,
    visited: &Visited,
    (namespace, mapping, object): (&str, &Mapping, &Value),
) -> Outcome {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if visited.uids.contains(text("/metadata/uid")) {
        return Ok(());
    }
    if apply.dry_run != DryRun::Client {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
            "propagationPolicy": prune.propagation});
        if let (0.., Value::Object(map)) = (prune.grace_period, &mut options) {
            map.insert("gracePeriodSeconds".to_owned(), json!(prune.grace_period));
        }
        // Of a deletion with a body the server reads no parameters.
        if let (DryRun::Server, Value::Object(map)) = (apply.dry_run, &mut options) {
            map.insert("dryRun".to_owned(), json!(["All"]));
        }
        let name = text("/metadata/name");
        let target = Target { mapping, namespace, name, subresource: "" };
        let body = Some(manifest::compact(&options));
        session.send(Method::Delete, &target, Vec::new(), body).await?;
    }
    let mut shown = object.clone();
    crate::deploy::kubectl::host::get::hide_managed_fields(&mut shown);
    let done = operation("pruned", apply.dry_run);
    let told = print_object(&shown, &apply.output, &done, false).map_err(Trouble::text)?;
    session.out(told);
    Ok(())
}
