//! `dyno deploy` when something goes wrong around it: bad input, no rights, no server, two at once,
//! killed in between, refused by a policy, not verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::standins::server::{Request, Response, Server, Site};
use crate::support::{
    Cluster, Dial, Ending, Release, Shop, Station, deployment, eventually, setting,
};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: made }\n";

#[test]
fn manifests_that_cannot_be_read_are_told_with_line_column_and_text() {
    let release = Release::within(Cluster::new("unread"));
    release
        .manifest("a.yaml", MAP)
        .manifest("b.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: b: c\n")
        .manifest("c.yaml", "apiVersion: v1\nmetadata: { name: x }\n")
        .manifest("d.txt", "no manifest at all: [");
    release.deploy(&["-f", "nowhere.yaml"]).told(
        2,
        &[
            "3 manifests cannot be read",
            "m/b.yaml:4:7: mapping values are not allowed in this context",
            ">    4 |   a: b: c",
            "m/c.yaml:1:1: kind not set",
            "nowhere.yaml: there is no such file or folder",
            "nothing was changed",
        ],
    );
    let empty = Release::within(Cluster::new("empty"));
    empty.deploy(&[]).told(2, &["m: it holds no .yaml, .yml or .json file"]);
}

#[test]
fn words_of_the_command_line_that_mean_nothing_are_told_before_anything_is_asked() {
    let release = Release::within(Cluster::new("words"));
    release.manifest("a.yaml", MAP);
    release
        .deploy(&["--prune", "My_Shop"])
        .told(2, &["`My_Shop` is no name for an inventory", "hint: lower-case letters"]);
    release
        .deploy(&["--context", "nope"])
        .told(2, &["context \"nope\" does not exist", "hint: ", "kubectl config get-contexts"]);
    let release = release.with_kubeconfig("apiVersion: v1\nkind: Config\n");
    release
        .deploy(&[])
        .told(2, &["nothing says which cluster: no current context in ", "hint: set KUBECONFIG"]);
}

#[test]
fn every_value_that_yaml_reads_otherwise_than_people_is_told_with_its_line() {
    let release = Release::new("quotes");
    release.manifest("a.yaml", &format!("{MAP}data:\n  port: 8080\n  debug: yes\n  level: info\n"));
    release.deploy(&[]).told(
        2,
        &[
            "m/a.yaml:5:9: error: `data.port` of ConfigMap `made`: expected string, got `8080`",
            "put it in quotes: \"8080\"",
            "m/a.yaml:6:10: error: `data.debug` of ConfigMap `made`: expected string, got `true`",
            "YAML reads y, yes, on and true as one",
            "pre-flight found 2 errors; nothing was changed",
        ],
    );
}

#[test]
fn a_server_that_cannot_be_had_is_told_with_the_way_out() {
    let kubeconfig = |server: &str, more: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{ name: c, cluster: {{ server: \"{server}\"{more} }} }}]\n\
             users: [{{ name: u, user: {{ {user} }} }}]\n\
             contexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n"
        )
    };
    let lab = std::path::PathBuf::from(setting("DYNO_TEST_CLUSTER").unwrap());
    let settings = std::fs::read_to_string(lab.join("env")).unwrap();
    let url = settings.lines().find_map(|line| line.strip_prefix("URL=")).unwrap();
    let ca = format!(", certificate-authority: {}", lab.join("pki/ca.crt").display());
    for (text, told) in [
        (
            kubeconfig("https://127.0.0.1:1", "", "token: t"),
            ["cannot be reached: nothing listens at 127.0.0.1:1", "check the server's address"],
        ),
        (kubeconfig(url, "", "token: t"), ["certificate is not trusted", "certificate authority"]),
        (
            kubeconfig(url, &format!("{ca}, tls-server-name: shop.example.com"), "token: t"),
            ["certificate is valid for localhost, ", "give that name as `tls-server-name`"],
        ),
        (kubeconfig(url, &ca, ""), ["nobody without a credential", "give the kubeconfig's user"]),
        (kubeconfig(url, &ca, "token: expired"), ["does not take the credential", "get a new one"]),
    ] {
        let release = Release::within(Cluster::new("gone")).with_kubeconfig(&text);
        let deployed = release.manifest("a.yaml", MAP).deploy(&[]);
        deployed.told(97, &told);
        assert_eq!(deployed.json["verdict"], "error");
    }
}

/// A server of which no more is known than its minor version.
struct Of(u32);

#[async_trait::async_trait]
impl Site for Of {
    async fn answer(&self, request: Request) -> Response {
        match request.path.as_str() {
            "/version" => {
                let Self(minor) = self;
                let (minor, whole) = (format!("{minor}+"), format!("v1.{minor}.4"));
                Response::json(200, &json!({"major": "1", "minor": minor, "gitVersion": whole}))
            }
            _ => Response::text(404, "not found"),
        }
    }
}

#[test]
fn a_server_that_is_too_old_or_too_new_is_told_so() {
    for (minor, told) in [
        (20, ["the server is Kubernetes v1.20.4", "1.22 or newer", "kubectl apply"]),
        (99, ["The server is Kubernetes v1.99.4, newer than", "(1.37)", "try a newer dyno"]),
    ] {
        let server = Server::start(0, Arc::new(Of(minor))).unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{ name: c, cluster: {{ server: \"{}\" }} }}]\n\
             users: [{{ name: u, user: {{}} }}]\n\
             contexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n",
            server.url()
        );
        let release = Release::within(Cluster::new("aged")).with_kubeconfig(&text);
        release.manifest("a.yaml", MAP).deploy(&[]).told(99, &told);
    }
}

/// The lab's API server behind a door that lets every second change wait.
struct Busy {
    url: String,
    token: String,
    client: reqwest::Client,
    n_changes: AtomicU64,
}

#[async_trait::async_trait]
impl Site for Busy {
    async fn answer(&self, request: Request) -> Response {
        if request.method == "PATCH"
            && self.n_changes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
        {
            return Response::text(429, "too many").header("retry-after", "0");
        }
        let query: Vec<String> = request
            .query
            .iter()
            .map(|(key, value)| format!("{key}={}", value.replace('=', "%3D")))
            .collect();
        let url = format!("{}{}?{}", self.url, request.raw_path, query.join("&"));
        let method = request.method.parse::<http::Method>().unwrap();
        let mut sent = self.client.request(method, url).bearer_auth(&self.token);
        for name in ["accept", "content-type"] {
            if let Some(value) = request.header(name) {
                sent = sent.header(name, value);
            }
        }
        let answer = sent.body(request.body).send().await.unwrap();
        let status = answer.status().as_u16();
        Response::new(status, "application/json", answer.bytes().await.unwrap())
    }
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let lab = std::path::PathBuf::from(setting("DYNO_TEST_CLUSTER").unwrap());
    let settings = std::fs::read_to_string(lab.join("env")).unwrap();
    let url = settings.lines().find_map(|line| line.strip_prefix("URL=")).unwrap().to_owned();
    let token = std::fs::read_to_string(lab.join("admin.token")).unwrap().trim().to_owned();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let busy = Arc::new(Busy { url, token, client, n_changes: AtomicU64::new(0) });
    let server = Server::start(0, busy.clone()).unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"{}\" }} }}]\n\
         users: [{{ name: u, user: {{}} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n",
        server.url()
    );
    let release = Release::new("busy").with_kubeconfig(&text);
    let mut all = String::new();
    for n in 0..100 {
        all.extend([format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c-{n} }}\n"
        )]);
    }
    release.manifest("all.yaml", &all).deploy(&[]).told(0, &["100 of 100 objects ready"]);
    // A dry run and the apply of each, and as many that had to wait.
    assert!(busy.n_changes.load(Ordering::Relaxed) >= 399);
}

#[test]
fn missing_rights_are_told_for_all_objects_at_once() {
    let release = Release::new("rights");
    let namespace = release.cluster.namespace.clone();
    let kubectl = |arguments: &[&str]| {
        let output = std::process::Command::new(setting("DYNO_TEST_KUBECTL").unwrap())
            .args(["--kubeconfig", &release.cluster.kubeconfig(), "-n", &namespace])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    kubectl(&["create", "serviceaccount", "reader"]);
    let account = format!("--serviceaccount={namespace}:reader");
    kubectl(&["create", "rolebinding", "reader", "--clusterrole=view", &account]);
    let token = kubectl(&["create", "token", "reader"]);
    let lab = std::path::PathBuf::from(setting("DYNO_TEST_CLUSTER").unwrap());
    let settings = std::fs::read_to_string(lab.join("env")).unwrap();
    let url = settings.lines().find_map(|line| line.strip_prefix("URL=")).unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{ name: c, cluster: {{ server: \"{url}\", certificate-authority: {} }} }}]\n\
         users: [{{ name: u, user: {{ token: {token} }} }}]\n\
         contexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n",
        lab.join("pki/ca.crt").display()
    );
    let release = release.with_kubeconfig(&text);
    release.manifest("a.yaml", MAP).manifest("web.yaml", &deployment("web", "i:1", 1, ""));
    release.deploy(&[]).told(
        99,
        &[
            "m/a.yaml:2:",
            "no right to create, patch configmaps in namespace",
            "m/web.yaml:2:",
            "no right to create, patch deployments.apps in namespace",
            "have a Role bound",
            "nothing was changed",
        ],
    );
}

#[test]
fn two_deploys_of_one_namespace_wait_for_each_other() {
    let release = Release::new("lease");
    // The first one takes some seconds.
    release.manifest("web.yaml", &deployment("web", "i-slow:1", 1, ""));
    let mut first = release.start(&["--report", "other"]);
    eventually("the first deploy holds the lease", || release.cluster.has("lease", "dyno-deploy"));
    let taken = release.deploy(&["--wait", "0s"]);
    taken
        .told(97, &["another deploy holds namespace `lease-", "tester, process", "resource_group"]);
    let second = release.deploy(&[]);
    second.told(0, &["waiting for another deploy of namespace", "to be 1 unchanged"]);
    assert!(first.wait().unwrap().success());
    assert!(!release.cluster.has("lease", "dyno-deploy"), "it is given back");
}

#[test]
fn a_deploy_that_is_killed_at_any_moment_is_finished_by_the_next_one() {
    let release = Release::new("killed");
    for round in 0..4_u64 {
        let mut all = deployment("web", &format!("i:{round}"), 2, "");
        for n in 0..40 {
            all.extend([format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c{round}-{n} }}\n"
            )]);
        }
        release.manifest("all.yaml", &all);
        let mut killed = release.start(&["--prune", "shop", "--report", "other"]);
        std::thread::sleep(Duration::from_millis(60 + 120 * round));
        killed.kill().unwrap();
        killed.wait().unwrap();
        // The last one's lease stays, and runs out.
        if round < 3 {
            release.without_lease();
        }
    }
    let deployed = release.deploy(&["--prune", "shop", "--wait", "2m"]);
    deployed.told(0, &["ready after"]);
    let maps = release.cluster.kubectl([
        "-n",
        &release.cluster.namespace,
        "get",
        "configmaps",
        "-o",
        "name",
    ]);
    let of_round = |round: u64| maps.matches(&format!("configmap/c{round}-")).count();
    assert_eq!([of_round(0), of_round(1), of_round(2), of_round(3)], [0, 0, 0, 40], "{maps}");
    let image = &release.object("deployment", "web")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(image["image"], "i:3");
}

#[test]
fn a_deploy_that_is_killed_at_any_of_its_steps_is_finished_by_the_next_one() {
    let release = Release::new("steps");
    let more = MAP.replace("made", "more");
    let web = |image: &str| release.manifest("web.yaml", &deployment("web", image, 2, ""));
    let image = || {
        release.object("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone()
    };
    let prune = ["--prune", "shop", "--rollback", "--timeout", "2m"];
    web("i:1").manifest("a.yaml", MAP).manifest("b.yaml", &more);
    release.deploy(&prune).told(0, &["3 of 3 objects ready"]);
    web("i:2");
    release.killed_at(&prune, "to be ");
    assert_eq!(image(), "i:1");
    release.killed_at(&prune, "web configured");
    assert_eq!(image(), "i:2");
    release.deploy(&prune).told(0, &["3 of 3 objects ready"]);
    // Between what was found and what is put back.
    web("i-crash:3");
    release.manifest("a.yaml", &format!("{MAP}data: {{ level: high }}\n"));
    release.killed_at(&prune, "evidence: ");
    web("i:4").without("b.yaml");
    release.killed_at(&prune, "more pruned");
    release.deploy(&prune).told(0, &["2 of 2 objects ready"]);
    assert_eq!(image(), "i:4");
    assert_eq!(release.object("configmap", "made")["data"]["level"], "high");
    assert!(!release.cluster.has("configmap", "more"));
}

#[test]
fn an_interrupted_deploy_gives_its_lease_back_and_says_what_it_had_done() {
    let release = Release::new("interrupt");
    release.manifest("web.yaml", &deployment("web", "i-never-ready:1", 1, ""));
    let mut child = release.start(&[]);
    eventually("the deployment is there", || release.cluster.has("deployment", "web"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!release.cluster.has("lease", "dyno-deploy"));
    let json: serde_json::Value =
        serde_json::from_str(&release.report("deploy.json").unwrap()).unwrap();
    assert_eq!(json["verdict"], "error");
    let reasons = json["reasons"].to_string();
    assert!(
        reasons.contains("interrupted") && reasons.contains("applied before: Deployment"),
        "{json}"
    );
}

#[test]
fn a_deploy_that_is_not_verified_goes_back() {
    let release = Release::new("verify");
    release.manifest("web.yaml", &deployment("web", "i:1", 1, "")).deploy(&[]).told(0, &[]);
    let (shop, server) = Shop::open(0, Dial::default()).unwrap();
    let plan = |limit: &str| {
        format!(
            "target: {}\nload: {{ users: 2, spawn-rate: 2, duration: 2s }}\n\
             journeys: [{{ name: look, steps: [{{ get: /products }}] }}]\nlimits: [\"{limit}\"]\n",
            server.url()
        )
    };
    release.file("good.yaml", &plan("errors < 1%")).file("bad.yaml", &plan("p95 < 0.001ms"));
    release.manifest("web.yaml", &deployment("web", "i:2", 1, ""));
    let rejected = release.deploy(&["--verify", "bad.yaml", "--rollback"]);
    rejected.told(
        99,
        &[
            "all is ready; verifying",
            "verification: failed",
            "load: ",
            "web is what it was",
            "rolled back",
        ],
    );
    let image = || {
        release.object("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone()
    };
    assert_eq!(image(), "i:1");
    assert!(shop.n_requests() > 10);
    release.deploy(&["--verify", "good.yaml", "--rollback"]).told(0, &["--- deploy: passed ---"]);
    assert_eq!(image(), "i:2");
    let junit = release.report("junit.xml").unwrap();
    assert!(junit.contains("dyno load") && junit.contains("dyno deploy"), "{junit}");
}

#[test]
fn a_canary_goes_first_and_the_rest_stays_untouched_when_it_fails() {
    let release = Release::new("canary");
    let (_shop, server) = Shop::open(0, Dial::default()).unwrap();
    let plan = |limit: &str| {
        format!(
            "target: {}\nload: {{ users: 1, duration: 1s }}\n\
             journeys: [{{ name: look, steps: [{{ get: /products }}] }}]\nlimits: [\"{limit}\"]\n",
            server.url()
        )
    };
    release.file("good.yaml", &plan("errors < 1%")).file("bad.yaml", &plan("p95 < 0.001ms"));
    let canary = deployment("web-canary", "i:1", 1, "").replace(
        "metadata: { name: web-canary }",
        "metadata: { name: web-canary, labels: { track: canary } }",
    );
    release.manifest("web.yaml", &deployment("web", "i:1", 2, ""));
    release
        .deploy(&["--verify", "good.yaml", "--canary"])
        .told(2, &["no workload is labelled `track: canary`"]);
    release.manifest("canary.yaml", &canary);
    let failed = release.deploy(&["--verify", "bad.yaml", "--canary"]);
    failed.told(99, &["stage 1 of 2: the canary", "web-canary is deleted: it had not been there"]);
    assert!(!release.cluster.has("deployment", "web"), "the rest was never touched");
    let passed = release.deploy(&["--verify", "good.yaml", "--canary"]);
    passed.told(0, &["stage 2 of 2: the rest", "it was the canary"]);
    assert!(release.cluster.has("deployment", "web"));
    assert!(!release.cluster.has("deployment", "web-canary"));
}

#[test]
fn a_job_deploys_where_its_profile_allows_and_every_refusal_is_told() {
    let cluster = Cluster::new("profile").made();
    let station = Station::new(0.5).with_cluster(&cluster, "acme", &cluster.namespace);
    let write = |name: &str, text: &str| format!("mkdir -p m; cat > m/{name} <<'YAML'\n{text}YAML");
    let web = deployment("web", "i:1", 1, "");
    let job = station
        .deploy_runner()
        .script([
            &write("web.yaml", &web),
            "dyno deploy -f m --settle 0s; cat dyno-report/dyno.env",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let named = format!("DYNO_DEPLOY_NAMESPACE={}", cluster.namespace);
    assert!(job.log.contains(&named) && job.log.contains("1 of 1 object ready"), "{}", job.log);
    assert!(cluster.has("deployment", "web"));

    let elsewhere =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, namespace: kube-system }\n";
    let rooted = deployment("rooted", "i:1", 1, "securityContext: { privileged: true }");
    let job = station
        .deploy_runner()
        .script([
            &write("a.yaml", elsewhere),
            &write("rooted.yaml", &rooted),
            "dyno deploy -f m || echo code $?",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for told in [
        "m/a.yaml:1:1: error: refused by policy",
        "kube-system",
        "m/rooted.yaml:1:1: error: refused",
        "privileged",
        "code 96",
    ] {
        assert!(job.log.contains(told), "`{told}` is missing:\n{}", job.log);
    }
    assert!(!cluster.has("deployment", "rooted"));
}
