//! The fence: what a request declared is all that is ever sent for it.

use std::collections::BTreeSet;

use super::builtin::builtin_by_kind;
use super::discovery::Mapping;

/// Where a single request to the server goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The kind.
    pub mapping: &'a Mapping,
    /// The namespace; empty for all, or for kinds without.
    pub namespace: &'a str,
    /// The name; empty for all.
    pub name: &'a str,
    /// `scale`, `log`; empty for the object itself.
    pub subresource: &'a str,
}

impl Target<'_> {
    /// The path from the server's root.
    pub fn path(&self) -> String {
        let mut path = self.mapping.root();
        let mut push = |part: &str| {
            path.push('/');
            path.push_str(&super::call::escaped(part));
        };
        if self.mapping.namespaced && !self.namespace.is_empty() {
            push("namespaces");
            push(self.namespace);
        }
        push(&self.mapping.plural);
        [self.name, self.subresource].into_iter().filter(|part| !part.is_empty()).for_each(push);
        path
    }

    /// `deployments.apps x`, for errors.
    pub fn what(&self) -> String {
        let resource = self.mapping.resource();
        if self.name.is_empty() { resource } else { format!("{resource} {}", self.name) }
    }
}

/// What may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    all_namespaces: bool,
    writes: bool,
    namespaces: BTreeSet<String>,
    kinds: BTreeSet<(String, String)>,
    cluster: BTreeSet<(String, String, Option<String>)>,
}

impl Fence {
    /// Opens a namespace.
    pub fn open_namespace(&mut self, namespace: &str) {
        self.namespaces.insert(namespace.to_owned());
    }

    /// Opens a kind that lies in namespaces.
    pub fn open_kind(&mut self, group: &str, kind: &str) {
        self.kinds.insert((group.to_owned(), kind.to_owned()));
    }

    /// Opens what is not only reading.
    pub fn open_writes(&mut self) {
        self.writes = true;
    }

    /// Opens all namespaces.
    pub fn open_all_namespaces(&mut self) {
        self.all_namespaces = true;
    }

    /// Opens a kind that lies in no namespace: one object, or all of them.
    pub fn open_cluster(&mut self, group: &str, kind: &str, name: Option<&str>) {
        self.cluster.insert((group.to_owned(), kind.to_owned(), name.map(str::to_owned)));
    }

    /// The reason when a request to a target was not declared.
    pub fn check(&self, target: &Target<'_>, is_write: bool) -> Result<(), String> {
        let mapping = target.mapping;
        if is_write && !self.writes {
            return Err(format!("{} \"{}\" was only to be read", mapping.kind, target.name));
        }
        let known = builtin_by_kind(&mapping.group, &mapping.kind).is_some();
        let kind = (mapping.group.clone(), mapping.kind.clone());
        if mapping.namespaced && known && !self.kinds.contains(&kind) {
            return Err(format!("{} is not part of this request", mapping.kind));
        }
        if mapping.namespaced {
            let inside = self.all_namespaces
                || (!target.namespace.is_empty() && self.namespaces.contains(target.namespace));
            return if inside {
                Ok(())
            } else {
                Err(format!("namespace \"{}\" is not part of this request", target.namespace))
            };
        }
        let key = |name: Option<&str>| {
            (mapping.group.clone(), mapping.kind.clone(), name.map(str::to_owned))
        };
        let named = !target.name.is_empty();
        if self.cluster.contains(&key(None))
            || (named && self.cluster.contains(&key(Some(target.name))))
            || (mapping.kind == "Namespace"
                && mapping.group.is_empty()
                && named
                && (self.all_namespaces || self.namespaces.contains(target.name)))
        {
            return Ok(());
        }
        Err(format!(
            "{} \"{}\" lies in no namespace, and only a namespace was granted",
            mapping.kind, target.name
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(group: &str, kind: &str, namespaced: bool) -> Mapping {
        Mapping {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
            singular: kind.to_lowercase(),
            short: [].into(),
            categories: [].into(),
            namespaced,
            verbs: [].into(),
        }
    }

    fn passes(fence: &Fence, mapping: &Mapping, namespace: &str, name: &str) -> bool {
        fence.check(&Target { mapping, namespace, name, subresource: "" }, true).is_ok()
    }

    #[test]
    fn only_what_was_declared_passes() {
        let mut fence = Fence::default();
        fence.open_namespace("shop");
        fence.open_cluster("", "Namespace", Some("new"));
        fence.open_kind("", "Pod");
        fence.open_writes();
        let pod = mapping("", "Pod", true);
        let namespace = mapping("", "Namespace", false);
        let surprise = mapping("example.com", "Widget", false);
        assert!(passes(&fence, &pod, "shop", "x"));
        assert!(!passes(&fence, &mapping("", "Secret", true), "shop", "x"));
        assert!(passes(&fence, &mapping("example.com", "Thing", true), "shop", "x"));
        assert!(!passes(&fence, &pod, "kube-system", "x"));
        assert!(!passes(&fence, &pod, "", ""));
        assert!(passes(&fence, &namespace, "", "new"));
        assert!(passes(&fence, &namespace, "", "shop"));
        assert!(!passes(&fence, &namespace, "", "kube-system"));
        assert!(!passes(&fence, &namespace, "", ""));
        assert!(!passes(&fence, &surprise, "", "x"));
        fence.open_all_namespaces();
        assert!(passes(&fence, &pod, "", ""));
        assert!(!passes(&fence, &surprise, "", "x"));
    }

    #[test]
    fn what_was_only_to_be_read_is_not_written() {
        let mut fence = Fence::default();
        fence.open_namespace("shop");
        fence.open_kind("", "Pod");
        let pod = mapping("", "Pod", true);
        let target = Target { mapping: &pod, namespace: "shop", name: "x", subresource: "" };
        assert!(fence.check(&target, false).is_ok());
        assert!(fence.check(&target, true).is_err());
    }

    #[test]
    fn a_path_is_built_from_its_parts() {
        let pod = mapping("", "Pod", true);
        let target = Target { mapping: &pod, namespace: "a/b", name: "../x", subresource: "log" };
        assert_eq!(target.path(), "/api/v1/namespaces/a%2Fb/pods/..%2Fx/log");
    }
}
