//! The whole line: the original pipeline, byte for byte, through `dyno try`.

use crate::support::{Cluster, Shop, Station, Try, write_plan};

const PIPELINE: &str = include_str!("../data/acme/.gitlab-ci.yml");
const PROJECT: &str = "vmware-cloud-advocacy/vmworld2019";

/// The shop's front end in staging, in a namespace of the test's own; its pod.
fn staging() -> (Cluster, String) {
    let staging = Cluster::new("staging").made();
    let manifest = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/acme/kubernetes-manifests/frontend-total.yaml"
    );
    let namespace = staging.namespace.as_str();
    staging.kubectl(["apply", "-n", namespace, "-f", manifest]);
    let wait = [
        "wait",
        "-n",
        namespace,
        "--for=condition=Available",
        "deployment/frontend",
        "--timeout=60s",
    ];
    staging.kubectl(wait);
    let first = "jsonpath={.items[0].metadata.name}";
    let pod = staging.kubectl([
        "get",
        "pods",
        "-n",
        namespace,
        "--selector=service=frontend",
        "-o",
        first,
    ]);
    (staging, pod)
}

fn original(station: &Station, production: &Cluster) -> Try {
    Try::new(&station.lab, &station.policy(), PIPELINE)
        .project(PROJECT)
        .with_folder("acme/kubernetes-manifests", "app/kubernetes/kubernetes-manifests")
        .variable("GITLAB_USER_LOGIN", &production.namespace)
        .variable("FRONTEND_TARGET", &station.shop_host())
        .masked("WFTOKEN", "a-token-of-the-jobs-own")
        .masked("GITLAB_TOKEN", "glpat-of-the-jobs-own")
}

/// The journey of the original: each of its requests was made.
#[track_caller]
fn the_whole_journey_was_driven(shop: &Shop) {
    for (method, route) in [
        ("GET", "/"),
        ("GET", "/products"),
        ("GET", "/products/{id}"),
        ("GET", "/static/images/{name}"),
        ("POST", "/login/"),
        ("POST", "/cart/item/add/{user}"),
        ("POST", "/cart/item/modify/{user}"),
        ("GET", "/cart/items/{user}"),
        ("POST", "/order/add/{user}"),
    ] {
        assert!(shop.n_requests_of(method, route) > 0, "{method} {route}");
    }
    assert!(shop.n_orders() > 0);
}

#[test]
fn the_original_pipeline_is_green_with_the_lines_of_its_sample_logs() {
    let (staging, pod) = staging();
    let production = Cluster::new("production");
    let station = Station::watching(&pod, 0.678_301).with_cluster(
        &staging,
        &staging.namespace,
        "{{ user.login }}",
    );
    let tried = original(&station, &production).run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    let told = [
        "calling Wavefront to get details for pod",
        "--- Configuration Settings ---",
        "Wavefront Variable: abc",
        "Metric            : kubernetes.pod_container.cpu.usage_rate",
        "Cluster           : acmefitness-aks-02",
        &format!("Pod               : {pod}"),
        "Threshold         : 1.000000",
        "GitLab Project    : vmworld2019",
        "---  Calling Wavefront on  ---",
        "Wavefront response: 200 OK",
        "---   Calling GitLab on    ---",
        "Setting abc to passed",
        "GitLab response: 200 OK",
        "--- Wavefront Check Result ---",
        "No worries, the avg kubernetes.pod_container.cpu.usage_rate is 0.678301 (which is less than 1.000000)",
        "Within range. Continuing!",
        &format!("namespace/{} created", production.namespace),
        "service/cart-redis created",
        "deployment.apps/cart-redis created",
        "deployment.apps/users created",
    ];
    for text in told {
        assert!(tried.log.contains(text), "`{text}` is missing:\n{}", tried.log);
    }
    let objects = production.kubectl([
        "get",
        "deployments,services,configmaps",
        "-n",
        &production.namespace,
        "-o",
        "name",
    ]);
    let count = |kind: &str| objects.lines().filter(|line| line.starts_with(kind)).count();
    // The cluster adds a ConfigMap of its own to every namespace.
    assert_eq!(
        (count("deployment"), count("service/"), count("configmap")),
        (13, 16, 3),
        "{objects}"
    );
    the_whole_journey_was_driven(&station.shop);
}

#[test]
fn the_original_pipeline_is_red_above_the_threshold_and_nothing_is_deployed() {
    let (staging, pod) = staging();
    let production = Cluster::new("production");
    let station = Station::watching(&pod, 72.029_412).with_cluster(
        &staging,
        &staging.namespace,
        "{{ user.login }}",
    );
    // A shorter load: the same recipe, beside the policy, with another duration.
    let recipe = include_str!("../../config/recipes/locust.yaml");
    let shorter =
        recipe.replace("--duration 1m", "--duration 5s").replace("--users 250", "--users 25");
    assert_ne!(recipe, shorter);
    station.lab.file("recipes/locust.yaml", &shorter);
    let tried = original(&station, &production).variable("abc", "passed").run();
    assert_ne!(tried.code, Some(0), "{}", tried.log);
    for text in [
        "Setting abc to failed",
        "ALERT! avg kubernetes.pod_container.cpu.usage_rate: 72.029412",
        "| Alert\n",
    ] {
        assert!(tried.log.contains(text), "`{text}` is missing:\n{}", tried.log);
    }
    let namespaces = production.kubectl(["get", "namespaces", "-o", "name"]);
    assert!(!namespaces.contains(&production.namespace), "{namespaces}");
}

#[test]
fn the_verdict_is_right_in_the_same_script_and_in_the_next_job() {
    let station = Station::new(72.0);
    let plan = write_plan("mean < 1").replace('\n', "\n      ");
    let pipeline = format!(
        "\
stages: [check, after]
gate:
  stage: check
  tags: [Dedicated]
  script:
    - |
      {plan}
    - dyno gate plan.yaml --variable abc --no-fail
    - echo \"same script $abc\"
  after_script: ['echo \"after script $abc\"']
  artifacts:
    reports: {{ dotenv: dyno-report/dyno.env }}
next:
  stage: after
  tags: [Dedicated]
  script: ['echo \"next job $abc\"']
"
    );
    let tried = Try::new(&station.lab, &station.policy(), &pipeline).run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    for text in ["same script failed", "after script failed", "next job failed"] {
        assert!(tried.log.contains(text), "`{text}` is missing:\n{}", tried.log);
    }
}
