//! TLS of the generator: the system's trust anchors and the plan's own, a certificate of its own
//! where the plan has one, and what went wrong in words that help.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use crate::load::error::Error;
use crate::load::plan::{Origin, Tls, Version};

/// What connections with TLS are made by.
#[derive(Debug)]
pub struct Agent {
    base: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    both: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Agent {
    /// Makes it from what the plan says.
    pub fn new(tls: &Tls) -> Result<Self, Error> {
        let base = config(tls)?;
        let speaks = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let server_name = tls.server_name.clone().map(ServerName::try_from).transpose();
        Ok(Self {
            http1: speaks(&[b"http/1.1"]),
            http2: speaks(&[b"h2"]),
            both: speaks(&[b"h2", b"http/1.1"]),
            base: Arc::new(base),
            server_name: server_name.map_err(|error| Error::Tls(error.to_string()))?,
        })
    }

    /// Returns the configuration for what is spoken; `None`: no HTTP.
    pub fn config(&self, version: Option<Version>) -> Arc<ClientConfig> {
        Arc::clone(match version {
            None => &self.base,
            Some(Version::One) => &self.http1,
            Some(Version::Two) => &self.http2,
            Some(Version::Auto) => &self.both,
        })
    }

    /// Returns the name that the server is asked by and must prove.
    pub fn name(&self, origin: &Origin) -> Result<ServerName<'static>, String> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(origin.host.clone()).map_err(|error| error.to_string()),
        }
    }
}

fn config(tls: &Tls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?;
    let builder = if tls.is_insecure {
        let algorithms = provider.signature_verification_algorithms;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
    } else {
        builder.with_root_certificates(roots(tls.ca.as_deref())?)
    };
    Ok(match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let wrong = |what: &str, error: &dyn std::error::Error| {
                Error::Tls(format!("the client's {what}: {error}"))
            };
            let chain: Vec<CertificateDer<'static>> = certificates(certificate)
                .map_err(|error| Error::Tls(format!("the client's certificate: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                .map_err(|error| wrong("key", &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("key", &error))?
        }
        _ => builder.with_no_client_auth(),
    })
}

fn roots(ca: Option<&str>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    // Single certificates of the system that cannot be read do not matter: without the right one
    // the handshake fails and says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let wrong = |error: String| Error::Tls(format!("the CA file: {error}"));
    for certificate in ca.map(certificates).transpose().map_err(wrong)?.into_iter().flatten() {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(Error::Tls("this machine has no trust anchors: name some by a CA file".into()));
    }
    Ok(roots)
}

/// Reads the certificates of a PEM text; there is one at least.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(none) if none.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells what is wrong with PEM texts, for whoever writes the plan: each with its key.
pub fn mistakes(tls: &Tls) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let texts = [("ca", &tls.ca), ("certificate", &tls.certificate)];
    for (key, pem) in texts.into_iter().filter_map(|(key, pem)| Some((key, pem.as_ref()?))) {
        if let Err(error) = certificates(pem) {
            found.push((key, error));
        }
    }
    if let Some(key) = &tls.key
        && PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).is_err()
    {
        found.push(("key", "there is no private key in it that can be used".to_owned()));
    }
    if tls.certificate.is_some() != tls.key.is_some() {
        found.push((
            "certificate",
            "a certificate needs its `key`, and a key its certificate".into(),
        ));
    }
    if let Some(name) = &tls.server_name
        && ServerName::try_from(name.as_str()).is_err()
    {
        found.push(("server-name", format!("`{name}` is not a host name")));
    }
    if tls.is_insecure && tls.ca.is_some() {
        found.push(("insecure", "with it nothing is verified: leave `ca` out".to_owned()));
    }
    found
}

/// Finds the error of TLS in an error of a stream.
pub fn error_in(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

/// Tells what went wrong, and what would help.
pub fn told(error: &rustls::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in its own words")]
    match error {
        rustls::Error::InvalidCertificate(wrong) => untrusted(wrong),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate: `tls: { certificate: …, key: … }`".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server wants a client certificate (`tls: { certificate: …, key: … }`), or a \
             cipher that is not spoken here"
                .to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied),
        ) => format!("the server refuses the client's certificate: {alert:?}"),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server speaks none of the HTTP versions asked for: see `http: { version: … }`"
                .to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server knows no such name: see `tls: { server-name: … }`".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "what answers speaks no TLS".to_owned(),
        other => other.to_string(),
    }
}

fn untrusted(wrong: &CertificateError) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in its own words")]
    match wrong {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by nobody known here: name its CA by \
             `tls: { ca: … }` or --ca-file"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is for {}, not for {}: see `tls: {{ server-name: … }}`",
            presented.join(", "),
            expected.to_str()
        ),
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: see `tls: { server-name: … }`".to_owned()
        }
        other => format!("the server's certificate cannot be trusted: {other:?}"),
    }
}

/// Takes whoever answers: only on request, and told loudly.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
