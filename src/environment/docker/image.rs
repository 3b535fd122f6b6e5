//! Images: looked up and pulled, in the order of the policies.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Answer;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::auth::{Auths, Whose};
use super::engine::{failed, is_missing, words};
use super::reference::Reference;
use super::spec::{Image, Pull};
use crate::environment::Error;

/// Tries of a pull that the network failed.
const TRIES: u32 = 3;

/// Makes sure that an image is here, and returns what it is.
///
/// # Errors
/// An image that does not exist or may not be pulled is the job's fault, a network or registry that
/// fails the platform's.
pub async fn get(engine: &Docker, image: &Image, auths: &Auths) -> Result<ImageInspect, Error> {
    let reference = Reference::parse(&image.name).map_err(|error| Error::Image {
        image: image.name.clone(),
        reason: error.to_string(),
        hint: "mend `image:` in .gitlab-ci.yml".to_owned(),
    })?;
    let full = reference.full();
    let mut last = None;
    for policy in &image.pull {
        let got = match policy {
            Pull::Never => look(engine, image, &full).await,
            Pull::IfNotPresent => match find(engine, &full).await? {
                Some(found) => Ok(found),
                None => pull(engine, image, &reference, auths).await,
            },
            Pull::Always => pull(engine, image, &reference, auths).await,
        };
        match got {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::Unfit {
        what: format!("no pull policy is left for image `{}`", image.name),
        hint: "give the profile's `pull` a policy".to_owned(),
    }))
}

async fn find(engine: &Docker, full: &str) -> Result<Option<ImageInspect>, Error> {
    match engine.inspect_image(full).await {
        Ok(found) => Ok(Some(found)),
        Err(answer) if is_missing(&answer) => Ok(None),
        Err(answer) => Err(failed(format!("look at image `{full}`"))(answer)),
    }
}

async fn look(engine: &Docker, image: &Image, full: &str) -> Result<ImageInspect, Error> {
    find(engine, full).await?.ok_or_else(|| Error::Image {
        image: image.name.clone(),
        reason: "it is not on this host, and the pull policy is `never`".to_owned(),
        hint: "ask the platform team to load it, or to allow another pull policy".to_owned(),
    })
}

async fn pull(
    engine: &Docker,
    image: &Image,
    reference: &Reference,
    auths: &Auths,
) -> Result<ImageInspect, Error> {
    let full = reference.full();
    let mut n_tries = 0;
    loop {
        n_tries += 1;
        let Err(answer) = pull_once(engine, image, reference, auths).await else { break };
        let told = words(&answer);
        match blame(&told) {
            Blame::Image => return Err(refused(image, reference, auths, &told)),
            Blame::Network if n_tries < TRIES => {
                tokio::time::sleep(Duration::from_secs(u64::from(n_tries))).await;
            }
            Blame::Network => return Err(failed(format!("pull image `{full}`"))(answer)),
        }
    }
    find(engine, &full).await?.ok_or_else(|| Error::Unfit {
        what: format!("image `{full}` was pulled and is not there"),
        hint: "look at the Docker daemon's log".to_owned(),
    })
}

async fn pull_once(
    engine: &Docker,
    image: &Image,
    reference: &Reference,
    auths: &Auths,
) -> Result<(), Answer> {
    let full = reference.full();
    let mut options = CreateImageOptionsBuilder::default().from_image(&full);
    if let Some(platform) = &image.platform {
        options = options.platform(platform);
    }
    let credentials = auths.find(&reference.registry);
    let mut events = engine.create_image(Some(options.build()), None, credentials);
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}

enum Blame {
    /// It is not there, or not for this job: no retry mends that.
    Image,
    /// A registry that cannot be reached, and whatever else may pass.
    Network,
}

/// Whose fault a failed pull is, by the daemon's words: it has no other way to tell.
fn blame(words: &str) -> Blame {
    const IMAGE: [&str; 9] = [
        "not found",
        "manifest unknown",
        "does not exist",
        "denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
        "no matching manifest",
        "invalid reference format",
    ];
    let words = words.to_lowercase();
    // A name that the resolver does not find is no image that the registry does not find.
    let is_network = ["no such host", "dial tcp", "timeout", "connection re", "tls", "eof"]
        .iter()
        .any(|sign| words.contains(sign));
    if !is_network && IMAGE.iter().any(|sign| words.contains(sign)) {
        Blame::Image
    } else {
        Blame::Network
    }
}

fn refused(image: &Image, reference: &Reference, auths: &Auths, told: &str) -> Error {
    let is_denied = ["denied", "unauthorized", "authentication", "credentials"]
        .iter()
        .any(|sign| told.to_lowercase().contains(sign));
    let hint = if is_denied {
        let login = format!("the login for `{}`", reference.registry);
        match auths.whose(&reference.registry) {
            None | Some(Whose::Job) => {
                format!("check the name, and {login} in the variable DOCKER_AUTH_CONFIG")
            }
            Some(Whose::Platform) => format!(
                "check the name; {login} is the platform's: ask its team, or set your own in DOCKER_AUTH_CONFIG"
            ),
            Some(Whose::Gitlab) => format!(
                "check the name, and whether this job may read that project's registry; or set {login} in DOCKER_AUTH_CONFIG"
            ),
        }
    } else {
        "check the name and tag in .gitlab-ci.yml".to_owned()
    };
    Error::Image { image: image.name.clone(), reason: told.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_pull_is_the_jobs_fault_only_where_no_retry_can_mend_it() {
        for (words, is_the_jobs) in [
            ("manifest for r/a:b not found: manifest unknown: manifest unknown", true),
            (
                "pull access denied for a, repository does not exist or may require 'docker login'",
                true,
            ),
            ("Get \"http://r/v2/\": no basic auth credentials", true),
            ("unauthorized: authentication required", true),
            ("no matching manifest for linux/arm64 in the manifest list entries", true),
            ("Get \"https://r/v2/\": dial tcp: lookup r: no such host", false),
            ("Get \"https://r/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", false),
            ("received unexpected HTTP status: 503 Service Unavailable", false),
            ("net/http: TLS handshake timeout", false),
            ("unexpected EOF", false),
        ] {
            assert_eq!(matches!(blame(words), Blame::Image), is_the_jobs, "{words}");
        }
    }
}
