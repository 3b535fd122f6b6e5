//! `dyno explain`: which profile a job would get, why, and what that allows.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::policy::{self, Asking, Policy, Profile, Rejected, recipe};

/// Arguments of `dyno explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Policy file of the platform team
    #[arg(long, value_name = "FILE", default_value = policy::DEFAULT_PATH)]
    policy: PathBuf,
    /// Path of the project, as in group/project
    #[arg(long, value_name = "PATH")]
    project: String,
    /// Tags that the runner entry hands over, comma separated
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// Profile that the runner entry hands over
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Branch or tag; shown only, since rules know protected refs, not names
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// The ref is protected
    #[arg(long)]
    protected: bool,
    /// Image of the job: which recipe answers it
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The answer as data.
#[derive(Debug, Serialize)]
struct Explained {
    policy: PathBuf,
    asked: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    git_ref: Option<String>,
    /// The one profile that applies.
    profile: Option<Applying>,
    /// More than one: the job is refused.
    several: Vec<String>,
    rejected: Vec<NotApplying>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
}

#[derive(Debug, Serialize)]
struct Applying {
    name: String,
    key: String,
    allows: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NotApplying {
    name: String,
    key: String,
    reasons: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Image {
    name: String,
    recipe: Option<String>,
}

/// Runs the verb: passed when one profile applies (and answers the image), else refused.
///
/// # Errors
/// When the policy has mistakes, or standard output is gone.
pub fn run(args: &Args, streams: &mut Streams) -> Result<Outcome> {
    let policy = policy::read(&args.policy)?;
    let explained = explain(&policy, args);
    let text = if args.json {
        let mut text = serde_json::to_string_pretty(&explained).map_err(Error::system)?;
        text.push('\n');
        text
    } else {
        explained.text()
    };
    streams.out.write_all(text.as_bytes()).map_err(Error::system)?;
    Ok(explained.outcome())
}

fn explain(policy: &Policy, args: &Args) -> Explained {
    let asking = Asking {
        tags: args.tags.as_deref(),
        name: args.profile.as_deref(),
        project: &args.project,
        is_protected: args.protected,
    };
    let choice = policy.choose(&asking);
    let (profile, several) = match choice.matching.as_slice() {
        [profile] => (Some(*profile), Vec::new()),
        several => (None, several.iter().map(|profile| profile.name.clone()).collect()),
    };
    let image = args.image.as_ref().zip(profile).map(|(image, profile)| Image {
        name: image.clone(),
        recipe: recipe::find(policy.recipes_of(profile), image).map(|recipe| recipe.name.clone()),
    });
    Explained {
        policy: policy.file.clone(),
        asked: asking.to_string(),
        git_ref: args.git_ref.clone(),
        profile: profile.map(|profile| Applying::new(policy, profile)),
        several,
        rejected: choice.rejected.into_iter().map(NotApplying::from).collect(),
        image,
    }
}

impl Applying {
    fn new(policy: &Policy, profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            key: profile.key.clone(),
            allows: profile.sentences(policy),
        }
    }
}

impl From<Rejected> for NotApplying {
    fn from(rejected: Rejected) -> Self {
        Self { name: rejected.name, key: rejected.key, reasons: rejected.reasons }
    }
}

impl Explained {
    fn outcome(&self) -> Outcome {
        let is_answered = self.image.as_ref().is_none_or(|image| image.recipe.is_some());
        if self.profile.is_some() && is_answered { Outcome::Passed } else { Outcome::Refused }
    }

    fn text(&self) -> String {
        let mut first = format!("{}: {}", self.policy.display(), self.asked);
        if let Some(git_ref) = &self.git_ref {
            first = format!("{first} (ref `{git_ref}`)");
        }
        let mut lines = vec![first, String::new()];
        match &self.profile {
            Some(Applying { name, key, allows }) => {
                lines.push(format!("Profile `{name}` ({key}) applies."));
                lines.extend(allows.iter().map(|sentence| format!("  {sentence}")));
            }
            None if self.several.is_empty() => {
                lines.push("No profile applies: the job is refused.".to_owned());
            }
            None => lines.push(format!(
                "Several profiles apply, so the job is refused: {}.",
                self.several.join(", ")
            )),
        }
        match &self.image {
            Some(Image { name, recipe: Some(recipe) }) => {
                lines.push(format!("  Image `{name}` is answered by recipe `{recipe}`."));
            }
            Some(Image { name, recipe: None }) => lines.push(format!(
                "  Image `{name}` is answered by no recipe of it: the job is refused."
            )),
            None => {}
        }
        if !self.rejected.is_empty() {
            lines.push(String::new());
        }
        for NotApplying { name, key, reasons } in &self.rejected {
            lines.push(format!("Profile `{name}` ({key}) does not apply: {}.", reasons.join("; ")));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn explained(words: &[&str]) -> Explained {
        let text = "\
profiles:
- name: performance
  match: { tags: [Dedicated], projects: ['group/*'], refs: any }
  recipes: [locust]
  load: { targets: ['*.example.com'] }
- name: production
  match: { tags: [production], projects: ['group/*'] }
";
        let policy = policy::parse(Path::new("dyno.yaml"), text).unwrap();
        let words = ["explain"].into_iter().chain(words.iter().copied());
        explain(&policy, &Line::parse_from(words).args)
    }

    #[test]
    fn the_profile_that_applies_is_told_with_what_it_allows_and_the_others_with_why_not() {
        let told = explained(&[
            "--project",
            "group/shop",
            "--tags",
            "Dedicated",
            "--ref",
            "main",
            "--image",
            "locustio/locust:2",
        ]);
        assert_eq!(told.outcome(), Outcome::Passed);
        insta::assert_snapshot!(told.text(), @r"
        dyno.yaml: project `group/shop` on an open ref with tags `Dedicated` (ref `main`)

        Profile `performance` (profiles[0]) applies.
          It is for projects `group/*`, on any ref, on a runner registered with `--tags Dedicated`.
          Scripts run in a sandbox without network, at most 2GiB of memory, 512 processes, 4096 open files a process.
          Images that are answered natively: `*/locust:*`, `*/locust`, `locustio/locust*`, `gcr.io/vmwarecloudadvocacy/locust*` (recipe locust).
          Load may go to `*.example.com`, with at most 1000 users, 5000/s, for 30m and 2m more for setup and teardown.
          It grants no metric source.
          It grants no cluster.
          Image `locustio/locust:2` is answered by recipe `locust`.

        Profile `production` (profiles[1]) does not apply: its tags are `production`, the runner's are `Dedicated`; it is for protected refs, and this one is not.
        ");
    }

    #[test]
    fn a_job_that_no_profile_is_for_is_refused() {
        let told = explained(&["--project", "other/shop", "--tags", "Dedicated"]);
        assert_eq!(told.outcome(), Outcome::Refused);
        insta::assert_snapshot!(told.text(), @r"
        dyno.yaml: project `other/shop` on an open ref with tags `Dedicated`

        No profile applies: the job is refused.

        Profile `performance` (profiles[0]) does not apply: it is for `group/*`, not for project `other/shop`.
        Profile `production` (profiles[1]) does not apply: its tags are `production`, the runner's are `Dedicated`; it is for `group/*`, not for project `other/shop`; it is for protected refs, and this one is not.
        ");
    }

    #[test]
    fn an_image_that_no_recipe_answers_is_refused() {
        let told =
            explained(&["--project", "group/shop", "--tags", "Dedicated", "--image", "alpine:3"]);
        assert_eq!(told.outcome(), Outcome::Refused);
        assert!(told.text().contains("Image `alpine:3` is answered by no recipe"));
    }

    #[test]
    fn the_json_holds_the_same() {
        let told = explained(&["--project", "group/shop", "--tags", "production"]);
        let json = serde_json::to_value(&told).unwrap();
        assert_eq!(json["profile"], serde_json::Value::Null);
        assert_eq!(json["rejected"][1]["name"], "production");
        assert_eq!(
            json["rejected"][1]["reasons"][0],
            "it is for protected refs, and this one is not"
        );
    }
}
