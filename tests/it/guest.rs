//! Inside a job: the commands on its PATH, what they reach without a network, and the verdict's
//! variable, right in the next line of the same script.

use crate::support::{Cluster, Ending, Runner, Station, Upload, Variable, write_plan};

#[test]
fn the_verdicts_variable_is_right_in_the_next_line_and_in_later_scripts() {
    for (value, verdict) in [(0.5, "passed"), (72.0, "failed")] {
        let station = Station::new(value);
        let job = station
            .runner()
            .variable("abc", if verdict == "passed" { "failed" } else { "passed" })
            .script([
                &write_plan("mean < 1"),
                "dyno gate plan.yaml --variable abc --no-fail",
                "echo \"now: $abc\"",
            ])
            .after_script(["echo \"later: $abc\""])
            .run();
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
        assert!(job.log.contains(&format!("\nnow: {verdict}\n")), "{}", job.log);
        assert!(job.log.contains(&format!("\nlater: {verdict}\n")), "{}", job.log);
    }
}

#[test]
fn the_verdict_ends_the_script_with_99_and_gitlab_sees_it() {
    let job = Station::new(72.0)
        .runner()
        .script([&write_plan("mean < 1"), "dyno gate plan.yaml", "echo never"])
        .run();
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(99)), "{}", job.log);
    assert!(job.log.contains("frontend CPU") && job.log.contains("72"), "{}", job.log);
}

#[test]
fn the_verdict_reaches_later_jobs_by_the_dotenv_report_and_by_the_api() {
    let station = Station::new(72.0);
    station.lab.gitlab().set_variable(4217, Variable::new("abc", "passed"));
    let job = station
        .runner()
        .response(|response| {
            response["artifacts"] = serde_json::json!([
                { "name": ".env", "paths": ["dyno-report/dyno.env"], "when": "always",
                  "artifact_type": "dotenv", "artifact_format": "gzip" },
            ]);
        })
        .script([&write_plan("mean < 1"), "dyno gate plan.yaml --variable abc --no-fail"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert_eq!(
        station.lab.gitlab().variable(4217, "abc").as_deref(),
        Some("failed"),
        "{}",
        job.log
    );
    let uploads = station.lab.gitlab().uploads();
    let dotenv = uploads.iter().find(|upload| upload.kind == "dotenv").map(Upload::text);
    assert!(dotenv.unwrap().lines().any(|line| line == "abc=failed"));
}

#[test]
fn the_inspectors_script_is_answered_natively() {
    for (value, told, after) in [
        (
            0.678_301,
            "No worries, the avg kubernetes.pod_container.cpu.usage_rate is 0.678301 (which is less than 1.000000)",
            "Within range. Continuing!",
        ),
        (72.029_412, "ALERT! avg kubernetes.pod_container.cpu.usage_rate: 72.029412", "Alert"),
    ] {
        let station = Station::new(value);
        let job = station
            .runner()
            .image("retgits/wavefront-pod-inspector:latest")
            .masked("WFTOKEN", "a-token-of-the-jobs-own")
            .variable("POD_NAME", "frontend-1")
            .script([
                "dyno load --target $SHOP --get /products --users 2 --spawn-rate 2/s --duration 2s",
                "export API_TOKEN=$WFTOKEN",
                "/bin/entrypoint.sh",
                "if [ $abc = \"failed\" ]; then echo \"Alert\" && exit 1 ; else echo \"Within range. Continuing!\"; fi",
            ])
            .run();
        assert!(job.log.contains(told), "{}", job.log);
        assert!(job.log.contains(&format!("\n{after}\n")), "{}", job.log);
        assert_eq!(job.ending == Ending::Success, after.starts_with("Within"), "{}", job.log);
    }
}

#[test]
fn dyno_kubectl_and_locust_are_on_the_path() {
    let job = Station::new(0.5)
        .runner()
        .script([
            "type -P dyno kubectl locust",
            "dyno --version",
            "kubectl version --client",
            "bash -c 'locust --version'",
            "id -u",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for name in ["dyno", "kubectl", "locust"] {
        assert!(job.log.contains(&format!("\n/run/dyno/bin/{name}\n")), "{}", job.log);
    }
    assert!(!job.log.contains("\n0\n"), "the script is root:\n{}", job.log);
}

#[test]
fn a_job_without_network_drives_load_and_reaches_the_target_through_the_driver_only() {
    let station = Station::new(0.5);
    let (host, port) =
        station.shop_host().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    let job = station
        .runner()
        .script([
            &format!(
                "(exec 3<>/dev/tcp/{host}/{port}) 2>/dev/null && echo reached || echo cut off"
            ),
            "dyno load --target $SHOP --get /products --users 3 --spawn-rate 3/s --duration 2s",
            "ls dyno-report",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\ncut off\n"), "{}", job.log);
    assert!(station.shop.n_requests_of("GET", "/products") > 0);
    assert!(job.log.contains("load.json") && job.log.contains("junit.xml"), "{}", job.log);
}

/// A deploy job whose user has a namespace of their own name.
fn deploys_as_its_user(station: &Station, cluster: &Cluster) -> Runner {
    let runner = station.deploy_runner().seat(|seat| cluster.namespace.clone_into(&mut seat.login));
    runner.image("bitnami/kubectl").variable("NS", &cluster.namespace)
}

#[test]
fn a_job_without_network_deploys() {
    let cluster = Cluster::new("deploy");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "{{ user.login }}");
    let job = deploys_as_its_user(&station, &cluster)
        .script([
            "kubectl create namespace $NS -o yaml --dry-run | kubectl apply -f -",
            "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: made}\\ndata: {by: dyno}\\n' > made.yaml",
            "kubectl apply -n $NS -f made.yaml",
            "kubectl get configmap made -n $NS -o name",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(
        job.log.contains(&format!("\nnamespace/{} created\n", cluster.namespace)),
        "{}",
        job.log
    );
    assert!(job.log.contains("\nconfigmap/made created\n"), "{}", job.log);
    assert!(cluster.has("configmap", "made"));
}

#[test]
fn a_job_looks_closely_at_what_is_its_own_on_a_platforms_cluster_and_at_nothing_else() {
    let cluster = Cluster::new("looks");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "{{ user.login }}");
    let job = deploys_as_its_user(&station, &cluster)
        .script([
            "kubectl create namespace $NS",
            "kubectl create configmap made --from-literal=by=dyno -n $NS",
            "kubectl create deployment web --image=nginx:1 -n $NS",
            "kubectl create ingress way --rule=/=web:80 -n $NS",
            "kubectl describe cm,deploy,ing -n $NS --show-events",
            "kubectl describe cm mad -n $NS | tail -4",
            "kubectl describe ns $NS",
            "kubectl get cm -n $NS -o go-template='{{range .items}}[{{.metadata.name}}]{{end}}{{println}}'",
            "kubectl explain cm.data | head -4",
            "kubectl get --raw /version | grep -c gitVersion",
            "kubectl get --raw /api/v1/secrets || echo no objects by their path",
            "kubectl get --raw /apis/../api/v1/secrets || echo no way around",
            "kubectl auth can-i --list || echo no list",
            "kubectl describe cm -n kube-system || echo no system",
            "kubectl describe clusterrole view || echo no cluster role",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let namespace = format!("\nNamespace:    {}\n", cluster.namespace);
    for told in [
        namespace.as_str(),
        "\nBinaryData\n====\n",
        "\nStrategyType:           RollingUpdate\n",
        "web:80 (<error: services \"web\" not found>)",
        "\nNo resource quota.\n",
        "[made]",
        "\nFIELD: data <map[string]string>\n",
        "\nno objects by their path\n",
        "\nno way around\n",
        "\nno list\n",
        "\nno system\n",
        "\nno cluster role\n",
    ] {
        assert!(job.log.contains(told), "{told}\n{}", job.log);
    }
}

#[test]
fn no_secret_of_the_platform_is_in_the_job() {
    let station = Station::new(0.5);
    let job = station
        .runner()
        .script([&write_plan("mean < 1"), "dyno gate plan.yaml", "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; cat -A plan.yaml dyno-report/*"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for secret in ["wavefront-token-of-the-platform", "glpat-maintainer-of-the-lab"] {
        assert!(!job.log.contains(secret), "{}", job.log);
    }
}
