//! What is wrong with a kubeconfig, in words that hold nothing of it: the libraries' own errors quote
//! lines, and a line may be a token.

use std::path::Path;

use kube::client::{AuthError, RustlsTlsError};
use kube::config::{KubeconfigError, LoadDataError};

use super::{Error, Whose};
use crate::deploy::manifest;

/// A kubeconfig as messages call it.
pub(super) struct Called<'a> {
    path: &'a Path,
    whose: &'a Whose,
}

impl<'a> Called<'a> {
    pub(super) fn new(path: &'a Path, whose: &'a Whose) -> Self {
        Self { path, whose }
    }

    /// Its name in a sentence.
    pub(super) fn file(&self) -> String {
        match self.whose {
            Whose::Platforms(cluster) => format!("the kubeconfig of cluster `{cluster}`"),
            Whose::Readers => format!("kubeconfig `{}`", self.path.display()),
        }
    }

    /// Why it could not be read.
    pub(super) fn unread(&self, error: KubeconfigError) -> Error {
        let file = self.file();
        match error {
            KubeconfigError::ReadConfig(source, _) => Error::Read { file, source },
            KubeconfigError::Parse(error) => {
                let at = error.location().filter(|at| at.line() > 0);
                let at = at.map(|at| (at.line(), at.column()));
                let is_yaml =
                    std::fs::read(self.path).is_ok_and(|text| manifest::parse(&text).is_ok());
                let what = if is_yaml { "kubeconfig" } else { "valid YAML" };
                Error::Malformed { file, what, at }
            }
            error @ (KubeconfigError::CurrentContextNotSet
            | KubeconfigError::KindMismatch
            | KubeconfigError::ApiVersionMismatch
            | KubeconfigError::LoadContext(_)
            | KubeconfigError::LoadClusterOfContext(_)
            | KubeconfigError::FindPath
            | KubeconfigError::MissingClusterUrl
            | KubeconfigError::ParseClusterUrl(_)
            | KubeconfigError::ParseProxyUrl(_)
            | KubeconfigError::LoadCertificateAuthority(_)
            | KubeconfigError::LoadClientCertificate(_)
            | KubeconfigError::LoadClientKey(_)
            | KubeconfigError::ParseCertificates(_)) => {
                Error::Unusable { file, why: unloaded(&error) }
            }
        }
    }
}

/// Why what a kubeconfig says cannot be used.
pub(super) fn unloaded(error: &KubeconfigError) -> String {
    let part = |what: &str, error: &LoadDataError| match error {
        LoadDataError::DecodeBase64(_) => format!("its {what} is no base64 text"),
        LoadDataError::ReadFile(source, _) => {
            format!("the file of its {what} cannot be read ({})", source.kind())
        }
        LoadDataError::NoBase64DataOrFile => format!("it has no {what}"),
    };
    let why = match error {
        KubeconfigError::LoadCertificateAuthority(error) => {
            return part("certificate authority", error);
        }
        KubeconfigError::LoadClientCertificate(error) => return part("client certificate", error),
        KubeconfigError::LoadClientKey(error) => return part("client key", error),
        KubeconfigError::ParseCertificates(_) => "its certificate authority is no PEM text",
        KubeconfigError::MissingClusterUrl => "its cluster has no `server`",
        KubeconfigError::ParseClusterUrl(_) => "its `server` is no URL",
        KubeconfigError::ParseProxyUrl(_) => "its `proxy-url` is no URL",
        KubeconfigError::LoadContext(_) => "its context has no content",
        KubeconfigError::LoadClusterOfContext(_) => "its context names a cluster that it lacks",
        KubeconfigError::FindPath
        | KubeconfigError::ReadConfig(..)
        | KubeconfigError::Parse(_)
        | KubeconfigError::CurrentContextNotSet
        | KubeconfigError::KindMismatch
        | KubeconfigError::ApiVersionMismatch => "it cannot be read",
    };
    why.to_owned()
}

/// Why a client cannot be made of it.
pub(super) fn unconnected(error: &kube::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what else there is has nothing to be told")]
    let why = match error {
        kube::Error::RustlsTls(error) => match error {
            RustlsTlsError::InvalidIdentityPem(_) => {
                "its client certificate or its client key is no PEM text"
            }
            RustlsTlsError::MissingPrivateKey | RustlsTlsError::UnknownPrivateKeyFormat => {
                "its client key is none (it must be PKCS8, RSA or EC, in PEM)"
            }
            RustlsTlsError::MissingCertificate => "its client certificate is none",
            RustlsTlsError::InvalidPrivateKey(_) => {
                "its client key is not usable, or not the key of its client certificate"
            }
            RustlsTlsError::AddRootCertificate(_) => "its certificate authority is none",
            RustlsTlsError::NoValidNativeRootCA(_) => "the host has no certificate authorities",
            RustlsTlsError::InvalidServerName(_) => "its `tls-server-name` is no host name",
        },
        kube::Error::InferKubeconfig(error) => return unloaded(error),
        kube::Error::Auth(error) => match error {
            AuthError::InvalidBasicAuth(_) => "its user name or password cannot be sent",
            AuthError::InvalidBearerToken(_) => "its token cannot be sent",
            AuthError::ReadTokenFile(..) => "its token file cannot be read",
            _ => "its credential cannot be had",
        },
        _ => "no connection can be made of it",
    };
    why.to_owned()
}
