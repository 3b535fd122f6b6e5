//! A metric source with the policy's credential: its secrets are read here, by their files.

use std::path::PathBuf;

use super::{SourceEntry, secrets};
use crate::gate::source::Spec;
use crate::secret::Secret;

impl SourceEntry {
    /// Returns what can be connected to.
    ///
    /// # Errors
    /// When a secret cannot be read, or others can read it too.
    pub fn spec(&self) -> Result<Spec, secrets::Error> {
        let read = |file: &Option<PathBuf>| file.as_deref().map(secrets::read).transpose();
        Ok(match self {
            Self::Wavefront { url, token_file, ca_file } => Spec::Wavefront {
                url: url.clone(),
                token: read(token_file)?,
                ca_file: ca_file.clone(),
            },
            Self::Prometheus { url, headers, token_file, username, password_file, ca_file } => {
                let secret =
                    |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
                Spec::Prometheus {
                    url: url.clone(),
                    token: read(token_file)?,
                    basic: username.clone().zip(read(password_file)?),
                    headers: headers.iter().map(secret).collect(),
                    ca_file: ca_file.clone(),
                }
            }
        })
    }
}
