//! `dyno deploy` on a real API server, pods by fake nodes: pre-flight, waves, ownership, rollback,
//! pruning.

use crate::support::{Cluster, Release, deployment, eventually};

const SETTINGS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { level: \"1\" }
";

const NEEDY: &str = "\
env:
  - name: PASSWORD
    valueFrom: { secretKeyRef: { name: login, key: password } }
  - name: LEVEL
    valueFrom: { configMapKeyRef: { name: settings, key: levle } }
";

#[test]
fn what_is_missing_is_told_with_file_and_line_before_anything_is_touched() {
    let release = Release::new("missing");
    release.manifest("a.yaml", SETTINGS).manifest("web.yaml", &deployment("web", "i:1", 1, NEEDY));
    let deployed = release.deploy(&[]);
    deployed.told(
        99,
        &[
            "m/web.yaml:15:",
            "needs Secret `login` (key `password`), which is not there",
            "kubectl -n missing-",
            "m/web.yaml:17:",
            "needs key `levle` of ConfigMap `settings`, which has `level`",
            "pre-flight found 2 errors; nothing was changed",
        ],
    );
    assert!(!release.cluster.has("configmap", "settings"));
    assert_eq!(deployed.json["verdict"], "failed");
    assert_eq!(deployed.json["findings"].as_array().unwrap().len(), 2);
    assert_eq!(deployed.json["findings"][0]["topic"], "reference");
    assert_eq!(deployed.json["findings"][0]["file"], "m/web.yaml");
}

#[test]
fn an_image_that_can_never_come_and_an_account_that_is_not_there_are_told_once() {
    let release = Release::new("unnamed");
    release
        .manifest("web.yaml", &deployment("web", "$CI_REGISTRY_IMAGE:1", 1, ""))
        .manifest("shop.yaml", &deployment("shop", "registry.example.com/Shop:1", 1, ""))
        .manifest(
            "pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: { name: pod }\nspec:\n  serviceAccountName: robot\n  \
             containers: [{ name: app, image: \"app:\" }]\n",
        );
    let deployed = release.deploy(&[]);
    deployed.told(
        99,
        &[
            "m/web.yaml:",
            "image `$CI_REGISTRY_IMAGE:1` holds a variable that nobody replaced",
            "envsubst",
            "m/shop.yaml:",
            "image `registry.example.com/Shop:1` has capital letters",
            "m/pod.yaml:6:",
            "image `app:` has an empty part",
            "m/pod.yaml:5:",
            "needs ServiceAccount `robot`, which is not there",
            "pre-flight found 4 errors; nothing was changed",
        ],
    );
    assert!(!release.cluster.has("deployment", "web"));
}

#[test]
fn a_deploy_is_created_then_unchanged_then_configured() {
    let release = Release::new("course");
    release.manifest("a.yaml", SETTINGS).manifest("web.yaml", &deployment("web", "i:1", 2, ""));
    let first = release.deploy(&[]);
    first.told(0, &["Deployment course-", "web created", "2 of 2 objects ready"]);
    let junit = release.report("junit.xml").unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"0\""), "{junit}");
    let dotenv = release.report("dyno.env").unwrap();
    assert!(dotenv.contains(&format!("DYNO_DEPLOY_NAMESPACE={}", release.cluster.namespace)));
    let before = release.object("deployment", "web");
    let second = release.deploy(&[]);
    second.told(0, &["to be 2 unchanged"]);
    assert_eq!(before, release.object("deployment", "web"), "not even a field's owner changes");
    release.manifest("web.yaml", &deployment("web", "i:2", 2, ""));
    let third = release.deploy(&[]);
    third.told(0, &["web configured"]);
    assert_eq!(third.json["objects"][1]["action"], "configured");
    assert_eq!(third.json["objects"][1]["ready"], true);
}

#[test]
fn a_plan_shows_what_would_change_masks_secrets_and_changes_nothing() {
    let release = Release::new("plan");
    release.manifest("web.yaml", &deployment("web", "i:1", 1, ""));
    release.deploy(&[]).told(0, &[]);
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { p: hunter2hunter2 }\n";
    release.manifest("s.yaml", secret).manifest("web.yaml", &deployment("web", "i:2", 1, ""));
    let shown = release.deploy(&["--plan"]);
    shown.told(
        0,
        &[
            "created Secret",
            "p: '***'",
            "- ",
            "image: i:1",
            "+ ",
            "image: i:2",
            "nothing was changed",
        ],
    );
    for secret in ["hunter2", "aHVudGVyMmh1bnRlcjI="] {
        assert!(!shown.log.contains(secret), "{}", shown.log);
    }
    assert!(!release.cluster.has("secret", "s"));
    let image = &release.object("deployment", "web")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(image["image"], "i:1");
}

#[test]
fn namespaces_definitions_and_custom_resources_go_in_one_deploy() {
    let release = Release::within(Cluster::new("waves"));
    let (namespace, group) =
        (&release.cluster.namespace, format!("{}.example.com", release.cluster.namespace));
    release
        .manifest("1.yaml", &format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{ name: w }}\nspec: {{ size: 1 }}\n"))
        .manifest("2.yaml", &deployment("web", "i:1", 1, ""))
        .manifest(
            "3.yaml",
            &format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                 metadata: {{ name: widgets.{group} }}\nspec:\n  group: {group}\n  scope: Namespaced\n  \
                 names: {{ kind: Widget, plural: widgets, singular: widget, listKind: WidgetList }}\n  \
                 versions: [{{ name: v1, served: true, storage: true, schema: {{ openAPIV3Schema: {{ type: object, \
                 x-kubernetes-preserve-unknown-fields: true }} }} }}]\n"
            ),
        )
        .manifest("4.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"));
    let first = release.deploy(&[]);
    let definition = format!("customresourcedefinitions/widgets.{group}");
    let applied: Vec<&str> = first
        .log
        .lines()
        .filter(|line| {
            line.starts_with("deploy: ") && line.ends_with(" created") && !line.contains("to be")
        })
        .collect();
    let kinds: Vec<&str> = applied.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    let second = release.deploy(&[]);
    let removed = release.cluster.kubectl(["delete", &definition, "--wait=false"]);
    assert!(removed.contains("deleted"));
    first.told(0, &["4 of 4 objects ready"]);
    assert_eq!(
        kinds,
        ["Namespace", "CustomResourceDefinition", "Deployment", "Widget"],
        "{}",
        first.log
    );
    second.told(0, &["to be 4 unchanged"]);
}

#[test]
fn what_the_server_would_refuse_is_found_for_all_objects_at_once() {
    let release = Release::new("refused");
    release.manifest("web.yaml", &deployment("web", "i:1", 1, "")).deploy(&[]).told(0, &[]);
    let relabelled = deployment("web", "i:1", 1, "").replace("{ app: web }", "{ app: other }");
    let misspelt = deployment("typo", "i:1", 1, "").replace("replicas", "replicsa");
    let mistyped = deployment("type", "i:1", 1, "").replace("replicas: 1", "replicas: many");
    release
        .manifest("web.yaml", &relabelled)
        .manifest("typo.yaml", &misspelt)
        .manifest("type.yaml", &mistyped)
        .manifest("old.yaml", "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: { name: c }\n")
        .manifest("kind.yaml", "apiVersion: v1\nkind: ConfgMap\nmetadata: { name: c }\n");
    release.deploy(&[]).told(
        99,
        &[
            "m/web.yaml:6:",
            "`spec.selector` of Deployment `web` cannot be changed",
            "kubectl delete deployment web",
            "m/typo.yaml:5:",
            "`spec.replicsa`",
            "m/type.yaml:5:",
            "`spec.replicas`",
            "m/old.yaml:1:",
            "gone since Kubernetes 1.25",
            "`apiVersion: batch/v1`",
            "did you mean `ConfigMap`?",
            "nothing was changed",
        ],
    );
    // Manifests that are wrong whatever the cluster holds are bad input.
    release.without("web.yaml").deploy(&[]).told(2, &["pre-flight found 4 errors"]);
}

#[test]
fn a_quota_and_pod_security_are_judged_before() {
    let release = Release::new("quota");
    let namespace = &release.cluster.namespace;
    release.cluster.kubectl(["-n", namespace, "create", "quota", "q", "--hard=pods=2"]);
    eventually("the quota is counted", || {
        release.object("resourcequota", "q")["status"]["used"]["pods"] == "0"
    });
    let label = "pod-security.kubernetes.io/enforce=baseline";
    release.cluster.kubectl(["label", "namespace", namespace, label]);
    release.manifest("web.yaml", &deployment("web", "i:1", 3, "")).manifest(
        "root.yaml",
        &deployment("root", "i:1", 0, "securityContext: { privileged: true }"),
    );
    release.deploy(&[]).told(
        99,
        &[
            "quota `q` allows 2 of pods, 0 are used, and this deploy adds 3",
            "violates pod security",
            "privileged",
        ],
    );
}

#[test]
fn what_kubectl_apply_owned_is_taken_over_and_what_others_own_is_explained() {
    let release = Release::new("owners");
    let namespace = release.cluster.namespace.clone();
    let old = format!("{SETTINGS}  \n").replace("level: \"1\"", "level: \"1\", gone: x");
    release.file("old.yaml", &old);
    let apply = |text: &str, more: &[&str]| {
        let mut child =
            std::process::Command::new(crate::support::setting("DYNO_TEST_KUBECTL").unwrap())
                .args([
                    "--kubeconfig",
                    &release.cluster.kubeconfig(),
                    "-n",
                    &namespace,
                    "apply",
                    "-f",
                    "-",
                ])
                .args(more)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    };
    apply(&old, &[]);
    release.manifest("a.yaml", SETTINGS);
    let shown = release.deploy(&["--plan"]);
    shown.told(0, &["-   gone: x"]);
    release.deploy(&[]).told(0, &["settings configured"]);
    let object = release.object("configmap", "settings");
    assert_eq!(
        object["data"],
        serde_json::json!({"level": "1"}),
        "what the manifest no longer says is gone"
    );
    let managers: Vec<&str> = object["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["dyno"]);
    assert!(object["metadata"].get("annotations").is_none(), "{object}");

    // What a person's kubectl set is taken over, and told.
    release.manifest("web.yaml", &deployment("web", "i:1", 1, "")).deploy(&[]).told(0, &[]);
    release.cluster.kubectl(["-n", &namespace, "set", "image", "deployment/web", "app=i:5"]);
    release.deploy(&[]).told(0, &["over from `kubectl-set`: i:5 becomes i:1", "web configured"]);

    // What somebody else owns is not.
    let theirs = SETTINGS.replace("\"1\"", "\"9\"");
    apply(&theirs, &["--server-side", "--force-conflicts", "--field-manager=argocd"]);
    release.deploy(&[]).told(
        99,
        &[
            "m/a.yaml:4:",
            "`data.level` belongs to `argocd`: it says `9`, the manifest `1`",
            "--force-conflicts",
        ],
    );
    release.deploy(&["--force-conflicts"]).told(0, &["settings configured"]);
    assert_eq!(release.object("configmap", "settings")["data"]["level"], "1");
}

#[test]
fn a_rollout_that_cannot_succeed_ends_early_with_its_reason_and_goes_back_exactly() {
    let release = Release::new("back");
    release.manifest("a.yaml", SETTINGS).manifest("web.yaml", &deployment("web", "i:1", 2, ""));
    release.deploy(&[]).told(0, &[]);
    let plain = |mut object: serde_json::Value| {
        let map = object.as_object_mut().unwrap();
        map.remove("status");
        let metadata = map["metadata"].as_object_mut().unwrap();
        for key in ["resourceVersion", "generation"] {
            metadata.remove(key);
        }
        metadata["annotations"]
            .as_object_mut()
            .map(|map| map.remove("deployment.kubernetes.io/revision"));
        for entry in metadata["managedFields"].as_array_mut().unwrap() {
            entry.as_object_mut().unwrap().remove("time");
        }
        // Its controller writes when it likes.
        metadata["managedFields"]
            .as_array_mut()
            .unwrap()
            .retain(|entry| entry["manager"] == "dyno");
        object
    };
    let before = plain(release.object("deployment", "web"));
    release
        .manifest("a.yaml", &SETTINGS.replace("\"1\"", "\"2\""))
        .manifest("web.yaml", &deployment("web", "i-crash:2", 2, ""))
        .manifest("new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: new }\n")
        .manifest("job.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\nspec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } }\n");
    let started = std::time::Instant::now();
    let failed = release.deploy(&["--rollback", "--timeout", "3m"]);
    failed.told(
        99,
        &[
            "container `app` crashed",
            "exit code 1",
            "evidence: Deployment",
            "log of container app",
            "settings is what it was",
            "web is what it was",
            "new is deleted: it had not been there",
            "once stays: a job has run",
            "rolled back, except 1 object that stays",
        ],
    );
    assert!(started.elapsed().as_secs() < 60, "it took {:?}", started.elapsed());
    let evidence = failed.log.find("evidence: ").unwrap();
    assert!(evidence < failed.log.find("is what it was").unwrap(), "evidence comes first");
    assert!(!release.cluster.has("configmap", "new"));
    assert_eq!(release.object("configmap", "settings")["data"]["level"], "1");
    assert_eq!(plain(release.object("deployment", "web")), before);
    assert_eq!(failed.json["objects"][3]["undone"], "restored");
    // The next deploy finds what the failed one had found.
    release.without("new.yaml").without("job.yaml");
    release.manifest("a.yaml", SETTINGS).manifest("web.yaml", &deployment("web", "i:1", 2, ""));
    release.deploy(&[]).told(0, &["to be 2 unchanged"]);
}

#[test]
fn pruning_removes_what_the_inventory_holds_and_nothing_else() {
    let release = Release::new("prune");
    let namespace = release.cluster.namespace.clone();
    let map =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n");
    release.cluster.kubectl(["-n", &namespace, "create", "configmap", "stranger"]);
    release.manifest("a.yaml", &map("a")).manifest("b.yaml", &map("b"));
    release.manifest("web.yaml", &deployment("web", "i:1", 1, ""));
    release.deploy(&["--prune", "shop"]).told(0, &[]);
    release.without("b.yaml").without("web.yaml");
    // Another inventory of the same namespace is not touched, nor is what has none.
    release.deploy(&["--prune", "other", "--plan"]).told(0, &["to be 1 configured"]);
    release
        .deploy(&["--prune", "shop", "--plan"])
        .told(0, &["2 pruned", "pruned ConfigMap", "pruned Deployment"]);
    assert!(release.cluster.has("configmap", "b"));
    let pruned = release.deploy(&["--prune", "shop"]);
    pruned.told(0, &["ConfigMap prune-", "/b pruned", "/web pruned"]);
    assert!(!release.cluster.has("configmap", "b"));
    assert!(release.cluster.has("configmap", "a") && release.cluster.has("configmap", "stranger"));
    let parent = release.object("configmap", "shop");
    let annotations = &parent["metadata"]["annotations"];
    assert_eq!(annotations["applyset.kubernetes.io/contains-group-kinds"], "ConfigMap");
    assert!(annotations["applyset.kubernetes.io/tooling"].as_str().unwrap().starts_with("dyno/v"));
    release
        .deploy(&["--prune", "stranger"])
        .told(2, &["ConfigMap `stranger` is there and is no inventory"]);
}

#[test]
fn many_objects_on_fake_nodes_come_up_in_one_go() {
    let release = Release::new("many");
    let mut all = String::new();
    for n in 0..30 {
        all.extend([&deployment(&format!("web-{n}"), "i:1", 2, ""), "---\n"]);
        all.extend([format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: web-{n} }}\nspec: {{ selector: {{ app: web-{n} }}, ports: [{{ port: 80 }}] }}\n---\n"
        )]);
    }
    for n in 0..240 {
        all.extend([format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c-{n} }}\ndata: {{ n: \"{n}\" }}\n---\n"
        )]);
    }
    release.manifest("all.yaml", &all);
    let deployed = release.deploy(&["--timeout", "3m"]);
    deployed.told(0, &["300 of 300 objects ready"]);
    release.deploy(&[]).told(0, &["to be 300 unchanged"]);
}
