//! dyno under the name kubectl beside the real kubectl, in and about real pods: commands, copies,
//! logs. Both look at the same pods; what they tell must be the same.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::support::{Cluster, eventually, setting, skip};

/// A pod of two containers and one before them; one that lives for the second time; one that has
/// ended; one that speaks for a while, and ends.
const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: pair, labels: { lab: pods } }
spec:
  initContainers: [{ name: prepare, image: IMAGE, command: [echo, prepared] }]
  containers:
    - { name: app, image: IMAGE, command: [sh, -c, "for n in 1 2 3; do echo app $n; done; sleep 10000"] }
    - { name: side, image: IMAGE, command: [sh, -c, "echo side; printf open; sleep 10000"] }
---
apiVersion: v1
kind: Pod
metadata: { name: again, labels: { lab: pods } }
spec:
  containers:
    - name: app
      image: IMAGE
      command: [sh, -c, "if [ -e /s/was ]; then echo second life; sleep 10000; fi; touch /s/was; echo first life; exit 1"]
      volumeMounts: [{ name: s, mountPath: /s }]
  volumes: [{ name: s, emptyDir: {} }]
---
apiVersion: v1
kind: Pod
metadata: { name: over }
spec:
  restartPolicy: Never
  containers: [{ name: app, image: IMAGE, command: [echo, over] }]
"#;

const TALKER: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: talker }
spec:
  restartPolicy: Never
  containers:
    - { name: app, image: IMAGE, command: [sh, -c, "for n in $(seq 1 15); do echo $n; sleep 0.2; done"] }
"#;

/// A pod that serves, and services in front of it.
const SERVED: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  containers:
    - name: app
      image: IMAGE
      command: [sh, -c, "mkdir /www; echo a page > /www/page; exec httpd -f -p 8000 -h /www"]
      ports: [{ name: http, containerPort: 8000 }, { name: dns, containerPort: 53, protocol: UDP }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: web, port: 80, targetPort: http }, { name: plain, port: 90, targetPort: 8000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: headless }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: web, port: 8000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: bare }
spec: { ports: [{ name: web, port: 8000 }] }
"#;

/// Forwards, gets a page through the first listener, ends the forwarding.
const FORWARD: &str = r#"
rm -f out err; touch out
kubectl port-forward "$@" >out 2>err & pid=$!
until grep -q '^Forwarding' out || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
port=$(sed -n 's/^Forwarding from 127[0-9.]*:\([0-9]*\).*/\1/p' out | head -1)
if [ -n "$port" ]; then
    for n in ${TIMES:-1 2}; do
        exec 3<>/dev/tcp/127.0.0.1/$port && printf 'GET /page HTTP/1.0

' >&3
        tail -1 <&3; exec 3>&-
    done
fi
# The complaint of a pod ends the forwarding by itself.
if [ "$END" != itself ]; then kill -${END:-INT} $pid 2>/dev/null; fi
wait $pid; echo "code $?"
# What the client had still to say when the pod hung up is chance.
sed -E '/portforward.go:502/d; s/[0-9]+ -> ([0-9]+)/PORT -> \1/; s/(connection for) [0-9]+/\1 PORT/' out err
"#;

const FORWARDS: &[&str] = &[
    "bash forward web :8000",
    "bash forward pod/web :http",
    "bash forward svc/web :80",
    "bash forward svc/web :web :90",
    "bash forward svc/headless :web",
    "bash forward --address 127.0.0.1 web :8000",
    "bash forward --address 127.0.0.1,localhost web :8000",
    "END=TERM bash forward web :8000",
    "TIMES=1 END=itself bash forward web :81",
    "kubectl port-forward",
    "kubectl port-forward web",
    "kubectl port-forward web x:8000",
    "kubectl port-forward web 70000",
    "kubectl port-forward web :0",
    "kubectl port-forward web 8000:",
    "kubectl port-forward web nope",
    "kubectl port-forward web :dns",
    "kubectl port-forward web 53",
    "kubectl port-forward web :8000 --address host",
    "kubectl port-forward web :8000 --address ''",
    "kubectl port-forward nope 8000",
    "kubectl port-forward svc/nope 8000",
    "kubectl port-forward svc/web 81",
    "kubectl port-forward svc/web nope",
    "kubectl port-forward svc/bare 8000",
    "kubectl port-forward cm/kube-root-ca.crt 8000",
    "kubectl port-forward a/b/c 8000",
    "kubectl port-forward web 8000 --pod-running-timeout=0",
    "kubectl port-forward web 8000 --foo",
    "kubectl port-forward web 8000 --as=nobody",
    "kubectl port-forward web 22:8000 --address 203.0.113.9",
    "kubectl logs cm/kube-root-ca.crt",
    "kubectl logs svc/bare",
    "kubectl exec cm/kube-root-ca.crt -- true",
    "kubectl exec svc/bare -- true",
    "kubectl exec svc/web -- cat /www/page",
];

const PLACE: &str = "nodeSelector: { type: real }\n  terminationGracePeriodSeconds: 0\n  \
                     tolerations: [{ key: real, operator: Exists }]\n";

/// Command lines; `~` in front where the order of the lines is kubectl's chance.
const LOOKS: &[&str] = &[
    "kubectl exec pair -c app -- sh -c 'echo out; echo err >&2; exit 3'",
    "kubectl exec pair -c side -- echo one 'two  three'",
    "kubectl exec pair -- true",
    "kubectl exec -q pair -- true",
    "kubectl exec pod/pair -- echo by type",
    "kubectl exec pair -c nope -- true",
    "kubectl exec over -- true",
    "echo hello | kubectl exec -i pair -c app -- cat",
    "echo hello | kubectl exec pair -c app -- wc -c",
    "head -c 300000 /dev/zero | kubectl exec -i pair -c app -- wc -c",
    "kubectl exec pair -c app -- head -c 300000 /dev/zero | wc -c",
    "kubectl exec pair -c app -- sh -c 'kill -9 $$'",
    "kubectl logs pair",
    "kubectl logs pair -c side",
    "kubectl logs pair side",
    "kubectl logs pair -c prepare",
    "kubectl logs pair -c nope",
    "kubectl logs pair -c app --tail=2",
    "kubectl logs pair -c app --tail=0",
    "kubectl logs pair -c app --since=1h",
    "kubectl logs pair -c app --timestamps",
    "kubectl logs pair -c app --prefix",
    "~kubectl logs pair --all-containers",
    "~kubectl logs pair --all-containers --prefix",
    "~kubectl logs -l lab=pods --prefix",
    "~kubectl logs -l lab=pods --all-containers --tail=1",
    "kubectl logs -l lab=nothing",
    "kubectl logs again",
    "kubectl logs again --previous",
    "kubectl logs again -p --tail=1",
    "kubectl logs pair -c app --previous",
    "kubectl logs over",
    "kubectl logs -f over",
    "kubectl logs pair -c app --limit-bytes=9",
    "kubectl logs pair -c app --since-time=2020-01-01T00:00:00Z",
    "kubectl logs pair -c app --since-time=2120-01-01T00:00:00Z",
    "kubectl logs pair -c app --since-time=x",
    "kubectl logs pair --all-pods",
    "~kubectl logs pair --all-pods --all-containers",
    "kubectl logs pair app -c app",
    "kubectl logs pair app --all-containers",
    "kubectl logs pair app -l lab=pods",
    "kubectl logs pair --since=-1s",
    "kubectl logs pair --since=1s --since-time=2020-01-01T00:00:00Z",
    "kubectl logs pair --tail=-2",
    "kubectl logs pair --limit-bytes=-1",
    "kubectl logs -l lab=pods -c app --previous --ignore-errors | sort",
    "kubectl logs pair -c app --previous --ignore-errors",
    "kubectl logs -f -l lab=pods --all-containers --max-log-requests=2",
];

/// Three pods of a deployment, which speak for a while and end.
const CHOIR: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: one, labels: { choir: a } }
spec:
  restartPolicy: Never
  containers:
    - { name: app, image: IMAGE, command: [sh, -c, "for n in 1 2 3; do echo one $n; sleep 0.3; done"] }
    - { name: side, image: IMAGE, command: [sh, -c, "for n in 1 2 3; do echo side $n; sleep 0.3; done; printf end"] }
---
apiVersion: v1
kind: Pod
metadata: { name: two, labels: { choir: a } }
spec:
  restartPolicy: Never
  containers:
    - { name: app, image: IMAGE, command: [sh, -c, "for n in 1 2 3; do echo two $n; sleep 0.3; done"] }
---
apiVersion: v1
kind: Pod
metadata: { name: never, labels: { choir: b } }
spec:
  containers: [{ name: app, image: "localhost/nowhere:1", imagePullPolicy: Never }]
"#;

/// Lines of the same kind are sorted: which pod speaks first is chance.
const CHOIRS: &[&str] = &[
    "~kubectl logs -f -l choir=a",
    "~kubectl logs -f -l choir=a --prefix",
    "~kubectl logs -f -l choir=a --all-containers --prefix --tail=-1",
    "~kubectl logs -f one --all-containers",
    "~kubectl logs -f one two",
    "kubectl logs -f -l choir=a --all-containers --max-log-requests=2",
    "kubectl logs -f -l choir --ignore-errors --prefix | sort",
    "kubectl logs -f never --pod-running-timeout=2s 2>&1 | sort -u",
    "kubectl logs -f never --ignore-errors",
    "kubectl logs never",
];

/// Copies: into the pod and out of it, files and folders, to names that are there and that are not.
const COPIES: &[&str] = &[
    "mkdir -p here/in/deep; echo one > here/one; echo two > here/in/two; echo three > here/in/deep/three",
    "kubectl exec pair -c app -- mkdir -p /tmp/$WHO",
    "kubectl cp here/one pair:/tmp/$WHO/one -c app",
    "kubectl cp here/one pair:/tmp/$WHO/ -c app",
    "kubectl cp here/one $NS/pair:/tmp/$WHO/renamed -c app",
    "kubectl cp here/in pair:/tmp/$WHO/new -c app",
    "kubectl cp here/in pair:/tmp/$WHO -c app",
    "kubectl cp here/nope pair:/tmp/$WHO/x -c app",
    "kubectl cp here/one pair:/nope/folder/x -c app",
    "kubectl exec pair -c app -- sh -c 'cd /tmp/'$WHO'; find . | sort; cat one renamed new/deep/three'",
    // Whether tar's own word comes before kubectl has ended is chance.
    "kubectl cp pair:/tmp/$WHO/one back -c app 2>&1 | sed /^tar:/d",
    "kubectl cp pair:/tmp/$WHO/new folder -c app 2>&1 | sed /^tar:/d",
    "mkdir there; kubectl cp pair:/tmp/$WHO/one there -c app 2>&1 | sed /^tar:/d",
    "find . -not -path './bin*' -not -path './.kube*' | sort; cat back folder/two folder/deep/three",
];

/// The pods, and one of the two programs.
struct Lab {
    cluster: Cluster,
    folders: [tempfile::TempDir; 2],
}

/// What a program is called where both write.
const WHO: [&str; 2] = ["real", "dyno"];

impl Lab {
    /// Makes the pods; `None` where there is no real node, which is told.
    fn new(name: &str, pods: &str) -> Option<Self> {
        let cluster = Cluster::new(name);
        if !cluster.kubectl(["get", "nodes", "-o", "name"]).contains("node/real-0") {
            skip(name, "there is no real node: scripts/cluster node DIR");
            return None;
        }
        let cluster = cluster.made();
        let pods = pods.replace("IMAGE", "localhost/busybox:1");
        let pods = pods.replace("\nspec:\n", &format!("\nspec:\n  {PLACE}"));
        let folder = || tempfile::tempdir().unwrap();
        let folders = [folder(), folder()];
        let programs =
            [setting("DYNO_TEST_KUBECTL").unwrap(), env!("CARGO_BIN_EXE_dyno").to_owned()];
        for (folder, program) in folders.iter().zip(programs) {
            std::fs::create_dir(folder.path().join("bin")).unwrap();
            symlink(PathBuf::from(program), folder.path().join("bin/kubectl")).unwrap();
        }
        let file = folders[0].path().join("pods.yaml");
        std::fs::write(&file, pods).unwrap();
        let file = file.display().to_string();
        cluster.kubectl(["-n", &cluster.namespace, "create", "-f", &file]);
        std::fs::remove_file(file).unwrap();
        Some(Self { cluster, folders })
    }

    /// Waits until a field of a pod is what it should be.
    fn eventually(&self, pod: &str, path: &str, expected: &str) {
        let path = format!("jsonpath={{{path}}}");
        eventually(&format!("pod {pod} is {expected}"), || {
            let namespace = &self.cluster.namespace;
            self.cluster.kubectl(["-n", namespace, "get", "pod", pod, "-o", &path]) == expected
        });
    }

    /// Starts a line in a shell; `n` says by which program.
    fn start(&self, n: usize, line: &str) -> std::process::Child {
        let folder = self.folders[n].path();
        // The namespace comes from the kubeconfig: lines are read by people.
        let kubeconfig = folder.join(".kube-config");
        if !kubeconfig.exists() {
            std::fs::copy(self.cluster.kubeconfig(), &kubeconfig).unwrap();
            let path = kubeconfig.display().to_string();
            let namespace = format!("--namespace={}", self.cluster.namespace);
            self.cluster.kubectl([
                "--kubeconfig",
                &path,
                "config",
                "set-context",
                "lab",
                &namespace,
            ]);
        }
        Command::new("bash")
            .args(["-c", &format!("set -o pipefail; {line}")])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}/bin:/usr/local/bin:/usr/bin:/bin", folder.display()))
            .env("HOME", folder)
            .env("KUBECONFIG", kubeconfig)
            .env("NS", &self.cluster.namespace)
            .env("WHO", WHO[n])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What a line gives: output, errors, exit code; without what no two runs share.
    fn end(&self, n: usize, child: std::process::Child) -> String {
        let output = child.wait_with_output().unwrap();
        let told = format!(
            "{}[{}]\n{}",
            String::from_utf8_lossy(&output.stdout),
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stderr)
        );
        let folder = self.folders[n].path().display().to_string();
        let told = told.replace(&folder, "TMP").replace(&format!("/tmp/{}", WHO[n]), "/tmp/WHO");
        let told = told.replace(&format!("tmp/{}", WHO[n]), "tmp/WHO");
        let mut told = told;
        for (pattern, instead) in [
            ("[0-9a-f]{64}", "ID"),
            ("cni-[0-9a-f-]+", "NETNS"),
            (r"E\d{4} [\d:.]+ +\d+ (\w+\.go)", "E ${1}"),
        ] {
            told = Regex::new(pattern).unwrap().replace_all(&told, instead).into_owned();
        }
        told
    }

    /// Runs lines by both; the lines that differ.
    fn different(&self, lines: &[&str]) -> Vec<String> {
        let mut different = Vec::new();
        for written in lines {
            let (line, is_sorted) =
                written.strip_prefix('~').map_or((*written, false), |line| (line, true));
            let children = [0, 1].map(|n| self.start(n, line));
            let mut told = Vec::new();
            for (n, child) in children.into_iter().enumerate() {
                let text = self.end(n, child);
                let mut lines: Vec<&str> = text.lines().collect();
                if is_sorted {
                    lines.sort_unstable();
                }
                told.push(lines.join("\n"));
            }
            if told[0] != told[1] {
                let [real, ours] = [&told[0], &told[1]];
                different.push(format!("$ {line}\n--- kubectl\n{real}\n--- dyno\n{ours}\n"));
            }
        }
        different
    }
}

fn ready(name: &str) -> Option<Lab> {
    let lab = Lab::new(name, PODS)?;
    lab.eventually("pair", ".status.containerStatuses[*].ready", "true true");
    lab.eventually("again", ".status.containerStatuses[0].restartCount", "1");
    lab.eventually("again", ".status.containerStatuses[0].ready", "true");
    lab.eventually("over", ".status.phase", "Succeeded");
    Some(lab)
}

#[track_caller]
fn none(different: &[String]) {
    assert!(different.is_empty(), "kubectl and dyno differ:\n{}", different.join("\n"));
}

#[test]
fn commands_and_logs_of_real_pods_are_the_same() {
    let Some(lab) = ready("in-pods") else { return };
    none(&lab.different(LOOKS));
    // What was said long ago is left out.
    eventually("nothing was said in the last second", || {
        let namespace = &lab.cluster.namespace;
        lab.cluster.kubectl(["-n", namespace, "logs", "pair", "-c", "app", "--since=1s"]).is_empty()
    });
    none(&lab.different(&["kubectl logs pair -c app --since=1s"]));
}

#[test]
fn files_and_folders_are_copied_the_same() {
    let Some(lab) = ready("copies") else { return };
    none(&lab.different(COPIES));
}

#[test]
fn several_logs_are_followed_at_once() {
    let Some(lab) = Lab::new("choir", CHOIR) else { return };
    let path = ".status.containerStatuses[0].state.waiting.reason";
    lab.eventually("never", path, "ErrImageNeverPull");
    for pod in ["one", "two"] {
        eventually("the pod speaks", || {
            let namespace = &lab.cluster.namespace;
            let phase = ["-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.phase}"];
            ["Running", "Succeeded"].contains(&lab.cluster.kubectl(phase).as_str())
        });
    }
    none(&lab.different(CHOIRS));
}

#[test]
fn a_log_is_followed_to_its_end() {
    let Some(lab) = Lab::new("followed", TALKER) else { return };
    eventually("the pod speaks", || {
        let namespace = &lab.cluster.namespace;
        let phase = ["-n", namespace, "get", "pod", "talker", "-o", "jsonpath={.status.phase}"];
        ["Running", "Succeeded"].contains(&lab.cluster.kubectl(phase).as_str())
    });
    let lines = ["kubectl logs -f talker", "kubectl logs talker --tail=3 --follow"];
    none(&lab.different(&lines[..1]));
    lab.eventually("talker", ".status.phase", "Succeeded");
    none(&lab.different(&lines));
    let child = lab.start(1, lines[0]);
    let all: Vec<String> = (1..=15).map(|n| n.to_string()).collect();
    assert_eq!(lab.end(1, child), all.join("\n") + "\n[0]\n");
}

#[test]
fn what_is_copied_out_keeps_its_bytes() {
    let Some(lab) = ready("bytes") else { return };
    let made = "head -c 700000 /dev/urandom > raw; kubectl cp raw pair:/tmp/$WHO -c app; \
                kubectl cp pair:/tmp/$WHO raw2 -c app >/dev/null; cmp raw raw2 && echo same";
    for n in [0, 1] {
        let child = lab.start(n, made);
        assert_eq!(lab.end(n, child), "same\n[0]\n", "{}", WHO[n]);
    }
    // What is not there cannot be copied; kubectl says so, and ends with 0.
    let child =
        lab.start(1, "kubectl cp pair:/tmp/nothing gone -c app >/dev/null; echo $?; ls gone");
    assert!(lab.end(1, child).starts_with("1\n[2]\n"));
}

#[test]
fn ports_are_forwarded_the_same() {
    let Some(lab) = Lab::new("forwards", SERVED) else { return };
    lab.eventually("web", ".status.containerStatuses[0].ready", "true");
    for folder in &lab.folders {
        std::fs::write(folder.path().join("forward"), FORWARD).unwrap();
    }
    none(&lab.different(FORWARDS));
}
