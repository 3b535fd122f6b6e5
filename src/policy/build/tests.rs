//! What is wrong with a policy, in the words that its administrator reads.

use std::path::Path;

use crate::policy::recipe::Library;
use crate::policy::{Policy, Problems, parse};

fn read(text: &str) -> Result<Policy, Problems> {
    parse(Path::new("/etc/dyno/dyno.yaml"), text)
}

/// Everything that is told of a text, without the file's name.
fn told(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .0
            .iter()
            .map(|problem| problem.to_string().replace("/etc/dyno/dyno.yaml:", ""))
            .collect(),
    }
}

/// A profile that is right, as the last lines of a policy.
const RIGHT: &str = "profiles: [{ name: a, match: { tags: [t], projects: ['g/*'] } }]\n";

#[test]
fn the_design_s_own_example_is_a_policy() {
    let text = r#"
gitlab: { url: https://gitlab.example.com/, ca-file: /etc/dyno/ca.pem }
state: /var/lib/dyno
sources:
  wavefront: { wavefront: { url: https://example.wavefront.com, token-file: wavefront.token } }
  prometheus: { prometheus: { url: http://prometheus:9090, headers: { X-Scope-OrgID: shop } } }
clusters:
  staging: { kubeconfig: /etc/dyno/staging.kubeconfig, context: staging }
  production: { kubeconfig: /etc/dyno/production.kubeconfig, impersonate: "gitlab:project:{{ project.id }}" }
variables-token-file: /etc/dyno/gitlab-variables.token
profiles:
  - name: performance
    match: { tags: [Dedicated], projects: ["vmware-cloud-advocacy/*"], refs: any }
    environment: { sandbox: { network: none, memory: 4GiB, processes: 512 } }
    recipes: [locust, pod-inspector]
    load: { targets: ["*.staging.example.com", "10.20.0.0/16"], users: 5000, rate: 20000/s, duration: 30m }
    sources: [wavefront, prometheus]
    clusters: { staging: { namespaces: [acme], access: read } }
    gate: { wait-for-load-start: 60s, wait-for-load-end: 30m }
  - name: production
    match: { tags: [cluster, kubernetes, production], projects: ["vmware-cloud-advocacy/*"], refs: protected }
    environment: { sandbox: { network: none } }
    recipes: [kubectl]
    clusters: { production: { namespaces: ["{{ user.login }}", "shop-*"], access: deploy } }
"#;
    let policy = read(text).unwrap();
    assert_eq!(policy.gitlab.as_ref().unwrap().url, "https://gitlab.example.com");
    assert_eq!(
        policy.sources["wavefront"].secret_files(),
        [Path::new("/etc/dyno/wavefront.token")],
        "relative paths start at the policy's folder"
    );
    assert!(!policy.profiles[0].refers_to_identity());
    assert!(policy.profiles[1].refers_to_identity());
    assert_eq!(policy.recipes_of(&policy.profiles[0]).count(), 2);
}

#[test]
fn the_commented_policy_is_valid_as_it_stands_and_names_every_key() {
    let text = include_str!("../../../config/dyno.yaml");
    if let Err(problems) = read(text) {
        panic!("{problems}");
    }
    let schema: serde_json::Value = serde_json::from_str(&crate::policy::schema::policy()).unwrap();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    for key in keys {
        assert!(text.contains(&format!("{key}:")), "config/dyno.yaml does not show `{key}`");
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        serde_json::Value::Array(values) => {
            for value in values {
                collect_keys(value, keys);
            }
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

#[test]
fn what_stands_outside_of_profiles_is_told() {
    #[rustfmt::skip]
    let table = [
        ("gitlab: { url: gitlab.example.com }", "1:16: gitlab.url: must start with `https://` or `http://`"),
        ("gitlab: { url: 'https://me:secret@gitlab.example.com' }", "1:16: gitlab.url: holds credentials, which are never written here"),
        ("gitlab: { url: 'https://gitlab.example.com/?a=b' }", "1:16: gitlab.url: holds more than a base URL: remove what follows the path"),
        ("gitlab: { ulr: https://gitlab.example.com }", "1:11: gitlab.ulr: unknown key `ulr` (did you mean `url`?)"),
        ("gitlab: https://gitlab.example.com", "1:9: gitlab: must be a map of keys, not `https://gitlab.example.com`"),
        ("state: ''", "1:8: state: is no path: it is empty"),
        ("state: /", "1:8: state: must be a folder of the driver's own, not `/`"),
        ("sandbox_users: { first: 100000 }", "1:1: sandbox_users: unknown key `sandbox_users` (did you mean `sandbox-users`?)"),
        ("sandbox-users: { first: 1000 }", "1:25: sandbox-users.first: uids below 65536 belong to accounts"),
        ("sandbox-users: { count: 0 }", "1:25: sandbox-users.count: must be at least 1"),
        ("sandbox-users: { first: 4294967290, count: 10 }", "1:16: sandbox-users: the range ends above the greatest uid, 4294967293"),
        ("variables-token-file: /etc/token", "1:23: variables-token-file: a token without a GitLab that it is for (add `gitlab: { url: … }`)"),
        ("sources: { w: { wavefront: { url: https://w, token: abc } } }", "1:46: sources.w.wavefront.token: unknown key `token` (secrets are never written here: put it into a file and name that by `token-file`)"),
        ("sources: { w: { wavefrnt: { url: https://w } } }", "1:17: sources.w: unknown key `wavefrnt` (did you mean `wavefront`?)"),
        ("sources: { w: { wavefront: {} } }", "1:28: sources.w.wavefront: `url` is missing"),
        ("sources: { w: { wavefront: { url: https://w, token-file: '' } } }", "1:58: sources.w.wavefront.token-file: is no path: it is empty"),
        ("sources: { w: wavefront }", "1:15: sources.w: `wavefront` needs its keys: `wavefront: { … }`"),
        ("sources: { 'my source': { wavefront: { url: https://w } } }", "1:25: sources.my source: the name `my source` is not made of letters, digits, `-`, `_`"),
        ("sources: { p: { prometheus: { url: http://p, headers: { Authorization: Bearer x } } } }", "1:72: sources.p.prometheus.headers.Authorization: `Authorization` holds a secret, which is never written here (put it into a file and name that by `token-file`)"),
        ("sources: { p: { prometheus: { url: http://p, username: me } } }", "1:29: sources.p.prometheus: `username` and `password-file` go together"),
        ("sources: { p: { prometheus: { url: http://p, token-file: /a, username: me, password-file: /b } } }", "1:72: sources.p.prometheus.username: a bearer token and basic authentication exclude each other"),
        ("clusters: { c: { context: x } }", "1:16: clusters.c: `kubeconfig` is missing"),
        ("clusters: { c: { kubeconfig: /k, impersonate: '{{ user.name }}' } }", "1:47: clusters.c.impersonate: `{{ user.name }}` is not known; places are `user.login`, `project.id`, `project.path-slug`, `environment.slug`, `environment.tier`"),
        ("clusters: { c: { kubeconfig: /k, impersonate: '{{ user.login }}' } }", "1:47: clusters.c.impersonate: `{{ user.login }}` is GitLab's to fill, and no GitLab is named (add `gitlab: { url: … }`)"),
        ("clusters: { c: { kubeconfig: /k, impersonate-groups: [g] } }", "1:54: clusters.c.impersonate-groups: groups are impersonated together with a user only: add `impersonate`"),
        ("clusters: { c: { kubeconfig: /k, impersonate: u, impersonate-groups: ['system:masters'] } }", "1:71: clusters.c.impersonate-groups[0]: `system:masters` may do everything, past every rule"),
        ("clusters: { c: { kubeconfig: /k }, c: { kubeconfig: /l } }", "1:36: clusters.c: `c` is there twice"),
        ("stat: [", "1:8: is no YAML:"),
    ];
    for (text, expected) in table {
        let told = told(&format!("{text}\n{RIGHT}"));
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        let told = told.first().map(String::as_str).unwrap_or_default();
        if expected.starts_with("1:8: is no YAML") {
            assert!(told.contains("is no YAML: "), "{told}");
        } else {
            assert_eq!(told, expected, "{text}");
        }
    }
}

/// A policy with one profile, whose keys begin on line 5.
fn with_profile(keys: &str) -> String {
    format!(
        "sources: {{ wavefront: {{ wavefront: {{ url: https://w }} }} }}\n\
         clusters: {{ staging: {{ kubeconfig: /k }}, production: {{ kubeconfig: /l }} }}\n\
         profiles:\n\
         - name: a\n  {keys}\n"
    )
}

#[test]
fn what_is_wrong_with_a_profile_is_told() {
    const MATCH: &str = "match: { tags: [t], projects: ['g/*'] }\n  ";
    #[rustfmt::skip]
    let table = [
        ("recipes: []", "4:3: profiles[0]: `match` is missing"),
        ("match: { tags: [t] }", "5:10: profiles[0].match: `projects` is missing"),
        ("match: { tags: t, projects: [g] }", "5:18: profiles[0].match.tags: must be a list, not `t`"),
        ("match: { tags: ['a,b'], projects: [g] }", "5:19: profiles[0].match.tags[0]: `a,b` is not a tag: no comma, no spaces around it"),
        ("match: { tags: [t, t], projects: [g] }", "5:22: profiles[0].match.tags[1]: `t` is there twice"),
        ("match: { tags: [t], projects: [] }", "5:33: profiles[0].match.projects: a profile without projects is for nobody"),
        ("match: { tags: [t], projects: ['g/[ab]'] }", "5:34: profiles[0].match.projects[0]: `[` is no wildcard here: only `*` and `**` are"),
        ("match: { tags: [t], projects: [https://gitlab.example.com/g/p] }", "5:34: profiles[0].match.projects[0]: `https://gitlab.example.com/g/p` is not a project's path, as in `group/project`"),
        ("match: { tags: [t], projects: [g], refs: protcted }", "5:44: profiles[0].match.refs: must be one of `any`, `protected`, not `protcted` (did you mean `protected`?)"),
        ("+environment: {}", "6:16: profiles[0].environment: say where scripts run: `sandbox`, `docker`, or both"),
        ("+environment: { podman: {} }", "6:18: profiles[0].environment.podman: unknown key `podman` (known here: `sandbox`, `docker`)"),
        ("+environment: { docker: {} }", "6:26: profiles[0].environment.docker.images: no image is allowed, so no job can run (name patterns such as `registry.example.com/**`, or `**` for every image)"),
        ("+environment: { docker: { images: [a], pull: [sometimes] } }", "6:48: profiles[0].environment.docker.pull[0]: must be one of `always`, `if-not-present`, `never`, not `sometimes`"),
        ("+environment: { docker: { images: [a], default-image: b } }", "6:56: profiles[0].environment.docker.default-image: `b` is not among `images`"),
        ("+environment: { sandbox: { network: internet } }", "6:38: profiles[0].environment.sandbox.network: must be one of `none`, `host`, not `internet`"),
        ("+environment: { sandbox: { memory: lots } }", "6:37: profiles[0].environment.sandbox.memory: `lots` is not a size such as `512MiB` or `4GiB`"),
        ("+environment: { sandbox: { memory: 4 } }", "6:37: profiles[0].environment.sandbox.memory: 4B is too little to run a shell: 16MiB at least"),
        ("+environment: { sandbox: { processes: 0 } }", "6:40: profiles[0].environment.sandbox.processes: must be at least 8: a script needs some"),
        ("+environment: { sandbox: { folders: [/etc] } }", "6:39: profiles[0].environment.sandbox.folders[0]: `/etc` is the host's own, never a job's"),
        ("+environment: { sandbox: { folders: [/opt/../etc] } }", "6:39: profiles[0].environment.sandbox.folders[0]: `/etc` is the host's own, never a job's"),
        ("+environment: { sandbox: { folders: [/etc/dyno] } }", "6:39: profiles[0].environment.sandbox.folders[0]: `/etc/dyno` holds this policy"),
        ("+environment: { sandbox: { folders: [opt] } }", "6:39: profiles[0].environment.sandbox.folders[0]: `opt` is not an absolute path"),
        ("+recipes: [locst]", "6:13: profiles[0].recipes[0]: unknown recipe `locst` (did you mean `locust`?)"),
        ("+recipes: [locust, locust]", "6:21: profiles[0].recipes[1]: `locust` is there twice"),
        ("+load: { users: 5 }", "6:9: profiles[0].load: `targets` is missing"),
        ("+load: { target: [a.b] }", "6:11: profiles[0].load.target: unknown key `target` (did you mean `targets`?)"),
        ("+load: { targets: [] }", "6:20: profiles[0].load.targets: load without targets goes nowhere"),
        ("+load: { targets: ['10.20.0.0/33'] }", "6:21: profiles[0].load.targets[0]: `10.20.0.0/33` is not a network in CIDR notation"),
        ("+load: { targets: ['http://shop'] }", "6:21: profiles[0].load.targets[0]: `http://shop` is a URL; a target is a host, a pattern or a network, with an optional port"),
        ("+load: { targets: [localhost] }", "6:21: profiles[0].load.targets[0]: `localhost` is this machine, which a name alone does not open (add `127.0.0.0/8` and `::1` to the targets)"),
        ("+load: { targets: [a.b], users: 0 }", "6:34: profiles[0].load.users: must be at least 1"),
        ("+load: { targets: [a.b], users: -5 }", "6:34: profiles[0].load.users: must be a whole number from 0 to 4294967295, not `-5`"),
        ("+load: { targets: [a.b], rate: 0/s }", "6:33: profiles[0].load.rate: must be more than nothing"),
        ("+load: { targets: [a.b], rate: fast }", "6:33: profiles[0].load.rate: `fast` is not a rate such as `200/s` or `50/m`"),
        ("+load: { targets: [a.b], duration: 0s }", "6:37: profiles[0].load.duration: must be more than nothing"),
        ("+sources: [wavefrnt]", "6:13: profiles[0].sources[0]: unknown source `wavefrnt` (did you mean `wavefront`?)"),
        ("+clusters: { stagin: { namespaces: [a] } }", "6:23: profiles[0].clusters.stagin: unknown cluster `stagin` (did you mean `staging`?)"),
        ("+clusters: { staging: { namespaces: [a], access: write } }", "6:51: profiles[0].clusters.staging.access: must be one of `read`, `deploy`, not `write`"),
        ("+clusters: { staging: { namespaces: [] } }", "6:38: profiles[0].clusters.staging.namespaces: a cluster without namespaces is no grant"),
        ("+clusters: { staging: { namespaces: [kube-system] } }", "6:39: profiles[0].clusters.staging.namespaces[0]: `kube-system` is the cluster's own, which is always refused"),
        ("+clusters: { staging: { namespaces: ['kube-*'] } }", "6:39: profiles[0].clusters.staging.namespaces[0]: `kube-*` is the cluster's own, which is always refused"),
        ("+clusters: { staging: { namespaces: [Acme] } }", "6:39: profiles[0].clusters.staging.namespaces[0]: `Acme` can never be a namespace's name"),
        ("+clusters: { staging: { namespaces: ['{{ user.login }}'] } }", "6:39: profiles[0].clusters.staging.namespaces[0]: `{{ user.login }}` is GitLab's to fill, and no GitLab is named (add `gitlab: { url: … }`)"),
        ("+clusters: { staging: { namespaces: [a], access: deploy, kinds: [ClusterRole] } }", "6:67: profiles[0].clusters.staging.kinds[0]: unknown kind `ClusterRole` (there is `Namespace`, `Role`, `RoleBinding`, `ResourceQuota`, `LimitRange`, `pods/exec`, `pods/portforward`, `serviceaccounts/token`)"),
        ("+clusters: { staging: { namespaces: [a], kinds: [Role] } }", "6:50: profiles[0].clusters.staging.kinds: kinds to change need `access: deploy`"),
        ("+kubeconfig-servers: ['http://kas.example.com/*']", "6:24: profiles[0].kubeconfig-servers[0]: `http://kas.example.com/*` must start with `https://`"),
        ("+kubeconfig-servers: ['https://**']", "6:24: profiles[0].kubeconfig-servers[0]: `https://**` names no host: every server would match"),
        ("+gate: { wait-for-load-end: 2d }", "6:30: profiles[0].gate.wait-for-load-end: 48h is longer than a day"),
        ("+gate: { wait-for-load: 60s }", "6:11: profiles[0].gate.wait-for-load: unknown key `wait-for-load` (known here: `wait-for-load-start`, `wait-for-load-end`)"),
    ];
    let mut wrong = Vec::new();
    for (keys, expected) in table {
        let text = match keys.strip_prefix('+') {
            Some(keys) => with_profile(&format!("{MATCH}{keys}")),
            None => with_profile(keys),
        };
        let told = told(&text);
        if told != [expected] {
            wrong.push(format!("{keys}\n  told {told:#?}\n  not  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn profiles_that_contradict_each_other_are_told() {
    let two = |first: &str, second: &str| {
        told(&format!(
            "profiles:\n- name: a\n  match: {{ {first} }}\n- name: b\n  match: {{ {second} }}\n"
        ))
    };
    assert_eq!(
        two("tags: [x, y], projects: ['g/*']", "tags: [y, x], projects: [h/p, g/p], refs: any"),
        [
            "5:10: profiles[1].match: `a` and `b` could both match: the same tags, and `g/*` meets `g/p` (give them other tags or projects, or no tags and pick by `--profile`)"
        ]
    );
    for (first, second) in [
        ("tags: [x], projects: ['g/*']", "tags: [y], projects: ['g/*']"),
        ("tags: [x], projects: ['g/*']", "tags: [x, y], projects: ['g/*']"),
        ("tags: [x], projects: ['g/*']", "tags: [x], projects: ['h/*']"),
        ("projects: ['g/*']", "projects: ['g/*']"),
    ] {
        assert_eq!(two(first, second), [""; 0], "{first} | {second}");
    }
    assert_eq!(
        told(
            "profiles:\n- { name: a, match: { tags: [x], projects: [g] } }\n- { name: a, match: { tags: [y], projects: [g] } }\n"
        ),
        ["3:11: profiles[1].name: `a` is the name of profiles[0] already"]
    );
    assert_eq!(
        told("profiles: []\n"),
        ["1:11: profiles: a policy without profiles allows nothing"]
    );
    assert_eq!(told(""), ["1:1: `profiles` is missing"]);
    let own = |text: &str| crate::policy::own(Path::new("/p.yaml"), text, Library::built_in());
    let text = "sources:\n  p: { prometheus: { url: 'http://127.0.0.1:9090' } }\n";
    assert_eq!(own(text).unwrap().sources.len(), 1, "a laptop has no jobs");
    let wrong = own("sources:\n  p: { prometeus: {} }\n").unwrap_err().to_string();
    assert!(wrong.contains("/p.yaml:2:"), "{wrong}");
}

#[test]
fn many_mistakes_are_told_at_once_and_none_twice() {
    let text = "\
gitlab: { ulr: https://gitlab.example.com }
sources:
  wavefront: { wavefront: { url: https://w, token: abc } }
  prometheus: { prometheus: { url: 'http://me:pw@p' } }
clusters:
  staging: { kubeconfg: /k }
profiles:
- name: a
  match: { tag: [t], projects: ['g/*'] }
  load: { targets: ['10.20.0.0/99'], users: many }
  sources: [wavefront, promtheus]
  clusters: { staging: { namespaces: ['{{ user.login }}'] } }
- name: b
  match: [t]
- name: c
  match: { tags: [t], projects: ['g/*'] }
  recipes: [kubctl]
";
    assert_eq!(
        told(text),
        [
            "1:11: gitlab.ulr: unknown key `ulr` (did you mean `url`?)",
            "3:45: sources.wavefront.wavefront.token: unknown key `token` (secrets are never written here: put it into a file and name that by `token-file`)",
            "4:36: sources.prometheus.prometheus.url: holds credentials, which are never written here",
            "6:14: clusters.staging.kubeconfg: unknown key `kubeconfg` (did you mean `kubeconfig`?)",
            "9:12: profiles[0].match.tag: unknown key `tag` (did you mean `tags`?)",
            "10:21: profiles[0].load.targets[0]: `10.20.0.0/99` is not a network in CIDR notation",
            "10:45: profiles[0].load.users: must be a whole number from 0 to 4294967295, not `many`",
            "11:24: profiles[0].sources[1]: unknown source `promtheus` (did you mean `prometheus`?)",
            "14:10: profiles[1].match: must be a map of keys, not a list",
            "17:13: profiles[2].recipes[0]: unknown recipe `kubctl` (did you mean `kubectl`?)",
        ]
    );
}

#[test]
fn no_credential_of_a_policy_is_repeated() {
    let text = format!("gitlab: {{ url: 'https://me:hunter2@gitlab example' }}\n{RIGHT}");
    let told = told(&text);
    assert!(!told.is_empty() && told.iter().all(|told| !told.contains("hunter2")), "{told:?}");
}
