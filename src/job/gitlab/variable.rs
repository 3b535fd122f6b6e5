//! The project variables API: written whether it is there or not, and read back.

use std::fmt;

use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::{Error, Gitlab, Reply, Token, message, parse, refusal};
use crate::secret::Secret;

/// A project by its number or its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Project {
    /// Its number.
    Id(u64),
    /// Its full path: `group/sub/project`.
    Path(String),
}

impl From<u64> for Project {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// A variable to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewVariable<'a> {
    /// Where.
    pub project: &'a Project,
    /// Its name.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Its environment scope; `None`: the only one there is, or `*`.
    pub scope: Option<&'a str>,
    /// True where later jobs get protected variables too.
    pub is_protected_ref: bool,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `PUT`.
    pub method: String,
    /// `200 OK`.
    pub status: String,
}

/// A variable that was written and read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The variable's URL.
    pub url: String,
    /// Its value now.
    pub value: String,
    /// The status line of the request that wrote it.
    pub status: String,
    /// Every request, in order.
    pub steps: Vec<Step>,
    /// What is worth knowing, though it was written.
    pub warning: Option<String>,
}

#[derive(Deserialize)]
struct VariableFile {
    value: Option<String>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    protected: bool,
}

impl Gitlab {
    /// Returns the URL of a project variable, for people.
    pub fn variable_url(&self, project: &Project, key: &str) -> String {
        self.url(&["projects", &project.to_string(), "variables", key]).to_string()
    }

    /// Writes a project variable, whether it is there already or not, and reads it back.
    ///
    /// There is no compare-and-swap in this API: of two pipelines the last writer wins.
    pub async fn write_variable(
        &self,
        token: &Secret,
        variable: NewVariable<'_>,
    ) -> Result<Written, Error> {
        let mut writing = Writing { gitlab: self, token, variable, steps: Vec::new() };
        let (status, scope) = writing.upsert().await?;
        let file = writing.read_back(scope.as_deref()).await?;
        let mut warnings = Vec::new();
        if let (None, Some(scope)) = (variable.scope, &scope) {
            warnings.push(format!(
                "the variable `{}` exists for several environments; the one of scope `{scope}` \
                 was written",
                variable.key
            ));
        }
        if file.protected && !variable.is_protected_ref {
            warnings.push(format!(
                "the variable `{}` is protected: jobs of this ref, which is not, do not get it",
                variable.key
            ));
        }
        // A hidden variable does not show its value; then there is nothing to compare.
        if file.hidden || file.value.is_none() {
            warnings.push(format!(
                "the variable `{}` is hidden: what was written cannot be read back",
                variable.key
            ));
        }
        let found = file.value.filter(|_| !file.hidden);
        let found = found.unwrap_or_else(|| variable.value.to_owned());
        if found != variable.value {
            return Err(Error::Changed { key: variable.key.to_owned(), found });
        }
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok(Written {
            url: self.variable_url(variable.project, variable.key),
            value: found,
            status,
            steps: writing.steps,
            warning,
        })
    }
}

/// A variable on its way.
struct Writing<'a> {
    gitlab: &'a Gitlab,
    token: &'a Secret,
    variable: NewVariable<'a>,
    steps: Vec<Step>,
}

impl Writing<'_> {
    /// PUT, on 404 POST, on "already taken" PUT again: another pipeline was faster. Several scopes
    /// without a word on which one: the one for all environments. Returns the last status, and the
    /// scope where one had to be chosen.
    async fn upsert(&mut self) -> Result<(String, Option<String>), Error> {
        let mut scope = self.variable.scope.map(ToOwned::to_owned);
        let mut reply = self.put(scope.as_deref()).await?;
        if reply.code == StatusCode::CONFLICT && scope.is_none() {
            scope = Some("*".to_owned());
            reply = self.put(scope.as_deref()).await?;
        }
        let mut method = Method::PUT;
        if reply.code == StatusCode::NOT_FOUND {
            (method, reply) = (Method::POST, self.post(scope.as_deref()).await?);
            if reply.code == StatusCode::BAD_REQUEST
                && message(&reply).contains("already been taken")
            {
                (method, reply) = (Method::PUT, self.put(scope.as_deref()).await?);
            }
        }
        if reply.code.is_success() {
            Ok((reply.code.to_string(), scope))
        } else {
            Err(refusal(method, &self.url(None), &reply))
        }
    }

    fn url(&self, scope: Option<&str>) -> Url {
        let project = self.variable.project.to_string();
        let mut url = self.gitlab.url(&["projects", &project, "variables", self.variable.key]);
        if let Some(scope) = scope {
            url.query_pairs_mut().append_pair("filter[environment_scope]", scope);
        }
        url
    }

    async fn put(&mut self, scope: Option<&str>) -> Result<Reply, Error> {
        let body = serde_json::json!({ "key": self.variable.key, "value": self.variable.value });
        self.send(Method::PUT, &self.url(scope), Some(&body)).await
    }

    async fn post(&mut self, scope: Option<&str>) -> Result<Reply, Error> {
        let project = self.variable.project.to_string();
        let body = serde_json::json!({
            "key": self.variable.key,
            "value": self.variable.value,
            "environment_scope": scope.unwrap_or("*"),
        });
        let url = self.gitlab.url(&["projects", &project, "variables"]);
        self.send(Method::POST, &url, Some(&body)).await
    }

    async fn read_back(&mut self, scope: Option<&str>) -> Result<VariableFile, Error> {
        let url = self.url(scope);
        let reply = self.send(Method::GET, &url, None).await?;
        if !reply.code.is_success() {
            return Err(refusal(Method::GET, &url, &reply));
        }
        parse(&url, &reply)
    }

    async fn send(
        &mut self,
        method: Method,
        url: &Url,
        body: Option<&serde_json::Value>,
    ) -> Result<Reply, Error> {
        let reply =
            self.gitlab.send(method.clone(), url, &Token::Private(self.token), body).await?;
        self.steps.push(Step { method: method.to_string(), status: reply.code.to_string() });
        Ok(reply)
    }
}
