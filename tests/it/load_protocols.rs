//! Everything that a step can speak, from a job without network through the driver: a good run, one
//! that fails with its words and code, and targets that the policy refuses after their names were
//! looked up.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;

use crate::standins::cart::{CART, Reflection};
use crate::standins::server::{Request, Response, Site};
use crate::standins::speakers::Speaker;
use crate::support::{Dial, Ending, Runner, Server, Shop, Station};

const LOAD: &str = "load: { users: 2, duration: 1s, think: 20ms, timeout: 2s }";

/// A plan, and how it looks with one thing wrong.
struct Case {
    /// `TARGET` is the address.
    plan: String,
    address: String,
    /// A line of the script that comes before.
    files: String,
    good: Good,
    wrong: Wrong,
}

/// An endpoint that the table of the good run names.
type Good = &'static str;

/// What to replace, by what, and what is said of it then, with which exit code.
type Wrong = (&'static str, &'static str, &'static str, i32);

impl Case {
    fn new(plan: &str, port: u16, good: Good, wrong: Wrong) -> Self {
        let address = format!("127.0.0.1:{port}");
        Self { plan: format!("{LOAD}\n{plan}"), address, files: "true".to_owned(), good, wrong }
    }

    /// A plan of one journey's steps against a server.
    fn steps(scheme: &str, server: &Speaker, steps: &str, good: Good, wrong: Wrong) -> Self {
        let plan = format!("target: {scheme}://TARGET\njourneys: [{{ steps: [{steps}] }}]");
        Self::new(&plan, server.port(), good, wrong)
    }

    fn write(&self, plan: &str) -> String {
        format!("cat > perf.yaml <<'YAML'\n{}\nYAML", plan.replace("TARGET", &self.address))
    }

    /// Runs the plan as it is, and the wrong one. Returns what both jobs said.
    fn check(&self, runner: impl Fn() -> Runner) -> String {
        let job = runner()
            .script([
                &self.files,
                &self.write(&self.plan),
                "dyno load perf.yaml",
                "head -2 dyno-report/load.csv",
            ])
            .run();
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
        for told in ["--- load: passed ---", self.good, ",connections_opened,"] {
            assert!(job.log.contains(told), "`{told}` is missing:\n{}", job.log);
        }
        let (what, by, says, code) = self.wrong;
        assert!(self.plan.contains(what), "{what}");
        let wrong = self.write(&self.plan.replacen(what, by, 1));
        let bad = runner().script([&self.files, &wrong, "dyno load perf.yaml", "echo never"]).run();
        let ended = (&bad.ending, bad.exit_code);
        assert_eq!(ended, (&Ending::ScriptFailure, Some(code)), "{}", bad.log);
        assert!(bad.log.contains(says), "`{says}` is missing:\n{}", bad.log);
        job.log + &bad.log
    }
}

fn runner() -> Runner {
    Station::new(0.5).runner()
}

#[test]
fn a_job_speaks_tcp() {
    let steps = "{ tcp: { send: \"PING {{ vu() }}\\r\\n\", expect: \"+PING {{ vu() }}\", keep: true }, name: ping, timeout: 300ms }";
    let wrong = ("expect: \"+PING", "expect: \"+PONG", "no answer within 300ms", 99);
    Case::steps("tcp", &Speaker::lines(), steps, "TCP ping", wrong).check(runner);
}

#[test]
fn a_job_talks_over_a_websocket() {
    let steps = "{ websocket: { connect: '/chat?u={{ vu() }}' } }, { websocket: { expect: welcome } }, \
        { websocket: { send: 'hello {{ vu() }}', expect: 'HELLO {{ vu() }}' }, name: hello, timeout: 300ms }, \
        { websocket: { close: 1000 } }";
    let wrong = ("expect: 'HELLO", "expect: 'Hello", "no answer within 300ms", 99);
    let server = Speaker::chat();
    let mut case = Case::steps("ws", &server, steps, "WS hello", wrong);
    case.plan += "\nlimits: [errors < 1%]";
    case.check(runner);
}

#[test]
fn a_job_asks_a_name_server() {
    let steps = "{ dns: { name: 'user{{ vu() }}.example' }, name: user, \
        check: { status: NOERROR, json: { '$.answers[0].data': 10.0.0.7 } } }";
    let wrong = ("name: 'user{{", "name: 'no.user{{", "every request failed: status NXDOMAIN", 99);
    Case::steps("dns", &Speaker::names(), steps, "DNS user", wrong).check(runner);
}

const CALL: &str = "{ grpc: { call: shop.Cart/Add, proto: protos/cart.proto }, \
    json: { name: mat, count: 3 }, check: { json: { $.items: 3 } } }";

#[test]
fn a_job_calls_grpc_by_its_own_proto_file() {
    let says = "every request failed: status NOT_FOUND: no such thing";
    let wrong = ("name: mat", "name: nothing", says, 99);
    let server = Speaker::cart(Reflection::None);
    let mut case = Case::steps("grpc", &server, CALL, "GRPC shop.Cart/Add", wrong);
    case.files = format!("mkdir protos; cat > protos/cart.proto <<'END'\n{CART}END");
    case.check(runner);
}

#[test]
fn a_job_calls_grpc_by_what_the_server_says_of_itself() {
    let steps = CALL.replace(", proto: protos/cart.proto", "");
    let says = "`shop.Cart` has no method `Ad`: did you mean `Add`?";
    for reflection in [Reflection::V1, Reflection::V1Alpha] {
        let server = Speaker::cart(reflection);
        let wrong = ("Cart/Add", "Cart/Ad", says, 98);
        Case::steps("grpc", &server, &steps, "GRPC shop.Cart/Add", wrong).check(runner);
    }
    let server = Speaker::cart(Reflection::None);
    let case = Case::steps("grpc", &server, &steps, "", ("", "", "", 0));
    let job = runner().script([&case.write(&case.plan), "dyno load perf.yaml", "echo never"]).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(98)), "{}", job.log);
    let says = format!("gRPC reflection at 127.0.0.1:{}: UNIMPLEMENTED", server.port());
    assert!(job.log.contains(&says), "{}", job.log);
    assert!(job.log.contains("or name the service's file: `proto: …`"), "{}", job.log);
}

/// Gives tokens to one client, and answers to who shows one.
struct Guarded;

#[async_trait::async_trait]
impl Site for Guarded {
    async fn answer(&self, request: Request) -> Response {
        let form = "grant_type=client_credentials&client_id=shop-load&client_secret=Open-Sesame&scope=read";
        if request.path == "/token" && request.body == form {
            let token = r#"{"access_token":"tok-en-31415","token_type":"Bearer","expires_in":60}"#;
            return Response::new(200, "application/json", token);
        }
        if request.path == "/token" {
            let told = String::from_utf8_lossy(&request.body);
            let no = json!({ "error": "invalid_client", "error_description": told });
            return Response::json(401, &no);
        }
        let is_shown = request.header("authorization") == Some("Bearer tok-en-31415");
        Response::text(if is_shown { 200 } else { 403 }, "in")
    }
}

#[test]
fn a_job_fetches_a_token_with_its_clients_credentials() {
    let server = Server::start(0, Arc::new(Guarded)).unwrap();
    let plan = "target: http://TARGET\njourneys: [{ auth: { oauth: { token-url: 'http://TARGET/token', \
        client-id: shop-load, client-secret: '{{ env.SHOP_SECRET }}', scope: read } }, steps: [{ get: /in }] }]";
    let wrong =
        ("env.SHOP_SECRET", "env.OTHER_SECRET", "status 401 grant_type=client_credentials", 98);
    let case = Case::new(plan, server.address().port(), "GET /in", wrong);
    let log = case.check(|| {
        runner().masked("SHOP_SECRET", "Open-Sesame").masked("OTHER_SECRET", "Shut-Sesame")
    });
    // The server says back what it got: the wrong secret too, which is masked by then.
    assert!(log.contains("no OAuth token from 127.0.0.1"), "{log}");
    for secret in ["Open-Sesame", "Shut-Sesame", "tok-en-31415"] {
        assert!(!log.contains(secret), "`{secret}` is told:\n{log}");
    }
}

#[test]
fn a_job_shares_connections_of_http2() {
    let server = Speaker::http2();
    let plan = "target: http://TARGET\nhttp: { version: 2, streams: 2 }\n\
        journeys: [{ steps: [{ get: /x, check: { json: { $.hello: two } } }] }]";
    let wrong = ("version: 2, streams: 2", "version: 1", "every request failed: ", 99);
    Case::new(plan, server.port(), "GET /x", wrong).check(runner);
    let (_shop, old) = Shop::open(0, Dial::default()).unwrap();
    let case = Case::new(plan, old.address().port(), "", wrong);
    let job = runner().script([&case.write(&case.plan), "dyno load perf.yaml"]).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(97)), "{}", job.log);
    assert!(
        job.log.contains("the server closed the connection instead of speaking HTTP/2"),
        "{}",
        job.log
    );
}

/// An authority's certificate, and what it signs: certificate and key.
struct Authority(Issuer<'static, KeyPair>, rcgen::Certificate);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), own)
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A shop that lets in who shows a certificate of `clients`.
fn closed_shop(ours: &Authority, clients: &Authority) -> Server {
    let (own, key) = ours.sign("127.0.0.1");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.1.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain: Vec<CertificateDer<'static>> = vec![own.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    Server::start_tls(Arc::new(Shop::default()), Arc::new(tls)).unwrap()
}

#[test]
fn a_job_shows_the_certificate_of_its_file_variables() {
    let (ours, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = closed_shop(&ours, &clients);
    let (right, right_key) = clients.sign("client");
    let (wrong, wrong_key) = others.sign("client");
    let runner = |is_right: bool| {
        let (certificate, key) = if is_right {
            (right.pem(), right_key.serialize_pem())
        } else {
            (wrong.pem(), wrong_key.serialize_pem())
        };
        Station::new(0.5)
            .runner()
            .file("SHOP_CA", &ours.1.pem())
            .file("CLIENT_CERT", &certificate)
            .file("CLIENT_KEY", &key)
    };
    let plan = "target: https://TARGET\n\
        tls: { ca: $SHOP_CA, certificate: $CLIENT_CERT, key: $CLIENT_KEY }\n\
        journeys: [{ steps: [{ get: /products }] }]";
    let case = Case::new(plan, server.address().port(), "", ("", "", "", 0));
    let job = runner(true).script([&case.write(&case.plan), "dyno load perf.yaml"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let job = runner(false).script([&case.write(&case.plan), "dyno load perf.yaml"]).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(97)), "{}", job.log);
    assert!(job.log.contains("refuses the client's certificate"), "{}", job.log);
    let by_flags = format!(
        "dyno load --target https://{} --get /products --users 1 --duration 1s --ca-file $SHOP_CA",
        case.address
    );
    let with_key = format!("{by_flags} --cert-file $CLIENT_CERT --key-file $CLIENT_KEY");
    let job = runner(true).script([&with_key, &by_flags]).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(97)), "{}", job.log);
    assert!(job.log.contains("--- load: passed ---"), "{}", job.log);
    assert!(job.log.contains("the server wants a client certificate"), "{}", job.log);
}

#[test]
fn a_job_goes_through_a_proxy() {
    let proxy = Speaker::proxy();
    let station = Station::new(0.5);
    let port = station.shop_host().rsplit(':').next().unwrap().parse().unwrap();
    let plan = format!(
        "target: http://TARGET\nhttp: {{ proxy: 'http://me:$PROXY_PASSWORD@127.0.0.1:{}' }}\n\
         journeys: [{{ steps: [{{ get: /products }}] }}]",
        proxy.port()
    );
    let wrong = ("me:$PROXY_PASSWORD@", "", "it wants a name and a password", 97);
    let case = Case::new(&plan, port, "GET /products", wrong);
    case.check(|| station.runner().masked("PROXY_PASSWORD", "pw"));
    assert!(proxy.n_connections() >= 2 && station.shop.n_requests() > 0);
}

/// One plan a protocol, all at a name of this machine; what connects beside the target does too.
fn at_localhost(port: u16) -> Vec<(&'static str, String)> {
    let at = |scheme: &str| format!("target: {scheme}://localhost:{port}\n");
    let shop = "target: http://127.0.0.2:1\n";
    let get = "journeys: [{ steps: [{ get: / }] }]";
    let step = |step: &str| format!("journeys: [{{ steps: [{{ {step} }}] }}]");
    vec![
        ("http", at("http") + get),
        ("http2", at("http") + "http: { version: 2 }\n" + get),
        ("tls", at("https") + "tls: { insecure: true }\n" + get),
        ("tcp", at("tcp") + &step("tcp: { send: x }")),
        ("websocket", at("ws") + &step("websocket: { connect: / }")),
        ("dns", at("dns") + &step("dns: { name: a.example }")),
        ("grpc", at("grpc") + &step("grpc: { call: shop.Cart/Add }")),
        (
            "tcp step",
            shop.to_owned() + &step(&format!("tcp: {{ connect: 'localhost:{port}', send: x }}")),
        ),
        (
            "dns step",
            shop.to_owned()
                + &step(&format!("dns: {{ name: a.example, server: 'localhost:{port}' }}")),
        ),
        (
            "grpc step",
            shop.to_owned()
                + &step(&format!("grpc: {{ call: a.B/C, at: 'grpc://localhost:{port}' }}")),
        ),
        (
            "websocket step",
            shop.to_owned() + &step(&format!("websocket: {{ connect: 'ws://localhost:{port}/' }}")),
        ),
        (
            "proxy",
            shop.to_owned() + &format!("http: {{ proxy: 'http://localhost:{port}' }}\n") + get,
        ),
        (
            "token",
            shop.to_owned()
                + &format!(
                    "journeys: [{{ auth: {{ oauth: {{ token-url: 'http://localhost:{port}/t', client-id: a, client-secret: b }} }}, steps: [{{ get: / }}] }}]"
                ),
        ),
    ]
}

#[test]
fn whatever_is_spoken_the_policy_decides_on_the_addresses_that_names_have() {
    let server = Speaker::lines();
    let station = Station::new(0.5);
    let policy = station.policy().replace("127.0.0.0/8", "127.0.0.2/32");
    let mut script = vec![format!("printf '%s\\n' '{LOAD}' > load.yaml")];
    let plans = at_localhost(server.port());
    for (name, plan) in &plans {
        script.push(format!(
            "cat > perf.yaml <<'YAML'\ninclude: [load.yaml]\n{plan}\nYAML\ndyno load perf.yaml || echo \"{name} ended with $?\""
        ));
    }
    let direct = format!(
        "dyno load --target http://localhost:{} --get / --users 1 --duration 1s",
        server.port()
    );
    script.push(direct);
    let lines: Vec<&str> = script.iter().map(String::as_str).collect();
    let job = Runner::within(&station.lab, &policy).step("script", &lines).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(96)), "{}", job.log);
    for (name, _) in &plans {
        let told = format!("\n{name} ended with 96\n");
        assert!(job.log.contains(&told), "`{told}` is missing:\n{}", job.log);
    }
    let told = format!(
        "does not allow load on `localhost:{}` (profiles[0].load.targets: `127.0.0.1` is a loopback",
        server.port()
    );
    assert_eq!(job.log.matches(told.as_str()).count(), plans.len() + 1, "{told}\n{}", job.log);
    assert_eq!(server.n_connections(), 0);
}

#[test]
fn a_redirect_leads_nowhere_that_the_plan_does_not_name() {
    let station = Station::new(0.5);
    let elsewhere = Speaker::lines();
    let site = Redirecting(format!("http://127.0.0.1:{}/", elsewhere.port()));
    let server = Server::start(0, Arc::new(site)).unwrap();
    let line = format!("dyno load --target {} --get / --users 1 --duration 1s", server.url());
    let job = station.runner().script([&line]).run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(99)), "{}", job.log);
    assert!(job.log.contains("which is not a target of the plan"), "{}", job.log);
    assert_eq!(elsewhere.n_connections(), 0);
}

struct Redirecting(String);

#[async_trait::async_trait]
impl Site for Redirecting {
    async fn answer(&self, _: Request) -> Response {
        Response::text(302, "").header("location", self.0.clone())
    }
}
