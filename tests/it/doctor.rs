//! `dyno doctor`: a host in order, and what stands in the way of one that is not.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::support::{
    Cluster, Ending, Lab, NoNamespaces, Place, Runner, Station, dyno, policy, skip,
};

/// The runner's configuration as the example has it, for this build and a policy.
fn configuration(lab: &Lab, policy: &Path) -> std::path::PathBuf {
    let example = include_str!("../../runner-config.toml.example");
    let text = example
        .replace("/usr/local/bin/dyno", dyno().to_str().unwrap())
        .replace("/etc/dyno/dyno.yaml", policy.to_str().unwrap());
    lab.file("config.toml", &text)
}

/// What doctor says, and whether it is content.
fn doctor(command: &mut Command, lab: &Lab, policy: &Path) -> (bool, Vec<Finding>) {
    let output = command
        .args(["doctor", "--json", "--policy"])
        .arg(policy)
        .arg("--runner-config")
        .arg(configuration(lab, policy))
        .output()
        .unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = findings.iter().map(|finding| Finding {
        level: text(finding, "level"),
        part: text(finding, "part"),
        what: text(finding, "what"),
        mend: text(finding, "mend"),
    });
    (output.status.success(), findings.collect())
}

#[derive(Debug)]
struct Finding {
    level: String,
    part: String,
    what: String,
    mend: String,
}

#[track_caller]
fn has(findings: &[Finding], level: &str, part: &str, what: &str, mend: &str) {
    let fits = |finding: &Finding| {
        finding.level == level
            && finding.part == part
            && finding.what.contains(what)
            && finding.mend.contains(mend)
    };
    assert!(findings.iter().any(fits), "no {level} {part} `{what}` `{mend}` in {findings:#?}");
}

#[test]
fn a_host_in_order_has_nothing_to_mend() {
    let cluster = Cluster::new("doctor");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "acme");
    let file = station.lab.policy(&station.policy());
    let (is_content, findings) = doctor(&mut Command::new(dyno()), &station.lab, &file);
    assert!(is_content, "{findings:#?}");
    has(&findings, "ok", "policy", "2 profiles", "");
    has(&findings, "ok", "sandbox", "can make a sandbox", "");
    has(&findings, "ok", "gitlab", "answers", "");
    has(&findings, "ok", "source `wavefront`", "answers 200", "");
    has(&findings, "ok", "cluster `lab`", "Server Version: v1", "");
    has(&findings, "ok", "source `wavefront`", "closed to others", "");
}

#[test]
fn every_part_that_is_broken_is_told_with_the_way_to_mend_it() {
    let cluster = Cluster::new("doctor");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "acme");
    let lab = &station.lab;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let server = text.split('"').find(|part| part.starts_with("https://")).unwrap();
    let gone = lab.secret("kubeconfig", &text.replace(server, &format!("https://{closed}")));
    lab.secret("wavefront.token", "a-token-of-yesterday");
    // Others can read it.
    let open = lab.file("variables.token", "glpat");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = station
        .policy()
        .replace("gitlab: { url: GITLAB }", &format!("gitlab: {{ url: \"http://{closed}\" }}"))
        .replace(&cluster.kubeconfig(), gone.to_str().unwrap());
    let (is_content, findings) = doctor(&mut Command::new(dyno()), lab, &lab.policy(&text));
    assert!(!is_content, "{findings:#?}");
    has(&findings, "fail", "gitlab", "refused", "gitlab.url");
    has(&findings, "fail", "source `wavefront`", "401", "token");
    has(&findings, "fail", "cluster `lab`", "", "kubeconfig");
    has(&findings, "fail", "variables", "", "chmod 600");
}

/// Answers one request with a status; its address, and what was asked.
fn answers_once(status: &'static str) -> (String, JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut asked = vec![0; 4096];
        let n = connection.read(&mut asked).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..n]).into_owned()
    });
    (at, asked)
}

#[test]
fn a_sink_that_takes_figures_is_told_apart_from_one_that_does_not() {
    let lab = Lab::new();
    let token = lab.secret("sink.token", "t0ken-of-the-sink");
    let ((takes, asked), (refuses, _)) =
        (answers_once("204 No Content"), answers_once("403 Forbidden"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sinks = format!(
        "sinks:\n  \
         store: {{ remote-write: {{ url: \"http://{takes}/write\", token-file: {} }} }}\n  \
         strict: {{ otlp: {{ url: \"http://{refuses}/v1/metrics\" }} }}\n  \
         gone: {{ otlp: {{ url: \"http://{closed}/v1/metrics\" }} }}\n",
        token.display()
    );
    let file = lab.policy(&(policy("") + &sinks));
    let (is_content, findings) = doctor(&mut Command::new(dyno()), &lab, &file);
    assert!(!is_content, "{findings:#?}");
    has(&findings, "ok", "sink `store`", "takes figures", "");
    has(&findings, "fail", "sink `strict`", "403", "token");
    has(&findings, "fail", "sink `gone`", "not reachable", "network");
    let asked = asked.join().unwrap().to_lowercase();
    assert!(
        asked.starts_with("post /write") && asked.contains("bearer t0ken-of-the-sink"),
        "{asked}"
    );
    assert!(!format!("{findings:?}").contains("t0ken-of-the-sink"), "{findings:#?}");
}

#[test]
fn a_kubeconfig_that_is_wrong_is_told_without_its_lines() {
    let cluster = Cluster::new("doctor");
    let station = Station::new(0.5).with_cluster(&cluster, "acme", "acme");
    let lab = &station.lab;
    let wrong = lab.secret("kubeconfig", "users:\n- name: [u\n  token: SUPERSECRET\n");
    let text = station.policy().replace(&cluster.kubeconfig(), wrong.to_str().unwrap());
    let (_, findings) = doctor(&mut Command::new(dyno()), lab, &lab.policy(&text));
    has(&findings, "fail", "cluster `lab`", "is no valid YAML (line 2, column 9)", "kubeconfig");
    assert!(!format!("{findings:?}").contains("SUPERSECRET"), "{findings:#?}");
}

#[test]
fn a_docker_daemon_is_told_with_what_it_can_and_one_that_is_away_with_the_way_out() {
    let lab = Lab::new();
    let file = lab.policy(&Place::Docker.policy());
    let (_, findings) = doctor(&mut Command::new(dyno()), &lab, &file);
    has(&findings, "ok", "docker", "storage driver", "");
    has(&findings, "ok", "docker", "`disk` is held by looking", "");
    let text = Place::contained(&policy(""), "/nowhere/docker.sock", "pull: [never]");
    let (is_content, findings) = doctor(&mut Command::new(dyno()), &lab, &lab.policy(&text));
    assert!(!is_content);
    has(&findings, "fail", "docker", "does not answer at `/nowhere/docker.sock`", "start it");
}

#[test]
fn a_policy_that_cannot_be_read_is_told_and_the_rest_is_looked_at() {
    let lab = Lab::new();
    let file = lab.policy("profiles: [{ name: a, match: { projcts: [] } }]");
    let (is_content, findings) = doctor(&mut Command::new(dyno()), &lab, &file);
    assert!(!is_content);
    has(&findings, "fail", "policy", "projcts", "");
    has(&findings, "ok", "sandbox", "can make a sandbox", "");
}

#[test]
fn a_host_that_forbids_user_namespaces_is_told_by_doctor_and_in_the_job_log() {
    let Some(corner) = NoNamespaces::new() else {
        let name = "a_host_that_forbids_user_namespaces_is_told_by_doctor_and_in_the_job_log";
        return skip(name, "this user cannot make a user namespace with the host's own uids");
    };
    let station = Station::new(0.5);
    let file = station.lab.policy(&policy(""));
    let program = dyno();
    let mut command = corner.command(&[program.to_str().unwrap()]);
    let (is_content, findings) = doctor(&mut command, &station.lab, &file);
    assert!(!is_content);
    has(&findings, "fail", "sandbox", "max_user_namespaces = 0", "sysctl -w user.max_user_names");

    let driver = corner.dyno(&station.lab);
    let job = Runner::within(&station.lab, &policy(""))
        .runner(|spec| spec.driver = driver)
        .script(["true"])
        .run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("hint: run `sysctl -w user.max_user_namespaces="), "{}", job.log);
}
