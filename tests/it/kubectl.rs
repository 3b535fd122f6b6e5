//! dyno under the name kubectl beside the real kubectl: the same script, each in a namespace of its
//! own; output, errors, exit codes and the objects left behind must be the same.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value;

use crate::support::{Cluster, setting};

/// The cases by the first word of their names; every case belongs to one.
const GROUPS: &[&str] = &[
    "create", "apply", "yaml", "get", "jsonpath", "pods", "rollout", "change", "config", "mark",
    "patch", "env", "diff", "look", "exec", "many", "prune", "explain", "describe", "template",
];

#[test]
fn every_case_belongs_to_a_group() {
    for (name, _) in cases() {
        let groups = GROUPS.iter().filter(|group| name.starts_with(&format!("{group}: ")));
        assert_eq!(groups.count(), 1, "{name}");
    }
}

#[test]
fn there_are_as_many_commands_and_manifests_as_a_claim_needs() {
    let cases = cases();
    let lines = cases.iter().flat_map(|(_, lines)| lines);
    let is_compared = |line: &&String| line.split([' ', '(']).any(|word| word == "kubectl");
    let commands: BTreeSet<&String> = lines.filter(is_compared).collect();
    assert!(commands.len() >= 250, "{}", commands.len());
    let files = ["manifests.txt", "many.yaml", "many-changed.yaml", "crd.yaml"];
    let texts = files.map(|name| std::fs::read_to_string(data().join(name)).unwrap());
    // A document of one file is another one where a value of it differs.
    let manifests: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.split("---\n"))
        .flat_map(|text| text.split("### "))
        .filter(|text| text.contains("kind") && text.contains("apiVersion"))
        .collect();
    assert!(manifests.len() >= 120, "{}", manifests.len());
}

#[test]
fn what_is_created_is_the_same() {
    compare("create");
}

#[test]
fn what_is_applied_is_the_same() {
    compare("apply");
}

#[test]
fn yaml_is_read_the_same() {
    compare("yaml");
}

#[test]
fn what_is_got_is_the_same() {
    compare("get");
}

#[test]
fn what_jsonpath_finds_is_the_same() {
    compare("jsonpath");
}

#[test]
fn tables_of_pods_are_the_same() {
    compare("pods");
}

#[test]
fn rollouts_are_told_the_same() {
    compare("rollout");
}

#[test]
fn what_is_changed_and_deleted_is_the_same() {
    compare("change");
}

#[test]
fn kubeconfigs_are_kept_the_same() {
    compare("config");
}

#[test]
fn labels_and_annotations_are_the_same() {
    compare("mark");
}

#[test]
fn patches_are_the_same() {
    compare("patch");
}

#[test]
fn variables_are_set_the_same() {
    compare("env");
}

#[test]
fn differences_are_told_the_same() {
    compare("diff");
}

#[test]
fn what_only_looks_is_the_same() {
    compare("look");
}

#[test]
fn commands_in_pods_are_refused_the_same() {
    compare("exec");
}

#[test]
fn manifests_of_every_kind_are_the_same() {
    compare("many");
}

#[test]
fn what_is_pruned_is_the_same() {
    compare("prune");
}

#[test]
fn what_is_explained_is_the_same() {
    compare("explain");
}

#[test]
fn what_is_described_is_the_same() {
    compare("describe");
}

#[test]
fn what_templates_print_is_the_same() {
    compare("template");
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kubectl")
}

/// The scripts of `cases.txt` by name.
fn cases() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(data().join("cases.txt")).unwrap();
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            cases.push((name.to_owned(), Vec::new()));
        } else if let (Some((_, lines)), false) =
            (cases.last_mut(), line.is_empty() || line.starts_with('#'))
        {
            lines.push(line.to_owned());
        }
    }
    cases
}

#[track_caller]
fn compare(group: &str) {
    let prefix = format!("{group}: ");
    let mut different = Vec::new();
    for (name, lines) in cases().iter().filter(|(name, _)| name.starts_with(&prefix)) {
        let [real, ours] = std::thread::scope(|scope| {
            let real = scope.spawn(|| Run::new(Who::Real).script(lines));
            let ours = scope.spawn(|| Run::new(Who::Dyno).script(lines));
            [real.join().unwrap(), ours.join().unwrap()]
        });
        if real != ours {
            different.push(format!("=== {name}\n{}", difference(&real, &ours)));
        }
    }
    assert!(different.is_empty(), "kubectl (-) and dyno (+) differ:\n{}", different.join("\n"));
}

/// The blocks (a command and all that it gave) that differ.
fn difference(real: &str, ours: &str) -> String {
    let blocks = |text: &str| -> Vec<String> { text.split("\n$ ").map(str::to_owned).collect() };
    let (real, ours) = (blocks(real), blocks(ours));
    let mark = |text: &str, mark: &str| -> String {
        text.lines().flat_map(|line| [mark, " ", line, "\n"]).collect()
    };
    real.iter()
        .zip(&ours)
        .filter(|(real, ours)| real != ours)
        .map(|(real, ours)| {
            let command = real.lines().next().unwrap_or_default();
            let only = |text: &str, other: &str| -> String {
                text.lines().filter(|line| !other.lines().any(|known| known == *line)).fold(
                    String::new(),
                    |mut lines, line| {
                        lines.push_str(line);
                        lines.push('\n');
                        lines
                    },
                )
            };
            let (left, right) = (only(real, ours), only(ours, real));
            if left.is_empty() && right.is_empty() {
                return format!("$ {command}\n{}{}", mark(real, "-"), mark(ours, "+"));
            }
            format!("$ {command}\n{}{}", mark(&left, "-"), mark(&right, "+"))
        })
        .collect::<Vec<_>>()
        .concat()
}

#[derive(Clone, Copy)]
enum Who {
    Real,
    Dyno,
}

struct Run {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Run {
    fn new(who: Who) -> Self {
        let name = match who {
            Who::Real => "same-real",
            Who::Dyno => "same-dyno",
        };
        let cluster = Cluster::new(name).made();
        let folder = tempfile::tempdir().unwrap();
        let program = match who {
            Who::Real => PathBuf::from(setting("DYNO_TEST_KUBECTL").unwrap()),
            Who::Dyno => PathBuf::from(env!("CARGO_BIN_EXE_dyno")),
        };
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink(program, bin.join("kubectl")).unwrap();
        Self { cluster, folder }
    }

    /// Runs the lines in one shell; all that they gave, with what differs from run to run taken out.
    fn script(&self, lines: &[String]) -> String {
        let lab = PathBuf::from(setting("DYNO_TEST_CLUSTER").unwrap());
        let folder = self.folder.path().display().to_string();
        let file = |path: PathBuf| std::fs::read_to_string(path).unwrap().trim().to_owned();
        let settings = file(lab.join("env"));
        let server = settings.lines().find_map(|line| line.strip_prefix("URL=")).unwrap();
        let told = lines.iter().map(|line| {
            let quoted = line.replace('\'', r"'\''");
            format!(
                "printf '$ %s\\n' '{quoted}'\n{{ {line}\n}} >$TMP/o 2>$TMP/e </dev/null; code=$?\n\
                 cat $TMP/o; echo; sed 's/^/! /' $TMP/e; echo \"[$code]\"\n"
            )
        });
        let script: String = std::iter::once(PRELUDE.to_owned()).chain(told).collect();
        let output = Command::new("bash")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", format!("{folder}/bin:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", &folder)
            .env("TMP", &folder)
            .env("NS", &self.cluster.namespace)
            .env("DATA", data())
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("ADMIN", self.cluster.kubeconfig())
            .env("REAL", setting("DYNO_TEST_KUBECTL").unwrap())
            .env("SERVER", server)
            .env("CA", lab.join("pki/ca.crt"))
            .env("TOKEN", file(lab.join("admin.token")))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let all = format!("{told}\n$ objects\n{}", self.objects());
        still(&all.replace(&folder, "TMP").replace(&self.cluster.namespace, "NS"))
    }

    /// What the namespace holds in the end.
    fn objects(&self) -> String {
        let kinds = KINDS.join(",");
        let namespace = &self.cluster.namespace;
        let list = self.cluster.kubectl([
            "get",
            &kinds,
            "-n",
            namespace,
            "-o",
            "json",
            "--show-managed-fields",
        ]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut objects = String::new();
        for object in list["items"].as_array().unwrap() {
            let mut object = object.clone();
            let map = object.as_object_mut().unwrap();
            map.remove("status");
            let metadata = map["metadata"].as_object_mut().unwrap();
            for key in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
                metadata.remove(key);
            }
            managed(metadata);
            if let Some(annotations) =
                metadata.get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.remove("deployment.kubernetes.io/revision");
                annotations.remove("deprecated.daemonset.template.generation");
            }
            if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("clusterIP");
                spec.remove("clusterIPs");
            }
            objects.extend([&object.to_string(), "\n"]);
        }
        objects
    }
}

/// Whose fields they are, without what controllers own.
fn managed(metadata: &mut serde_json::Map<String, Value>) {
    let Some(Value::Array(entries)) = metadata.get_mut("managedFields") else { return };
    entries.retain(|entry| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        !manager.starts_with("kube-") && manager != "kwok"
    });
    for entry in entries.iter_mut() {
        entry.as_object_mut().unwrap().remove("time");
    }
    // The server sorts them by time, in seconds.
    entries.sort_by_key(Value::to_string);
}

/// The kinds that a case may leave objects of.
const KINDS: &[&str] = &[
    "configmaps",
    "secrets",
    "services",
    "serviceaccounts",
    "persistentvolumeclaims",
    "resourcequotas",
    "limitranges",
    "podtemplates",
    "deployments",
    "statefulsets",
    "daemonsets",
    "cronjobs",
    "jobs",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "horizontalpodautoscalers",
    "leases",
    "roles",
    "rolebindings",
];

const PRELUDE: &str = r####"
real() { "$REAL" --kubeconfig "$ADMIN" "$@"; }
m() { awk -v s="### $1" '$0==s{p=1;next} /^### /{p=0} p' "$DATA/manifests.txt"; }
# Widgets as a kind, for all: of two who make it at once the second is told that it is there, and the
# server lists a kind a little after it has established it.
widgets() {
    real apply -f "$DATA/crd.yaml"
    real wait --for=condition=Established crd/widgets.dyno.example.com
    until real get widgets.dyno.example.com -n "$NS"; do sleep 0.1; done
} >/dev/null 2>&1
"####;

/// A text without what no two runs share: times, ids, versions, hashes, ages.
fn still(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, instead) in [
        (r"[WIE]\d{4} [\d:.]+ +\d+ (\w+\.go)", "W ${1}"),
        (r#"(?i)(nodePort"?: ?)\d+"#, "${1}PORT"),
        (r"\b(80|81|90):\d{5}/", "${1}:PORT/"),
        (r"/(LIVE|MERGED)-\w+", "/${1}"),
        (r"applyset-[\w-]{43}-v1", "APPLYSET"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r#"(resourceVersion"?: ?"?)\d+"#, "${1}VERSION"),
        (r"\b(web|rich|agent|db)-[0-9a-f]{8,10}(-[a-z0-9]{5})?\b", "${1}-HASH"),
        (r"\b(agent|db)-[a-z0-9]{5}\b", "${1}-HASH"),
        (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "MOMENT"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", "MOMENT"),
        (r"\b10\.(96|244)\.\d+\.\d+\b", "ADDRESS"),
        (r"\bfake-\d\b", "fake-N"),
        (r"(kube-api-access|-token)-[a-z0-9]{5}\b", "${1}-HASH"),
        (r"(Resource Version: +)\d+", "${1}VERSION"),
        (r"(?m)^(NodePort: +\S+ +)\d+", "${1}PORT"),
        (r"\(lasts \d+s\)", "(lasts AGE)"),
        (r"(?m) +\d+(s|m|ms) *$", " AGE"),
        (r" +\d+[smd](\d+s)? +", "  AGE  "),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}
