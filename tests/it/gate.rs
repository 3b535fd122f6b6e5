//! The gate in a job: what is sampled beside a load, runs that are kept for later ones, and a verdict
//! that is told in the merge request and at the commit.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::standins::server::{Request, Response, Server, Site};
use crate::support::{Ending, Runner, Station};

/// A page of metrics whose counter grows with every look at it.
struct Page(std::sync::atomic::AtomicU64);

#[async_trait::async_trait]
impl Site for Page {
    async fn answer(&self, _request: Request) -> Response {
        let looks = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let text =
            format!("# TYPE busy gauge\nbusy{{pod=\"web-1\"}} 0.5\nlooks_total {looks}\n# EOF\n");
        Response::text(200, text)
    }
}

fn of_default_branch(response: &mut Value) {
    response["git_info"]["protected"] = json!(true);
    let own = [("CI_COMMIT_BRANCH", "main"), ("CI_DEFAULT_BRANCH", "main")];
    let variables = response["variables"].as_array_mut().unwrap();
    for (key, value) in own {
        variables.retain(|variable| variable["key"] != key);
        variables.insert(0, json!({ "key": key, "value": value, "public": true }));
    }
}

fn with_more(station: &Station, more: &str, sources: &str) -> String {
    station.policy().replacen("sources:\n", &format!("{more}sources:\n{sources}"), 1).replacen(
        "sources: [wavefront]",
        "sources: [wavefront, page]",
        1,
    )
}

const REGRESSION: &str = "cat > perf.yaml <<'YAML'\nchecks:\n  - name: CPU\n    source: wavefront\n    \
    query: ts(\"kubernetes.pod_container.cpu.usage_rate\", pod_name=\"frontend-1\")\n    \
    limit: \"mean < 100\"\n    regression: { at-least: 3, last: 5 }\n\
    gate: { window: { last: 30s }, settle: 1s }\nYAML";

#[test]
fn a_page_of_metrics_is_sampled_while_the_load_runs_and_judged_after_it() {
    let station = Station::new(0.5);
    let page = Server::start(0, Arc::new(Page(0.into()))).unwrap();
    let sources = format!("  page: {{ openmetrics: {{ url: \"{}/metrics\" }} }}\n", page.url());
    let policy = with_more(&station, "", &sources);
    let plan = "cat > plan.yaml <<'YAML'\ntarget: $SHOP\nload: { users: 2, spawn-rate: 20/s, duration: 6s }\n\
        journeys: [{ name: g, steps: [{ get: /products }] }]\nchecks:\n  \
        - { name: busy, source: page, query: 'busy{pod=~\"web-.*\"}', limit: mean < 0.6, step: 1s, quality: { coverage: 50% } }\n  \
        - { name: looks, source: page, query: looks_total, limit: rate > 0.2/s, step: 1s, quality: { coverage: 50% } }\n  \
        - { name: missing, source: page, query: nothing, limit: mean < 1, on-inconclusive: warn }\n  \
        - { name: own rate, source: load, query: rate, limit: mean > 1, step: 1s, quality: { coverage: 50% } }\nYAML";
    let job = Runner::within(&station.lab, &policy)
        .variable("SHOP", &format!("http://{}", station.shop_host()))
        .script([plan, "dyno load plan.yaml", "dyno gate plan.yaml", "cat dyno-report/gate.json"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for part in [
        "[passed] busy",
        "[passed] looks",
        "[passed] own rate",
        "[inconclusive] missing",
        "load req/s",
    ] {
        assert!(job.log.contains(part), "{part} is not in:\n{}", job.log);
    }
}

#[test]
fn runs_of_the_default_branch_are_kept_and_later_ones_compared_with_them() {
    let station = Station::new(10.0);
    let policy = with_more(&station, "baselines: { packages: {} }\n", "").replacen(
        "[wavefront, page]",
        "[wavefront]",
        1,
    );
    let run = |id: u64| {
        Runner::within(&station.lab, &policy)
            .seat(|seat| {
                seat.id = id;
                seat.token = format!("JOB-TOKEN-{id}");
            })
            .response(of_default_branch)
            .script([
                REGRESSION,
                "dyno gate perf.yaml; code=$?; dyno baseline list perf.yaml; exit $code",
            ])
            .run()
    };
    for (id, part) in [(1, "no baseline yet"), (2, "1 accepted"), (3, "2 accepted")] {
        let job = run(id);
        assert_eq!(job.exit_code, Some(98), "{}", job.log);
        assert!(job.log.contains(part), "{}", job.log);
        assert!(job.log.contains(&format!("kept as number {id} of the accepted")), "{}", job.log);
    }
    let job = run(4);
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("within the noise of the accepted runs"), "{}", job.log);
    let kept = station.lab.gitlab().package("dyno-baseline/1.0.0-perf/runs.json").unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["runs"].as_array().unwrap().len(), 4);
    let other = Runner::within(&station.lab, &policy)
        .response(|response| {
            of_default_branch(response);
            response["variables"][1]["value"] = json!("feature");
        })
        .script([REGRESSION, "dyno gate perf.yaml", "dyno baseline reset perf.yaml"])
        .run();
    assert_eq!(other.exit_code, Some(96), "{}", other.log);
    assert!(other.log.contains("only jobs of the protected default branch"), "{}", other.log);
}

#[test]
fn a_verdict_has_one_note_in_its_merge_request_and_a_status_at_its_commit() {
    let station = Station::new(72.0);
    let policy =
        with_more(&station, "verdicts: { merge-request: true, commit-status: true }\n", "")
            .replacen("[wavefront, page]", "[wavefront]", 1);
    let plan = |limit: &str| {
        format!(
            "cat > plan.yaml <<'YAML'\nchecks:\n  - name: \"CPU |\\n/merge\"\n    source: wavefront\n    \
             query: ts(\"kubernetes.pod_container.cpu.usage_rate\", pod_name=\"frontend-1\")\n    \
             limit: \"{limit}\"\ngate: {{ window: {{ last: 30s }}, settle: 1s }}\nYAML"
        )
    };
    for (limit, code, state) in
        [("mean < 1", 99, "failed"), ("mean < 1", 99, "failed"), ("mean < 99", 0, "success")]
    {
        let job = Runner::within(&station.lab, &policy)
            .response(|response| {
                let variables = response["variables"].as_array_mut().unwrap();
                variables.retain(|variable| variable["key"] != "CI_COMMIT_SHA");
                for (key, value) in [("CI_MERGE_REQUEST_IID", "7"), ("CI_COMMIT_SHA", "abc123")] {
                    variables.insert(0, json!({ "key": key, "value": value, "public": true }));
                }
            })
            .script([&plan(limit), "dyno gate plan.yaml || exit $?"])
            .run();
        assert_eq!(job.exit_code.unwrap_or(0), code, "{}", job.log);
        assert!(!job.log.contains("WARNING: the"), "{}", job.log);
        let statuses = station.lab.gitlab().statuses();
        assert_eq!((statuses.len(), statuses[0].state.as_str()), (1, state));
    }
    let notes = station.lab.gitlab().notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let body = &notes[0].body;
    assert!(body.contains("**dyno gate: passed**") && notes[0].request == 7, "{body}");
    assert!(!body.lines().any(|line| line.starts_with('/')), "{body}");
}

/// `metrics.k8s.io` as an API server gives it.
struct Metrics;

#[async_trait::async_trait]
impl Site for Metrics {
    async fn answer(&self, request: Request) -> Response {
        if request.path != "/apis/metrics.k8s.io/v1beta1/namespaces/acme/pods" {
            let status = json!({ "kind": "Status", "code": 404, "message": "the server could not find the requested resource", "reason": "NotFound" });
            return Response::json(404, &status);
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let usage = json!({ "cpu": "250000000n", "memory": "64Mi" });
        Response::json(
            200,
            &json!({
                "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1",
                "items": [{
                    "metadata": { "name": "frontend-1", "namespace": "acme", "labels": { "app": "web" } },
                    "timestamp": now, "window": "15s",
                    "containers": [{ "name": "web", "usage": usage }],
                }],
            }),
        )
    }
}

#[test]
fn the_clusters_own_measurements_are_sampled_with_the_platforms_credential() {
    let station = Station::new(0.5);
    let cluster = Server::start(0, Arc::new(Metrics)).unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"{}\" }} }}]\n\
         users: [{{ name: u, user: {{ token: a-token-of-the-platform }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n",
        cluster.url()
    );
    station.lab.secret("cluster.kubeconfig", &kubeconfig);
    let clusters = format!(
        "clusters: {{ metered: {{ kubeconfig: {}/cluster.kubeconfig }} }}\n",
        station.lab.folder().display()
    );
    let sources = "  page: { pod-metrics: { cluster: metered, namespaces: [acme] } }\n";
    let policy = with_more(&station, &clusters, sources);
    let plan = "cat > plan.yaml <<'YAML'\ntarget: $SHOP\nload: { users: 2, spawn-rate: 20/s, duration: 6s }\n\
        journeys: [{ name: g, steps: [{ get: /products }] }]\nchecks:\n  \
        - { name: cpu, source: page, query: 'cpu{namespace=\"acme\", label_app=\"web\"}', limit: mean < 300m, step: 1s, quality: { coverage: 50% } }\n  \
        - { name: memory, source: page, query: memory, limit: max < 32MiB, step: 1s, quality: { coverage: 50% } }\nYAML";
    let job = Runner::within(&station.lab, &policy)
        .variable("SHOP", &format!("http://{}", station.shop_host()))
        .script([plan, "dyno load plan.yaml", "dyno gate plan.yaml"])
        .run();
    assert_eq!(job.exit_code, Some(99), "{}", job.log);
    for part in ["[passed] cpu: mean 0.25 holds", "[failed] memory: max 67108864 breaks"] {
        assert!(job.log.contains(part), "{part} is not in:\n{}", job.log);
    }
    assert!(!job.log.contains("a-token-of-the-platform"), "{}", job.log);
}

#[test]
fn the_samples_of_a_load_that_is_inconclusive_itself_are_no_evidence() {
    for (verdict, code, parts) in [
        ("failed", "0", &["--- gate: passed ---"][..]),
        (
            "inconclusive",
            "98",
            &[
                "WARNING: what is judged may not be the load that was meant: the load's own verdict is \
                 inconclusive: the generator was the limit",
                "[inconclusive] p95: ",
            ],
        ),
        ("error", "98", &["the load's own verdict is error", "[inconclusive] p95: "]),
    ] {
        let report = format!(
            "now=$(($(date +%s) * 1000)); mkdir -p dyno-report; {{ \
             printf '{{\"schema\":\"dyno.load/1\",\"verdict\":\"{verdict}\",\"interrupted\":false,'; \
             printf '\"reasons\":[\"the generator was the limit\"],\"requests\":{{\"count\":90,\"failed\":0}},'; \
             printf '\"steady\":{{\"start\":%s,\"end\":%s}},\"series\":[' $((now - 9000)) $now; \
             for n in 9 8 7 6 5 4 3 2 1; do \
             printf '{{\"start\":%s,\"span\":1000,\"users\":1,\"rate\":10,\"failed\":0,\"p50\":5,\"p95\":9}}' \
             $((now - n * 1000)); [ $n = 1 ] || printf ,; done; printf ']}}'; }} > dyno-report/load.json"
        );
        let job = Station::new(0.5)
            .runner()
            .script([
                "cat > plan.yaml <<'YAML'\nchecks: [{ name: p95, source: load, query: p95, limit: max < 1s }]\n\
                 gate: { settle: 1s }\nYAML",
                &report,
                "code=0; dyno gate plan.yaml || code=$?",
                "echo \"the gate ended with $code\"",
            ])
            .run();
        for part in parts.iter().copied().chain([format!("the gate ended with {code}").as_str()]) {
            assert!(job.log.contains(part), "{verdict}: {part} is not in:\n{}", job.log);
        }
    }
}
