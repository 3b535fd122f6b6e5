//! `metrics.k8s.io` behind a real API server's aggregation layer: `kubectl top` beside the real one,
//! and a gate that samples it while a load runs, with the rights that the cluster gives.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::standins::server::{Request, Response, Site};
use crate::support::{Aggregated, Runner, Station};

/// A metrics server, as the aggregation layer asks it: who asks stands in the headers, and whether
/// they may has been decided before.
#[derive(Debug, Default)]
struct Metrics {
    /// Users and their groups, of every question that was no discovery.
    users: Mutex<BTreeSet<String>>,
}

/// Namespace, pod, label `app`, and the containers with what they use.
type Pod = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str, &'static str)],
);

const PODS: &[Pod] = &[
    ("acme", "web-1", "web", &[("web", "250000000n", "64Mi"), ("proxy", "1234567n", "131072Ki")]),
    ("acme", "web-2", "web", &[("web", "1", "1Gi")]),
    ("acme", "db-0", "db", &[("db", "0", "1048575")]),
    ("other", "cache", "cache", &[("cache", "1500u", "3M")]),
];

const NODES: &[(&str, &str, &str)] =
    &[("node-a", "1999999999n", "3Gi"), ("node-b", "12m", "524288Ki")];

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn pod((namespace, name, app, containers): &Pod) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, cpu, memory)| json!({ "name": name, "usage": { "cpu": cpu, "memory": memory } }))
        .collect();
    json!({
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": app }, "creationTimestamp": now() },
        "timestamp": now(), "window": "15s", "containers": containers,
    })
}

fn node((name, cpu, memory): &(&str, &str, &str)) -> Value {
    json!({
        "kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": { "name": name, "creationTimestamp": now(), "labels": { "disk": name } },
        "timestamp": now(), "window": "15s", "usage": { "cpu": cpu, "memory": memory },
    })
}

fn list(kind: &str, items: &[Value]) -> Response {
    let body = json!({ "kind": kind, "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items });
    Response::json(200, &body)
}

fn missing(kind: &str, name: &str) -> Response {
    Response::json(
        404,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
            "message": format!("{kind}.metrics.k8s.io \"{name}\" not found"), "reason": "NotFound",
            "details": { "name": name, "group": "metrics.k8s.io", "kind": kind },
        }),
    )
}

fn resources() -> Response {
    let of = |name: &str, kind: &str, namespaced: bool| json!({ "name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"] });
    Response::json(
        200,
        &json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
            "resources": [of("nodes", "NodeMetrics", false), of("pods", "PodMetrics", true)],
        }),
    )
}

#[async_trait::async_trait]
impl Site for Metrics {
    async fn answer(&self, request: Request) -> Response {
        let parts = request.parts();
        let ["apis", "metrics.k8s.io", "v1beta1", rest @ ..] = parts.as_slice() else {
            return Response::text(404, "404 page not found");
        };
        if rest.is_empty() {
            return resources();
        }
        let user = request.header("x-remote-user").unwrap_or("nobody told");
        let groups = request.headers.get_all("x-remote-group").into_iter();
        let groups: Vec<&str> = groups.filter_map(|group| group.to_str().ok()).collect();
        self.users.lock().unwrap().insert(format!("{user} {}", groups.join(" ")));
        let app = request.parameter("labelSelector").and_then(|text| text.strip_prefix("app="));
        let pods = |namespace: Option<&str>| -> Vec<Value> {
            PODS.iter()
                .filter(|pod| namespace.is_none_or(|namespace| namespace == pod.0))
                .filter(|pod| app.is_none_or(|app| app == pod.2))
                .map(pod)
                .collect()
        };
        match rest {
            ["nodes"] => list("NodeMetricsList", &NODES.iter().map(node).collect::<Vec<_>>()),
            ["nodes", name] => NODES
                .iter()
                .find(|node| node.0 == *name)
                .map_or_else(|| missing("nodes", name), |found| Response::json(200, &node(found))),
            ["pods"] => list("PodMetricsList", &pods(None)),
            ["namespaces", namespace, "pods"] => list("PodMetricsList", &pods(Some(namespace))),
            ["namespaces", namespace, "pods", name] => PODS
                .iter()
                .find(|pod| pod.0 == *namespace && pod.1 == *name)
                .map_or_else(|| missing("pods", name), |found| Response::json(200, &pod(found))),
            _ => Response::text(404, "404 page not found"),
        }
    }
}

/// Namespaces, nodes, and the one right of `gate`: to look at the metrics of pods of one namespace.
const OBJECTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: { name: acme }
---
apiVersion: v1
kind: Namespace
metadata: { name: empty }
---
apiVersion: v1
kind: Namespace
metadata: { name: fresh }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: default, namespace: fresh }
---
apiVersion: v1
kind: Pod
metadata: { name: new, namespace: fresh }
spec: { containers: [{ name: c, image: localhost/none }] }
---
apiVersion: v1
kind: Node
metadata: { name: node-a }
status: { allocatable: { cpu: '4', memory: 8Gi }, capacity: { cpu: '4', memory: 16Gi } }
---
apiVersion: v1
kind: Node
metadata: { name: node-b }
status: { allocatable: { cpu: 1930m, memory: 3977528Ki }, capacity: { cpu: '2', memory: 4Gi } }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: metrics, namespace: acme }
rules: [{ apiGroups: [metrics.k8s.io], resources: [pods], verbs: [get, list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: metrics, namespace: acme }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: metrics }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: gate }]
";

const TOP: &[&str] = &[
    // First: a pod without metrics is told otherwise once it is two minutes old.
    "top pods -n fresh",
    "top pods -n acme",
    "top pod -n acme web-1",
    "top po web-1",
    "top pods -n acme nothing",
    "top pods -A",
    "top pods -A --no-headers --sum",
    "top pods -n acme --containers",
    "top pods -n acme web-1 --containers --sum",
    "top pods -n acme -l app=web",
    "top pods -n acme -l app=none",
    "top pods -n acme --sort-by=cpu",
    "top pods -A --sort-by=memory",
    "top pods -n acme --no-headers",
    "top pods -n empty",
    "top nodes",
    "top node node-b",
    "top nodes nothing",
    "top nodes --sort-by=cpu",
    "top nodes --sort-by=memory --no-headers",
    "top pods -n acme --containers --sum --no-headers",
    "top pods -A --containers --sum",
    "top pods -n acme --sum --sort-by=memory",
];

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}! {}[{:?}]", text(&output.stdout), text(&output.stderr), output.status.code())
}

/// An API that is registered, and that nobody serves.
const DEAD: &str = "\
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: { name: v1.dead.example.com }
spec:
  group: dead.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  service: { name: nobody, namespace: kube-system }
";

/// What is asked beside such an API.
const BESIDE_IT: &[&str] = &[
    "api-resources -o name",
    "api-resources --api-group=apps",
    "api-versions",
    "get all -n acme",
    "get cm,pods -n acme",
    "get things.dead.example.com",
    "get nope",
    "get apiservice v1.dead.example.com -o name",
    "delete cm nothing -n acme",
    "create cm made -n acme --from-literal=a=b --dry-run=server -o name",
    "auth can-i get pods -n acme",
    "explain pods.metadata.name",
];

fn the_real_kubectl_says_the_same(server: &Aggregated, asked: &[(&str, &[&str])]) {
    let folder = tempfile::tempdir().unwrap();
    let kubectl = folder.path().join("kubectl");
    symlink(crate::support::dyno(), &kubectl).unwrap();
    let mut different = Vec::new();
    for (user, lines) in asked {
        for line in *lines {
            let words: Vec<&str> = line.split(' ').collect();
            let real = told(&server.kubectl(user, &words));
            let mut ours = Command::new(&kubectl);
            ours.env("HOME", folder.path()).env("KUBECONFIG", server.kubeconfig(user));
            let ours = told(&ours.args(&words).output().unwrap());
            if real != ours {
                different.push(format!("=== {user}: {line}\n{real}\n--- dyno\n{ours}"));
            }
        }
    }
    assert!(different.is_empty(), "kubectl and dyno differ:\n{}", different.join("\n"));
}

/// Whoever applies, asks and deploys beside an API that nobody serves has no trouble but its own.
fn an_api_that_nobody_serves_troubles_nothing_else(server: &Aggregated) {
    server.apply(DEAD);
    let unserved = "jsonpath={.status.conditions[?(@.type==\"Available\")].reason}";
    let arguments = ["get", "apiservice", "v1.dead.example.com", "-o", unserved];
    server.await_answer("it is known to be dead", &arguments, "ServiceNotFound");
    the_real_kubectl_says_the_same(server, &[("admin", BESIDE_IT)]);
    let folder = tempfile::tempdir().unwrap();
    let deploy = |name: &str, manifest: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, manifest).unwrap();
        let mut dyno = Command::new(crate::support::dyno());
        dyno.current_dir(folder.path()).env("KUBECONFIG", server.kubeconfig("admin"));
        dyno.args(["deploy", "-n", "acme", "--timeout", "5s", "-f"]).arg(&file);
        told(&dyno.output().unwrap())
    };
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { a: b }\n";
    let deployed = deploy("settings.yaml", settings);
    assert!(deployed.ends_with("[Some(0)]"), "{deployed}");
    let deployed = deploy("dead.yaml", DEAD);
    for part in ["v1.dead.example.com", "ServiceNotFound", "service/nobody in \"kube-system\""] {
        assert!(deployed.contains(part), "{part} is not in:\n{deployed}");
    }
    assert!(deployed.ends_with("[Some(99)]"), "{deployed}");
}

fn a_gate_samples_with_the_rights_that_the_cluster_gives(server: &Aggregated) {
    let plan = "cat > plan.yaml <<'YAML'\ntarget: $SHOP\nload: { users: 2, spawn-rate: 20/s, duration: 6s }\n\
        journeys: [{ name: g, steps: [{ get: /products }] }]\nchecks:\n  \
        - { name: cpu, source: page, query: 'cpu{namespace=\"acme\", label_app=\"web\", container=\"web\"}', across: max, limit: max <= 1, step: 1s, quality: { coverage: 50%, series: 2 } }\n  \
        - { name: memory, source: page, query: 'memory{pod=\"web-2\"}', limit: max < 512MiB, step: 1s, quality: { coverage: 50% } }\nYAML";
    let station = Station::new(0.5);
    let run = |user: &str| {
        let kubeconfig = station.lab.secret("metered.kubeconfig", &server.kubeconfig_text(user));
        let more = format!(
            "clusters: {{ metered: {{ kubeconfig: {} }} }}\nsources:\n  \
             page: {{ pod-metrics: {{ cluster: metered, namespaces: [acme] }} }}\n",
            kubeconfig.display()
        );
        let policy = station.policy().replacen("sources:\n", &more, 1);
        let policy = policy.replacen("sources: [wavefront]", "sources: [wavefront, page]", 1);
        let script = "dyno load plan.yaml || exit 1; code=0; dyno gate plan.yaml || code=$?; echo \"gate ended with $code\"";
        Runner::within(&station.lab, &policy)
            .variable("SHOP", &format!("http://{}", station.shop_host()))
            .script([plan, script])
            .run()
    };
    let job = run("gate");
    for part in [
        "[passed] cpu: greatest max of 2 series 1 holds",
        "[failed] memory: max 1073741824 breaks",
        "\ngate ended with 99\n",
    ] {
        assert!(job.log.contains(part), "{part} is not in:\n{}", job.log);
    }
    assert!(!job.log.contains("token-of-gate"), "{}", job.log);
    let job = run("nobody");
    let part = "403 pods.metrics.k8s.io is forbidden: User \"nobody\" cannot list resource \"pods\" \
                in API group \"metrics.k8s.io\" in the namespace \"acme\"";
    assert!(job.log.contains(part), "{part} is not in:\n{}", job.log);
    for good in ["gate ended with 0", "[passed]", "[failed]"] {
        assert!(!job.log.contains(good), "{}", job.log);
    }
}

#[test]
fn the_metrics_api_behind_a_real_aggregation_layer_is_read_with_the_clusters_rights() {
    let metrics = Arc::new(Metrics::default());
    let site: Arc<dyn Site> = Arc::<Metrics>::clone(&metrics);
    let server = Aggregated::start(site, &["gate", "nobody"]);
    server.apply(OBJECTS);
    let asked = [("admin", TOP), ("gate", TOP), ("nobody", &TOP[..3])];
    the_real_kubectl_says_the_same(&server, &asked);
    a_gate_samples_with_the_rights_that_the_cluster_gives(&server);
    let users = metrics.users.lock().unwrap().clone();
    assert!(users.contains("gate system:authenticated"), "{users:?}");
    assert!(!users.iter().any(|user| user.starts_with("nobody")), "{users:?}");
    an_api_that_nobody_serves_troubles_nothing_else(&server);
}
