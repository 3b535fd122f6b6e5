//! How a source knows who asks: headers, a password, a token that is fetched first, a signature.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Request};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Error;
use super::sigv4::{self, Signer};
use crate::secret::Secret;

/// A fetched token is renewed this long before it ends.
const EARLY: Duration = Duration::from_mins(3);
/// For a token whose end is not told.
const UNTOLD: Duration = Duration::from_mins(15);

/// How a source knows who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// Headers that hold secrets.
    Keys(Vec<Key>),
    /// User and password.
    Basic(String, Secret),
    /// A bearer token that another server gives out.
    Grant(Grant),
    /// AWS Signature Version 4.
    Signed(Signer),
}

/// A header that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `authorization`, `dd-api-key`
    pub header: &'static str,
    /// What stands before the secret: `Bearer `.
    pub prefix: &'static str,
    /// The secret.
    pub secret: Secret,
}

impl Auth {
    /// A bearer token.
    #[cfg(test)]
    pub fn bearer(secret: Secret) -> Self {
        Self::Keys(vec![Key { header: "authorization", prefix: "Bearer ", secret }])
    }

    /// Returns everything in it that must not be told.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::None => Vec::new(),
            Self::Keys(keys) => keys.iter().map(|key| key.secret.clone()).collect(),
            Self::Basic(_, password) => vec![password.clone()],
            Self::Grant(grant) => match &grant.asks {
                GrantKind::ApiToken(secret) | GrantKind::Client { secret, .. } => {
                    vec![secret.clone()]
                }
            },
            Self::Signed(signer) => {
                std::iter::once(&signer.secret_key).chain(&signer.session).cloned().collect()
            }
        }
    }
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token endpoint.
    pub url: String,
    /// What it is asked with.
    pub asks: GrantKind,
}

/// What a token endpoint is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantKind {
    /// VMware Cloud Services: an API token for an access token.
    ApiToken(Secret),
    /// `OAuth2` client credentials.
    Client {
        /// Who asks.
        id: String,
        /// Its secret.
        secret: Secret,
        /// What for.
        scope: Option<String>,
    },
}

/// A credential in use: a fetched token is kept until shortly before its end.
pub struct Credential {
    auth: Auth,
    /// For the token endpoint, which may be another host.
    client: Option<Client>,
    token: Mutex<Option<(Secret, Instant)>>,
}

impl Credential {
    /// Takes a credential into use; sends nothing. `client` reaches the token endpoint.
    pub fn new(auth: Auth, client: Option<Client>) -> Result<Self, Error> {
        if let Auth::Keys(keys) = &auth {
            for key in keys {
                header(key)?;
            }
        }
        Ok(Self { auth, client, token: Mutex::new(None) })
    }

    /// True where a refusal may mean that a fetched token is no longer good.
    pub fn is_fetched(&self) -> bool {
        match self.auth {
            Auth::Grant(_) => true,
            Auth::None | Auth::Keys(_) | Auth::Basic(..) | Auth::Signed(_) => false,
        }
    }

    /// Throws a fetched token away.
    pub async fn forget(&self) {
        *self.token.lock().await = None;
    }

    /// Adds the credential to a request.
    pub async fn add(&self, request: &mut Request, timeout: Duration) -> Result<(), Error> {
        match &self.auth {
            Auth::None => {}
            Auth::Keys(keys) => {
                for key in keys {
                    let (name, value) = header(key)?;
                    request.headers_mut().insert(name, value);
                }
            }
            Auth::Basic(user, password) => {
                let pair = format!("{user}:{}", password.reveal());
                bear(request, "Basic ", &base64(pair.as_bytes()))?;
            }
            Auth::Grant(grant) => {
                let token = self.token(grant, timeout).await?;
                bear(request, "Bearer ", token.reveal())?;
            }
            Auth::Signed(signer) => sigv4::sign(signer, request, jiff::Timestamp::now())?,
        }
        Ok(())
    }

    async fn token(&self, grant: &Grant, timeout: Duration) -> Result<Secret, Error> {
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let client = self.client.as_ref().ok_or_else(|| Error::Spec {
            what: "token-url".to_owned(),
            why: "there is no client for it".to_owned(),
        })?;
        let (token, lasts) = fetch(client, grant, timeout).await?;
        // One that lasts less than the margin is used once.
        *kept = Some((token.clone(), Instant::now() + lasts.saturating_sub(EARLY)));
        Ok(token)
    }
}

async fn fetch(
    client: &Client,
    grant: &Grant,
    timeout: Duration,
) -> Result<(Secret, Duration), Error> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        #[serde(default)]
        expires_in: serde_json::Value,
    }
    let request = client.post(&grant.url).timeout(timeout);
    let request = match &grant.asks {
        GrantKind::ApiToken(token) => request.form(&[("api_token", token.reveal().as_str())]),
        GrantKind::Client { id, secret, scope } => {
            let mut form = vec![("grant_type", "client_credentials")];
            form.extend(scope.as_deref().map(|scope| ("scope", scope)));
            request.basic_auth(id, Some(secret.reveal())).form(&form)
        }
    };
    let failed = |source: reqwest::Error| Error::Unreachable {
        url: grant.url.clone(),
        tries: 1,
        source: source.without_url(),
    };
    let response = request.send().await.map_err(failed)?;
    let code = response.status();
    if !code.is_success() {
        return Err(Error::Status {
            url: grant.url.clone(),
            status: code.to_string(),
            code: code.as_u16(),
            // What it says may repeat what it was sent.
            message: "no token is given".to_owned(),
        });
    }
    let body = response.bytes().await.map_err(failed)?;
    let malformed = |why: &str| Error::Malformed {
        url: grant.url.clone(),
        status: code.to_string(),
        why: why.to_owned(),
    };
    let granted: Granted =
        serde_json::from_slice(&body).map_err(|_| malformed("no `access_token` in it"))?;
    if granted.access_token.trim().is_empty() {
        return Err(malformed("its `access_token` is empty"));
    }
    Ok((Secret::new(granted.access_token), lasts(&granted.expires_in)))
}

/// Returns how long a token lasts: a number, with some servers as text. One that has no sense is used
/// once, and no clock is set beyond a day.
fn lasts(told: &serde_json::Value) -> Duration {
    let seconds = match told {
        serde_json::Value::Null => return UNTOLD,
        serde_json::Value::String(text) => text.trim().parse().ok(),
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::Bool(_) | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    };
    let longest = Duration::from_hours(24);
    let seconds: f64 = seconds.unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds.clamp(0.0, longest.as_secs_f64())).unwrap_or(longest)
}

fn header(key: &Key) -> Result<(HeaderName, HeaderValue), Error> {
    let value = sensitive(&format!("{}{}", key.prefix, key.secret.reveal()))?;
    Ok((HeaderName::from_static(key.header), value))
}

fn bear(request: &mut Request, prefix: &str, secret: &str) -> Result<(), Error> {
    request.headers_mut().insert(AUTHORIZATION, sensitive(&format!("{prefix}{secret}"))?);
    Ok(())
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Spec {
        what: "credential".to_owned(),
        why: "it cannot stand in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
