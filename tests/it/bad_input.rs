//! Wrong input of every kind: a clear message, and the right fault.

use crate::support::{Behaviour, Cluster, Ending, Job, Station, write_plan};

/// The job's own fault, with the tool's exit code; the log says each of the texts.
#[track_caller]
fn jobs_fault(job: &Job, code: i32, told: &[&str]) {
    assert_eq!((&job.ending, job.exit_code), (&Ending::ScriptFailure, Some(code)), "{}", job.log);
    for text in told {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
}

#[test]
fn a_plan_that_is_not_there() {
    let job = Station::new(0.5).runner().script(["dyno load nowhere/perf.yaml"]).run();
    jobs_fault(&job, 2, &["nowhere/perf.yaml"]);
}

#[test]
fn a_plan_with_a_misspelt_key() {
    let job = Station::new(0.5)
        .runner()
        .script([
            "printf 'target: http://shop\\nload: { uzers: 5 }\\n' > perf.yaml",
            "dyno load perf.yaml",
        ])
        .run();
    jobs_fault(&job, 2, &["perf.yaml", "uzers", "2"]);
}

#[test]
fn a_target_that_nobody_listens_at() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let job = Station::new(0.5)
        .runner()
        .script([&format!("dyno load --target http://{closed} --get / --users 2 --duration 2s")])
        .run();
    jobs_fault(&job, 97, &[]);
    assert!(job.log.matches(&closed.to_string()).count() > 1, "beside the command: {}", job.log);
}

#[test]
fn a_target_that_the_policy_does_not_allow() {
    let job = Station::new(0.5)
        .runner()
        .script(["dyno load --target http://192.0.2.1 --get / --users 2 --duration 2s"])
        .run();
    jobs_fault(&job, 96, &["192.0.2.1", "targets", "127.0.0.0/8"]);
}

#[test]
fn more_users_than_the_policy_allows() {
    let job = Station::new(0.5)
        .runner()
        .script(["dyno load --target $SHOP --get / --users 501 --duration 2s"])
        .run();
    jobs_fault(&job, 96, &["501", "500", "users"]);
}

#[test]
fn a_metric_without_an_answer_never_passes() {
    for behaviour in [Behaviour::NoSeries, Behaviour::EmptyData, Behaviour::Nulls] {
        let station = Station::new(0.5);
        station.wavefront.behave(behaviour);
        let job = station
            .runner()
            .script([&write_plan("mean < 1"), "dyno gate plan.yaml --variable abc"])
            .after_script(["echo \"later: $abc\""])
            .run();
        jobs_fault(&job, 98, &["inconclusive", "later: failed"]);
    }
}

#[test]
fn a_query_that_the_source_cannot_read_is_the_plans_fault() {
    let station = Station::new(0.5);
    station.wavefront.behave(Behaviour::QueryFails);
    let job = station
        .runner()
        .script([
            &write_plan("mean < 1"),
            "dyno gate plan.yaml --variable abc || { code=$?; grep verdict dyno-report/gate.json; exit $code; }",
        ])
        .after_script(["echo \"later: $abc\""])
        .run();
    jobs_fault(
        &job,
        2,
        &["the query could not be executed", r#""verdict": "error""#, "later: failed"],
    );
}

#[test]
fn a_source_that_is_down_is_the_platforms_fault_and_never_a_pass() {
    let station = Station::new(0.5);
    station.wavefront.behave(Behaviour::Down);
    let job = station
        .runner()
        .script([&write_plan("mean < 1"), "dyno gate plan.yaml --variable abc"])
        .after_script(["echo \"later: $abc\""])
        .run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("503") && job.log.contains("later: failed"), "{}", job.log);
}

#[test]
fn a_script_that_says_97_by_itself_is_no_platform_failure() {
    jobs_fault(&Station::new(0.5).runner().script(["exit 97"]).run(), 97, &[]);
}

#[test]
fn a_source_that_the_policy_does_not_name() {
    let plan = write_plan("mean < 1").replace("source: wavefront", "source: elsewhere");
    let job = Station::new(0.5).runner().script([&plan, "dyno gate plan.yaml"]).run();
    jobs_fault(&job, 96, &["elsewhere", "sources"]);
}

#[test]
fn a_namespace_that_the_policy_does_not_allow() {
    let cluster = Cluster::new("allowed").made();
    let other = Cluster::new("other").made();
    let station = Station::new(0.5).with_cluster(&cluster, "acme", &cluster.namespace);
    let granted = cluster.namespace.as_str();
    for (namespace, told) in [
        (other.namespace.as_str(), granted),
        ("default", granted),
        ("kube-system", "system namespaces are always refused"),
    ] {
        let job = station
            .deploy_runner()
            .script([
                "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: made}\\n' > made.yaml",
                &format!("kubectl apply -n {namespace} -f made.yaml"),
            ])
            .run();
        jobs_fault(&job, 1, &[namespace, "namespaces", told]);
        let can_be_changed = !namespace.starts_with("kube-");
        let hint = "ask the platform team";
        assert_eq!(job.log.contains(hint), can_be_changed, "{}", job.log);
    }
    assert!(!other.has("configmap", "made"));
}

#[test]
fn a_system_namespace_is_refused_also_where_a_template_yields_it() {
    let cluster = Cluster::new("system");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "{{ user.login }}");
    let job = station
        .deploy_runner()
        .seat(|seat| "kube-system".clone_into(&mut seat.login))
        .script(["kubectl create configmap made -n kube-system --from-literal=a=b || kubectl delete pods --all -n kube-system"])
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("kube-system"), "{}", job.log);
    assert!(!cluster.kubectl(["get", "configmaps", "-n", "kube-system"]).contains("made"));
}

#[test]
fn a_cluster_that_cannot_be_reached_is_told() {
    let cluster = Cluster::new("gone");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let station = Station::new(0.5).with_cluster(&cluster, "acme", &cluster.namespace);
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let server = text.split('"').find(|part| part.starts_with("https://")).unwrap().to_owned();
    let file =
        station.lab.secret("kubeconfig", &text.replace(&server, &format!("https://{closed}")));
    let policy = station.policy().replace(&cluster.kubeconfig(), file.to_str().unwrap());
    let job = crate::support::Runner::within(&station.lab, &policy)
        .tags("cluster,kubernetes,production")
        .script([&format!("kubectl get pods -n {}", cluster.namespace)])
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains(&closed.to_string()), "{}", job.log);
}

/// The log of a job that asks a cluster whose kubeconfig is this text, with this mode.
fn log_with_kubeconfig(text: &str, mode: u32) -> Job {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::new("secretive");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "acme");
    let file = station.lab.secret("lab.kubeconfig", text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    let policy = station.policy().replace(&cluster.kubeconfig(), file.to_str().unwrap());
    crate::support::Runner::within(&station.lab, &policy)
        .tags("cluster,kubernetes,production")
        .script(["kubectl get pods -n acme"])
        .run()
}

#[test]
fn a_kubeconfig_of_the_platforms_that_is_wrong_shows_nothing_of_itself() {
    let text = "users:\n- name: u\n  user:\n    token: SUPERSECRET\n   bad: [SUPERSECRET\n";
    let job = log_with_kubeconfig(text, 0o600);
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    let told = "the kubeconfig of cluster `lab` is no valid YAML (line 5, column 4)";
    assert!(job.log.contains(told), "{}", job.log);
    assert!(!job.log.contains("SUPERSECRET"), "{}", job.log);
}

#[test]
fn a_kubeconfig_that_others_can_read_is_not_used() {
    let cluster = Cluster::new("open");
    let job = log_with_kubeconfig(&std::fs::read_to_string(cluster.kubeconfig()).unwrap(), 0o644);
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("lab.kubeconfig` is open to others (mode 644)"), "{}", job.log);
    assert!(job.log.contains("hint: chmod 600 /"), "{}", job.log);
}
