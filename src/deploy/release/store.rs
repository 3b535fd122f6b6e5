//! What the cluster holds of the kinds that matter, kept up to date by one watch for each kind and
//! namespace.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::desk::Desk;
use super::plan::{list, text};
use crate::deploy::cluster::{Failure, Mapping, Method, Target};

/// One kind in one namespace, or one object of a kind without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The kind.
    pub mapping: Mapping,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// A single object; all of them when empty.
    pub name: String,
    /// A field selector; empty for all.
    pub fields: &'static str,
}

/// Objects by scope and uid.
#[derive(Debug, Default)]
pub struct Store {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    scopes: Vec<BTreeMap<String, Value>>,
    listed: Vec<bool>,
    failure: Option<Failure>,
}

/// An unreachable server is borne for this long: nodes of a control plane are replaced, too.
const BORNE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(500);
/// How often a single object is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Store {
    /// A store for so many scopes.
    pub fn new(n: usize) -> Self {
        let inner =
            Inner { scopes: vec![BTreeMap::new(); n], listed: vec![false; n], failure: None };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A copy of all that is known.
    pub fn snapshot(&self) -> Vec<BTreeMap<String, Value>> {
        self.inner().scopes.clone()
    }

    /// True once a scope was listed.
    pub fn is_listed(&self, scope: usize) -> bool {
        self.inner().listed.get(scope).copied().unwrap_or(false)
    }

    /// Why the server is no longer followed.
    pub fn failure(&self) -> Option<Failure> {
        self.inner().failure.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, scope: usize, objects: Vec<Value>) {
        let mut inner = self.inner();
        if let Some(map) = inner.scopes.get_mut(scope) {
            *map = objects.into_iter().map(|object| (uid(&object), slim(object))).collect();
        }
        if let Some(listed) = inner.listed.get_mut(scope) {
            *listed = true;
        }
        drop(inner);
        self.changed.notify_one();
    }

    fn set(&self, scope: usize, object: Value) {
        if let Some(map) = self.inner().scopes.get_mut(scope) {
            map.insert(uid(&object), slim(object));
        }
        self.changed.notify_one();
    }

    fn remove(&self, scope: usize, object: &Value) {
        if let Some(map) = self.inner().scopes.get_mut(scope) {
            map.remove(&uid(object));
        }
        self.changed.notify_one();
    }

    fn fail(&self, failure: Failure) {
        self.inner().failure = Some(failure);
        self.changed.notify_one();
    }
}

fn uid(object: &Value) -> String {
    text(object, "/metadata/uid").to_owned()
}

/// Without what nobody here looks at.
fn slim(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Keeps one scope up to date until it is dropped. A scope that may not be read stays empty.
pub async fn keep(desk: &Desk<'_>, store: &Store, n: usize, scope: &Scope) {
    let mut trouble_since: Option<Instant> = None;
    loop {
        let failure = match follow(desk, store, n, scope, &mut trouble_since).await {
            Ok(()) => continue,
            Err(Failure::Cancelled) => return,
            Err(failure) => failure,
        };
        if failure.is("Forbidden") || matches!(failure, Failure::Fenced(_)) {
            let resource = scope.mapping.resource();
            desk.say_once(format!(
                "{resource} of `{}` cannot be read: reasons may be missing",
                scope.namespace
            ));
            store.replace(n, Vec::new());
            return;
        }
        let since = *trouble_since.get_or_insert_with(Instant::now);
        if since.elapsed() > BORNE || failure.is("Unauthorized") {
            store.fail(failure);
            return;
        }
        if desk.pause(AGAIN).await.is_err() {
            return;
        }
    }
}

/// Lists, then watches until the watch breaks.
async fn follow(
    desk: &Desk<'_>,
    store: &Store,
    n: usize,
    scope: &Scope,
    trouble_since: &mut Option<Instant>,
) -> Result<(), Failure> {
    let target = Target {
        mapping: &scope.mapping,
        namespace: &scope.namespace,
        name: &scope.name,
        subresource: "",
    };
    if !scope.name.is_empty() {
        store.replace(n, desk.get(&target).await?.into_iter().collect());
        *trouble_since = None;
        return desk.pause(LOOK).await;
    }
    let selector = || -> Vec<(&'static str, String)> {
        let fields = Some(scope.fields).filter(|fields| !fields.is_empty());
        fields.map(|fields| ("fieldSelector", fields.to_owned())).into_iter().collect()
    };
    let answer = desk.send(Method::Get, &target, selector(), None).await?;
    *trouble_since = None;
    let mut version = text(&answer.body, "/metadata/resourceVersion").to_owned();
    store.replace(n, list(&answer.body, "/items").to_vec());
    loop {
        let mut query = selector();
        query.push(("watch", "true".to_owned()));
        query.push(("allowWatchBookmarks", "true".to_owned()));
        query.push(("resourceVersion", version.clone()));
        let response = desk.watch(&target, query).await?;
        let mut events = Lines { body: response.into_body(), buffer: Vec::new() };
        loop {
            let event = tokio::select! {
                () = desk.cancel.cancelled() => return Err(Failure::Cancelled),
                event = events.next() => event,
            };
            let Some(mut event) = event else { break };
            let object = event["object"].take();
            match text(&event, "/type") {
                // Too old a version: list anew.
                "ERROR" => return Ok(()),
                "DELETED" => store.remove(n, &object),
                "BOOKMARK" => text(&object, "/metadata/resourceVersion").clone_into(&mut version),
                _ => {
                    text(&object, "/metadata/resourceVersion").clone_into(&mut version);
                    store.set(n, object);
                }
            }
        }
        desk.pause(Duration::from_millis(100)).await?;
    }
}

/// The events of a watch, one JSON line each.
struct Lines {
    body: crate::deploy::cluster::Content,
    buffer: Vec<u8>,
}

/// No event is larger; a server that never ends a line is not listened to.
const LONGEST: usize = 16 << 20;

impl Lines {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Ok(event) = serde_json::from_slice(&line) {
                    return Some(event);
                }
                continue;
            }
            if self.buffer.len() > LONGEST {
                return None;
            }
            let data = self.body.frame().await?.ok()?.into_data().ok()?;
            self.buffer.extend_from_slice(&data);
        }
    }
}
