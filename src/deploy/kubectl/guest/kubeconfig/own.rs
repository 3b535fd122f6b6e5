//! A cluster of the job's own: where it is, and the credential for it.

use std::path::Path;

use base64::Engine;
use serde_json::{Map, Value};

use super::{find, text};
use crate::deploy::cluster::OwnCluster;
use crate::deploy::kubectl::flags::Parsed;
use crate::deploy::kubectl::guest::{go_error, mistake};
use crate::deploy::kubectl::{Files, Usage};
use crate::secret::Secret;

/// The cluster of a context, with what the command line says instead.
pub fn own(
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
    let ca = entries.pem("certificate-authority")?;
    let insecure = flags.is(
        "insecure-skip-tls-verify",
        cluster.get("insecure-skip-tls-verify") == Some(&Value::Bool(true)),
    );
    // What is asked for on the command line goes beyond the file.
    let written_ca = flags.filled("insecure-skip-tls-verify").is_none()
        || flags.filled("certificate-authority").is_some();
    if insecure && ca.is_some() && written_ca {
        return Err(mistake(
            "specifying a root certificates file with the insecure flag is not allowed",
        ));
    }
    let ca = ca.filter(|_| !insecure);
    certificates(ca.as_deref())?;
    let (certificate, key) = entries.identity()?;
    let tls_server_name = flags.filled("tls-server-name");
    Ok(OwnCluster {
        context: if name.is_empty() { "own".to_owned() } else { name.to_owned() },
        server: entries.server(),
        tls_server_name: tls_server_name.or_else(|| entries.of_cluster("tls-server-name")),
        ca,
        insecure,
        certificate,
        key,
        token: entries.token()?.map(Secret::new),
        username: flags.filled("username").or_else(|| entries.of_user("username")),
        password: flags.filled("password").or_else(|| entries.of_user("password")).map(Secret::new),
        impersonate,
        impersonate_uid,
        impersonate_groups,
        namespace: Some(text(context.get("namespace"))).filter(|name| !name.is_empty()),
    })
}

/// What is asked for by its name has to be there; groups and uids belong to a user.
fn known(config: &Value, flags: &Parsed) -> Result<(), Usage> {
    if let Some(name) = flags.filled("cluster")
        && find(config, "clusters", &name).is_none()
    {
        return Err(mistake(format!("cluster \"{name}\" does not exist")));
    }
    if let Some(name) = flags.filled("user")
        && find(config, "users", &name).is_none()
    {
        return Err(mistake(format!("auth info \"{name}\" does not exist")));
    }
    Ok(())
}

/// A text that holds no certificate would trust nobody.
fn certificates(authority: Option<&str>) -> Result<(), Usage> {
    match authority {
        Some(text) if !text.contains("-----BEGIN ") => {
            Err(mistake("unable to load root certificates: unable to parse bytes as PEM block"))
        }
        Some(_) | None => Ok(()),
    }
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
            let why = go_error(&error);
            mistake(format!("unable to read {what} {path} for {of} due to open {path}: {why}"))
        })?;
        let content = String::from_utf8(content);
        content.map(Some).map_err(|_| mistake(format!("{path} is no text")))
    }

    /// The client's certificate and key; all that cannot be read is told at once.
    fn identity(&self) -> Result<(Option<String>, Option<Secret<String>>), Usage> {
        match (self.pem("client-certificate"), self.pem("client-key")) {
            (Ok(certificate), Ok(key)) => Ok((certificate, key.map(Secret::new))),
            (Err(usage), Ok(_)) | (Ok(_), Err(usage)) => Err(usage),
            (Err(first), Err(second)) => {
                let [first, second] =
                    [&first, &second].map(|usage| usage.0.trim_start_matches("error: "));
                Err(Usage(format!("Error in configuration: \n* {first}\n* {second}")))
            }
        }
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

fn read_text(path: &str, from: &dyn Files) -> Result<String, Usage> {
    let content = from
        .read(Path::new(path))
        .map_err(|error| mistake(format!("open {path}: {}", go_error(&error))))?;
    String::from_utf8(content).map_err(|_| mistake(format!("{path} is no text")))
}

fn decode(data: &str, key: &str) -> Result<String, Usage> {
    let wrong = || mistake(format!("the kubeconfig's {key}-data is no base64 text"));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data.split_whitespace().collect::<String>())
        .map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
}
