//! Sinks: where a load's figures may be pushed while it runs, as written, as meant, with the
//! policy's credential.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::secrets;
use super::source::AuthEntry;
use crate::load::push::{Kind, Spec};

/// A sink: its kind with its keys.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SinkFile {
    /// Prometheus' remote write, version 1, and everything that takes it.
    RemoteWrite(SinkServerFile),
    /// OpenTelemetry's protocol over HTTP, in protobuf.
    Otlp(SinkServerFile),
}

/// Where a sink is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SinkServerFile {
    /// Where figures are posted, in full: `http://prometheus:9090/api/v1/write`,
    /// `http://collector:4318/v1/metrics`.
    pub url: String,
    /// Further headers, such as a tenant's; no secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// User of basic authentication.
    pub username: Option<String>,
    /// A file with the password of basic authentication.
    pub password_file: Option<PathBuf>,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// A sink as the policy defines it; its secrets are read where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkEntry {
    /// What it speaks.
    pub kind: Kind,
    /// Where figures are posted.
    pub url: String,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// Who pushes: a token, basic authentication or nobody, as a source has it.
    pub auth: AuthEntry,
    /// A CA certificate that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl SinkEntry {
    /// Returns what can be pushed to.
    ///
    /// # Errors
    /// When a secret cannot be read, or others can read it too.
    pub fn spec(&self, name: &str) -> Result<Spec, secrets::Error> {
        let (mut token, mut basic) = (None, None);
        match &self.auth {
            AuthEntry::Token(file) => token = Some(secrets::read(file)?),
            AuthEntry::Basic(user, file) => basic = Some((user.clone(), secrets::read(file)?)),
            // No key of a sink leads to these.
            AuthEntry::None
            | AuthEntry::Keys(_)
            | AuthEntry::ApiToken { .. }
            | AuthEntry::Client { .. }
            | AuthEntry::Signed { .. } => {}
        }
        Ok(Spec {
            name: name.to_owned(),
            kind: self.kind,
            url: self.url.clone(),
            token,
            basic,
            headers: self.headers.clone().into_iter().collect(),
            ca_file: self.ca_file.clone(),
        })
    }

    /// Returns every file of this sink that holds a secret.
    pub fn secret_files(&self) -> Vec<&Path> {
        self.auth.secret_files()
    }
}
