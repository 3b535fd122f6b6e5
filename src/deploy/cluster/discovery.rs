//! Which kinds a cluster serves, and where: two requests, kept for the length of a command.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Accept, Answer, Call, Cluster, Failure};

/// A kind as the cluster serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// `apps`; empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short: Arc<[String]>,
    /// `all`.
    pub categories: Arc<[String]>,
    /// True when its objects lie in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, …
    pub verbs: Arc<[String]>,
}

impl Mapping {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployment.apps`, as kubectl names an object's type in its lines.
    pub fn type_name(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// `deployments.apps`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `/apis/apps/v1`, `/api/v1`.
    pub fn root(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

/// All kinds in the order of preference: core first, then the groups as the server lists them, each
/// with its preferred version first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    mappings: Vec<Mapping>,
}

impl Discovery {
    /// Of kinds that are known.
    pub fn of(mappings: Vec<Mapping>) -> Self {
        Self { mappings }
    }

    /// Reads aggregated discovery documents (`/api`, then `/apis`).
    pub fn read(documents: &[Value]) -> Self {
        let mut mappings = Vec::new();
        let items =
            documents.iter().filter_map(|document| document.get("items")?.as_array()).flatten();
        for item in items {
            let group = text(item.pointer("/metadata/name"));
            for version in array(item.get("versions")) {
                let name = text(version.get("version"));
                for resource in array(version.get("resources")) {
                    mappings.extend(mapping(&group, &name, resource));
                }
            }
        }
        Self { mappings }
    }

    /// The kinds of one group version out of an old `APIResourceList`.
    pub fn read_old(group: &str, version: &str, list: &Value) -> Self {
        let mut mappings = Vec::new();
        for resource in array(list.get("resources")) {
            let plural = text(resource.get("name"));
            if plural.contains('/') {
                continue;
            }
            let kind = text(resource.get("kind"));
            let singular = text(resource.get("singularName"));
            mappings.push(Mapping {
                group: group.to_owned(),
                version: version.to_owned(),
                singular: if singular.is_empty() { kind.to_lowercase() } else { singular },
                kind,
                plural,
                short: texts(resource.get("shortNames")).into(),
                categories: texts(resource.get("categories")).into(),
                namespaced: resource.get("namespaced") == Some(&Value::Bool(true)),
                verbs: texts(resource.get("verbs")).into(),
            });
        }
        Self { mappings }
    }

    /// All kinds.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The versions in which a kind is served, by the kind's name alone.
    pub fn versions_of(&self, kind: &str) -> Vec<String> {
        let of_kind = self.mappings.iter().filter(|mapping| mapping.kind == kind);
        of_kind.map(Mapping::api_version).collect()
    }

    /// The names of all kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().map(|mapping| mapping.kind.as_str())
    }

    /// The mapping of a kind in a group, in its preferred version.
    pub fn by_group_kind(&self, group: &str, kind: &str) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.group == group && mapping.kind == kind)
    }

    /// Adds another's kinds after these.
    pub fn extend(&mut self, other: Self) {
        self.mappings.extend(other.mappings);
    }

    /// The mapping for an object's `apiVersion` and `kind`.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Mapping> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.mappings
            .iter()
            .filter(|mapping| mapping.group == group && mapping.version == version)
            .find(|mapping| mapping.kind == kind || is_lower(&mapping.kind, kind))
    }

    /// The mapping for what a person writes: `deploy`, `deployments.apps`, `Deployment.v1.apps`.
    pub fn by_word(&self, word: &str) -> Option<&Mapping> {
        let parts: Vec<&str> = word.splitn(3, '.').collect();
        if let [name, version, group] = parts.as_slice() {
            let exact = |mapping: &&Mapping| mapping.version == *version && mapping.group == *group;
            if let Some(found) = self.named(name, exact) {
                return Some(found);
            }
        }
        let (name, group) = word.split_once('.').unwrap_or((word, ""));
        self.named(name, |mapping| mapping.group == group || group.is_empty())
            .or_else(|| self.named(name, |mapping| mapping.group.starts_with(group)))
            .or_else(|| self.kind_named(word))
    }

    /// What else a short name could have meant: other resources than the one that [`Self::by_word`]
    /// finds; none where the word is a resource's whole name.
    pub fn beside(&self, word: &str) -> Vec<String> {
        let mut others = Vec::new();
        let Some(chosen) = self.by_word(word) else { return others };
        if !chosen.short.iter().any(|short| short == word) {
            return others;
        }
        for mapping in &self.mappings {
            let is_other = (&mapping.group, &mapping.plural) != (&chosen.group, &chosen.plural);
            if is_other && mapping.short.iter().any(|short| short == word) {
                let resource = mapping.resource();
                if !others.contains(&resource) {
                    others.push(resource);
                }
            }
        }
        others
    }

    fn named(&self, name: &str, fits: impl Fn(&&Mapping) -> bool) -> Option<&Mapping> {
        let name = name.to_lowercase();
        let in_scope = || self.mappings.iter().filter(|mapping| fits(mapping));
        in_scope()
            .find(|mapping| mapping.plural == name || mapping.singular == name)
            .or_else(|| in_scope().find(|mapping| mapping.short.contains(&name)))
    }

    fn kind_named(&self, word: &str) -> Option<&Mapping> {
        let (kind, rest) = word.split_once('.').unwrap_or((word, ""));
        let (version, group) = rest.split_once('.').unwrap_or(("", ""));
        let of_kind = |mapping: &&Mapping| mapping.kind == kind || is_lower(&mapping.kind, kind);
        self.mappings
            .iter()
            .filter(of_kind)
            .find(|mapping| mapping.version == version && mapping.group == group)
            .or_else(|| {
                self.mappings
                    .iter()
                    .filter(of_kind)
                    .find(|mapping| rest.is_empty() || mapping.group == rest)
            })
    }

    /// The resources of a category (`all`), as words; empty when there is no such category.
    pub fn category(&self, name: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for mapping in &self.mappings {
            if mapping.categories.iter().any(|category| category == name) {
                let word = mapping.resource();
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        words
    }
}

/// What a cluster serves, and what it warned of meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The kinds.
    pub discovery: Discovery,
    /// The server's warnings.
    pub warnings: Vec<String>,
}

impl Cluster {
    /// Asks which kinds the cluster serves: two requests side by side, and one for each group version
    /// of a server before 1.26. `timeout` is for each of them; none when zero.
    pub async fn discover(
        &self,
        timeout: Duration,
        cancel: &CancellationToken,
    ) -> Result<Discovered, Failure> {
        let call = |path: &str, accept| Call { accept, timeout, ..Call::get(path) };
        let (core, groups) = (call("/api", Accept::Discovery), call("/apis", Accept::Discovery));
        let answers = tokio::join!(self.call(&core, cancel), self.call(&groups, cancel));
        let mut found = Discovered::default();
        let mut documents = Vec::new();
        for answer in <[_; 2]>::from(answers) {
            let Answer { body, warnings, .. } = answer?;
            documents.push(body);
            found.warnings.extend(warnings);
        }
        let is_aggregated = |document: &Value| document.get("items").is_some_and(Value::is_array);
        if documents.iter().all(is_aggregated) {
            found.discovery = Discovery::read(&documents);
            return Ok(found);
        }
        for (group, version) in group_versions(&documents) {
            let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            // A group whose server is down must not hide the others.
            match self.call(&call(&format!("{root}/{version}"), Accept::Json), cancel).await {
                Ok(Answer { body, warnings, .. }) => {
                    found.discovery.extend(Discovery::read_old(&group, &version, &body));
                    found.warnings.extend(warnings);
                }
                Err(Failure::Cancelled) => return Err(Failure::Cancelled),
                Err(_) => {}
            }
        }
        Ok(found)
    }
}

fn group_versions(documents: &[Value]) -> Vec<(String, String)> {
    let mut versions = Vec::new();
    for document in documents {
        for version in texts(document.get("versions")) {
            versions.push((String::new(), version));
        }
        for group in array(document.get("groups")) {
            let name = text(group.get("name"));
            for version in array(group.get("versions")) {
                versions.push((name.clone(), text(version.get("version"))));
            }
        }
    }
    versions
}

fn mapping(group: &str, version: &str, resource: &Value) -> Option<Mapping> {
    let kind = text(resource.pointer("/responseKind/kind"));
    let plural = text(resource.get("resource"));
    if kind.is_empty() || plural.is_empty() {
        return None;
    }
    let singular = text(resource.get("singularResource"));
    Some(Mapping {
        group: group.to_owned(),
        version: version.to_owned(),
        singular: if singular.is_empty() { kind.to_lowercase() } else { singular },
        kind,
        plural,
        short: texts(resource.get("shortNames")).into(),
        categories: texts(resource.get("categories")).into(),
        namespaced: text(resource.get("scope")) == "Namespaced",
        verbs: texts(resource.get("verbs")).into(),
    })
}

/// True when a word is a kind in lower case.
fn is_lower(kind: &str, word: &str) -> bool {
    kind.chars().flat_map(char::to_lowercase).eq(word.chars())
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    array(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn discovery() -> Discovery {
        let resource = |plural: &str, kind: &str, short: &str| {
            json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": "Namespaced",
                "responseKind": {"kind": kind}, "shortNames": [short], "categories": ["all"]})
        };
        Discovery::read(&[
            json!({"items": [{"versions": [{"version": "v1", "resources": [
                resource("events", "Event", "ev"), resource("pods", "Pod", "po")]}]}]}),
            json!({"items": [
                {"metadata": {"name": "apps"}, "versions": [
                    {"version": "v1", "resources": [resource("deployments", "Deployment", "deploy")]}]},
                {"metadata": {"name": "events.k8s.io"}, "versions": [
                    {"version": "v1", "resources": [resource("events", "Event", "ev")]}]},
                {"metadata": {"name": "example.com"}, "versions": [
                    {"version": "v2", "resources": [resource("widgets", "Widget", "po")]},
                    {"version": "v1", "resources": [resource("widgets", "Widget", "wi")]}]},
            ]}),
        ])
    }

    #[test]
    fn a_word_finds_its_kind_as_kubectl_does() {
        let discovery = discovery();
        for (word, found) in [
            ("po", "v1 pods"),
            ("Pod", "v1 pods"),
            ("deploy", "apps/v1 deployments"),
            ("deployments.apps", "apps/v1 deployments"),
            ("deployment.v1.apps", "apps/v1 deployments"),
            ("deploy.app", "apps/v1 deployments"),
            ("ev", "v1 events"),
            ("events.events.k8s.io", "events.k8s.io/v1 events"),
            ("widget", "example.com/v2 widgets"),
            ("Widget.v1.example.com", "example.com/v1 widgets"),
            ("po.example.com", "example.com/v2 widgets"),
        ] {
            let mapping = discovery.by_word(word).unwrap();
            assert_eq!(format!("{} {}", mapping.api_version(), mapping.plural), found, "{word}");
        }
        assert_eq!(discovery.by_word("gadgets"), None);
        assert_eq!(
            discovery.category("all"),
            ["events", "pods", "deployments.apps", "events.events.k8s.io", "widgets.example.com"]
        );
    }

    #[test]
    fn an_object_finds_its_kind_in_its_version_only() {
        let discovery = discovery();
        assert!(discovery.by_kind("apps/v1", "Deployment").is_some());
        assert!(discovery.by_kind("apps/v1beta1", "Deployment").is_none());
        assert!(discovery.by_kind("v1", "Deployment").is_none());
    }
}
