//! `dyno deploy` and real pods: a kubelet with containerd tells what really becomes of them.

use std::sync::Arc;

use crate::standins::server::{Request, Response, Server, Site};
use crate::support::{Cluster, Release, deployment, indented, skip};

/// A namespace for pods of the real node; `None` where there is none, which is told.
fn real(name: &str) -> Option<Release> {
    let nodes = Cluster::new(name).kubectl(["get", "nodes", "-o", "name"]);
    if nodes.contains("node/real-0") {
        return Some(Release::new(name));
    }
    skip(name, "there is no real node: scripts/cluster node DIR");
    None
}

const BUSYBOX: &str = "localhost/busybox:1";

/// A Deployment for the real node.
fn on_the_real_node(name: &str, image: &str, container: &str, pod: &str) -> String {
    let place = "nodeSelector: { type: real }\ntolerations: [{ key: real, operator: Exists }]\nterminationGracePeriodSeconds: 0\n";
    let pod = indented(&format!("{place}{pod}"), 6);
    let text = deployment(name, image, 1, container);
    text.replace("      containers:\n", &format!("{pod}      containers:\n"))
}

/// Deploys one Deployment that fails, and looks at what is told.
#[track_caller]
fn fails(name: &str, manifest: &str, at_most: u64, told: &[&str]) {
    let Some(release) = real(name) else { return };
    release.manifest("m.yaml", manifest);
    let started = std::time::Instant::now();
    let deployed = release.deploy(&["--timeout", "2m", "--settle", "10s"]);
    deployed.told(99, told).told(99, &["evidence: Deployment", "--- deploy: failed ---"]);
    let seconds = started.elapsed().as_secs();
    assert!(seconds <= at_most, "it took {seconds} s:\n{}", deployed.log);
    assert_eq!(deployed.json["objects"][0]["ready"], false);
}

#[test]
fn a_crash_loop_is_told_with_the_last_words_of_the_container() {
    let container = "command: [sh, -c, \"echo starting; echo no database here >&2; exit 3\"]";
    let manifest = on_the_real_node("crash", BUSYBOX, container, "");
    let told = [
        "container `app` crashed 2 times, last with exit code 3",
        "| no database here",
        "event BackOff",
    ];
    fails("crash-loop", &manifest, 60, &told);
}

struct NoImages;

#[async_trait::async_trait]
impl Site for NoImages {
    async fn answer(&self, request: Request) -> Response {
        match request.path.as_str() {
            "/v2/" => Response::text(200, "{}"),
            _ => Response::text(
                404,
                "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}",
            ),
        }
    }
}

#[test]
fn an_image_that_is_not_there_is_told_at_once() {
    let registry = Server::start(0, Arc::new(NoImages)).unwrap();
    let image = format!("{}/shop/web:9", registry.address());
    let manifest = on_the_real_node("pull", &image, "command: [sleep, \"1000\"]", "");
    fails("image-pull", &manifest, 45, &[&format!("cannot pull image `{image}`"), "not found"]);
}

#[test]
fn a_container_that_cannot_be_made_is_told() {
    let container = "command: [sleep, \"1000\"]\nsecurityContext: { runAsNonRoot: true }";
    let manifest = on_the_real_node("config", BUSYBOX, container, "");
    let told =
        ["container `app` cannot be made: container has runAsNonRoot and image will run as root"];
    fails("config-error", &manifest, 60, &told);
}

#[test]
fn a_liveness_probe_that_kills_is_told_as_that() {
    let container = "command: [sleep, \"1000\"]\n\
                     livenessProbe: { exec: { command: [sh, -c, \"echo too ill; exit 1\"] }, periodSeconds: 1, failureThreshold: 1 }";
    let manifest = on_the_real_node("liveness", BUSYBOX, container, "");
    let told = ["restarted 2 times by its probe: Liveness probe failed: too ill"];
    fails("liveness", &manifest, 90, &told);
}

#[test]
fn a_readiness_probe_that_fails_is_the_reason_at_the_timeout() {
    let Some(release) = real("readiness") else { return };
    let container = "command: [sh, -c, \"echo warming up; sleep 1000\"]\n\
                     readinessProbe: { exec: { command: [sh, -c, \"echo not yet; exit 1\"] }, periodSeconds: 1 }";
    release.manifest("m.yaml", &on_the_real_node("readiness", BUSYBOX, container, ""));
    release.deploy(&["--timeout", "15s", "--settle", "10s"]).told(
        99,
        &[
            "not ready after 15 s: 0 of 1 pods are available",
            "container `app` runs and is not ready: Readiness probe failed: not yet",
            "| warming up",
        ],
    );
}

#[test]
fn an_init_container_that_fails_is_told() {
    let init = format!(
        "initContainers: [{{ name: migrate, image: \"{BUSYBOX}\", command: [sh, -c, \"echo table is locked; exit 7\"] }}]"
    );
    let manifest = on_the_real_node("init", BUSYBOX, "command: [sleep, \"1000\"]", &init);
    let told =
        ["init container `migrate` crashed 2 times, last with exit code 7", "| table is locked"];
    fails("init-failure", &manifest, 60, &told);
}

#[test]
fn a_container_that_takes_too_much_memory_is_told_at_once() {
    let container = "command: [tail, /dev/zero]\nresources: { limits: { memory: 32Mi } }";
    let manifest = on_the_real_node("oom", BUSYBOX, container, "");
    fails(
        "oom-kill",
        &manifest,
        30,
        &["for want of memory (OOMKilled, exit code 137): raise its memory limit"],
    );
}

#[test]
fn a_pod_that_is_evicted_again_and_again_is_told() {
    let container = "command: [sh, -c, \"dd if=/dev/zero of=/v/x bs=1M count=8; sleep 1000\"]\n\
                     volumeMounts: [{ name: v, mountPath: /v }]";
    let volume = "volumes: [{ name: v, emptyDir: { sizeLimit: 1Mi } }]";
    let manifest = on_the_real_node("evict", BUSYBOX, container, volume);
    let Some(release) = real("eviction") else { return };
    release.manifest("m.yaml", &manifest);
    release
        .deploy(&["--timeout", "2m", "--settle", "30s"])
        .told(99, &["it was evicted: Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\""]);
}

#[test]
fn a_slow_start_is_waited_for() {
    let Some(release) = real("slow-start") else { return };
    let container = "command: [sh, -c, \"sleep 12; touch /tmp/up; sleep 1000\"]\n\
                     readinessProbe: { exec: { command: [cat, /tmp/up] }, periodSeconds: 1 }";
    release.manifest("m.yaml", &on_the_real_node("slow", BUSYBOX, container, ""));
    let deployed = release.deploy(&["--timeout", "2m", "--settle", "10s"]);
    deployed.told(0, &["1 of 1 object ready"]);
    assert!(deployed.json["objects"][0]["seconds"].as_f64().unwrap() >= 11.0, "{}", deployed.json);
}

#[test]
fn a_crash_while_others_still_come_up_may_be_a_wait_for_them() {
    let Some(release) = real("dependants") else { return };
    // Crashes twice, until the other one has had the time to come up.
    let crashing = "command: [sh, -c, \"n=$(cat /state/n || echo 0); echo $((n + 1)) > /state/n; [ $n -ge 2 ] && sleep 1000; exit 1\"]\n\
                    volumeMounts: [{ name: state, mountPath: /state }]";
    let volume = "volumes: [{ name: state, emptyDir: {} }]";
    let slow = "command: [sh, -c, \"sleep 40; touch /tmp/up; sleep 1000\"]\n\
                readinessProbe: { exec: { command: [cat, /tmp/up] }, periodSeconds: 1 }";
    release
        .manifest("a.yaml", &on_the_real_node("needy", BUSYBOX, crashing, volume))
        .manifest("b.yaml", &on_the_real_node("database", BUSYBOX, slow, ""));
    release.deploy(&["--timeout", "2m", "--settle", "5s"]).told(0, &["2 of 2 objects ready"]);
}
