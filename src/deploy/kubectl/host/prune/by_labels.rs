//! Prunes by labels and a list of kinds.

use serde_json::json;

use super::{Visited, list, remove};
use crate::deploy::cluster::{Mapping, builtin_by_kind};
use crate::deploy::kubectl::host::Outcome;
use crate::deploy::kubectl::host::session::Session;
use crate::deploy::kubectl::host::trouble::Trouble;
use crate::deploy::kubectl::print::{LAST_APPLIED, logged};
use crate::deploy::kubectl::request::{Apply, Prune};

/// The kinds that are pruned when none are named.
const DEFAULT: &[(&str, &str, &str)] = &[
    ("", "v1", "ConfigMap"),
    ("", "v1", "Endpoints"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "StatefulSet"),
    ("", "v1", "Namespace"),
    ("", "v1", "PersistentVolume"),
];

const DEPRECATED: &str = "Deprecated: kubectl apply will no longer prune non-namespaced resources by \
                          default when used with the --namespace flag in a future release. To \
                          preserve the current behaviour, list the resources you want to target \
                          explicitly in the --prune-allowlist flag.";

/// The kinds of a list as `group/version/kind`; those pruned by default when it is empty. On a
/// platform's cluster nothing outside of namespaces is pruned unless it is named.
pub fn kinds(named: &[String], is_platforms: bool) -> Vec<(String, String, String)> {
    if !named.is_empty() {
        let parts = |text: &String| {
            let mut parts = text.splitn(3, '/').map(str::to_owned);
            let group = parts.next()?;
            let group = if group == "core" { String::new() } else { group };
            Some((group, parts.next()?, parts.next()?))
        };
        return named.iter().filter_map(parts).collect();
    }
    let outside = |group: &str, kind: &str| {
        builtin_by_kind(group, kind).is_some_and(|builtin| !builtin.namespaced)
    };
    DEFAULT
        .iter()
        .filter(|(group, _, kind)| !(is_platforms && outside(group, kind)))
        .map(|&(group, version, kind)| (group.to_owned(), version.to_owned(), kind.to_owned()))
        .collect()
}

/// Prunes by labels and a list of kinds.
pub async fn by_labels(
    session: &mut Session<'_>,
    apply: &Apply,
    prune: &Prune,
    visited: &Visited,
) -> Outcome {
    if prune.kinds.is_empty() && !session.namespace().is_empty() {
        session.err(logged('W', "prune.go:71", DEPRECATED));
    }
    let mappings = mappings(session, prune)?;
    let (inside, outside): (Vec<Mapping>, Vec<Mapping>) =
        mappings.into_iter().partition(|mapping| mapping.namespaced);
    let places = visited
        .namespaces
        .iter()
        .flat_map(|namespace| inside.iter().map(move |mapping| (namespace.as_str(), mapping)))
        .chain(outside.iter().map(|mapping| ("", mapping)));
    for (namespace, mapping) in places {
        let pruned = one_kind(session, apply, prune, visited, (namespace, mapping)).await;
        pruned.map_err(|trouble| {
            let what = if mapping.namespaced { "namespaced" } else { "nonNamespaced" };
            Trouble::text(format!(
                "error pruning {what} object {}/{}, Kind={}: {}",
                mapping.group,
                mapping.version,
                mapping.kind,
                trouble.message()
            ))
        })?;
    }
    Ok(())
}

/// The kinds that are pruned, which the cluster must know before anything is applied.
pub fn mappings(session: &Session<'_>, prune: &Prune) -> Result<Vec<Mapping>, Trouble> {
    let mut mappings = Vec::new();
    for (group, version, kind) in kinds(&prune.kinds, session.is_platforms()) {
        let api_version =
            if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        let object = json!({"apiVersion": api_version, "kind": kind});
        mappings.push(session.by_object(&object).ok_or_else(|| {
            Trouble::text(format!("no matches for kind \"{kind}\" in version \"{api_version}\""))
        })?);
    }
    Ok(mappings)
}

async fn one_kind(
    session: &mut Session<'_>,
    apply: &Apply,
    prune: &Prune,
    visited: &Visited,
    (namespace, mapping): (&str, &Mapping),
) -> Outcome {
    for object in list(session, apply.selector.clone(), (namespace, mapping)).await? {
        let applied = object
            .pointer("/metadata/annotations")
            .is_some_and(|annotations| annotations.get(LAST_APPLIED).is_some());
        if applied {
            remove(session, apply, prune, visited, (namespace, mapping, &object)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_platforms_cluster_only_namespaces_are_pruned() {
        assert_eq!(kinds(&[], false).len(), 16);
        assert_eq!(kinds(&[], true).len(), 14);
        let named = ["core/v1/ConfigMap".to_owned()];
        let expected = (String::new(), "v1".to_owned(), "ConfigMap".to_owned());
        assert_eq!(kinds(&named, true), [expected]);
    }
}
