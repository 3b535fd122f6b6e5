//! Which namespaces a rule grants to a job.

use crate::policy::ClusterRule;
use crate::policy::glob::Glob;
use crate::policy::template::Values;

/// The namespaces of a rule, with their places filled.
pub struct Granted {
    globs: Vec<(Glob, String)>,
    unfilled: Vec<String>,
}

impl Granted {
    /// Fills a rule's places.
    pub fn of(rule: &ClusterRule, values: &Values<'_>) -> Self {
        let mut granted = Self { globs: Vec::new(), unfilled: Vec::new() };
        for template in &rule.namespaces {
            match template.fill_namespace(values) {
                Ok(text) => match Glob::plain(&text) {
                    Ok(glob) => granted.globs.push((glob, template.text().to_owned())),
                    Err(error) => granted.unfilled.push(error.to_string()),
                },
                Err(unfilled) => granted.unfilled.push(unfilled.to_string()),
            }
        }
        granted
    }

    /// The first namespace that is named in full: the one of requests that name none.
    pub fn first(&self) -> Option<String> {
        self.globs
            .iter()
            .map(|(glob, _)| glob)
            .find(|glob| glob.is_literal() && self.holds(glob.text()))
            .map(|glob| glob.text().to_owned())
    }

    /// True when a namespace is granted.
    pub fn holds(&self, namespace: &str) -> bool {
        is_namespace(namespace)
            && !is_system(namespace)
            && self.globs.iter().any(|(glob, written)| {
                glob.matches(namespace) && (namespace != "default" || written == "default")
            })
    }

    /// The granted ones, for a refusal.
    pub fn told(&self) -> String {
        let mut told: Vec<String> = self
            .globs
            .iter()
            .map(|(glob, written)| {
                if glob.text() == written {
                    format!("`{glob}`")
                } else {
                    format!("`{glob}` (from `{written}`)")
                }
            })
            .collect();
        told.extend(self.unfilled.iter().cloned());
        format!("allowed: {}", if told.is_empty() { "nothing".to_owned() } else { told.join(", ") })
    }
}

/// Namespaces that belong to the cluster itself.
pub fn is_system(namespace: &str) -> bool {
    namespace == "kube" || namespace.starts_with("kube-") || namespace.starts_with("openshift")
}

/// A name that Kubernetes takes for a namespace.
pub fn is_namespace(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
