//! From a [`ClusterSpec`] to a live [`Cluster`].

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::Error;
use super::resolve::Resolver;
use super::spec::{Access, ClusterSpec, OwnCluster};

const CONNECT: Duration = Duration::from_secs(10);

/// A live connection to a cluster's API server, as somebody.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: kube::Client,
    /// `127.0.0.1:6443`, as kubectl's errors name it.
    pub(super) host: String,
    /// `https://127.0.0.1:6443`.
    pub(super) server: String,
    pub(super) namespace: String,
    pub(super) fenced: bool,
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

    /// True when only declared touches may be sent.
    pub fn fenced(&self) -> bool {
        self.fenced
    }
}

/// Makes a connection ready; the first request opens it.
pub async fn connect(spec: &ClusterSpec) -> Result<Cluster, Error> {
    let (kubeconfig, context, file) = match &spec.access {
        Access::Kubeconfig { path, context } => {
            let file = path.display().to_string();
            let kubeconfig = Kubeconfig::read_from(path)
                .map_err(|source| Error::Read { file: file.clone(), source: Box::new(source) })?;
            (kubeconfig, context.clone(), file)
        }
        Access::Own(own) => {
            let file = "of the job".to_owned();
            (own_kubeconfig(own, &file)?, None, file)
        }
    };
    let context = chosen(&kubeconfig, context, &file)?;
    refuse_plugins(&kubeconfig, &context, &file)?;
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unusable {
        file: file.clone(),
        source,
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|source| unusable(Box::new(source)))?;
    config.default_retry = false;
    if let Some(whom) = &spec.impersonate {
        config.auth_info.impersonate = Some(whom.user.clone());
        config.auth_info.impersonate_groups = Some(whom.groups.clone());
    }
    let namespace = spec.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let host = host(&config.cluster_url);
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = client(config).map_err(|source| unusable(Box::new(source)))?;
    Ok(Cluster { client, host, server, namespace, fenced: spec.fenced })
}

fn host(url: &http::Uri) -> String {
    url.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default()
}

fn chosen(kubeconfig: &Kubeconfig, context: Option<String>, file: &str) -> Result<String, Error> {
    let current = || kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let Some(context) = context.or_else(current) else {
        return Err(Error::NoCurrent { file: file.to_owned() });
    };
    let names: Vec<&str> =
        kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    if names.contains(&context.as_str()) {
        return Ok(context);
    }
    Err(Error::NoContext { file: file.to_owned(), context, known: names.join(", ") })
}

fn refuse_plugins(kubeconfig: &Kubeconfig, context: &str, file: &str) -> Result<(), Error> {
    let user = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref())
        .and_then(|context| context.user.clone())
        .unwrap_or_default();
    let named = kubeconfig.auth_infos.iter().find(|named| named.name == user);
    let Some(auth) = named.and_then(|named| named.auth_info.as_ref()) else { return Ok(()) };
    let plugin = match (&auth.exec, &auth.auth_provider) {
        (Some(exec), _) => format!("exec {}", exec.command.as_deref().unwrap_or_default()),
        (None, Some(provider)) => format!("auth-provider {}", provider.name),
        (None, None) => return Ok(()),
    };
    Err(Error::Plugin { user, file: file.to_owned(), plugin })
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
    .map_err(|source| Error::Unusable { file: file.to_owned(), source: Box::new(source) })
}

fn client(config: Config) -> Result<kube::Client, kube::Error> {
    // The first to install one wins; all of dyno installs the same.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut http = HttpConnector::new_with_resolver(Resolver::default());
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let https = config.rustls_https_connector_with_connector(http)?;
    let client =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https);
    let auth = config.auth_layer()?;
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
    }

    #[test]
    fn a_kubeconfig_with_a_program_is_refused() {
        let kubeconfig = kubeconfig(
            "users: [{name: u, user: {exec: {apiVersion: v1, command: aws}}}]\n\
             contexts: [{name: c, context: {cluster: x, user: u}}]\n",
        );
        let error = refuse_plugins(&kubeconfig, "c", "f").unwrap_err().to_string();
        assert!(error.contains("exec aws"), "{error}");
    }

    #[test]
    fn a_context_must_be_there_and_is_named_when_not() {
        let kubeconfig = kubeconfig("contexts: [{name: a}, {name: b}]\n");
        assert!(matches!(chosen(&kubeconfig, None, "f"), Err(Error::NoCurrent { .. })));
        let error = chosen(&kubeconfig, Some("c".to_owned()), "f").unwrap_err().to_string();
        assert_eq!(error, "kubeconfig `f` has no context `c`; it has: a, b");
        assert_eq!(chosen(&kubeconfig, Some("b".to_owned()), "f").unwrap(), "b");
    }
}
