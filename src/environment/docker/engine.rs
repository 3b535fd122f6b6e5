//! The Docker daemon: how it is reached, and what its errors mean.

use std::path::Path;

use bollard::Docker;
use bollard::errors::Error as Answer;

use crate::environment::Error;

/// Seconds that one call may take; pulls stream and are not bound by it.
const LONGEST: u64 = 120;

/// The first API with all that is asked here: Docker 20.10.
const NEEDED: (usize, usize) = (1, 41);

/// Connects to a daemon and agrees on an API with it.
///
/// # Errors
/// When it does not answer, or is too old.
pub async fn connect(socket: &Path) -> Result<Docker, Error> {
    let away =
        |source: Answer| Error::Daemon { socket: socket.to_owned(), source: Box::new(source) };
    let path = socket.display().to_string();
    let engine = Docker::connect_with_unix(&path, LONGEST, bollard::API_DEFAULT_VERSION)
        .map_err(away)?
        .negotiate_version()
        .await
        .map_err(away)?;
    let version = engine.client_version();
    if (version.major_version, version.minor_version) < NEEDED {
        return Err(Error::Unfit {
            what: format!("the Docker daemon speaks API {version}, which is too old"),
            hint: "install Docker 20.10 or later on the runner's host".to_owned(),
        });
    }
    Ok(engine)
}

/// Wraps an answer that nothing of the job explains.
pub fn failed(action: impl Into<String>) -> impl FnOnce(Answer) -> Error {
    let action = action.into();
    move |source| Error::Docker { action, source: Box::new(source) }
}

/// The daemon's own words.
pub fn words(answer: &Answer) -> String {
    if let Answer::DockerResponseServerError { message: words, .. }
    | Answer::DockerStreamError { error: words } = answer
    {
        words.clone()
    } else {
        answer.to_string()
    }
}

/// Wraps an answer that the job's own image or options may explain.
pub fn refused(answer: Answer, action: &str, image: &str, hint: &str) -> Error {
    if is_the_jobs(&answer) {
        let (image, hint) = (image.to_owned(), hint.to_owned());
        return Error::Image { image, reason: words(&answer), hint };
    }
    failed(format!("{action} of image `{image}`"))(answer)
}

/// What no other daemon would answer otherwise. The rest may pass.
fn is_the_jobs(answer: &Answer) -> bool {
    // As the daemon says it of a user that the image does not have.
    const WORDS: [&str; 2] = ["unable to find user", "unable to find group"];
    let Answer::DockerResponseServerError { status_code, message } = answer else { return false };
    matches!(status_code, 400 | 404) || WORDS.iter().any(|words| message.contains(words))
}

/// True where the daemon says that there is no such thing.
pub fn is_missing(answer: &Answer) -> bool {
    matches!(answer, Answer::DockerResponseServerError { status_code: 404, .. })
}
