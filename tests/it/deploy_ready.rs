//! When `dyno deploy` takes objects for ready: what runs, what others give an address, a volume or metrics.

use crate::support::{Release, deployment, eventually};

#[test]
fn every_kind_that_makes_pods_tells_why_they_do_not_come_up() {
    let pod = |image: &str| format!("{{ containers: [{{ name: app, image: {image} }}] }}");
    let template = |image: &str| {
        format!(
            "selector: {{ matchLabels: {{ a: b }} }}, template: {{ metadata: {{ labels: {{ a: b }} }}, spec: {} }}",
            pod(image)
        )
    };
    let once = "{ restartPolicy: Never, containers: [{ name: app, image: i-always-fail }] }";
    for (kind, version, spec, told) in [
        (
            "StatefulSet",
            "apps/v1",
            format!("{{ serviceName: x, {} }}", template("i-crash")),
            "container `app` crashed",
        ),
        (
            "DaemonSet",
            "apps/v1",
            format!("{{ {} }}", template("i-does-not-exist")),
            "cannot pull image",
        ),
        (
            "Job",
            "batch/v1",
            format!("{{ backoffLimit: 0, template: {{ spec: {once} }} }}"),
            "it failed: BackoffLimitExceeded",
        ),
        ("Pod", "v1", pod("i-crash"), "container `app` crashed"),
    ] {
        let release = Release::new("kinds");
        release.manifest(
            "m.yaml",
            &format!(
                "apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: one }}\nspec: {spec}\n"
            ),
        );
        let deployed = release.deploy(&["--timeout", "2m"]);
        deployed.told(99, &[&format!("{kind} kinds-"), told, "--- deploy: failed ---"]);
        assert_eq!(deployed.json["objects"][0]["ready"], false);
    }
}

#[test]
fn kinds_that_run_are_ready_and_a_job_is_followed_to_its_end() {
    let release = Release::new("running");
    release.manifest(
        "m.yaml",
        "\
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: s }
spec: { serviceName: x, replicas: 2, selector: { matchLabels: { a: s } }, template: { metadata: { labels: { a: s } }, spec: { containers: [{ name: c, image: i }] } } }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: d }
spec: { selector: { matchLabels: { a: d } }, template: { metadata: { labels: { a: d } }, spec: { containers: [{ name: c, image: i }] } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: j }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: c }
spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } } } }
---
apiVersion: v1
kind: Pod
metadata: { name: p }
spec: { containers: [{ name: c, image: i }] }
",
    );
    release.deploy(&["--timeout", "2m"]).told(0, &["5 of 5 objects ready"]);
    release.deploy(&[]).told(0, &["to be 5 unchanged"]);
}

#[test]
fn what_will_never_have_an_address_or_a_metric_does_not_hold_a_deploy_up() {
    let release = Release::new("edges");
    release.manifest("web.yaml", &deployment("web", "i:1", 1, "")).manifest(
        "edges.yaml",
        "\
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: LoadBalancer, selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  tls: [{ hosts: [shop.example.com] }]
  rules:
    - host: shop.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  maxReplicas: 3
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
",
    );
    let deployed = release.deploy(&["--timeout", "2m"]);
    deployed.told(
        0,
        &[
            "no load balancer has given it an address",
            "no controller has given it an address",
            "no volume is bound",
            "answers at https://shop.example.com",
        ],
    );
    let dotenv = release.report("dyno.env").unwrap();
    assert!(dotenv.contains("DYNO_DEPLOY_URL=https://shop.example.com\n"), "{dotenv}");
    // Where nothing changed, nothing comes that did not come before: it is told, and not waited for.
    let again = release.deploy(&[]);
    again.told(0, &["to be 5 unchanged", "no controller has given it an address"]);
    assert!(!again.log.contains("waiting"), "{}", again.log);
}

const GIVEN: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec: { defaultBackend: { service: { name: web, port: { number: 80 } } } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: LoadBalancer, ports: [{ port: 80 }] }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec: { scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }, maxReplicas: 3 }
";

#[test]
fn what_is_given_an_address_or_metrics_is_ready_as_soon_as_its_controller_says_so() {
    let release = Release::new("given");
    release.manifest("given.yaml", GIVEN).manifest("web.yaml", &deployment("web", "i:1", 1, ""));
    let addressed = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    // The real controller looks at a scaler 15 seconds after it is made.
    let measured = r#"{"status":{"desiredReplicas":1,"conditions":[{"type":"AbleToScale","status":"True"},
        {"type":"ScalingActive","status":"True","reason":"ValidMetricFound"}]}}"#;
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| release.deploy(&["--timeout", "1m"]));
        for (kind, status) in [("ingress", addressed), ("service", addressed), ("hpa", measured)] {
            eventually("it is applied", || release.cluster.has(kind, "web"));
            let namespace = &release.cluster.namespace;
            release.cluster.kubectl([
                "-n",
                namespace,
                "patch",
                kind,
                "web",
                "--subresource=status",
                "--type=merge",
                "-p",
                status,
            ]);
        }
        let deployed = deploy.join().unwrap();
        deployed.told(0, &["4 of 4 objects ready", "answers at http://192.0.2.7"]);
        assert!(!deployed.log.contains("is ready ("), "{}", deployed.log);
    });
}
