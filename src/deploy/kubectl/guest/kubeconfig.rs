//! The job's own kubeconfig: which cluster a command is for, and with what credential.

use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Map, Value, json};

use super::mistake;
use crate::deploy::cluster::OwnCluster;
use crate::deploy::kubectl::flags::Parsed;
use crate::deploy::kubectl::{ClusterChoice, Files, Operation, Usage};
use crate::deploy::manifest;
use crate::secret::Secret;

/// The kubeconfig files of a command: `--kubeconfig`, else what the environment says.
pub fn files(flags: &Parsed, files: &dyn Files) -> Vec<PathBuf> {
    match flags.filled("kubeconfig") {
        Some(path) => vec![PathBuf::from(path)],
        None => files.kubeconfigs(),
    }
}

/// Reads one kubeconfig; `None` when it is not there. It may be empty.
pub fn read(path: &Path, files: &dyn Files) -> Result<Option<Value>, Usage> {
    let content = match files.read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(mistake(format!(
                "error loading config file \"{}\": open {}: {error}",
                path.display(),
                path.display()
            )));
        }
    };
    let value = manifest::parse(&content).map_err(|error| {
        let why = error.trim_start_matches("error converting YAML to JSON: ");
        mistake(format!("error loading config file \"{}\": {why}", path.display()))
    })?;
    match value {
        Value::Null => Ok(Some(json!({}))),
        Value::Object(_) => Ok(Some(value)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(mistake(
            format!("error loading config file \"{}\": it is no kubeconfig", path.display()),
        )),
    }
}

/// All kubeconfigs as one: the first to name a thing wins. Relative paths in a file are relative to
/// it.
pub fn merged(paths: &[PathBuf], explicit: bool, from: &dyn Files) -> Result<Value, Usage> {
    let mut merged = json!({"clusters": [], "users": [], "contexts": []});
    for path in paths {
        let Some(mut config) = read(path, from)? else {
            if explicit {
                return Err(mistake(format!("stat {}: no such file or directory", path.display())));
            }
            continue;
        };
        resolve(&mut config, path.parent().unwrap_or(Path::new("")));
        for list in ["clusters", "users", "contexts"] {
            let entries = config.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            for entry in entries {
                if find(&merged, list, entry_name(&entry)).is_none()
                    && let Some(Value::Array(known)) = merged.get_mut(list)
                {
                    known.push(entry);
                }
            }
        }
        let current = text(config.get("current-context"));
        if let (true, Value::Object(map)) =
            (text(merged.get("current-context")).is_empty(), &mut merged)
        {
            map.insert("current-context".to_owned(), Value::String(current));
        }
    }
    Ok(merged)
}

fn resolve(config: &mut Value, folder: &Path) {
    let keys = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
    for (list, inner) in [("clusters", "cluster"), ("users", "user")] {
        let entries = config.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            for key in keys {
                if let Some(Value::String(path)) =
                    entry.get_mut(inner).and_then(|inner| inner.get_mut(key))
                    && !path.is_empty()
                    && !path.starts_with('/')
                {
                    *path = folder.join(&*path).display().to_string();
                }
            }
        }
    }
}

/// The named entry's content out of one of the lists.
pub fn find<'a>(config: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    static EMPTY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!({}));
    let inner = match list {
        "clusters" => "cluster",
        "users" => "user",
        _ => "context",
    };
    config
        .get(list)?
        .as_array()?
        .iter()
        .find(|entry| entry_name(entry) == name)
        .map(|entry| entry.get(inner).filter(|inner| inner.is_object()).unwrap_or(&EMPTY))
}

/// An entry's name.
pub fn entry_name(entry: &Value) -> &str {
    entry.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A text, empty when it is none.
pub fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

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

/// What is asked for by its name has to be there; groups and uids belong to a user.
fn known(config: &Value, flags: &Parsed) -> Result<(), Usage> {
    if let Some(name) = flags.filled("cluster")
        && find(config, "clusters", &name).is_none()
    {
        return Err(mistake(format!("no server found for cluster \"{name}\"")));
    }
    if let Some(name) = flags.filled("user")
        && find(config, "users", &name).is_none()
    {
        return Err(mistake(format!("auth info \"{name}\" does not exist")));
    }
    Ok(())
}

fn boxed(own: OwnCluster) -> ClusterChoice {
    ClusterChoice::Own(Box::new(own))
}

/// A cluster and a user of a kubeconfig, with what the command line says instead.
struct Entries<'a> {
    flags: &'a Parsed,
    from: &'a dyn Files,
    cluster_name: String,
    cluster: &'a Value,
    user_name: String,
    user: &'a Value,
}

/// A name, an id, groups.
type Impersonated = (Option<String>, Option<String>, Vec<String>);

impl Entries<'_> {
    fn of_user(&self, key: &str) -> Option<String> {
        Some(text(self.user.get(key))).filter(|text| !text.is_empty())
    }

    fn of_cluster(&self, key: &str) -> Option<String> {
        Some(text(self.cluster.get(key))).filter(|text| !text.is_empty())
    }

    fn server(&self) -> String {
        let server = self.flags.filled("server").or_else(|| self.of_cluster("server"));
        let server = server.unwrap_or_else(|| "http://localhost:8080".to_owned());
        if server.contains("://") { server } else { format!("http://{server}") }
    }

    /// A certificate or a key: of the flag's file, else of the kubeconfig, there or in a file.
    fn pem(&self, flag: &str) -> Result<Option<String>, Usage> {
        let (holder, what, of) = match flag {
            "certificate-authority" => (self.cluster, flag, &self.cluster_name),
            "client-certificate" => (self.user, "client-cert", &self.user_name),
            _ => (self.user, flag, &self.user_name),
        };
        let path = if let Some(path) = self.flags.filled(flag) {
            path
        } else {
            let data = text(holder.get(format!("{flag}-data")));
            if !data.is_empty() {
                return decode(&data, flag).map(Some);
            }
            text(holder.get(flag))
        };
        if path.is_empty() {
            return Ok(None);
        }
        let content = self.from.read(Path::new(&path)).map_err(|error| {
            let why = super::go_error(&error);
            mistake(format!("unable to read {what} {path} for {of} due to open {path}: {why}"))
        })?;
        let content = String::from_utf8(content);
        content.map(Some).map_err(|_| mistake(format!("{path} is no text")))
    }

    fn token(&self) -> Result<Option<String>, Usage> {
        if let Some(token) = self.flags.filled("token").or_else(|| self.of_user("token")) {
            return Ok(Some(token));
        }
        let Some(path) = self.of_user("tokenFile") else { return Ok(None) };
        Ok(Some(read_text(&path, self.from)?.trim().to_owned()))
    }

    /// As whom else the user acts: a name, an id, groups. The others need the name.
    fn impersonated(&self) -> Result<Impersonated, Usage> {
        let name = self.flags.filled("as").or_else(|| self.of_user("as"));
        let uid = self.flags.filled("as-uid").or_else(|| self.of_user("as-uid"));
        let mut groups = self.flags.list("as-group").to_vec();
        if groups.is_empty() {
            let written = self.user.get("as-groups").and_then(Value::as_array);
            let written = written.into_iter().flatten().filter_map(Value::as_str);
            groups.extend(written.map(str::to_owned));
        }
        if name.is_none() && (uid.is_some() || !groups.is_empty()) {
            return Err(mistake(format!(
                "requesting uid, groups or user-extra for {} without impersonating a user",
                self.user_name
            )));
        }
        Ok((name, uid, groups))
    }
}

fn own(
    config: &Value,
    name: &str,
    context: &Value,
    flags: &Parsed,
    from: &dyn Files,
) -> Result<OwnCluster, Usage> {
    let cluster_name = flags.filled("cluster").unwrap_or_else(|| text(context.get("cluster")));
    let user_name = flags.filled("user").unwrap_or_else(|| text(context.get("user")));
    let empty = Value::Object(Map::new());
    let cluster = find(config, "clusters", &cluster_name).unwrap_or(&empty);
    let user = find(config, "users", &user_name).unwrap_or(&empty);
    known(config, flags)?;
    no_program(&user_name, user)?;
    let entries = Entries { flags, from, cluster_name, cluster, user_name, user };
    let (impersonate, impersonate_uid, impersonate_groups) = entries.impersonated()?;
    let tls_server_name = flags.filled("tls-server-name");
    Ok(OwnCluster {
        context: if name.is_empty() { "own".to_owned() } else { name.to_owned() },
        server: entries.server(),
        tls_server_name: tls_server_name.or_else(|| entries.of_cluster("tls-server-name")),
        ca: entries.pem("certificate-authority")?,
        insecure: flags.is(
            "insecure-skip-tls-verify",
            cluster.get("insecure-skip-tls-verify") == Some(&Value::Bool(true)),
        ),
        certificate: entries.pem("client-certificate")?,
        key: entries.pem("client-key")?.map(Secret::new),
        token: entries.token()?.map(Secret::new),
        username: flags.filled("username").or_else(|| entries.of_user("username")),
        password: flags.filled("password").or_else(|| entries.of_user("password")).map(Secret::new),
        impersonate,
        impersonate_uid,
        impersonate_groups,
        namespace: Some(text(context.get("namespace"))).filter(|name| !name.is_empty()),
    })
}

fn no_program(name: &str, user: &Value) -> Result<(), Usage> {
    for plugin in ["exec", "auth-provider"] {
        if user.get(plugin).is_some_and(|plugin| !plugin.is_null()) {
            return Err(mistake(format!(
                "user \"{name}\" of the kubeconfig gets its credential from a program \
                 ({plugin}), which dyno does not run; give it a token or a client certificate"
            )));
        }
    }
    Ok(())
}

fn read_text(path: &str, from: &dyn Files) -> Result<String, Usage> {
    let content = from
        .read(Path::new(path))
        .map_err(|error| mistake(format!("unable to read {path}: {error}")))?;
    String::from_utf8(content).map_err(|_| mistake(format!("{path} is no text")))
}

fn decode(data: &str, key: &str) -> Result<String, Usage> {
    let wrong = || mistake(format!("the kubeconfig's {key}-data is no base64 text"));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data.split_whitespace().collect::<String>())
        .map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
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
