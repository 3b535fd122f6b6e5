//! Which cluster a command is for: one of the job's own kubeconfig, or one of the platform's.

use serde_json::{Map, Value};

use super::own::own;
use super::{files, find, merged, text};
use crate::deploy::cluster::OwnCluster;
use crate::deploy::kubectl::flags::Parsed;
use crate::deploy::kubectl::guest::mistake;
use crate::deploy::kubectl::{ClusterChoice, Files, Operation, Usage};

/// Which cluster a command is for. The job's own kubeconfig comes first; a context that it does
/// not know is one of the platform's.
pub fn choose(flags: &Parsed, from: &dyn Files) -> Result<ClusterChoice, Usage> {
    let explicit = flags.filled("kubeconfig").is_some();
    let config = merged(&files(flags, from), explicit, from)?;
    let asked = flags.filled("context");
    let name = asked.clone().unwrap_or_else(|| text(config.get("current-context")));
    let context = find(&config, "contexts", &name).cloned();
    let server = flags.filled("server");
    let missing = |name: &str| Err(Usage(format!("{MISSING}{name}")));
    let nowhere = Value::Object(Map::new());
    match (context, asked) {
        (Some(context), _) => own(&config, &name, &context, flags, from).map(boxed),
        (None, _) if server.is_some() => own(&config, "", &nowhere, flags, from).map(boxed),
        (None, Some(asked)) if explicit || !from.has_platform() => missing(&asked),
        (None, Some(asked)) => platforms(flags).map(|()| ClusterChoice::Named(asked)),
        (None, None) if !name.is_empty() => missing(&name),
        (None, None) if from.has_platform() => platforms(flags).map(|()| ClusterChoice::Default),
        // Nothing says where the cluster is: kubectl looks on this host then.
        (None, None) => own(&config, "", &nowhere, flags, from).map(boxed),
    }
}

/// How it is told that a context is not there.
const MISSING: &str = "Error in configuration: context was not found for specified context: ";

/// The same, as the command tells it: some of kubectl's ask for the namespace first, and that has
/// other words.
pub fn worded(usage: Usage, operation: &Operation) -> Usage {
    let asks_for_the_namespace = match operation {
        Operation::Apply(_)
        | Operation::Create(_)
        | Operation::Replace(_)
        | Operation::SetEnv(_)
        | Operation::Diff(_)
        | Operation::Wait(_)
        | Operation::Version { .. }
        | Operation::Kinds(_)
        | Operation::Versions
        | Operation::CanI(_)
        | Operation::CanIList { .. }
        | Operation::WhoAmI { .. }
        | Operation::Explain(_)
        | Operation::ClusterInfo
        | Operation::Raw(_) => true,
        Operation::Top(top) => top.nodes,
        Operation::Get(_)
        | Operation::Delete(_)
        | Operation::Rollout(_)
        | Operation::SetImage(_)
        | Operation::Mark(_)
        | Operation::Patch(_)
        | Operation::Exec(_)
        | Operation::Forward(_)
        | Operation::Tunnel(_)
        | Operation::Token(_)
        | Operation::Describe(_)
        | Operation::Scale(_)
        | Operation::Logs(_) => false,
    };
    match usage.0.strip_prefix(MISSING) {
        Some(name) if asks_for_the_namespace => {
            mistake(format!("context \"{name}\" does not exist"))
        }
        Some(_) | None => usage,
    }
}

/// The flags that say where a cluster is and who asks it.
const WHERE_AND_WHO: [&str; 13] = [
    "as",
    "as-group",
    "as-uid",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "cluster",
    "insecure-skip-tls-verify",
    "password",
    "tls-server-name",
    "token",
    "user",
    "username",
];

/// On a cluster of the platform's the policy says where it is and who asks: a flag that says
/// otherwise is refused, since without it the command would act as somebody else than it says.
fn platforms(flags: &Parsed) -> Result<(), Usage> {
    let says = |flag: &&str| match *flag {
        "insecure-skip-tls-verify" => flags.is(flag, false),
        flag => flags.filled(flag).is_some(),
    };
    match WHERE_AND_WHO.iter().find(|flag| says(flag)) {
        None => Ok(()),
        Some(flag) => Err(mistake(format!(
            "--{flag} is not taken for a cluster of the platform: the policy decides where it is \
             and who acts there\n\
             leave --{flag} out, or use a kubeconfig of your own with a context in it"
        ))),
    }
}

fn boxed(own: OwnCluster) -> ClusterChoice {
    ClusterChoice::Own(Box::new(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::kubectl::flags;
    use crate::deploy::kubectl::guest::tests_support::Tree;

    const AGENT: &str = "
apiVersion: v1
kind: Config
clusters: [{name: gitlab, cluster: {server: https://kas.example.com/k8s-proxy/}}]
users: [{name: agent:7, user: {token: ci:7:secret}}]
contexts: [{name: group/agents:prod, context: {cluster: gitlab, user: agent:7, namespace: shop}}]
";

    fn choice(line: &str, tree: &Tree) -> Result<ClusterChoice, Usage> {
        let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        choose(&flags::parse(&argv, &[], "kubectl get").unwrap(), tree)
    }

    #[test]
    fn an_agents_kubeconfig_is_the_jobs_own_once_a_context_is_used() {
        let tree = Tree::new(&[("config", AGENT)]).kubeconfig("config");
        assert_eq!(choice("", &tree).unwrap(), ClusterChoice::Default);
        let ClusterChoice::Own(own) = choice("--context group/agents:prod", &tree).unwrap() else {
            panic!("not the own cluster");
        };
        assert_eq!(own.server, "https://kas.example.com/k8s-proxy/");
        assert_eq!(own.namespace.as_deref(), Some("shop"));
        assert_eq!(own.token.unwrap().reveal(), "ci:7:secret");
        assert_eq!(
            choice("--context staging", &tree).unwrap(),
            ClusterChoice::Named("staging".to_owned())
        );
    }

    #[test]
    fn on_a_laptop_there_are_no_other_clusters() {
        let tree = Tree::new(&[("config", AGENT)]).kubeconfig("config").on_a_laptop();
        let missing = choice("--context nope --as me", &tree).unwrap_err().0;
        assert!(missing.ends_with("not found for specified context: nope"), "{missing}");
        let ClusterChoice::Own(own) = choice("--as me", &tree).unwrap() else {
            panic!("not the own cluster");
        };
        assert_eq!(own.server, "http://localhost:8080");
        assert_eq!(own.impersonate.as_deref(), Some("me"));
    }

    #[test]
    fn groups_belong_to_a_user() {
        let tree = Tree::new(&[("config", AGENT)]).kubeconfig("config");
        for flag in ["--as-group=g", "--as-uid=7"] {
            let line = format!("--context group/agents:prod {flag}");
            assert_eq!(
                choice(&line, &tree).unwrap_err().0,
                "error: requesting uid, groups or user-extra for agent:7 without impersonating a \
                 user"
            );
        }
    }

    #[test]
    fn a_program_is_never_run_for_a_credential() {
        let tree = Tree::new(&[(
            "config",
            "current-context: c\ncontexts: [{name: c, context: {user: u}}]\n\
             users: [{name: u, user: {exec: {command: rm}}}]\n",
        )])
        .kubeconfig("config");
        assert!(choice("", &tree).unwrap_err().0.contains("does not run"));
    }

    #[test]
    fn on_a_platforms_cluster_nobody_says_who_he_is() {
        let tree = Tree::new(&[("config", AGENT)]).kubeconfig("config");
        for flag in [
            "--as=admin",
            "--as-group=system:masters",
            "--as-uid=7",
            "--certificate-authority=ca",
            "--client-certificate=c",
            "--client-key=k",
            "--cluster=x",
            "--insecure-skip-tls-verify",
            "--password=p",
            "--tls-server-name=n",
            "--token=t",
            "--user=u",
            "--username=u",
        ] {
            let name = flag.split('=').next().unwrap();
            for context in ["", "--context staging"] {
                let error = choice(&format!("{context} {flag}"), &tree).unwrap_err().0;
                let told = format!("error: {name} is not taken for a cluster of the platform");
                assert!(error.starts_with(&told), "{error}");
                assert!(error.contains(&format!("leave {name} out")), "{error}");
            }
        }
        for flag in ["--token=", "--insecure-skip-tls-verify=false", "--request-timeout=5s"] {
            assert_eq!(choice(flag, &tree).unwrap(), ClusterChoice::Default, "{flag}");
        }
    }

    #[test]
    fn with_an_own_kubeconfig_the_flags_hold() {
        let tree = Tree::new(&[("config", AGENT), ("c.pem", "CERT")]).kubeconfig("config");
        let line = "--context group/agents:prod --as a --as-uid 7 --as-group g --token t \
                    --tls-server-name n --insecure-skip-tls-verify --client-certificate c.pem";
        let ClusterChoice::Own(own) = choice(line, &tree).unwrap() else {
            panic!("not the own cluster");
        };
        assert_eq!(own.impersonate.as_deref(), Some("a"));
        assert_eq!(own.impersonate_uid.as_deref(), Some("7"));
        assert_eq!(own.impersonate_groups, ["g"]);
        assert_eq!(own.token.unwrap().reveal(), "t");
        assert_eq!(own.tls_server_name.as_deref(), Some("n"));
        assert_eq!(own.certificate.as_deref(), Some("CERT"));
        assert!(own.insecure);
    }
}
