//! One request's way to the server: the fence, warnings told once, discovery kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use crate::deploy::cluster::{
    Accept, Answer, Call, Cluster, Content, Discovered, Discovery, Failure, Fence, Mapping, Method,
    Patch, Target,
};
use crate::deploy::kubectl::request::{ClusterChoice, Event, Pair, Ports, Request};
use crate::deploy::kubectl::touches::ALL_NAMESPACES;

/// What all that runs for one request shares.
#[derive(Clone)]
pub struct Ground<'a> {
    cluster: &'a Cluster,
    cancel: &'a CancellationToken,
    fence: Option<Arc<Fence>>,
    namespace: Arc<str>,
    record: Option<Arc<str>>,
    timeout: Duration,
    is_platforms: bool,
    discovery: Option<Arc<Discovery>>,
    /// Namespaces that were seen to be there.
    there: Arc<Mutex<BTreeSet<String>>>,
}

impl<'a> Ground<'a> {
    /// A part of the request that runs beside others and tells what it tells elsewhere.
    pub fn session<'b>(&self, emit: &'b mut (dyn FnMut(Event) + Send)) -> Session<'b>
    where
        'a: 'b,
    {
        Session { ground: self.clone(), emit, warned: BTreeSet::new(), unreachable: false }
    }

    /// Sends a prepared request whose answer is read piece by piece.
    pub async fn open(&self, call: &Call) -> Result<http::Response<Content>, Failure> {
        self.cluster.stream(call, self.cancel).await
    }

    /// Fires when all is to stop.
    pub fn cancel(&self) -> &'a CancellationToken {
        self.cancel
    }

    /// True when the way to the server and back is short.
    pub fn is_near(&self) -> bool {
        self.cluster.is_near()
    }
}

/// What is asked of a target.
pub struct Change {
    /// How.
    pub method: Method,
    /// How much of the answer is wanted.
    pub accept: Accept,
    /// Query parameters.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<String>,
}

/// A running request.
pub struct Session<'a> {
    ground: Ground<'a>,
    emit: &'a mut (dyn FnMut(Event) + Send),
    warned: BTreeSet<String>,
    unreachable: bool,
}

/// How the server's warnings begin.
const WARNING: &str = "Warning: ";

impl<'a> Session<'a> {
    /// Starts one.
    pub fn new(
        request: &Request,
        cluster: &'a Cluster,
        emit: &'a mut (dyn FnMut(Event) + Send),
        cancel: &'a CancellationToken,
    ) -> Self {
        let namespace = request.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        let ground = Ground {
            cluster,
            cancel,
            fence: cluster.fenced().then(|| Arc::new(fence(request, &namespace))),
            namespace: namespace.into(),
            record: request.record.as_deref().map(Arc::from),
            timeout: Duration::from_millis(request.timeout_ms),
            is_platforms: cluster.fenced() && !matches!(request.cluster, ClusterChoice::Own(_)),
            discovery: None,
            there: Arc::default(),
        };
        Self { ground, emit, warned: BTreeSet::new(), unreachable: false }
    }

    /// `--record`: the command line, to be noted in what is changed.
    pub fn record(&self) -> Option<Arc<str>> {
        self.ground.record.clone()
    }

    /// What parts of the request that run side by side stand on.
    pub fn ground(&self) -> Ground<'a> {
        self.ground.clone()
    }

    /// Tells what parts of the request told elsewhere, lines of one stream at once; a warning that was
    /// told before is left out.
    pub fn tell(&mut self, events: Vec<Event>) {
        let mut out = String::new();
        for event in events {
            if let Event::Stdout(text) = event {
                out.push_str(&text);
                continue;
            }
            self.out(std::mem::take(&mut out));
            if let Event::Stderr(text) = &event
                && text.starts_with(WARNING)
                && text.ends_with('\n')
                && !self.warned.insert(text.clone())
            {
                continue;
            }
            (self.emit)(event);
        }
        self.out(out);
    }

    /// Records that a part of the request found the cluster itself at fault.
    pub fn note(&mut self, unreachable: bool) {
        self.unreachable |= unreachable;
    }

    /// The namespace of what names none.
    pub fn namespace(&self) -> &str {
        &self.ground.namespace
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        self.ground.cluster.server()
    }

    /// True on a cluster of the platform's.
    pub fn is_platforms(&self) -> bool {
        self.ground.is_platforms
    }

    /// True when what a patch makes of an object is looked at before it is done.
    pub fn is_guarded(&self) -> bool {
        self.ground.cluster.guarded()
    }

    /// The cluster, for what is no plain request.
    pub fn cluster(&self) -> &'a Cluster {
        self.ground.cluster
    }

    /// All kinds that the cluster serves.
    pub fn discovery(&self) -> Option<&Discovery> {
        self.ground.discovery.as_deref()
    }

    /// Tells bytes on standard output.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.out(text);
        } else {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            (self.emit)(Event::Bytes(text));
        }
    }

    /// Tells an object as it is and as it would be.
    pub fn pair(&mut self, pair: Pair) {
        (self.emit)(Event::Pair(pair));
    }

    /// Tells where connections are to be led.
    pub fn ports(&mut self, ports: Ports) {
        (self.emit)(Event::Ports(ports));
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
            () = self.ground.cancel.cancelled() => Err(Failure::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Fires when we are to stop.
    pub fn cancel(&self) -> &'a CancellationToken {
        self.ground.cancel
    }

    /// Sends a request that is about no object (`/version`).
    pub async fn plain(&mut self, mut call: Call) -> Result<Value, Failure> {
        call.timeout = self.ground.timeout;
        let answer = self.ground.cluster.call(&call, self.ground.cancel).await;
        self.noted(answer).map(|answer| answer.body)
    }

    fn noted(&mut self, answer: Result<Answer, Failure>) -> Result<Answer, Failure> {
        match answer {
            Ok(answer) => {
                self.warn(&answer.warnings);
                Ok(answer)
            }
            Err(failure) => {
                self.unreachable |= failure.is_unreachable();
                Err(failure)
            }
        }
    }

    /// Tells the server's warnings, each once.
    fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            let text = format!("{WARNING}{warning}\n");
            if self.warned.insert(text.clone()) {
                (self.emit)(Event::Stderr(text));
            }
        }
    }

    /// Refuses what would write to a target that was not declared.
    pub fn check(&self, target: &Target<'_>) -> Result<(), Failure> {
        match &self.ground.fence {
            Some(fence) => fence.check(target, true).map_err(Failure::Fenced),
            None => Ok(()),
        }
    }

    /// Prepares a request to a target, when the fence and the name allow it.
    fn call(&self, method: Method, target: &Target<'_>) -> Result<Call, Failure> {
        // What is made has its name in the body: `send` looks there.
        if let (Some(fence), true) = (&self.ground.fence, method != Method::Post) {
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
            timeout: self.ground.timeout,
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
        self.change(Change { method, accept: Accept::Json, query, body }, target).await
    }

    /// Sends a request to a target, and reads as much of the answer as is asked for.
    pub async fn change(&mut self, change: Change, target: &Target<'_>) -> Result<Answer, Failure> {
        let Change { method, accept, query, body } = change;
        if let (Some(fence), true) = (&self.ground.fence, method == Method::Post) {
            let name = made_name(body.as_deref());
            fence.check(&Target { name: &name, ..*target }, true).map_err(Failure::Fenced)?;
        }
        let body = body.map(String::into_bytes);
        let call = Call { query, body, accept, ..self.call(method, target)? };
        let answer = self.ground.cluster.call(&call, self.ground.cancel).await;
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
        let answer = self.ground.cluster.call(&call, self.ground.cancel).await;
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
        let seen = || self.ground.there.lock().unwrap_or_else(PoisonError::into_inner);
        if seen().contains(target.namespace) {
            return None;
        }
        let mapping = namespace_mapping();
        let namespace =
            Target { mapping: &mapping, namespace: "", name: target.namespace, subresource: "" };
        let call = self.call(Method::Get, &namespace).ok()?;
        match self.ground.cluster.call(&call, self.ground.cancel).await {
            Err(failure) if failure.is_not_found() => Some(failure),
            Err(_) => None,
            Ok(_) => {
                seen().insert(target.namespace.to_owned());
                None
            }
        }
    }

    /// Opens a stream of what happens to a target, or of its log.
    pub async fn stream(
        &mut self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        accept: Accept,
    ) -> Result<http::Response<Content>, Failure> {
        let call = Call { query, accept, ..self.call(Method::Get, target)? };
        let answer = self.ground.cluster.stream(&call, self.ground.cancel).await;
        if let Err(failure) = &answer {
            self.unreachable |= failure.is_unreachable();
        }
        answer
    }

    /// Prepares a reading of an object, in some form, for [`Ground::open`].
    pub fn look(
        &self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        accept: Accept,
    ) -> Result<Call, Failure> {
        Ok(Call { query, accept, ..self.call(Method::Get, target)? })
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
        if self.ground.discovery.is_some() {
            return Ok(());
        }
        let Ground { cluster, cancel, timeout, .. } = &self.ground;
        match cluster.discover(*timeout, cancel).await {
            Ok(Discovered { discovery, warnings }) => {
                self.ground.discovery = Some(Arc::new(discovery));
                self.warn(&warnings);
                Ok(())
            }
            Err(failure) => {
                self.unreachable |= failure.is_unreachable();
                Err(failure)
            }
        }
    }

    /// Takes kinds as all that the cluster serves, where nothing is asked but of them.
    pub fn assume(&mut self, mappings: Vec<Mapping>) {
        self.ground.discovery = Some(Arc::new(Discovery::of(mappings)));
    }

    /// The mapping of an object, by its `apiVersion` and `kind`.
    pub fn by_object(&self, object: &Value) -> Option<Mapping> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        self.ground.discovery.as_ref()?.by_kind(text("apiVersion"), text("kind")).cloned()
    }

    /// The mapping of a word of the command line.
    pub fn by_word(&self, word: &str) -> Result<Mapping, Trouble> {
        self.ground
            .discovery
            .as_ref()
            .and_then(|discovery| discovery.by_word(word))
            .cloned()
            .ok_or_else(|| {
                let name = word.split('.').next().unwrap_or(word);
                Trouble::text(format!("the server doesn't have a resource type \"{name}\""))
            })
    }

    /// The mapping of a word that somebody wrote: what else it could mean is told once.
    pub fn asked(&mut self, word: &str) -> Result<Mapping, Trouble> {
        let discovery = self.ground.discovery.as_ref();
        for other in discovery.map(|found| found.beside(word)).unwrap_or_default() {
            let warning = format!(
                "{WARNING}short name \"{word}\" could also match lower priority resource {other}\n"
            );
            if self.warned.insert(warning.clone()) {
                self.err(warning);
            }
        }
        self.by_word(word)
    }

    /// The words of a category (`all`).
    pub fn category(&self, word: &str) -> Vec<String> {
        self.ground.discovery.as_ref().map(|discovery| discovery.category(word)).unwrap_or_default()
    }
}

fn namespace_mapping() -> Mapping {
    Mapping {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        plural: "namespaces".to_owned(),
        singular: "namespace".to_owned(),
        short: [].into(),
        categories: [].into(),
        namespaced: false,
        verbs: [].into(),
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
