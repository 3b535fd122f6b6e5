//! Which profile a job gets: by the runner entry's arguments, the project and the ref, never by
//! what the job says of itself.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::Policy;
use super::glob::Glob;
use super::profile::{Profile, Refs};
use crate::job::Job;

/// What is asked of the policy.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// `--tags` of the driver, comma separated.
    pub tags: Option<&'a str>,
    /// `--profile` of the driver.
    pub name: Option<&'a str>,
    /// The project's path.
    pub project: &'a str,
    /// True when GitLab protects the ref.
    pub is_protected: bool,
}

/// Every profile, sorted into those that match and those that do not.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// Those that match; a job needs exactly one.
    pub matching: Vec<&'a Profile>,
    /// The others.
    pub rejected: Vec<Rejected>,
}

/// A profile that does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub name: String,
    /// Where it stands in the policy.
    pub key: String,
    /// Why not; never empty.
    pub reasons: Vec<String>,
}

/// A job that gets no profile, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoProfile {
    /// The policy.
    pub file: PathBuf,
    /// Who asked, in words.
    pub asked: String,
    /// Names of those that match, when several do.
    pub several: Vec<String>,
    /// Those that do not.
    pub rejected: Vec<Rejected>,
    /// True when the driver was started without `--tags` and `--profile`.
    pub is_unasked: bool,
}

impl Policy {
    /// Returns the one profile that a job gets.
    pub fn profile(
        &self,
        tags: Option<&str>,
        name: Option<&str>,
        job: &Job,
    ) -> Result<&Profile, NoProfile> {
        self.pick(&Asking {
            tags,
            name,
            project: &job.project_path,
            is_protected: job.is_protected,
        })
    }

    /// Returns the one profile that matches.
    pub fn pick(&self, asking: &Asking<'_>) -> Result<&Profile, NoProfile> {
        let choice = self.choose(asking);
        match choice.matching.as_slice() {
            [profile] => Ok(profile),
            several => Err(NoProfile {
                file: self.file.clone(),
                asked: asking.to_string(),
                several: several.iter().map(|profile| profile.name.clone()).collect(),
                rejected: choice.rejected,
                is_unasked: asking.tags.is_none() && asking.name.is_none(),
            }),
        }
    }

    /// Sorts every profile.
    pub fn choose(&self, asking: &Asking<'_>) -> Choice<'_> {
        let mut choice = Choice { matching: Vec::new(), rejected: Vec::new() };
        for profile in &self.profiles {
            let reasons = asking.reasons_against(profile);
            if reasons.is_empty() {
                choice.matching.push(profile);
            } else {
                choice.rejected.push(Rejected {
                    name: profile.name.clone(),
                    key: profile.key.clone(),
                    reasons,
                });
            }
        }
        choice
    }
}

impl Asking<'_> {
    fn reasons_against(&self, profile: &Profile) -> Vec<String> {
        let matches = &profile.matches;
        let mut reasons = Vec::new();
        if let Some(name) = self.name
            && name != profile.name
        {
            reasons.push(format!("`--profile {name}` names another"));
        }
        match self.tags {
            Some(tags) => {
                let tags = split(tags);
                if matches.tags.is_empty() && self.name.is_none() {
                    reasons.push("it has no tags: it is taken by `--profile` alone".to_owned());
                } else if tags != matches.tags && !(matches.tags.is_empty()) {
                    reasons.push(format!(
                        "its tags are {}, the runner's are {}",
                        list(&matches.tags),
                        list(&tags)
                    ));
                }
            }
            None if self.name.is_none() => {
                reasons.push("the driver was started without `--tags` or `--profile`".to_owned());
            }
            None => {}
        }
        if !matches.projects.iter().any(|glob| glob.matches(self.project)) {
            let projects: Vec<&str> = matches.projects.iter().map(Glob::text).collect();
            reasons.push(format!(
                "it is for {}, not for project `{}`",
                quoted(&projects),
                self.project
            ));
        }
        if matches.refs == Refs::Protected && !self.is_protected {
            reasons.push("it is for protected refs, and this one is not".to_owned());
        }
        reasons
    }
}

impl fmt::Display for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "project `{}`", self.project)?;
        f.write_str(if self.is_protected { " on a protected ref" } else { " on an open ref" })?;
        if let Some(tags) = self.tags {
            write!(f, " with tags {}", list(&split(tags)))?;
        }
        if let Some(name) = self.name {
            write!(f, " with `--profile {name}`")?;
        }
        Ok(())
    }
}

/// Splits comma separated tags into a set.
fn split(tags: &str) -> BTreeSet<String> {
    tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

fn list(tags: &BTreeSet<String>) -> String {
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    if tags.is_empty() { "none".to_owned() } else { quoted(&tags) }
}

fn quoted(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for NoProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        if self.several.is_empty() {
            write!(f, "refused by policy: no profile is for {asked}")?;
        } else {
            let several: Vec<&str> = self.several.iter().map(String::as_str).collect();
            write!(f, "refused by policy: {} are all for {asked}", quoted(&several))?;
        }
        for rejected in &self.rejected {
            let Rejected { name, key, reasons } = rejected;
            write!(f, "\n  `{name}` ({key}): {}", reasons.join("; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for NoProfile {}

impl NoProfile {
    /// The way out.
    pub fn hint(&self) -> String {
        let file = self.file.display();
        if self.is_unasked {
            return "put `--tags` or `--profile` into `config_args` of this `[[runners]]` entry"
                .to_owned();
        }
        if self.several.is_empty() {
            format!("ask the platform team for a profile in {file}")
        } else {
            format!("ask the platform team to keep one of them, in {file}")
        }
    }
}

impl From<NoProfile> for crate::error::Error {
    fn from(none: NoProfile) -> Self {
        let hint = none.hint();
        Self::refused(none).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn policy() -> Policy {
        let text = "\
profiles:
- name: performance
  match: { tags: [Dedicated], projects: ['group/*'], refs: any }
- name: production
  match: { tags: [cluster, kubernetes, production], projects: ['group/*', 'group/sub/**'] }
- name: by-name
  match: { projects: ['**'], refs: any }
";
        crate::policy::parse(Path::new("dyno.yaml"), text).unwrap()
    }

    fn asking<'a>(tags: Option<&'a str>, name: Option<&'a str>, project: &'a str) -> Asking<'a> {
        Asking { tags, name, project, is_protected: true }
    }

    #[test]
    fn a_profile_is_chosen_by_tags_project_and_ref() {
        let policy = policy();
        #[rustfmt::skip]
        let table = [
            (Some("Dedicated"), None, "group/shop", false, Some("performance")),
            (Some("Dedicated"), None, "group/shop", true, Some("performance")),
            (Some(" Dedicated ,"), None, "group/shop", true, Some("performance")),
            (Some("dedicated"), None, "group/shop", true, None),
            (Some("Dedicated,extra"), None, "group/shop", true, None),
            (Some("Dedicated"), None, "group/sub/shop", true, None),
            (Some("Dedicated"), None, "other/shop", true, None),
            (Some("production,kubernetes,cluster"), None, "group/shop", true, Some("production")),
            (Some("cluster,kubernetes,production"), None, "group/sub/a/b", true, Some("production")),
            (Some("cluster,kubernetes,production"), None, "group/shop", false, None),
            (Some("cluster,production"), None, "group/shop", true, None),
            (Some(""), None, "group/shop", true, None),
            (None, None, "group/shop", true, None),
            (None, Some("by-name"), "any/thing", false, Some("by-name")),
            (Some("whatever"), Some("by-name"), "any/thing", false, Some("by-name")),
            (None, Some("performance"), "group/shop", false, Some("performance")),
            (None, Some("performance"), "other/shop", false, None),
            (Some("wrong"), Some("performance"), "group/shop", false, None),
            (None, Some("production"), "group/shop", false, None),
            (None, Some("nobody"), "group/shop", true, None),
        ];
        for (tags, name, project, is_protected, expected) in table {
            let asking = Asking { tags, name, project, is_protected };
            let found = policy.pick(&asking).ok().map(|profile| profile.name.as_str());
            assert_eq!(found, expected, "{asking}");
        }
    }

    #[test]
    fn a_job_without_a_profile_hears_why_of_each() {
        let policy = policy();
        let none = policy
            .pick(&Asking {
                tags: Some("Dedicated,x"),
                name: None,
                project: "other/shop",
                is_protected: false,
            })
            .unwrap_err();
        assert_eq!(
            crate::error::Error::from(none).to_string(),
            "error: refused by policy: no profile is for project `other/shop` on an open ref with tags `Dedicated`, `x`\n\
             \x20 `performance` (profiles[0]): its tags are `Dedicated`, the runner's are `Dedicated`, `x`; it is for `group/*`, not for project `other/shop`\n\
             \x20 `production` (profiles[1]): its tags are `cluster`, `kubernetes`, `production`, the runner's are `Dedicated`, `x`; it is for `group/*`, `group/sub/**`, not for project `other/shop`; it is for protected refs, and this one is not\n\
             \x20 `by-name` (profiles[2]): it has no tags: it is taken by `--profile` alone\n\
             hint: ask the platform team for a profile in dyno.yaml"
        );
    }

    #[test]
    fn an_entry_without_arguments_gets_nothing() {
        let policy = policy();
        let none = policy.pick(&asking(None, None, "group/shop")).unwrap_err();
        assert!(none.rejected.iter().all(|rejected| !rejected.reasons.is_empty()));
        assert_eq!(
            none.hint(),
            "put `--tags` or `--profile` into `config_args` of this `[[runners]]` entry"
        );
    }

    #[test]
    fn several_that_match_are_refused_by_name() {
        let mut policy = policy();
        let twin = Profile { name: "twin".to_owned(), ..policy.profiles[0].clone() };
        policy.profiles.push(twin);
        let none = policy.pick(&asking(Some("Dedicated"), None, "group/shop")).unwrap_err();
        assert_eq!(none.several, ["performance", "twin"]);
        assert!(none.to_string().starts_with(
            "refused by policy: `performance`, `twin` are all for project `group/shop`"
        ));
    }
}
