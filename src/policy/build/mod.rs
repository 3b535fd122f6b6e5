//! From the policy as written to the policy as meant: everything that serde cannot see is told here,
//! all of it at once. Pure: no file is opened.

mod profile;
mod docker;
mod source;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::file::{ClusterFile, PolicyFile, UsersFile};
use super::problem::{Problem, Problems};
use super::recipe::{Library, Recipe};
use super::template::Template;
use super::yaml::{self, Document, Parsed};
use super::{ClusterEntry, GitlabSpec, Policy, UidRange};
use crate::near::nearest;
use crate::unit::Span;

/// Uids below this one belong to accounts, `nobody` among them.
const FIRST_FREE_UID: u32 = 65_536;

/// Makes the policy of what was read, with the recipes it may name and what was wrong with those.
pub fn policy(
    file: &Path,
    parsed: Parsed<PolicyFile>,
    library: Library,
) -> Result<Policy, Problems> {
    build(file, parsed, library, Needs::Profiles)
}

/// Makes a user's own policy of what was read, which allows no job anything.
pub fn own(file: &Path, parsed: Parsed<PolicyFile>, library: Library) -> Result<Policy, Problems> {
    build(file, parsed, library, Needs::Nothing)
}

/// What a policy has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Profiles,
    Nothing,
}

fn build(
    file: &Path,
    parsed: Parsed<PolicyFile>,
    library: Library,
    needs: Needs,
) -> Result<Policy, Problems> {
    let mut problems = parsed.problems;
    problems.extend(library.problems);
    let mut builder = Builder {
        needs,
        document: parsed.document,
        problems,
        folder: file.parent().map(Path::to_owned).unwrap_or_default(),
        recipes: library.recipes,
        broken_recipes: library.broken,
    };
    let policy = parsed.value.map(|written| builder.policy(file, written));
    match policy {
        Some(policy) if builder.problems.is_empty() => Ok(policy),
        _ => Err(Problems(yaml::sorted(builder.problems))),
    }
}

struct Builder {
    needs: Needs,
    document: Document,
    problems: Vec<Problem>,
    folder: PathBuf,
    recipes: BTreeMap<String, Recipe>,
    broken_recipes: BTreeSet<String>,
}

impl Builder {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(self.document.problem(key, message));
    }

    fn wrong_with(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let mut problem = self.document.problem(key, message);
        problem.hint = Some(hint.into());
        self.problems.push(problem);
    }

    #[expect(clippy::too_many_lines, reason = "one entry a key of the policy")]
    fn policy(&mut self, file: &Path, written: PolicyFile) -> Policy {
        let gitlab = written.gitlab.map(|gitlab| GitlabSpec {
            url: self.url("gitlab.url", &gitlab.url),
            ca_file: self.optional_path("gitlab.ca-file", gitlab.ca_file),
        });
        let state = self.path("state", &written.state);
        if state.parent().is_none() {
            self.wrong("state", "must be a folder of the driver's own, not `/`");
        }
        let sources = written
            .sources
            .into_iter()
            .map(|(name, source)| (name.clone(), self.source(&name, source)))
            .collect();
        let sinks = written
            .sinks
            .into_iter()
            .map(|(name, sink)| (name.clone(), self.sink(&name, sink)))
            .collect();
        let clusters: BTreeMap<_, _> = written
            .clusters
            .into_iter()
            .map(|(name, cluster)| (name.clone(), self.cluster(&name, cluster)))
            .collect();
        let variables_token_file =
            self.optional_path("variables-token-file", written.variables_token_file);
        if variables_token_file.is_some() && !self.has("gitlab") {
            self.wrong_with(
                "variables-token-file",
                "a token without a GitLab that it is for",
                "add `gitlab: { url: … }`",
            );
        }
        if written.keep_caches < Span::seconds(24 * 3600) {
            self.wrong("keep-caches", "must be at least 1d: a job may run for long");
        }
        if (written.verdicts.merge_request || written.verdicts.commit_status)
            && variables_token_file.is_none()
        {
            self.wrong_with(
                "verdicts",
                "a job's token can write neither notes nor statuses",
                "add `variables-token-file`",
            );
        }
        let baselines = self.baselines(&state, written.baselines);
        let users = self.users(&written.sandbox_users);
        let profiles = self.profiles(file, written.profiles, &clusters);
        Policy {
            file: file.to_owned(),
            gitlab,
            state,
            sources,
            sinks,
            clusters,
            variables_token_file,
            verdicts: written.verdicts,
            baselines,
            users,
            keep_caches: written.keep_caches,
            profiles,
            recipes: std::mem::take(&mut self.recipes),
        }
    }

    /// True when the file has the key, right or wrong.
    fn has(&self, key: &str) -> bool {
        self.document.at(key).is_some_and(|node| !node.is_null())
    }

    fn users(&mut self, written: &UsersFile) -> UidRange {
        if written.first < FIRST_FREE_UID {
            self.wrong(
                "sandbox-users.first",
                format!("uids below {FIRST_FREE_UID} belong to accounts"),
            );
        }
        if written.count == 0 {
            self.wrong("sandbox-users.count", "must be at least 1");
        }
        // The last two uids mean "no user".
        if written.first.checked_add(written.count).is_none_or(|end| end > u32::MAX - 1) {
            self.wrong("sandbox-users", "the range ends above the greatest uid, 4294967293");
        }
        UidRange { first: written.first, count: written.count }
    }

    fn header(&mut self, key: &str, name: &str, value: &str) {
        let is_secret = ["authorization", "cookie", "proxy-authorization"]
            .contains(&name.to_lowercase().as_str());
        if is_secret {
            self.wrong_with(
                key,
                format!("`{name}` holds a secret, which is never written here"),
                "put it into a file and name that by `token-file`",
            );
        } else if http::HeaderName::try_from(name).is_err() {
            self.wrong(key, format!("`{name}` is no header's name"));
        } else if http::HeaderValue::try_from(value).is_err() {
            self.wrong(key, "is no header's value");
        }
    }

    fn cluster(&mut self, name: &str, written: ClusterFile) -> ClusterEntry {
        let key = format!("clusters.{name}");
        self.name(&key, name);
        if written.impersonate.is_none() && !written.impersonate_groups.is_empty() {
            self.wrong(
                &format!("{key}.impersonate-groups"),
                "groups are impersonated together with a user only: add `impersonate`",
            );
        }
        let mut groups = Vec::new();
        for (n, group) in written.impersonate_groups.iter().enumerate() {
            let key = format!("{key}.impersonate-groups[{n}]");
            if group == "system:masters" {
                self.wrong(&key, "`system:masters` may do everything, past every rule");
            }
            groups.extend(self.template(&key, group));
        }
        ClusterEntry {
            kubeconfig: self.path(&format!("{key}.kubeconfig"), &written.kubeconfig),
            context: written.context,
            impersonate: written
                .impersonate
                .and_then(|text| self.template(&format!("{key}.impersonate"), &text)),
            impersonate_groups: groups,
        }
    }

    fn template(&mut self, key: &str, text: &str) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => {
                if template.needs_identity() && !self.has("gitlab") {
                    self.wrong_with(
                        key,
                        format!("`{template}` is GitLab's to fill, and no GitLab is named"),
                        "add `gitlab: { url: … }`",
                    );
                }
                Some(template)
            }
            Err(error) => {
                self.wrong(key, error.to_string());
                None
            }
        }
    }

    fn name(&mut self, key: &str, name: &str) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(is_plain) {
            self.wrong(key, format!("the name `{name}` is not made of letters, digits, `-`, `_`"));
        }
    }

    /// Relative paths start at the policy's folder.
    fn path(&mut self, key: &str, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.wrong(key, "is no path: it is empty");
        }
        let mut meant = PathBuf::new();
        for part in self.folder.join(path).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    meant.pop();
                }
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                    meant.push(part);
                }
            }
        }
        meant
    }

    fn optional_path(&mut self, key: &str, path: Option<PathBuf>) -> Option<PathBuf> {
        path.map(|path| self.path(key, &path))
    }

    /// A base URL without a slash at its end.
    fn url(&mut self, key: &str, text: &str) -> String {
        let problem = match text.parse::<http::Uri>() {
            Err(_) => Some(format!("`{}` is not a URL", without_user(text))),
            Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
                Some("must start with `https://` or `http://`".to_owned())
            }
            Ok(uri) if uri.authority().is_some_and(|all| all.as_str().contains('@')) => {
                Some("holds credentials, which are never written here".to_owned())
            }
            Ok(uri) if uri.query().is_some() || text.contains('#') => {
                Some("holds more than a base URL: remove what follows the path".to_owned())
            }
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            self.wrong(key, problem);
        }
        text.trim_end_matches('/').to_owned()
    }

    /// A name that something must stand behind; what was left out for a mistake counts as there.
    fn refers(&mut self, key: &str, what: &str, name: &str, known: &[String]) {
        if known.iter().any(|one| one == name) {
            return;
        }
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => format!("the policy defines no {what}"),
            None => format!("there is {}", quoted(known)),
        };
        self.wrong_with(key, format!("unknown {what} `{name}`"), hint);
    }

    /// Keys of a map as written.
    fn keys(&self, key: &str) -> Vec<String> {
        match self.document.at(key).map(|node| &node.kind) {
            Some(yaml::Kind::Map(entries)) => {
                entries.iter().map(|entry| entry.key.clone()).collect()
            }
            Some(yaml::Kind::List(_) | yaml::Kind::Scalar { .. }) | None => Vec::new(),
        }
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

fn without_user(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("…@{host}"))
}
