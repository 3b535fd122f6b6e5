//! Texts with `{{ … }}` places that are filled with GitLab's word on the job, never with variables.

use std::fmt;

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A place that nothing fills.
    #[error("`{{{{ {0} }}}}` is not known; places are {list}", list = Place::list())]
    Unknown(String),
    /// `{{` without `}}`.
    #[error("`{{{{` is not closed by `}}}}`")]
    Open,
    /// Nothing at all.
    #[error("is empty")]
    Empty,
}

/// What a template could not be filled with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// GitLab did not say.
    #[error("`{0}` has no value: {reason}", reason = .0.why_missing())]
    Missing(Place),
    /// GitLab said something that cannot stand there.
    #[error("`{0}` is `{1}`, which cannot be part of a namespace's name")]
    Unusable(Place, String),
}

/// A place in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Login of the user who started the job.
    UserLogin,
    /// The project's number.
    ProjectId,
    /// The project's path as a slug, as in `CI_PROJECT_PATH_SLUG`.
    ProjectPathSlug,
    /// Slug of the job's environment.
    EnvironmentSlug,
    /// Tier of the job's environment.
    EnvironmentTier,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::UserLogin,
        Self::ProjectId,
        Self::ProjectPathSlug,
        Self::EnvironmentSlug,
        Self::EnvironmentTier,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::UserLogin => "user.login",
            Self::ProjectId => "project.id",
            Self::ProjectPathSlug => "project.path-slug",
            Self::EnvironmentSlug => "environment.slug",
            Self::EnvironmentTier => "environment.tier",
        }
    }

    fn list() -> String {
        Self::ALL.map(|place| format!("`{place}`")).join(", ")
    }

    fn why_missing(self) -> &'static str {
        match self {
            Self::UserLogin => "GitLab did not say who started the job",
            Self::ProjectId | Self::ProjectPathSlug => "the job names no project",
            Self::EnvironmentSlug | Self::EnvironmentTier => {
                "GitLab knows no environment of this job"
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What GitLab says of a job, as far as templates need it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// Login of the user who started the job.
    pub login: Option<&'a str>,
    /// The project's number.
    pub project_id: u64,
    /// The project's path.
    pub project_path: &'a str,
    /// Slug of the job's environment.
    pub environment_slug: Option<&'a str>,
    /// Tier of the job's environment.
    pub environment_tier: Option<&'a str>,
}

impl Values<'_> {
    fn get(&self, place: Place) -> Option<String> {
        match place {
            Place::UserLogin => self.login.map(str::to_owned),
            Place::ProjectId => (self.project_id != 0).then(|| self.project_id.to_string()),
            Place::ProjectPathSlug => Some(slug(self.project_path)),
            Place::EnvironmentSlug => self.environment_slug.map(str::to_owned),
            Place::EnvironmentTier => self.environment_tier.map(str::to_owned),
        }
        .filter(|value| !value.is_empty())
    }
}

/// A path as GitLab makes a slug of it: 63 characters that fit a host name.
fn slug(path: &str) -> String {
    let slug: String = path
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    slug.trim_matches('-').to_owned()
}

/// A template as meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

impl Template {
    /// Reads a text with places.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Err(Error::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) = after.split_once("}}").ok_or(Error::Open)?;
            let name = name.trim();
            let place = Place::ALL.into_iter().find(|place| place.name() == name);
            parts.push(Part::Place(place.ok_or_else(|| Error::Unknown(name.to_owned()))?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Returns the template as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when it needs GitLab's own word on the job.
    pub fn needs_identity(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Place(place) => match place {
                Place::UserLogin | Place::EnvironmentSlug | Place::EnvironmentTier => true,
                Place::ProjectId | Place::ProjectPathSlug => false,
            },
            Part::Text(_) => false,
        })
    }

    /// Returns the text with the same filling in every place.
    pub fn with_places(&self, filling: &str) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Place(_) => filling,
        });
        parts.collect()
    }

    /// Returns the text with every place filled.
    pub fn fill(&self, values: &Values<'_>) -> Result<String, Unfilled> {
        self.fill_with(values, |_| true)
    }

    /// As [`Template::fill`], for a namespace: no value can bring a wildcard or a foreign character.
    pub fn fill_namespace(&self, values: &Values<'_>) -> Result<String, Unfilled> {
        self.fill_with(values, |value| {
            value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
    }

    fn fill_with(
        &self,
        values: &Values<'_>,
        is_usable: impl Fn(&str) -> bool,
    ) -> Result<String, Unfilled> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Place(place) => {
                    let value = values.get(*place).ok_or(Unfilled::Missing(*place))?;
                    if !is_usable(&value) {
                        return Err(Unfilled::Unusable(*place, value));
                    }
                    text.push_str(&value);
                }
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_with_what_gitlab_says() {
        let values = Values {
            login: Some("theseanodell"),
            project_id: 42,
            project_path: "Cloud-Advocacy/vmworld_2019",
            environment_slug: Some("production-x1"),
            environment_tier: Some("production"),
        };
        for (text, expected) in [
            ("acme", "acme"),
            ("{{ user.login }}", "theseanodell"),
            ("{{user.login}}-x", "theseanodell-x"),
            ("gitlab:project:{{ project.id }}", "gitlab:project:42"),
            ("{{ project.path-slug }}", "cloud-advocacy-vmworld-2019"),
            ("{{ environment.slug }}-{{ environment.tier }}", "production-x1-production"),
        ] {
            assert_eq!(Template::parse(text).unwrap().fill(&values).unwrap(), expected);
        }
    }

    #[test]
    fn a_place_without_a_value_says_so() {
        let template = Template::parse("{{ environment.slug }}").unwrap();
        let error = template.fill(&Values::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`environment.slug` has no value: GitLab knows no environment of this job"
        );
    }

    #[test]
    fn a_value_brings_no_wildcard_into_a_namespace() {
        let template = Template::parse("{{ user.login }}").unwrap();
        for login in ["*", "Sean", "a.b", "a_b", "a/b", "ä"] {
            let values = Values { login: Some(login), ..Values::default() };
            assert_eq!(
                template.fill_namespace(&values),
                Err(Unfilled::Unusable(Place::UserLogin, login.to_owned()))
            );
        }
    }

    #[test]
    fn unknown_and_open_places_are_told() {
        let error = Template::parse("{{ user.name }}").unwrap_err().to_string();
        assert!(error.starts_with("`{{ user.name }}` is not known; places are `user.login`"));
        assert_eq!(Template::parse("{{ user.login").unwrap_err(), Error::Open);
        assert_eq!(Template::parse(" ").unwrap_err(), Error::Empty);
    }
}
