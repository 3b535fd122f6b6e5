//! Where a job's scripts run: decided by its image and its profile, before anything is made.

mod sandbox;
mod docker;

use crate::environment::Spec;
use crate::error::{Error, Result};
use crate::policy::recipe::{self, Recipe};
use crate::policy::{DockerRule, NetworkRule, Profile, SandboxRule};
use crate::unit::Size;

use super::call::Call;

/// Where a job's scripts run.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In the sandbox; a recipe answers the job's image, where it has one.
    Sandbox(&'a SandboxRule, Option<&'a Recipe>),
    /// In containers, of this image.
    Docker(&'a DockerRule, &'a str),
}

/// Limits at which a script is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory.
    pub memory: Option<Size>,
    /// What the job may hold on the disk.
    pub disk: Option<Size>,
}

impl<'a> Place<'a> {
    /// Decides for a job.
    ///
    /// # Errors
    /// When neither environment of the profile takes its image.
    pub fn of(call: &'a Call, profile: &'a Profile) -> Result<Self> {
        let rule = &profile.environment;
        let Some(image) = &call.job.image else {
            return match (&rule.sandbox, &rule.docker) {
                (Some(sandbox), _) => Ok(Self::Sandbox(sandbox, None)),
                (None, Some(docker)) => match &docker.default_image {
                    Some(image) => Ok(Self::Docker(docker, image)),
                    None => Err(Error::refused("the job names no image").hint(
                        "add `image:` to the job, or ask the platform team for `default-image`",
                    )),
                },
                (None, None) => Err(Error::system("the profile has no environment")),
            };
        };
        let recipe = recipe::find(call.policy.recipes_of(profile), &image.name);
        if let (Some(sandbox), Some(recipe)) = (&rule.sandbox, recipe) {
            return Ok(Self::Sandbox(sandbox, Some(recipe)));
        }
        match &rule.docker {
            Some(docker) if docker.images.iter().any(|glob| glob.matches(&image.name)) => {
                Ok(Self::Docker(docker, &image.name))
            }
            Some(docker) => Err(docker::refused(profile, "images", &docker.images, &image.name)),
            None => Err(no_recipe(call, profile, &image.name)),
        }
    }

    /// What the environment is to be.
    ///
    /// # Errors
    /// When a service is not allowed, or a login cannot be read.
    pub fn spec(self, call: &Call) -> Result<Spec> {
        match self {
            Self::Sandbox(rule, recipe) => Ok(sandbox::spec(call, rule, recipe)),
            Self::Docker(rule, image) => docker::spec(call, rule, image),
        }
    }

    /// What the job may use.
    pub fn limits(self) -> Limits {
        match self {
            Self::Sandbox(rule, _) => Limits { memory: rule.memory, disk: None },
            Self::Docker(rule, _) => Limits { memory: Some(rule.memory), disk: rule.disk },
        }
    }

    /// What the job log says of it.
    pub fn describe(self, call: &Call) -> String {
        let mut text = match self {
            Self::Sandbox(rule, recipe) => sandbox::describe(call, rule, recipe),
            Self::Docker(rule, _) => docker::describe(rule),
        };
        let has_network = match self {
            Self::Sandbox(..) => !self.is_relayed(),
            Self::Docker(rule, _) => rule.has_network,
        };
        if !has_network && call.policy.gitlab.is_none() {
            text.push_str(
                "\u{1b}[0;33mWARNING: the policy names no GitLab, so git, cache and artifact stages of \
                 this job reach none: the platform team can add `gitlab: { url: … }`.\u{1b}[0;m\n",
            );
        }
        text
    }

    /// True where git, cache and artifact stages reach GitLab through the driver alone.
    pub fn is_relayed(self) -> bool {
        match self {
            Self::Sandbox(rule, _) => rule.network == NetworkRule::None,
            // The helper has no network, whatever the job's own container reaches.
            Self::Docker(..) => true,
        }
    }
}

fn no_recipe(call: &Call, profile: &Profile, image: &str) -> Error {
    let names =
        if profile.recipes.is_empty() { "none".to_owned() } else { profile.recipes.join(", ") };
    Error::refused(format!(
        "no image recipe of profile `{}` answers image `{image}` (it has: {names}), and the sandbox pulls no images",
        profile.name
    ))
    .hint(if call.policy.file.as_os_str().is_empty() {
        "start Docker, or remove `image:` from the job: without a daemon that lets you in, no image \
         can be used"
    } else {
        "remove `image:` from the job, or ask the platform team for a recipe that answers it, or for \
         `docker` in the profile's environment"
    })
}
