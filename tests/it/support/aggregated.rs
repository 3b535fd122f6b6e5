//! A real API server of a test's own, with a server of the test behind its aggregation layer. The
//! shared control plane stays as it is: what is registered there is in everyone's discovery.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::setting;
use crate::standins::server::{Server, Site};

/// Starting takes seconds; on a loaded machine many.
const LONGEST: Duration = Duration::from_mins(2);

/// The API server; gone with its etcd when it is dropped.
#[derive(Debug)]
pub struct Aggregated {
    folder: tempfile::TempDir,
    port: u16,
    /// The API server, then etcd.
    processes: Vec<Child>,
    /// Whoever stands behind it ends after it.
    behind: Server,
}

/// A certificate of an authority, in DER, with its key.
struct Signed {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        let der = certificate.der().clone();
        Self(Issuer::new(params, key), der)
    }

    /// Signs a certificate, and leaves it in the folder too.
    fn sign(&self, folder: &Path, name: &str, hosts: &[&str]) -> Signed {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.pub")), key.public_key_pem()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Signed { certificate: certificate.der().clone(), key }
    }
}

impl Aggregated {
    /// Starts it with `site` behind `v1beta1.metrics.k8s.io`. `tokens` are lines of user and groups,
    /// as the API server takes them; the token of a user is `token-of-USER`.
    #[track_caller]
    pub fn start(site: Arc<dyn Site>, users: &[&str]) -> Self {
        let kubectl = setting("DYNO_TEST_KUBECTL").expect("DYNO_TEST_KUBECTL: run scripts/test");
        let programs = Path::new(&kubectl).parent().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let front = Authority::new(at, "front-proxy-ca");
        front.sign(at, "front-proxy-client", &[]);
        let serving = Authority::new(at, "lab-ca");
        serving.sign(at, "kube-apiserver", &["127.0.0.1", "localhost"]);
        let own = serving.sign(at, "metrics", &["metrics.kube-system.svc"]);
        let behind = Server::start_tls(site, asking_for(&front.1, own)).unwrap();
        let tokens = users.iter().chain(&["admin"]).map(|user| {
            let groups = if *user == "admin" { ",\"system:masters\"" } else { "" };
            format!("token-of-{user},{user},{user}{groups}\n")
        });
        std::fs::write(at.join("tokens.csv"), tokens.collect::<String>()).unwrap();
        let [port, client, peer] = free_ports();
        let etcd = start_etcd(&programs, at, (client, peer));
        let server = start_api_server(&programs, at, (port, client));
        let server = Self { folder, port, processes: vec![server, etcd], behind };
        server.await_answer("the API server is ready", &["get", "--raw", "/readyz"], "ok");
        server.register();
        server
    }

    /// Registers the server behind it, and waits until it is used.
    fn register(&self) {
        let port = self.behind.address().port();
        let ca = base64(&std::fs::read(self.folder.path().join("lab-ca.crt")).unwrap());
        // There is nobody who would answer for a cluster's address here: a name of this host does.
        let objects = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: metrics, namespace: kube-system }}\n\
             spec: {{ type: ExternalName, externalName: localhost, ports: [{{ port: {port} }}] }}\n---\n\
             apiVersion: apiregistration.k8s.io/v1\nkind: APIService\n\
             metadata: {{ name: v1beta1.metrics.k8s.io }}\n\
             spec:\n  group: metrics.k8s.io\n  version: v1beta1\n  groupPriorityMinimum: 100\n  \
             versionPriority: 100\n  caBundle: {ca}\n  \
             service: {{ name: metrics, namespace: kube-system, port: {port} }}\n"
        );
        self.await_answer("kube-system is there", &["get", "namespace", "kube-system"], "Active");
        self.apply(&objects);
        let available = "jsonpath={.status.conditions[?(@.type==\"Available\")].status}";
        let arguments = ["get", "apiservice", "v1beta1.metrics.k8s.io", "-o", available];
        self.await_answer("the server behind it is used", &arguments, "True");
        let arguments = ["api-resources", "--api-group", "metrics.k8s.io"];
        self.await_answer("it is discovered", &arguments, "PodMetrics");
    }

    /// Applies manifests as the administrator.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        let file = self.folder.path().join("manifests.yaml");
        std::fs::write(&file, manifests).unwrap();
        let output =
            self.kubectl("admin", &["apply", "--server-side", "-f", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A kubeconfig of a user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{user}.kubeconfig"));
        std::fs::write(&file, self.kubeconfig_text(user)).unwrap();
        file
    }

    /// What is in it.
    pub fn kubeconfig_text(&self, user: &str) -> String {
        let ca = base64(&std::fs::read(self.folder.path().join("lab-ca.crt")).unwrap());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{ name: c, cluster: {{ server: \"https://127.0.0.1:{}\", certificate-authority-data: {ca} }} }}]\n\
             users: [{{ name: u, user: {{ token: token-of-{user} }} }}]\n\
             contexts: [{{ name: c, context: {{ cluster: c, user: u, namespace: acme }} }}]\n",
            self.port
        )
    }

    /// Runs the real kubectl as a user.
    pub fn kubectl(&self, user: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(setting("DYNO_TEST_KUBECTL").unwrap());
        command.env("HOME", self.folder.path()).arg("--kubeconfig").arg(self.kubeconfig(user));
        command.args(arguments).output().unwrap()
    }

    /// Waits until kubectl, asked as the administrator, gives an answer.
    #[track_caller]
    pub fn await_answer(&self, what: &str, arguments: &[&str], answer: &str) {
        let end = Instant::now() + LONGEST;
        loop {
            let output = self.kubectl("admin", arguments);
            if String::from_utf8_lossy(&output.stdout).contains(answer) {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.path().join("kube-apiserver.log"));
            assert!(
                Instant::now() < end,
                "never came true: {what}: {output:?}\n{}",
                log().unwrap_or_default().lines().rev().take(30).collect::<Vec<_>>().join("\n")
            );
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }
}

impl Drop for Aggregated {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// TLS that answers only those who show a certificate of the aggregation layer's authority.
fn asking_for(front: &CertificateDer<'static>, own: Signed) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(front.clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![own.certificate], own.key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn free_ports() -> [u16; 3] {
    // All at once, so that they are three.
    let taken = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}

/// A program whose words go into a file; it ends with the thread that started it.
fn start(program: &Path, folder: &Path, arguments: &[String]) -> Child {
    let name = program.file_name().unwrap().to_str().unwrap();
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn start_etcd(programs: &Path, folder: &Path, (client, peer): (u16, u16)) -> Child {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let arguments = [
        "--name=lab".to_owned(),
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=lab={peer}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    start(&programs.join("etcd"), folder, &arguments)
}

fn start_api_server(programs: &Path, folder: &Path, (port, etcd): (u16, u16)) -> Child {
    let mut arguments =
        vec![format!("--etcd-servers=http://127.0.0.1:{etcd}"), format!("--secure-port={port}")];
    let fixed = [
        "--bind-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--tls-cert-file=kube-apiserver.crt",
        "--tls-private-key-file=kube-apiserver.key",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.97.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=kube-apiserver.pub",
        "--service-account-signing-key-file=kube-apiserver.key",
        "--requestheader-client-ca-file=front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file=front-proxy-client.crt",
        "--proxy-client-key-file=front-proxy-client.key",
        "--profiling=false",
    ];
    arguments.extend(fixed.map(str::to_owned));
    start(&programs.join("kube-apiserver"), folder, &arguments)
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
