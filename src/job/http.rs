//! The HTTP client of everything that carries a credential: no redirects, TLS by rustls and ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

const CONNECT: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("dyno/", env!("CARGO_PKG_VERSION"));

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or cannot be read.
    #[error("cannot read the certificates in `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds no certificate, or a broken one.
    #[error("`{path}` holds no usable certificate: {why}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// TLS does not offer what is needed.
    #[error("cannot set TLS up")]
    Tls(#[source] rustls::Error),
    /// The client itself.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Returns a client for URLs that start with `base`. The system's certificates are read only for
/// `https`, since that takes longer than all else here. `ca_file` is trusted beside them.
pub fn client(base: &str, ca_file: Option<&Path>) -> Result<reqwest::Client, Error> {
    let mut roots = RootCertStore::empty();
    if !base.starts_with("http://") {
        // A broken certificate in the system's store is no reason to trust none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = ca_file {
        add(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // A redirect would take the token to whatever place the answer names.
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(AGENT)
        .build()
        .map_err(Error::Client)
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let broken = |why: String| Error::Certificates { path: path.into(), why };
    let mut n_certificates = 0_u32;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
        n_certificates += 1;
    }
    match n_certificates {
        0 => Err(broken("no `BEGIN CERTIFICATE` in it".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_made_without_a_process_wide_provider() {
        client("https://localhost", None).unwrap();
    }

    #[test]
    fn a_certificate_file_without_a_certificate_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = client("https://localhost", Some(file.path())).unwrap_err();
        assert!(error.to_string().contains("no `BEGIN CERTIFICATE`"), "{error}");
        let error = client("http://localhost", Some(Path::new("/no/such/file"))).unwrap_err();
        assert!(matches!(error, Error::Read { .. }));
    }
}
