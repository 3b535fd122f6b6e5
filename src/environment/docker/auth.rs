//! Credentials for registries, of files in the grammar of Docker's `config.json`.
//!
//! Only what is written in the file is used. `credsStore` and `credHelpers` name programs to be run
//! on this host; a job could name any, so nobody's are.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

use crate::secret::Secret;

/// Who may pull from where: the first that knows a registry is asked.
#[derive(Debug, Clone, Default)]
pub struct Auths(Vec<(Whose, BTreeMap<String, Login>)>);

/// Who wrote a login down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The job, in a variable.
    Job,
    /// The platform, in a file of the policy's.
    Platform,
    /// GitLab, for its own registry.
    Gitlab,
}

#[derive(Debug, Clone)]
struct Login {
    user: String,
    password: Secret,
}

/// A text that is not in the grammar of Docker's `config.json`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON of that shape.
    #[error("it is not in the grammar of Docker's config.json")]
    Malformed(#[source] serde_json::Error),
    /// An `auth` is not the base64 of `USER:PASSWORD`.
    #[error("the `auth` of `{0}` is not the base64 of USER:PASSWORD")]
    Auth(String),
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthFile>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AuthFile {
    auth: String,
    username: String,
    password: String,
}

/// Docker Hub's name in `config.json`.
const HUB: [&str; 4] = ["index.docker.io", "docker.io", "registry-1.docker.io", "hub.docker.com"];

impl Auths {
    /// Adds what a `config.json` says.
    ///
    /// # Errors
    /// When it says it in another grammar.
    pub fn add_config(&mut self, whose: Whose, text: &str) -> Result<(), Error> {
        let file: ConfigFile = serde_json::from_str(text).map_err(Error::Malformed)?;
        let mut logins = BTreeMap::new();
        for (key, auth) in file.auths {
            let login = if auth.auth.is_empty() {
                Login { user: auth.username, password: Secret::new(auth.password) }
            } else {
                decode(&auth.auth).ok_or_else(|| Error::Auth(key.clone()))?
            };
            // A helper's entry is there and empty.
            if !login.user.is_empty() {
                logins.insert(host(&key), login);
            }
        }
        self.0.push((whose, logins));
        Ok(())
    }

    /// Adds GitLab's login for one registry.
    pub fn add_login(&mut self, registry: &str, user: &str, password: &Secret) {
        let login = Login { user: user.to_owned(), password: password.clone() };
        self.0.push((Whose::Gitlab, BTreeMap::from([(host(registry), login)])));
    }

    /// Returns what to show to a registry.
    pub fn find(&self, registry: &str) -> Option<DockerCredentials> {
        let (_, login) = self.first(registry)?;
        Some(DockerCredentials {
            username: Some(login.user.clone()),
            password: Some(login.password.reveal().to_owned()),
            serveraddress: Some(registry.to_owned()),
            ..DockerCredentials::default()
        })
    }
}

impl Auths {
    fn first(&self, registry: &str) -> Option<(Whose, &Login)> {
        let host = host(registry);
        self.0.iter().find_map(|(whose, logins)| Some((*whose, logins.get(&host)?)))
    }

    /// Returns whose login is shown to a registry.
    pub fn whose(&self, registry: &str) -> Option<Whose> {
        self.first(registry).map(|(whose, _)| whose)
    }
}

fn decode(auth: &str) -> Option<Login> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login {
        user: user.to_owned(),
        password: Secret::new(password.trim_end_matches('\0').to_owned()),
    })
}

/// `https://index.docker.io/v1/` is `docker.io`; `https://r.example.com/v2/` is `r.example.com`.
fn host(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or_default();
    if HUB.contains(&host) { "docker.io".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn login(auths: &Auths, registry: &str) -> Option<(String, String)> {
        let found = auths.find(registry)?;
        Some((found.username.unwrap(), found.password.unwrap()))
    }

    #[test]
    fn the_first_that_knows_a_registry_is_asked() {
        let mut auths = Auths::default();
        let first = STANDARD.encode("me:pa:ss");
        auths
            .add_config(
                Whose::Job,
                &format!(
                    r#"{{ "auths": {{ "https://index.docker.io/v1/": {{ "auth": "{first}" }},
                      "r.example.com:5000": {{ "username": "a", "password": "b" }},
                      "empty.example.com": {{}} }},
                    "credsStore": "pass", "credHelpers": {{ "evil": "run-me" }} }}"#
                ),
            )
            .unwrap();
        auths.add_login("r.example.com:5000", "later", &Secret::new("x".to_owned()));
        auths.add_login("empty.example.com", "job", &Secret::new("token".to_owned()));
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(login(&auths, "docker.io"), pair("me", "pa:ss"));
        assert_eq!(login(&auths, "r.example.com:5000"), pair("a", "b"));
        assert_eq!(login(&auths, "empty.example.com"), pair("job", "token"));
        assert_eq!(login(&auths, "evil"), None);
    }

    #[test]
    fn another_grammar_is_told() {
        let mut auths = Auths::default();
        assert!(matches!(auths.add_config(Whose::Job, "auths: {}"), Err(Error::Malformed(_))));
        let wrong = r#"{ "auths": { "r": { "auth": "not base64!" } } }"#;
        assert!(matches!(auths.add_config(Whose::Job, wrong), Err(Error::Auth(_))));
    }
}
