//! TLS with certificates made here: right ones, and each kind of wrong one told by what it is.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::support::{Asked, Ran, Server, echo, pin, plan, run, text};
use crate::load::{Event, Plan};
use crate::secret::Secret;

/// A certificate authority and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns certificate and key, PEM.
    fn sign(&self, name: &str, is_expired: bool) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A server with a certificate; it wants one of the client's where a CA is named, and speaks what
/// it is asked for first.
async fn server(
    (certificate, key): (String, String),
    client_ca: Option<&str>,
    alpn: &[&str],
) -> Server {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (log, answer) = (Arc::default(), Arc::new(|_: &Asked| text(200, "{\"a\":1}")));
    let asked = Arc::clone(&log);
    let mut server = Server::raw(move |stream: TcpStream| {
        let (acceptor, log, answer) = (acceptor.clone(), Arc::clone(&log), Arc::clone(&answer));
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = hyper::service::service_fn(move |request| {
                echo(request, Arc::clone(&log), Arc::clone(&answer))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let builder = hyper_util::server::conn::auto::Builder::new(executor);
            let stream = hyper_util::rt::TokioIo::new(stream);
            drop(builder.serve_connection(stream, service).await);
        }
    })
    .await;
    server.asked = asked;
    server
}

const PLAN: &str = "target: https://localhost:$PORT\n\
    load: { users: 2, spawn-rate: 1000, duration: 200ms, think: 20ms, timeout: 2s }\n\
    journeys: [{ steps: [{ get: /x, save: { a: $.a } }] }]";

fn with(server: &Server, more: &str, change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = plan(&format!("{PLAN}\n{more}"), server.port);
    change(&mut plan);
    pin(&mut plan);
    plan
}

#[track_caller]
fn good(ran: &Ran) {
    assert!(
        ran.summary.requests.count > 0 && ran.summary.requests.failed == 0,
        "{:?}",
        ran.summary.errors
    );
    assert!(ran.summary.connections.tls.max > 0.0 && ran.summary.connections.count >= 1);
}

#[track_caller]
fn wrong(ran: &Ran, says: &str) {
    assert_eq!(ran.summary.requests.failed, ran.summary.requests.count);
    assert!(ran.summary.errors[0].text.contains(says), "{:?}", ran.summary.errors);
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_ca_alone_and_each_wrong_one_says_what_it_is() {
    let (ours, other) = (Authority::new(), Authority::new());
    let ca = |pem: &str| {
        let pem = pem.to_owned();
        move |plan: &mut Plan| plan.tls.ca = Some(pem)
    };
    let server = server(ours.sign("localhost", false), None, &[]).await;
    good(&run(&with(&server, "", ca(&ours.pem))).await);
    wrong(
        &run(&with(&server, "", ca(&other.pem))).await,
        "signed by nobody known here: name its CA",
    );
    wrong(&run(&with(&server, "", |_| ())).await, "signed by nobody known here");
    // Only on request, and told loudly.
    let ran = run(&with(&server, "tls: { insecure: true }", |_| ())).await;
    good(&ran);
    let is_told =
        |event: &Event| matches!(event, Event::Warning(text) if text.contains("not verified"));
    assert!(ran.events.iter().any(is_told));
    assert!(ran.summary.reasons.iter().any(|why| why.contains("certificates were not verified")));
    let expired = self::server(ours.sign("localhost", true), None, &[]).await;
    wrong(&run(&with(&expired, "", ca(&ours.pem))).await, "the server's certificate has expired");
    let named = self::server(ours.sign("shop.example", false), None, &[]).await;
    wrong(
        &run(&with(&named, "", ca(&ours.pem))).await,
        "is for DnsName(\"shop.example\"), not for localhost",
    );
    good(&run(&with(&named, "tls: { server-name: shop.example }", ca(&ours.pem))).await);
    let plain = Server::http(|_| text(200, "")).await;
    wrong(&run(&with(&plain, "", ca(&ours.pem))).await, "what answers speaks no TLS");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_wanted() {
    let (ours, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let server = server(ours.sign("localhost", false), Some(&clients.pem), &[]).await;
    let client = |authority: Option<&Authority>| {
        let signed = authority.map(|authority| authority.sign("client", false));
        let ca = ours.pem.clone();
        move |plan: &mut Plan| {
            plan.tls.ca = Some(ca);
            if let Some((certificate, key)) = signed {
                plan.tls.certificate = Some(certificate);
                plan.tls.key = Some(Secret::new(key));
            }
        }
    };
    good(&run(&with(&server, "", client(Some(&clients)))).await);
    wrong(&run(&with(&server, "", client(None))).await, "the server wants a client certificate");
    wrong(&run(&with(&server, "", client(Some(&other)))).await, "refuses the client's certificate");
}

#[tokio::test]
async fn tls_agrees_on_the_http_version() {
    let ours = Authority::new();
    let ca = |plan: &mut Plan| plan.tls.ca = Some(ours.pem.clone());
    let both = server(ours.sign("localhost", false), None, &["h2", "http/1.1"]).await;
    for (version, is_two) in [("1", false), ("2", true), ("auto", true)] {
        both.asked.lock().unwrap().clear();
        let more = format!("http: {{ version: {version} }}");
        good(&run(&with(&both, &more, ca)).await);
        let asked = both.asked.lock().unwrap();
        assert!(asked.iter().all(|asked| asked.line.contains("https://") == is_two), "{version}");
    }
    let old = server(ours.sign("localhost", false), None, &["http/1.1"]).await;
    good(&run(&with(&old, "http: { version: auto, streams: 4 }", ca)).await);
    wrong(&run(&with(&old, "http: { version: 2 }", ca)).await, "speaks none of the HTTP versions");
    let silent = server(ours.sign("localhost", false), None, &[]).await;
    wrong(&run(&with(&silent, "http: { version: 2 }", ca)).await, "does not offer HTTP/2");
}
