//! `kubectl port-forward` and `kubectl create token` in a job, on a cluster of the platform: the job
//! has no network, the driver connects, and only where the profile says so.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Cluster, Ending, Job, Runner, Station, eventually, setting, skip};

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  nodeSelector: { type: real }
  terminationGracePeriodSeconds: 0
  tolerations: [{ key: real, operator: Exists }]
  containers:
    - name: app
      image: localhost/busybox:1
      command: [sh, -c, "mkdir /www; echo a page > /www/page; head -c 3000000 /dev/zero > /www/big; exec httpd -f -p 8000 -h /www"]
"#;

/// Gets a path through the forwarded port.
const GET: &str = "get() { exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET %s HTTP/1.0\\r\\n\\r\\n' $1 >&3; cat <&3; }";

/// A job whose user has a namespace of their own name, with a pod in it.
fn job(cluster: &Cluster, station: &Station) -> Runner {
    let runner = station.deploy_runner().seat(|seat| cluster.namespace.clone_into(&mut seat.login));
    runner.image("bitnami/kubectl").variable("NS", &cluster.namespace)
}

fn served(name: &str) -> Option<Cluster> {
    let cluster = Cluster::new(name);
    if !cluster.kubectl(["get", "nodes", "-o", "name"]).contains("node/real-0") {
        skip(name, "there is no real node: scripts/cluster node DIR");
        return None;
    }
    let cluster = cluster.made();
    let mut create = Command::new(setting("DYNO_TEST_KUBECTL").unwrap())
        .args(["--kubeconfig", &cluster.kubeconfig()])
        .args(["-n", &cluster.namespace, "create", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    create.stdin.take().unwrap().write_all(POD.as_bytes()).unwrap();
    assert!(create.wait().unwrap().success());
    eventually("the pod serves", || {
        let ready = "jsonpath={.status.containerStatuses[0].ready}";
        cluster.kubectl(["-n", &cluster.namespace, "get", "pod", "web", "-o", ready]) == "true"
    });
    Some(cluster)
}

/// The job ended well, and told all of these.
#[track_caller]
fn told(job: &Job, all: &[&str]) {
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for told in all {
        assert!(job.log.contains(told), "{told}\n{}", job.log);
    }
}

#[test]
fn a_job_without_network_talks_to_a_pod_through_the_driver() {
    let Some(cluster) = served("tunnels") else { return };
    let station = Station::new(0.5)
        .with_cluster(&cluster, "acme", "{{ user.login }}")
        .allowing("pods/portforward");
    let job = job(&cluster, &station)
        .script([
            GET,
            "kubectl port-forward pod/web 8080:8000 -n $NS >forward.log 2>&1 & forward=$!",
            "until grep -q '^Forwarding' forward.log; do sleep 0.1; done",
            "get /page | tail -1",
            "get /big | wc -c | awk '$1 > 3000000 {print \"all of it\"}'",
            // More at once than a job may have tasks.
            "for n in $(seq 40); do (get /page | tail -1 >>pages) & all=\"$all $!\"; done; wait $all",
            "grep -c 'a page' pages",
            "kill -INT $forward; wait $forward; echo ended with $?",
            "sort forward.log | uniq -c",
        ])
        .run();
    told(
        &job,
        &[
            "\na page\n",
            "\nall of it\n",
            "\n40\n",
            "\nended with 0\n",
            " 1 Forwarding from 127.0.0.1:8080 -> 8000\n",
            " 42 Handling connection for 8080\n",
        ],
    );
}

#[test]
fn a_pod_that_refuses_ends_the_forwarding_with_its_reason() {
    let Some(cluster) = served("refuses") else { return };
    let station = Station::new(0.5)
        .with_cluster(&cluster, "acme", "{{ user.login }}")
        .allowing("pods/portforward");
    let job = job(&cluster, &station)
        .script([
            GET,
            "kubectl port-forward pod/web 8080:81 -n $NS >forward.log 2>&1 & forward=$!",
            "until grep -q '^Forwarding' forward.log; do sleep 0.1; done",
            "get /page || true",
            "wait $forward || echo ended with $?",
            "cat forward.log",
        ])
        .run();
    told(
        &job,
        &[
            "\nended with 1\n",
            "an error occurred forwarding 8080 -> 81: ",
            "\nerror: lost connection to pod\n",
        ],
    );
}

#[test]
fn what_a_profile_does_not_name_is_neither_connected_to_nor_given_away() {
    let cluster = Cluster::new("closed").made();
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "{{ user.login }}");
    let job = job(&cluster, &station)
        .script([
            "kubectl port-forward pod/web 8080:8000 -n $NS || echo forward: $?",
            "kubectl create token default -n $NS || echo token: $?",
        ])
        .run();
    told(
        &job,
        &[
            "\nforward: 1\n",
            "`pods/portforward` connects to pods that others made, and is not named here",
            "\ntoken: 1\n",
            "`serviceaccounts/token` gives a credential of the cluster to the job, and is not named here",
        ],
    );
}

#[test]
fn a_token_is_given_where_the_profile_names_it() {
    let cluster = Cluster::new("tokens").made();
    let station = Station::new(0.5)
        .with_cluster(&cluster, "acme", "{{ user.login }}")
        .allowing("serviceaccounts/token");
    let job = job(&cluster, &station)
        .script(["kubectl create token default -n $NS --duration=10m | tr . '\\n' | wc -l"])
        .run();
    told(&job, &["\n2\n"]);
}
