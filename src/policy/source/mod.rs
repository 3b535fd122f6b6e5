//! A metric source with the policy's credential: its secrets are read here, by their files.

pub mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::secrets;
use crate::gate::source::{Auth, Dialect, Grant, GrantKind, Key, Kind, Signer, Spec};
use crate::secret::Secret;

/// A metric source as the policy defines it; its secrets are read where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// What it speaks.
    pub dialect: Dialect,
    /// Base URL; empty for what is asked through a cluster.
    pub url: String,
    /// Further headers, such as a tenant's.
    pub headers: BTreeMap<String, String>,
    /// How it knows who asks.
    pub auth: AuthEntry,
    /// A CA certificate that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a source knows who asks; secrets by their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AuthEntry {
    /// It does not, or the job's own token says it.
    #[default]
    None,
    /// One token, in the header that the kind of source wants.
    Token(PathBuf),
    /// Several headers.
    Keys(Vec<(&'static str, PathBuf)>),
    /// Basic authentication.
    Basic(String, PathBuf),
    /// VMware Cloud Services: an API token is exchanged for an access token.
    ApiToken {
        /// Where.
        url: String,
        /// The API token.
        file: PathBuf,
    },
    /// `OAuth2` client credentials.
    Client {
        /// The token endpoint.
        url: String,
        /// Who asks.
        id: String,
        /// Its secret.
        secret_file: PathBuf,
        /// What for.
        scope: Option<String>,
    },
    /// AWS Signature Version 4.
    Signed {
        /// `eu-central-1`
        region: String,
        /// `monitoring`, `aps`
        service: &'static str,
        /// The key's public half.
        access_key: String,
        /// The key's secret half.
        secret_file: PathBuf,
        /// Of temporary credentials.
        session_file: Option<PathBuf>,
    },
}

impl AuthEntry {
    /// Returns every file that holds a secret.
    pub fn secret_files(&self) -> Vec<&Path> {
        match self {
            Self::None => Vec::new(),
            Self::Token(file)
            | Self::Basic(_, file)
            | Self::ApiToken { file, .. }
            | Self::Client { secret_file: file, .. } => vec![file],
            Self::Keys(keys) => keys.iter().map(|(_, file)| file.as_path()).collect(),
            Self::Signed { secret_file, session_file, .. } => {
                std::iter::once(secret_file).chain(session_file).map(PathBuf::as_path).collect()
            }
        }
    }
}

/// Where runs are kept that later ones are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineEntry {
    /// A folder on this host.
    Directory(PathBuf),
    /// The project's generic package registry, with the job's token.
    Packages,
    /// A bucket of an S3-compatible store.
    Bucket(Box<BucketEntry>),
}

/// A bucket with the policy's credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEntry {
    /// Its server and who signs.
    pub source: SourceEntry,
    /// Its name.
    pub bucket: String,
    /// What stands before every key.
    pub prefix: String,
}

impl SourceEntry {
    /// What kind of source it is.
    pub fn kind(&self) -> Kind {
        self.dialect.kind()
    }

    /// Returns every file of this source that holds a secret.
    pub fn secret_files(&self) -> Vec<&Path> {
        self.auth.secret_files()
    }

    /// Returns where it is, for people.
    pub fn place(&self) -> String {
        match &self.dialect {
            Dialect::Pods { cluster, .. } => format!("cluster `{cluster}`"),
            Dialect::Wavefront
            | Dialect::Prometheus
            | Dialect::Influx1 { .. }
            | Dialect::Influx2 { .. }
            | Dialect::Graphite
            | Dialect::Datadog
            | Dialect::CloudWatch
            | Dialect::NewRelic { .. }
            | Dialect::Dynatrace
            | Dialect::Json(_)
            | Dialect::OpenMetrics => self.url.clone(),
        }
    }

    /// Returns what can be connected to.
    ///
    /// # Errors
    /// When a secret cannot be read, or others can read it too.
    pub fn spec(&self) -> Result<Spec, secrets::Error> {
        let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
        Ok(Spec {
            dialect: self.dialect.clone(),
            url: self.url.clone(),
            auth: self.auth()?,
            headers: self.headers.iter().map(secret).collect(),
            ca_file: self.ca_file.clone(),
        })
    }

    fn auth(&self) -> Result<Auth, secrets::Error> {
        Ok(match &self.auth {
            AuthEntry::None => Auth::None,
            AuthEntry::Token(file) => {
                let secret = secrets::read(file)?;
                let (header, prefix) =
                    self.dialect.token_header().unwrap_or(("authorization", "Bearer "));
                Auth::Keys(vec![Key { header, prefix, secret }])
            }
            AuthEntry::Keys(keys) => {
                let mut read = Vec::with_capacity(keys.len());
                for (header, file) in keys {
                    read.push(Key { header, prefix: "", secret: secrets::read(file)? });
                }
                Auth::Keys(read)
            }
            AuthEntry::Basic(user, file) => Auth::Basic(user.clone(), secrets::read(file)?),
            AuthEntry::ApiToken { url, file } => {
                let asks = GrantKind::ApiToken(secrets::read(file)?);
                Auth::Grant(Grant { url: url.clone(), asks })
            }
            AuthEntry::Client { url, id, secret_file, scope } => {
                let secret = secrets::read(secret_file)?;
                let asks = GrantKind::Client { id: id.clone(), secret, scope: scope.clone() };
                Auth::Grant(Grant { url: url.clone(), asks })
            }
            AuthEntry::Signed { region, service, access_key, secret_file, session_file } => {
                Auth::Signed(Signer {
                    region: region.clone(),
                    service: (*service).to_owned(),
                    access_key: access_key.clone(),
                    secret_key: secrets::read(secret_file)?,
                    session: session_file.as_deref().map(secrets::read).transpose()?,
                })
            }
        })
    }
}
