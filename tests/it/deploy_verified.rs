//! `dyno deploy` judged by others: metrics of a source after a load, controllers of custom resources by
//! their conditions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::standins::server::{Request, Response, Server, Site};
use crate::support::{Cluster, Dial, Release, Shop, deployment, eventually};

/// A Prometheus with one series, a sample a second.
#[derive(Default)]
struct Prometheus {
    /// In thousandths; none when there is nothing.
    value: Mutex<Option<u32>>,
    n_asked: AtomicU64,
}

impl Prometheus {
    fn set(&self, thousandths: Option<u32>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = thousandths;
    }
}

#[async_trait::async_trait]
impl Site for Prometheus {
    async fn answer(&self, request: Request) -> Response {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let time = |key: &str| -> f64 {
            let of = |pair: &str| pair.strip_prefix(&format!("{key}="))?.parse().ok();
            body.split('&').find_map(of).unwrap_or_default()
        };
        assert_eq!(request.path, "/api/v1/query_range", "{body}");
        let mut values = Vec::new();
        let mut at = time("start");
        while at <= time("end") {
            values.push(json!([at, "VALUE"]));
            at += time("step").max(0.1);
        }
        let value = *self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match value {
            Some(_) => json!([{"metric": {"pod": "web-1"}, "values": values}]),
            None => json!([]),
        };
        let answer =
            json!({"status": "success", "data": {"resultType": "matrix", "result": result}});
        let value = value.map_or(0.0, |value| f64::from(value) / 1000.0).to_string();
        Response::text(200, answer.to_string().replace("VALUE", &value))
    }
}

#[test]
fn a_deploy_is_kept_or_goes_back_by_what_a_metric_source_says_of_its_load() {
    let release = Release::new("gated");
    let (_shop, shop) = Shop::open(0, Dial::default()).unwrap();
    let metrics = Arc::new(Prometheus::default());
    let prometheus = Server::start(0, metrics.clone()).unwrap();
    release.file(
        "sources.yaml",
        &format!(
            "profiles:\n  - {{ name: mine, match: {{ tags: [x], projects: [\"a/*\"], refs: any }}, environment: {{ sandbox: {{}} }} }}\nsources:\n  prom: {{ prometheus: {{ url: \"{}\" }} }}\n",
            prometheus.url()
        ),
    );
    release.file(
        "perf.yaml",
        &format!(
            "target: {}\nload: {{ users: 2, spawn-rate: 20/s, duration: 6s }}\n\
             journeys: [{{ name: look, steps: [{{ get: /products }}] }}]\n\
             checks:\n  - {{ name: cpu, source: prom, query: sum(cpu) by (pod), limit: mean < 0.5, \
             step: 1s, quality: {{ coverage: 50% }} }}\ngate: {{ settle: 1s }}\n",
            shop.url()
        ),
    );
    let image = || {
        release.object("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone()
    };
    let deploy = |image: &str, more: &[&str]| {
        release.manifest("web.yaml", &deployment("web", image, 1, ""));
        release.deploy(&[&["--verify", "perf.yaml", "--policy", "sources.yaml"], more].concat())
    };
    metrics.set(Some(200));
    deploy("i:1", &["--rollback"])
        .told(0, &["all is ready; verifying", "[passed] cpu", "--- deploy: passed ---"]);
    assert!(metrics.n_asked.load(Ordering::Relaxed) > 0);
    metrics.set(Some(900));
    let rejected = deploy("i:2", &["--rollback"]);
    rejected
        .told(99, &["[failed] cpu", "verification: failed", "web is what it was", "rolled back"]);
    assert_eq!(image(), "i:1");
    assert_eq!(rejected.json["verdict"], "failed");
    // What is not known is no reason to keep it either.
    metrics.set(None);
    deploy("i:3", &["--rollback"])
        .told(98, &["[inconclusive] cpu", "verification: inconclusive", "web is what it was"]);
    assert_eq!(image(), "i:1");
    // Without --rollback it stays, and the job fails all the same.
    metrics.set(Some(900));
    deploy("i:4", &[]).told(99, &["[failed] cpu"]);
    assert_eq!(image(), "i:4");
}

/// A kind of a test's own whose objects have a status; removed in the end.
struct Kind<'a> {
    release: &'a Release,
    group: String,
}

impl<'a> Kind<'a> {
    fn made(release: &'a Release) -> Self {
        let group = format!("{}.example.com", release.cluster.namespace);
        let kind = Self { release, group };
        let text = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata: {{ name: widgets.{0} }}\nspec:\n  group: {0}\n  scope: Namespaced\n  \
             names: {{ kind: Widget, plural: widgets, singular: widget, listKind: WidgetList }}\n  \
             versions: [{{ name: v1, served: true, storage: true, subresources: {{ status: {{}} }}, \
             schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }} }}]\n",
            kind.group
        );
        release.manifest("kind.yaml", &text).deploy(&[]).told(0, &["1 of 1 object ready"]);
        release.without("kind.yaml");
        kind
    }

    fn manifest(&self, size: u32) {
        let text = format!(
            "apiVersion: {}/v1\nkind: Widget\nmetadata: {{ name: w }}\nspec: {{ size: {size} }}\n",
            self.group
        );
        self.release.manifest("w.yaml", &text);
    }

    /// What a controller would say.
    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn status(&self, status: Value) {
        let cluster = &self.release.cluster;
        let resource = format!("widgets.{}", self.group);
        let patch = json!({ "status": status }).to_string();
        let namespace = &cluster.namespace;
        cluster.kubectl([
            "-n",
            namespace,
            "patch",
            &resource,
            "w",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    }

    fn generation(&self) -> Value {
        self.release.object(&format!("widgets.{}", self.group), "w")["metadata"]["generation"]
            .clone()
    }
}

impl Drop for Kind<'_> {
    fn drop(&mut self) {
        let name = format!("customresourcedefinitions/widgets.{}", self.group);
        self.release.cluster.kubectl(["delete", &name, "--wait=false"]);
    }
}

fn conditions(observed: u32, kind: &str, status: &str) -> Value {
    json!({"observedGeneration": observed, "conditions": [{"type": kind, "status": status,
        "reason": "NoRoom", "message": "the shelf is full", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}

#[test]
fn a_custom_resource_is_waited_for_by_what_its_controller_says() {
    let release = Release::new("widgets");
    let kind = Kind::made(&release);
    kind.manifest(1);
    release.deploy(&[]).told(0, &["1 of 1 object ready"]);
    kind.status(conditions(1, "Ready", "True"));
    // What the controller said of the last generation does not count.
    kind.manifest(2);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| release.deploy(&["--timeout", "1m"]));
        eventually("the change is applied", || kind.generation() == 2);
        assert!(!deploy.is_finished());
        kind.status(conditions(2, "Ready", "False"));
        kind.status(conditions(2, "Ready", "True"));
        deploy.join().unwrap().told(0, &["w configured", "1 of 1 object ready"]);
    });
    // One that never gets ready has its reason told when time is up.
    kind.manifest(3);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| release.deploy(&["--timeout", "15s"]));
        eventually("the change is applied", || kind.generation() == 3);
        kind.status(conditions(3, "Ready", "False"));
        deploy.join().unwrap().told(
            99,
            &["not ready after 15 s: condition Ready is False: NoRoom: the shelf is full"],
        );
    });
    // One that its controller has given up ends the deploy at once, and goes back.
    kind.status(conditions(3, "Ready", "True"));
    kind.manifest(4);
    std::thread::scope(|scope| {
        let started = std::time::Instant::now();
        let deploy = scope.spawn(|| release.deploy(&["--timeout", "5m", "--rollback"]));
        eventually("the change is applied", || kind.generation() == 4);
        kind.status(conditions(4, "Stalled", "True"));
        // The controller is content with what was put back.
        eventually("the change is taken back", || kind.generation() == 5);
        kind.status(conditions(5, "Ready", "True"));
        let deployed = deploy.join().unwrap();
        deployed.told(99, &["it is stalled: NoRoom: the shelf is full", "w is what it was"]);
        assert!(started.elapsed().as_secs() < 120, "{}", deployed.log);
    });
}

#[test]
fn an_api_service_is_ready_when_the_server_calls_it_available() {
    let release = Release::within(Cluster::new("served").made());
    let group = format!("{}.example.com", release.cluster.namespace);
    release.manifest(
        "service.yaml",
        &format!(
            "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {{ name: v1.{group} }}\n\
             spec: {{ group: {group}, version: v1, groupPriorityMinimum: 100, versionPriority: 100 }}\n"
        ),
    );
    let deployed = release.deploy(&[]);
    release.cluster.kubectl(["delete", "apiservice", &format!("v1.{group}")]);
    deployed.told(0, &["1 of 1 object ready"]);
}
