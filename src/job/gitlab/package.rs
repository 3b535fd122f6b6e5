//! The generic package registry, which takes a job's token: small files of a project.

use reqwest::{Method, StatusCode};

use super::{Error, Gitlab, Token, refusal};
use crate::secret::Secret;

/// A file of a package: its package, version and name.
pub type File<'a> = (&'a str, &'a str, &'a str);

impl Gitlab {
    /// Reads the newest file of that name; `None` where there is none.
    ///
    /// # Errors
    /// When GitLab does not answer, or refuses.
    pub async fn package(
        &self,
        token: &Secret,
        project: u64,
        file: File<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let url = self.package_url(project, file);
        let reply = self.send(Method::GET, &url, &Token::Job(token), None).await?;
        match reply.code {
            StatusCode::NOT_FOUND => Ok(None),
            code if code.is_success() => Ok(Some(reply.body)),
            _ => Err(refusal(Method::GET, &url, &reply)),
        }
    }

    /// Writes a file; one of the same name is kept beside it, and the newest one is read.
    ///
    /// # Errors
    /// When GitLab does not answer, or refuses.
    pub async fn put_package(
        &self,
        token: &Secret,
        project: u64,
        file: File<'_>,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let url = self.package_url(project, file);
        let body = super::Body::Bytes(bytes);
        let reply = self.send_body(Method::PUT, &url, &Token::Job(token), &body).await?;
        if reply.code.is_success() { Ok(()) } else { Err(refusal(Method::PUT, &url, &reply)) }
    }

    fn package_url(&self, project: u64, (package, version, name): File<'_>) -> reqwest::Url {
        self.url(&["projects", &project.to_string(), "packages", "generic", package, version, name])
    }
}
