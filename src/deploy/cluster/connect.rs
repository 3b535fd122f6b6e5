//! From a [`ClusterSpec`] to a live [`Cluster`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{AuthError, Body, ConfigExt};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::Error;
use super::lane::Wire;
use super::lanes::{Lanes, Opener, mirror};
use super::resolve::Resolver;
use super::spec::{Access, ClusterSpec, OwnCluster, Whose};
use super::tickets::Tickets;
use super::trouble::{Called, unconnected, unloaded};

const CONNECT: Duration = Duration::from_secs(10);

/// Sends one request, as somebody.
pub(super) type Service =
    BoxCloneSyncService<http::Request<Body>, http::Response<Content>, tower::BoxError>;

/// An answer's body, read piece by piece.
pub type Content = UnsyncBoxBody<Bytes, Broken>;

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Broken(tower::BoxError);

/// A live connection to a cluster's API server, as somebody.
#[derive(Clone)]
pub struct Cluster {
    /// For what kube does itself: commands in pods.
    pub(super) client: kube::Client,
    /// For answers that are read piece by piece.
    pub(super) service: Service,
    /// For all others.
    pub(super) lanes: Arc<Lanes>,
    /// `127.0.0.1:6443`, as kubectl's errors name it.
    pub(super) host: String,
    /// `https://127.0.0.1:6443`.
    pub(super) server: String,
    pub(super) namespace: String,
    pub(super) fenced: bool,
    pub(super) guarded: bool,
}

impl Cluster {
    /// The namespace of requests that name none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// True when the way to the server and back is short: its quickest answer took no more than 5 ms.
    pub fn is_near(&self) -> bool {
        self.lanes.is_near()
    }

    /// True when only declared touches may be sent.
    pub fn fenced(&self) -> bool {
        self.fenced
    }

    /// True when what a patch makes of an object is looked at before it is done.
    pub fn guarded(&self) -> bool {
        self.guarded
    }
}

/// Makes a connection ready; the first request opens it.
pub async fn connect(spec: &ClusterSpec) -> Result<Cluster, Error> {
    let (kubeconfig, context, file, may_name) = match &spec.access {
        Access::Kubeconfig { path, context, whose } => {
            let called = Called::new(path, whose);
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| called.unread(error))?;
            (kubeconfig, context.clone(), called.file(), *whose == Whose::Readers)
        }
        Access::Own(own) => {
            let file = "the job's own kubeconfig".to_owned();
            (own_kubeconfig(own, &file)?, None, file, true)
        }
    };
    let read = Read { kubeconfig: &kubeconfig, file: &file, may_name };
    let context = read.chosen(context)?;
    read.refuse_plugins(&context)?;
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let unusable = |why: String| Error::Unusable { file: file.clone(), why };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| unusable(unloaded(&error)))?;
    config.default_retry = false;
    if let Some(whom) = &spec.impersonate {
        config.auth_info.impersonate = Some(whom.user.clone());
        config.auth_info.impersonate_groups = Some(whom.groups.clone());
    }
    let namespace = spec.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let (host, server) = told(&config.cluster_url);
    let default = config.default_namespace.clone();
    let (service, lanes) = ways(&config).map_err(|error| unusable(unconnected(&error)))?;
    let client = kube::Client::new(service.clone(), default);
    let (fenced, guarded, lanes) = (spec.fenced, spec.guarded, Arc::new(lanes));
    Ok(Cluster { client, service, lanes, host, server, namespace, fenced, guarded })
}

/// An address as it is told, `HOST:PORT` and whole: without a user and a password in it.
fn told(url: &http::Uri) -> (String, String) {
    let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let server = format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path());
    (host.to_owned(), server.trim_end_matches('/').to_owned())
}

/// A kubeconfig as read, and what its messages may say.
struct Read<'a> {
    kubeconfig: &'a Kubeconfig,
    file: &'a str,
    /// True where its names may be told.
    may_name: bool,
}

impl Read<'_> {
    fn chosen(&self, context: Option<String>) -> Result<String, Error> {
        let file = self.file.to_owned();
        let current = || self.kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let Some(context) = context.or_else(current) else {
            return Err(Error::NoCurrent { file });
        };
        let names: Vec<&str> =
            self.kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        if names.contains(&context.as_str()) {
            return Ok(context);
        }
        let known = format!("; it has: {}", names.join(", "));
        let known = if self.may_name { known } else { String::new() };
        Err(Error::NoContext { file, context, known })
    }

    fn refuse_plugins(&self, context: &str) -> Result<(), Error> {
        let user = self
            .kubeconfig
            .contexts
            .iter()
            .find(|named| named.name == context)
            .and_then(|named| named.context.as_ref())
            .and_then(|context| context.user.clone())
            .unwrap_or_default();
        let named = self.kubeconfig.auth_infos.iter().find(|named| named.name == user);
        let Some(auth) = named.and_then(|named| named.auth_info.as_ref()) else { return Ok(()) };
        let plugin = match (&auth.exec, &auth.auth_provider) {
            (Some(exec), _) => format!("exec {}", exec.command.as_deref().unwrap_or_default()),
            (None, Some(provider)) => format!("auth-provider {}", provider.name),
            (None, None) => return Ok(()),
        };
        let plugin = format!(" (user `{user}`: {plugin})");
        let plugin = if self.may_name { plugin } else { String::new() };
        Err(Error::Plugin { file: self.file.to_owned(), plugin })
    }
}

/// A kubeconfig of plain data: no path in it, no program.
fn own_kubeconfig(own: &OwnCluster, file: &str) -> Result<Kubeconfig, Error> {
    let base64 = |text: &str| {
        use base64::Engine;
        Value::String(base64::engine::general_purpose::STANDARD.encode(text))
    };
    let secret = |secret: &Option<crate::secret::Secret>| {
        secret.as_ref().map(|secret| Value::String(secret.reveal().clone()))
    };
    let mut cluster = json!({
        "server": own.server,
        "insecure-skip-tls-verify": own.insecure,
        "tls-server-name": own.tls_server_name,
        "certificate-authority-data": own.ca.as_deref().map(base64),
    });
    let groups = (!own.impersonate_groups.is_empty()).then_some(&own.impersonate_groups);
    let mut user = json!({
        "token": secret(&own.token),
        "username": own.username,
        "password": secret(&own.password),
        "client-certificate-data": own.certificate.as_deref().map(base64),
        "client-key-data": own.key.as_ref().map(|key| base64(key.reveal())),
        "as": own.impersonate,
        "as-uid": own.impersonate_uid,
        "as-groups": groups,
    });
    for part in [&mut cluster, &mut user] {
        if let Value::Object(map) = part {
            map.retain(|_, value| !value.is_null());
        }
    }
    let context = json!({"cluster": "own", "user": "own", "namespace": own.namespace});
    serde_json::from_value(json!({
        "clusters": [{"name": "own", "cluster": cluster}],
        "users": [{"name": "own", "user": user}],
        "contexts": [{"name": own.context, "context": context}],
        "current-context": own.context,
    }))
    // The text of the library's error could quote what it was given.
    .map_err(|_| Error::Malformed { file: file.to_owned(), what: "kubeconfig", at: None })
}

/// The ways to the server, without kube's queue before them: that would cost a task and two wake-ups a
/// request.
fn ways(config: &Config) -> Result<(Service, Lanes), kube::Error> {
    // The first to install one wins; all of dyno installs the same.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut http = HttpConnector::new_with_resolver(Resolver);
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let https = config.rustls_https_connector_with_connector(http.clone())?;
    let opener = opener(config, http)?;
    let client =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https);
    if let Some(token) = &config.auth_info.token {
        // The layer panics at a token that is no header's value, such as one of two lines.
        http::HeaderValue::try_from(token.expose_secret())
            .map_err(|error| kube::Error::Auth(AuthError::InvalidBearerToken(error)))?;
    }
    let client = client.map_err(tower::BoxError::from).map_response(boxed);
    let dresser = dressed(config, tower::service_fn(mirror))?;
    Ok((dressed(config, client)?, Lanes::new(opener, dresser)))
}

/// What opens the lanes.
fn opener(config: &Config, http: HttpConnector<Resolver>) -> Result<Opener, kube::Error> {
    let mut tls = config.rustls_client_config()?;
    tls.resumption = Resumption::store(Arc::new(Tickets::default()));
    let tls = TlsConnector::from(Arc::new(tls));
    let name: Option<Arc<str>> = config.tls_server_name.as_deref().map(Arc::from);
    let opener = tower::service_fn(move |uri| opened(http.clone(), tls.clone(), name.clone(), uri));
    Ok(BoxCloneSyncService::new(opener))
}

/// A connection to a server, whose certificate must carry `name`, else the server's own.
async fn opened(
    http: HttpConnector<Resolver>,
    tls: TlsConnector,
    name: Option<Arc<str>>,
    uri: http::Uri,
) -> Result<Box<dyn Wire>, tower::BoxError> {
    let stream = http.oneshot(uri.clone()).await?.into_inner();
    if uri.scheme_str() != Some("https") {
        return Ok(Box::new(stream));
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.as_deref().unwrap_or(host).to_owned())?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// A service whose requests carry what the kubeconfig says: the server, a token, whom to be.
fn dressed<S, B>(
    config: &Config,
    service: S,
) -> Result<BoxCloneSyncService<http::Request<Body>, http::Response<B>, tower::BoxError>, kube::Error>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<B>, Error = tower::BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(service);
    Ok(BoxCloneSyncService::new(service))
}

fn boxed<B>(response: http::Response<B>) -> http::Response<Content>
where
    B: BodyExt<Data = Bytes, Error: Into<tower::BoxError>> + Send + 'static,
{
    response.map(|body| body.map_err(|error| Broken(error.into())).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn read(kubeconfig: &Kubeconfig) -> Read<'_> {
        Read { kubeconfig, file: "kubeconfig `f`", may_name: true }
    }

    fn kubeconfig(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
    }

    #[test]
    fn a_kubeconfig_with_a_program_is_refused() {
        let kubeconfig = kubeconfig(
            "users: [{name: u, user: {exec: {apiVersion: v1, command: aws}}}]\n\
             contexts: [{name: c, context: {cluster: x, user: u}}]\n",
        );
        let error = read(&kubeconfig).refuse_plugins("c").unwrap_err().to_string();
        assert!(error.contains("exec aws"), "{error}");
    }

    #[test]
    fn a_context_must_be_there_and_is_named_when_not() {
        let kubeconfig = kubeconfig("contexts: [{name: a}, {name: b}]\n");
        let read = read(&kubeconfig);
        assert!(matches!(read.chosen(None), Err(Error::NoCurrent { .. })));
        let error = read.chosen(Some("c".to_owned())).unwrap_err().to_string();
        assert_eq!(error, "kubeconfig `f` has no context `c`; it has: a, b");
        assert_eq!(read.chosen(Some("b".to_owned())).unwrap(), "b");
    }

    /// All that can be seen of an error: its text, its causes, its Debug form.
    async fn seen(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let whose = Whose::Platforms("lab".to_owned());
        let access = Access::Kubeconfig { path, context: None, whose };
        let spec =
            ClusterSpec { access, impersonate: None, namespace: None, fenced: true, guarded: true };
        let Err(error) = connect(&spec).await else { panic!("it is usable:\n{text}") };
        let mut seen = format!("{error}\n{error:?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            write!(seen, "\n{next}\n{next:?}").unwrap();
            cause = next.source();
        }
        seen
    }

    /// A kubeconfig with a user and a cluster of one's own making.
    fn with(cluster: &str, user: &str) -> String {
        format!(
            "clusters: [{{name: SUPERSECRET, cluster: {{{cluster}}}}}]\n\
             users: [{{name: SUPERSECRET, user: {{{user}}}}}]\n\
             contexts: [{{name: SUPERSECRET, context: {{cluster: SUPERSECRET, user: SUPERSECRET}}}}]\n\
             current-context: SUPERSECRET\n"
        )
    }

    /// The base64 of a PEM text that is none.
    const NOT_PEM: &str =
        "LS0tLS1CRUdJTiBTVVBFUlNFQ1JFVC0tLS0tClNVUEVSU0VDUkVUCi0tLS0tRU5EIFgtLS0tLQo=";

    /// Kubeconfigs that are wrong, each with what is told of it.
    fn wrong() -> Vec<(String, &'static str)> {
        let server = "server: 'https://a'";
        let pem = |text: &str| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(text)
        };
        let key = "-----BEGIN PRIVATE KEY-----\nU1VQRVJTRUNSRVQ=\n-----END PRIVATE KEY-----\n";
        let certificate =
            "-----BEGIN CERTIFICATE-----\nU1VQRVJTRUNSRVQ=\n-----END CERTIFICATE-----\n";
        let data = "client-certificate-data";
        vec![
            (
                "users:\n- name: u\n  user:\n    token: SUPERSECRET\n   bad: [SUPERSECRET\n"
                    .to_owned(),
                "the kubeconfig of cluster `lab` is no valid YAML (line 5, column 4)",
            ),
            (
                "users: SUPERSECRET\n".to_owned(),
                "cluster `lab` is no kubeconfig (line 1, column 8)",
            ),
            (
                "users: [{name: a, user: {token: [SUPERSECRET]}}]\n".to_owned(),
                "cluster `lab` is no kubeconfig (line 1, column 33)",
            ),
            ("current-context: a\ncontexts: [{name: SUPERSECRET}]".to_owned(), "no context `a`"),
            (with("server: 'SUPERSECRET:// b'", "token: SUPERSECRET"), "its `server` is no URL"),
            (with("", "token: SUPERSECRET"), "its cluster has no `server`"),
            (with(server, "exec: {command: SUPERSECRET}"), "from a program, which"),
            (with(server, "token: \"SUPER\\nSECRET\""), "its token cannot be sent"),
            (
                with(&format!("{server}, certificate-authority-data: SUPERSECRET!"), ""),
                "its certificate authority is no base64 text",
            ),
            (
                with(&format!("{server}, certificate-authority: /SUPERSECRET"), ""),
                "the file of its certificate authority cannot be read (entity not found)",
            ),
            (
                with(&format!("{server}, certificate-authority-data: {NOT_PEM}"), ""),
                "its certificate authority is no",
            ),
            (
                with(server, &format!("{data}: {}, client-key-data: SUPERSECRET!", pem("a"))),
                "its client key is no base64 text",
            ),
            (
                with(server, &format!("{data}: {}, client-key-data: {NOT_PEM}", pem(certificate))),
                "its client certificate or its client key is no PEM text",
            ),
            (
                with(
                    server,
                    &format!("{data}: {}, client-key-data: {}", pem(certificate), pem(key)),
                ),
                "its client key is not usable",
            ),
        ]
    }

    #[tokio::test]
    async fn nothing_of_a_platforms_kubeconfig_is_in_an_error() {
        for (text, told) in wrong() {
            let seen = seen(&text).await;
            assert!(seen.contains(told), "`{told}` of\n{text}\nis not in\n{seen}");
            for secret in ["SUPERSECRET", "U1VQRVJTRUNSRVQ", NOT_PEM] {
                assert!(!seen.contains(secret), "{text}\n{seen}");
            }
        }
    }

    #[test]
    fn an_address_is_told_without_the_password_in_it() {
        for (url, expected) in [
            ("https://a:6443", ("a:6443", "https://a:6443")),
            ("https://u:SUPERSECRET@a:6443/k8s/", ("a:6443", "https://a:6443/k8s")),
        ] {
            let (host, server) = told(&url.parse().unwrap());
            assert_eq!((host.as_str(), server.as_str()), expected);
        }
    }
}
