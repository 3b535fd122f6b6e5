//! What the coordinator knows: the project, its variables, the jobs and their artifacts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use crate::pipeline::response::{ArtifactsFile, Variable};

/// The project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its number.
    pub id: u64,
    /// `group/project`.
    pub path: String,
}

/// Who started the pipeline.
#[derive(Debug, Clone)]
pub struct User {
    /// Number.
    pub id: u64,
    /// Login.
    pub login: String,
    /// Display name.
    pub name: String,
    /// Mail address.
    pub email: String,
}

/// A job that runs or ran.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its number.
    pub id: u64,
    /// Its token.
    pub token: String,
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Branch.
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// Its pipeline.
    pub pipeline_id: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Slug and tier of its environment.
    pub environment: Option<(String, String)>,
    /// True when its failure is forgiven.
    pub allow_failure: bool,
    /// True while it runs: only then its token is good for the API.
    pub running: bool,
}

/// A project variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectVariable {
    /// The variable.
    pub variable: Variable,
    /// `*`, a name or a pattern with `*`.
    pub scope: String,
    /// Only for protected refs.
    pub protected: bool,
}

/// What was written through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Name.
    pub key: String,
    /// The value; `None` after it was deleted.
    pub value: Option<String>,
    /// True when the value must not be shown.
    pub masked: bool,
}

/// What a job uploaded under one type.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The name it was sent with.
    pub filename: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// Everything.
#[derive(Debug)]
pub struct Store {
    /// The project.
    pub project: Project,
    /// The user.
    pub user: User,
    /// Repositories of other projects, by their paths, which a job may fetch as well.
    pub submodules: BTreeMap<String, PathBuf>,
    /// Folder for uploads.
    pub folder: PathBuf,
    /// Values that are good as `PRIVATE-TOKEN`.
    pub api_tokens: Vec<String>,
    /// Project variables.
    pub variables: Vec<ProjectVariable>,
    /// What was written, last word by key.
    pub written: Vec<Written>,
    /// Jobs by number.
    pub jobs: BTreeMap<u64, JobRecord>,
    /// Uploads by job and type.
    pub uploads: BTreeMap<(u64, String), Upload>,
    /// Variables of dotenv reports by job.
    pub dotenv: BTreeMap<u64, Vec<Variable>>,
}

impl Store {
    /// The job with this token.
    pub fn job_by_token(&self, token: &str) -> Option<&JobRecord> {
        self.jobs.values().find(|job| !token.is_empty() && job.token == token)
    }

    /// The archive of a job, as its dependants see it; empty when it has none.
    pub fn archive(&self, job: u64) -> ArtifactsFile {
        let upload = self.uploads.get(&(job, "archive".to_owned()));
        upload.map_or_else(ArtifactsFile::default, |upload| ArtifactsFile {
            filename: upload.filename.clone(),
            size: upload.size,
        })
    }

    /// Project variables for a job that deploys to `environment`: the most specific scope wins.
    pub fn variables_for(&self, environment: &str, is_protected: bool) -> Vec<Variable> {
        let mut best: Vec<(&ProjectVariable, usize)> = Vec::new();
        for candidate in &self.variables {
            let allowed = is_protected || !candidate.protected;
            if !allowed || !scope_matches(&candidate.scope, environment) {
                continue;
            }
            let weight = candidate.scope.len();
            let same = |(other, _): &&mut (&ProjectVariable, usize)| {
                other.variable.key == candidate.variable.key
            };
            match best.iter_mut().find(same) {
                Some(other) if other.1 < weight => *other = (candidate, weight),
                Some(_) => (),
                None => best.push((candidate, weight)),
            }
        }
        best.into_iter().map(|(candidate, _)| candidate.variable.clone()).collect()
    }

    /// Notes what was written through the API.
    pub fn note(&mut self, written: Written) {
        self.written.retain(|other| other.key != written.key);
        self.written.push(written);
    }

    /// Takes a report in that only GitLab itself reads.
    pub fn keep(
        &mut self,
        job: u64,
        kind: &str,
        filename: &str,
        content: &Bytes,
    ) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(format!("{job}-{kind}"));
        std::fs::write(&path, content)?;
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let upload = Upload { filename: filename.to_owned(), path, size };
        self.uploads.insert((job, kind.to_owned()), upload);
        Ok(())
    }
}

/// True when a scope such as `review/*` covers an environment.
fn scope_matches(scope: &str, environment: &str) -> bool {
    match scope.split_once('*') {
        None => scope == environment,
        Some((head, tail)) => {
            environment.strip_prefix(head).is_some_and(|rest| {
                if tail.contains('*') {
                    // More than one star: every later part in order.
                    let mut rest = rest;
                    tail.split('*').all(|part| match rest.find(part) {
                        Some(at) => {
                            rest = rest.get(at + part.len()..).unwrap_or_default();
                            true
                        }
                        None => false,
                    })
                } else {
                    rest.ends_with(tail)
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_match_as_in_gitlab() {
        for (scope, environment, expected) in [
            ("*", "", true),
            ("*", "production", true),
            ("production", "production", true),
            ("production", "", false),
            ("review/*", "review/a", true),
            ("review/*", "staging", false),
            ("*/a", "review/a", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
        ] {
            assert_eq!(scope_matches(scope, environment), expected, "{scope} {environment}");
        }
    }
}
