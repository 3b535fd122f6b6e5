//! One request's way to the server: the fence, warnings told once, discovery kept.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use crate::deploy::cluster::{
    Accept, Answer, Call, Cluster, Discovery, Failure, Fence, Mapping, Method, Patch, Target,
};
use crate::deploy::kubectl::request::{Event, Request};
use crate::deploy::kubectl::touches::ALL_NAMESPACES;

/// A running request.
pub struct Session<'a> {
    cluster: &'a Cluster,
    emit: &'a mut (dyn FnMut(Event) + Send),
    cancel: &'a CancellationToken,
    fence: Option<Fence>,
    namespace: String,
    timeout: Duration,
    warned: BTreeSet<String>,
    discovery: Option<Discovery>,
    unreachable: bool,
}

impl<'a> Session<'a> {
    /// Starts one.
    pub fn new(
        request: &Request,
        cluster: &'a Cluster,
        emit: &'a mut (dyn FnMut(Event) + Send),
        cancel: &'a CancellationToken,
    ) -> Self {
        let namespace = request.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        Self {
            cluster,
            emit,
            cancel,
            fence: cluster.fenced().then(|| fence(request, &namespace)),
            namespace,
            timeout: Duration::from_millis(request.timeout_ms),
            warned: BTreeSet::new(),
            discovery: None,
            unreachable: false,
        }
    }

    /// The namespace of what names none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        self.cluster.server()
    }

    /// True when the cluster itself was at fault.
    pub fn unreachable(&self) -> bool {
        self.unreachable
    }

    /// Tells something on standard output.
    pub fn out(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            (self.emit)(Event::Stdout(text));
        }
    }

    /// Tells something on standard error.
    pub fn err(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            (self.emit)(Event::Stderr(text));
        }
    }

    /// Waits, unless we are told to stop.
    pub async fn pause(&self, time: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(Failure::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Fires when we are to stop.
    pub fn cancel(&self) -> &'a CancellationToken {
        self.cancel
    }

    /// Sends a request that is about no object (`/version`).
    pub async fn plain(&mut self, mut call: Call) -> Result<Value, Failure> {
        call.timeout = self.timeout;
        let answer = self.cluster.call(&call, self.cancel).await;
        self.noted(answer).map(|answer| answer.body)
    }

    fn noted(&mut self, answer: Result<Answer, Failure>) -> Result<Answer, Failure> {
        match answer {
            Ok(answer) => {
                for warning in &answer.warnings {
                    if self.warned.insert(warning.clone()) {
                        (self.emit)(Event::Stderr(format!("Warning: {warning}\n")));
                    }
                }
                Ok(answer)
            }
            Err(failure) => {
                self.unreachable |= failure.is_unreachable();
                Err(failure)
            }
        }
    }

    /// Prepares a request to a target, when the fence and the name allow it.
    fn call(&self, method: Method, target: &Target<'_>) -> Result<Call, Failure> {
        // What is made has its name in the body: `send` looks there.
        if let (Some(fence), true) = (&self.fence, method != Method::Post) {
            fence.check(target, method != Method::Get).map_err(Failure::Fenced)?;
        }
        for (what, name) in [("resource name", target.name), ("namespace", target.namespace)] {
            if name == "." || name == ".." || name.contains(['/', '%']) {
                let why = if name.starts_with('.') && name.len() < 3 {
                    format!("may not be '{name}'")
                } else {
                    "may not contain '/' or '%'".to_owned()
                };
                return Err(Failure::Malformed(format!("invalid {what} \"{name}\": [{why}]")));
            }
        }
        Ok(Call {
            method,
            path: target.path(),
            query: Vec::new(),
            body: None,
            accept: Accept::Json,
            what: target.what(),
            timeout: self.timeout,
        })
    }

    /// Sends a request to a target.
    pub async fn send(
        &mut self,
        method: Method,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        body: Option<String>,
    ) -> Result<Answer, Failure> {
        if let (Some(fence), true) = (&self.fence, method == Method::Post) {
            let name = made_name(body.as_deref());
            fence.check(&Target { name: &name, ..*target }, true).map_err(Failure::Fenced)?;
        }
        let call = Call { query, body: body.map(String::into_bytes), ..self.call(method, target)? };
        let answer = self.cluster.call(&call, self.cancel).await;
        self.noted(answer)
    }

    /// Reads an object; in a namespace that is not there, that is the error.
    pub async fn get(&mut self, target: &Target<'_>) -> Result<Value, Failure> {
        if target.name.is_empty() {
            return Err(Failure::Malformed("resource name may not be empty".to_owned()));
        }
        self.read(target, Vec::new(), Accept::Json).await
    }

    /// Reads an object or a list in some form.
    pub async fn read(
        &mut self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        accept: Accept,
    ) -> Result<Value, Failure> {
        let call = Call { query, accept, ..self.call(Method::Get, target)? };
        let answer = self.cluster.call(&call, self.cancel).await;
        match self.noted(answer) {
            Ok(answer) => Ok(answer.body),
            Err(failure) if failure.is_not_found() && !target.name.is_empty() => {
                Err(self.no_namespace(target).await.unwrap_or(failure))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn no_namespace(&mut self, target: &Target<'_>) -> Option<Failure> {
        if !target.mapping.namespaced || ["", "default"].contains(&target.namespace) {
            return None;
        }
        let namespace = namespace_mapping();
        let target =
            Target { mapping: &namespace, namespace: "", name: target.namespace, subresource: "" };
        let call = self.call(Method::Get, &target).ok()?;
        match self.cluster.call(&call, self.cancel).await {
            Err(failure) if failure.is_not_found() => Some(failure),
            _ => None,
        }
    }

    /// Opens a stream of what happens to a target, or of its log.
    pub async fn stream(
        &mut self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        accept: Accept,
    ) -> Result<http::Response<kube::client::Body>, Failure> {
        let call = Call { query, accept, ..self.call(Method::Get, target)? };
        let answer = self.cluster.stream(&call, self.cancel).await;
        if let Err(failure) = &answer {
            self.unreachable |= failure.is_unreachable();
        }
        answer
    }

    /// Sends a patch of an object.
    pub async fn patch(
        &mut self,
        kind: Patch,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        body: String,
    ) -> Result<Value, Failure> {
        self.send(Method::Patch(kind), target, query, Some(body)).await.map(|answer| answer.body)
    }

    /// Which kinds the cluster serves; asked once.
    pub async fn discover(&mut self) -> Result<(), Failure> {
        if self.discovery.is_some() {
            return Ok(());
        }
        let mut documents = Vec::new();
        for path in ["/api", "/apis"] {
            let call = Call { accept: Accept::Discovery, ..Call::get(path) };
            documents.push(self.plain(call).await?);
        }
        let aggregated =
            documents.iter().all(|document| document.get("items").is_some_and(Value::is_array));
        let discovery = if aggregated {
            Discovery::read(&documents)
        } else {
            self.discover_old(&documents).await?
        };
        self.discovery = Some(discovery);
        Ok(())
    }

    /// Servers before 1.26: a request for each group version.
    async fn discover_old(&mut self, documents: &[Value]) -> Result<Discovery, Failure> {
        let mut versions: Vec<(String, String)> = Vec::new();
        for document in documents {
            let core = document.get("versions").and_then(Value::as_array);
            versions.extend(
                core.into_iter()
                    .flatten()
                    .filter_map(|version| Some((String::new(), version.as_str()?.to_owned()))),
            );
            let groups = document.get("groups").and_then(Value::as_array);
            for group in groups.into_iter().flatten() {
                let name = group.get("name").and_then(Value::as_str).unwrap_or_default();
                let all = group.get("versions").and_then(Value::as_array);
                versions.extend(all.into_iter().flatten().filter_map(|version| {
                    Some((name.to_owned(), version.get("version")?.as_str()?.to_owned()))
                }));
            }
        }
        let mut discovery = Discovery::default();
        for (group, version) in versions {
            let path = if group.is_empty() {
                format!("/api/{version}")
            } else {
                format!("/apis/{group}/{version}")
            };
            // A group whose server is down must not hide the others.
            if let Ok(list) = self.plain(Call::get(path)).await {
                discovery.extend(Discovery::read_old(&group, &version, &list));
            }
        }
        Ok(discovery)
    }

    /// The mapping of an object, by its `apiVersion` and `kind`.
    pub fn by_object(&self, object: &Value) -> Option<Mapping> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        self.discovery.as_ref()?.by_kind(text("apiVersion"), text("kind")).cloned()
    }

    /// The mapping of a word of the command line.
    pub fn by_word(&self, word: &str) -> Result<Mapping, Trouble> {
        self.discovery.as_ref().and_then(|discovery| discovery.by_word(word)).cloned().ok_or_else(
            || {
                let name = word.split('.').next().unwrap_or(word);
                Trouble::text(format!("the server doesn't have a resource type \"{name}\""))
            },
        )
    }

    /// The words of a category (`all`).
    pub fn category(&self, word: &str) -> Vec<String> {
        self.discovery.as_ref().map(|discovery| discovery.category(word)).unwrap_or_default()
    }
}

fn namespace_mapping() -> Mapping {
    Mapping {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        plural: "namespaces".to_owned(),
        singular: "namespace".to_owned(),
        short: Vec::new(),
        categories: Vec::new(),
        namespaced: false,
        verbs: Vec::new(),
    }
}

/// The name of the object that a body makes; empty when the server is to choose one.
fn made_name(body: Option<&str>) -> String {
    body.and_then(|body| serde_json::from_str::<Value>(body).ok())
        .and_then(|object| object.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The fence of a request: what it declared, no more.
fn fence(request: &Request, default: &str) -> Fence {
    let mut fence = Fence::default();
    for touch in request.touches() {
        if !["get", "list", "watch"].contains(&touch.verb) {
            fence.open_writes();
        }
        if touch.namespace.is_some() {
            fence.open_kind(&touch.group, &touch.kind);
        }
        match touch.namespace.as_deref() {
            None => fence.open_cluster(&touch.group, &touch.kind, touch.name.as_deref()),
            Some(ALL_NAMESPACES) => fence.open_all_namespaces(),
            Some("") => fence.open_namespace(default),
            Some(namespace) => fence.open_namespace(namespace),
        }
    }
    fence
}
