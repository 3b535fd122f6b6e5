//! Which requests are allowed, and in which words the others are refused.

use serde_json::json;

use super::*;
use crate::deploy::cluster::OwnCluster;
use crate::policy::tests::policy_with;

const JOB: Values<'_> = Values {
    login: Some("theseanodell"),
    project_id: 42,
    project_path: "group/shop",
    environment_slug: None,
    environment_tier: None,
};

const DEPLOY: &str = "clusters: { staging: { namespaces: ['{{ user.login }}', 'shop-*', default], access: deploy } }";
const READ_ONLY: &str = "clusters: { staging: { namespaces: [acme, '*'], access: read } }";
const KINDS: &str = "clusters: { staging: { namespaces: [acme], access: deploy, kinds: [Namespace, RoleBinding] } }";
const INSIDE: &str =
    "clusters: { staging: { namespaces: [acme], access: deploy, kinds: [pods/exec] } }";
const ENVIRONMENT: &str =
    "clusters: { staging: { namespaces: ['{{ environment.slug }}'], access: deploy } }";

fn touch(verb: &'static str, kind: &str, namespace: Option<&str>, name: Option<&str>) -> Touch {
    Touch {
        verb,
        group: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

fn decide(keys: &str, values: &Values<'_>, touch: Touch) -> Result<KubectlGrant, Denied> {
    let policy = policy_with(keys);
    let asked = Asked {
        cluster: &ClusterChoice::Default,
        namespace: None,
        touches: vec![touch],
        objects: Vec::new(),
    };
    policy.profiles[0].decide(&policy, values, &asked)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_request_touches_what_is_granted_and_nothing_else() {
    let (none, own) = (None, Some("theseanodell"));
    let x = Some("x");
    #[rustfmt::skip]
    let table = [
        (DEPLOY, "create", "Deployment", own, x, true),
        (DEPLOY, "patch", "Deployment", own, x, true),
        (DEPLOY, "delete", "Deployment", own, x, true),
        (DEPLOY, "get", "Pod", own, none, true),
        (DEPLOY, "get", "Pod", Some("shop-eu"), none, true),
        (DEPLOY, "get", "Pod", Some(""), none, true),
        (DEPLOY, "get", "Pod", Some("default"), none, true),
        (DEPLOY, "get", "Secret", own, x, true),
        (DEPLOY, "create", "Deployment", Some("someone-else"), x, false),
        (DEPLOY, "create", "Deployment", Some("shop"), x, false),
        (DEPLOY, "get", "Pod", Some("*"), none, false),
        (DEPLOY, "get", "Pod", Some("kube-system"), none, false),
        (DEPLOY, "get", "Pod", Some("openshift-config"), none, false),
        (DEPLOY, "escalate", "Pod", own, x, false),
        (DEPLOY, "create", "RoleBinding", own, x, false),
        (DEPLOY, "patch", "Role", own, x, false),
        (DEPLOY, "patch", "roles.rbac.authorization.k8s.io", own, x, false),
        (DEPLOY, "get", "RoleBinding", own, x, true),
        (DEPLOY, "delete", "ResourceQuota", own, x, false),
        (DEPLOY, "patch", "LimitRange", own, x, false),
        // Commands in pods that others made.
        (DEPLOY, "create", "pods/exec", own, none, false),
        (READ_ONLY, "create", "pods/exec", Some("acme"), none, false),
        (INSIDE, "create", "pods/exec", Some("acme"), none, true),
        (INSIDE, "create", "pods/exec", own, none, false),
        (DEPLOY, "create", "pods/portforward", own, none, false),
        (INSIDE, "create", "pods/portforward", Some("acme"), none, false),
        (DEPLOY, "create", "serviceaccounts/token", own, x, false),
        (READ_ONLY, "create", "serviceaccounts/token", Some("acme"), x, false),
        (DEPLOY, "another verb", "Pod", own, x, false),
        // Outside of namespaces.
        (DEPLOY, "create", "Namespace", none, own, true),
        (DEPLOY, "get", "Namespace", none, own, true),
        (DEPLOY, "patch", "Namespace", none, Some("shop-eu"), true),
        (DEPLOY, "delete", "Namespace", none, own, false),
        (DEPLOY, "create", "Namespace", none, Some("other"), false),
        (DEPLOY, "create", "Namespace", none, Some("kube-public"), false),
        (DEPLOY, "list", "Namespace", none, none, false),
        (DEPLOY, "get", "Node", none, x, false),
        (DEPLOY, "create", "ClusterRoleBinding", none, own, false),
        (DEPLOY, "create", "PersistentVolume", none, x, false),
        // Reading.
        (READ_ONLY, "get", "Pod", Some("acme"), none, true),
        (READ_ONLY, "watch", "Deployment", Some("acme"), x, true),
        (READ_ONLY, "list", "Pod", Some("anything"), none, true),
        (READ_ONLY, "get", "Namespace", none, Some("acme"), true),
        (READ_ONLY, "create", "ConfigMap", Some("acme"), x, false),
        (READ_ONLY, "patch", "Deployment", Some("acme"), x, false),
        (READ_ONLY, "create", "Namespace", none, Some("acme"), false),
        (READ_ONLY, "get", "Secret", Some("acme"), x, false),
        (READ_ONLY, "list", "secrets.v1", Some("acme"), none, false),
        (READ_ONLY, "get", "Pod", Some("kube-system"), none, false),
        (READ_ONLY, "get", "Pod", Some("default"), none, false),
        (READ_ONLY, "get", "Pod", Some("not/a/name"), none, false),
        // Kinds that the rule names.
        (KINDS, "delete", "Namespace", none, Some("acme"), true),
        (KINDS, "delete", "Namespace", none, Some("other"), false),
        (KINDS, "create", "RoleBinding", Some("acme"), x, true),
        (KINDS, "create", "Role", Some("acme"), x, false),
    ];
    for (keys, verb, kind, namespace, name, expected) in table {
        let answer = decide(keys, &JOB, touch(verb, kind, namespace, name));
        assert_eq!(
            answer.is_ok(),
            expected,
            "{keys}: {verb} {kind} {namespace:?} {name:?}: {answer:?}"
        );
    }
}

#[test]
fn a_system_namespace_is_refused_also_where_a_template_yields_it() {
    for login in ["kube-system", "openshift-monitoring", "default"] {
        let values = Values { login: Some(login), ..JOB };
        let keys = "clusters: { staging: { namespaces: ['{{ user.login }}'], access: deploy } }";
        let answer = decide(keys, &values, touch("get", "Pod", Some(login), None));
        assert!(answer.is_err(), "{login}");
        let answer = decide(keys, &values, touch("create", "Namespace", None, Some(login)));
        assert!(answer.is_err(), "{login}");
    }
}

#[test]
fn a_refusal_says_what_is_allowed_and_where_it_came_from() {
    let denied = decide(DEPLOY, &JOB, touch("create", "Deployment", Some("other"), Some("cart")));
    assert_eq!(
        denied.unwrap_err().to_string(),
        "refused by policy: profile `one` does not allow `create` of Deployment `cart` in namespace `other` on cluster `staging` (profiles[0].clusters.staging.namespaces: allowed: `theseanodell` (from `{{ user.login }}`), `shop-*`, `default`)"
    );
    let denied = decide(ENVIRONMENT, &JOB, touch("get", "Pod", Some("other"), None));
    assert_eq!(
        denied.unwrap_err().allowed,
        "allowed: `environment.slug` has no value: GitLab knows no environment of this job"
    );
    let values = Values { login: Some("Sean.O"), ..JOB };
    let denied = decide(DEPLOY, &values, touch("get", "Pod", Some("Sean.O"), None)).unwrap_err();
    assert!(denied.allowed.contains("`user.login` is `Sean.O`, which cannot be part"), "{denied}");
}

#[test]
fn a_grant_names_cluster_namespace_and_whom_to_act_as() {
    assert_eq!(
        decide(DEPLOY, &JOB, touch("get", "Pod", Some(""), None)),
        Ok(KubectlGrant {
            cluster: Some("staging".to_owned()),
            namespace: Some("theseanodell".to_owned()),
            impersonate: Some("gitlab:project:42".to_owned()),
            impersonate_groups: Vec::new(),
            guarded: true,
        })
    );
    let only_patterns = "clusters: { staging: { namespaces: ['shop-*'] } }";
    let denied = decide(only_patterns, &JOB, touch("get", "Pod", Some(""), None)).unwrap_err();
    assert!(denied.asked.contains("without a namespace (`-n`)"), "{denied}");
}

#[test]
fn a_cluster_is_taken_when_it_is_the_only_one_or_named() {
    const BOTH: &str =
        "clusters: { staging: { namespaces: [a] }, production: { namespaces: [b] } }";
    let ask = |keys: &str, cluster: &ClusterChoice| {
        let policy = policy_with(keys);
        let asked = Asked { cluster, namespace: None, touches: Vec::new(), objects: Vec::new() };
        policy.profiles[0]
            .decide(&policy, &JOB, &asked)
            .map(|grant| grant.cluster.unwrap())
            .map_err(|denied| denied.to_string())
    };
    let named = |name: &str| ClusterChoice::Named(name.to_owned());
    assert_eq!(ask(BOTH, &named("production")), Ok("production".to_owned()));
    assert_eq!(
        ask(BOTH, &ClusterChoice::Default).unwrap_err(),
        "refused by policy: profile `one` does not allow kubectl without `--context` (profiles[0].clusters: it has several clusters: `production`, `staging`)"
    );
    assert_eq!(
        ask(READ_ONLY, &named("production")).unwrap_err(),
        "refused by policy: profile `one` does not allow cluster `production` (profiles[0].clusters: allowed: `staging`)"
    );
    assert_eq!(
        ask("recipes: []", &ClusterChoice::Default).unwrap_err(),
        "refused by policy: profile `one` does not allow any cluster (profiles[0].clusters: no cluster at all)"
    );
}

#[test]
fn a_namespace_does_not_loosen_its_pod_security() {
    let ask = |keys: &str| {
        let policy = policy_with(keys);
        let object = json!({ "kind": "Namespace", "metadata": { "name": "acme", "labels":
            { "pod-security.kubernetes.io/enforce": "privileged" } } });
        let asked = Asked {
            cluster: &ClusterChoice::Default,
            namespace: None,
            touches: Vec::new(),
            objects: vec![Cow::Borrowed(&object)],
        };
        policy.profiles[0].decide(&policy, &JOB, &asked).map_err(|denied| denied.rule)
    };
    assert_eq!(ask(KINDS).unwrap_err(), "profiles[0].clusters.staging.pod-security");
    let open =
        "clusters: { staging: { namespaces: [acme], access: deploy, pod-security: privileged } }";
    assert!(ask(open).is_ok());
}

#[test]
fn a_jobs_own_cluster_is_where_the_profile_says() {
    const SERVERS: &str =
        "kubeconfig-servers: ['https://kas.example.com/*', 'https://*.k8s.example.com:6443']";
    let own = |server: &str| OwnCluster {
        context: "c".to_owned(),
        server: server.to_owned(),
        tls_server_name: None,
        ca: None,
        insecure: false,
        certificate: None,
        key: None,
        token: None,
        username: None,
        password: None,
        impersonate: None,
        impersonate_uid: None,
        impersonate_groups: Vec::new(),
        namespace: Some("theirs".to_owned()),
    };
    let ask = |keys: &str, server: &str, touch: Option<Touch>| {
        let policy = policy_with(keys);
        let cluster = ClusterChoice::Own(Box::new(own(server)));
        let asked = Asked {
            cluster: &cluster,
            namespace: None,
            touches: touch.into_iter().collect(),
            objects: Vec::new(),
        };
        policy.profiles[0].decide(&policy, &JOB, &asked)
    };
    for (server, expected) in [
        ("https://kas.example.com/k8s-proxy", true),
        ("https://kas.example.com/k8s-proxy/", true),
        ("https://KAS.example.com:443/k8s-proxy", true),
        ("https://a.k8s.example.com:6443", true),
        ("https://a.k8s.example.com:6443/", true),
        ("https://a.k8s.example.com", false),
        ("https://kas.example.com/a/b", false),
        ("http://kas.example.com/k8s-proxy", false),
        ("https://kas.example.com.evil.org/k8s-proxy", false),
        ("https://evil.org/kas.example.com/x", false),
        ("https://kas.example.com@evil.org/x", false),
        ("https://kas.example.com/..", false),
        ("https://kas.example.com/%2e%2e", false),
        ("https://kas.example.com/a?b", false),
        ("https://evil.org:6443#.k8s.example.com:6443", false),
        ("https://127.0.0.1:6443", false),
        ("unix:///run/docker.sock", false),
        ("", false),
    ] {
        assert_eq!(ask(SERVERS, server, None).is_ok(), expected, "{server}");
    }
    let grant = ask(SERVERS, "https://kas.example.com/x", None).unwrap();
    assert_eq!((grant.cluster, grant.namespace), (None, Some("theirs".to_owned())));
    let system = touch("get", "Pod", Some("kube-system"), None);
    assert!(ask(SERVERS, "https://kas.example.com/x", Some(system)).is_err());
    assert!(ask("recipes: []", "https://kas.example.com/x", None).is_err());
    let denied = ask(SERVERS, "https://me:hunter2@evil.org/", None).unwrap_err();
    assert!(!denied.to_string().contains("hunter2"), "{denied}");
}
