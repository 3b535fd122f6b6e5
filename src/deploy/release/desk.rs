//! A running deploy's way to the server and to its reader: the fence, the limiter, what is told.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::limit::Limiter;
use super::plan::Plan;
use crate::deploy::cluster::{
    Accept, Answer, Call, Cluster, Discovery, Failure, Fence, Mapping, Method, Target,
};
use crate::deploy::kubectl::Touch;

/// What decides on a touch that nobody knew of before: `Err` with the reason.
pub type Permit<'a> = dyn Fn(&Touch) -> Result<(), String> + Sync + 'a;

/// One request takes no longer, whatever is wrong.
const LONGEST: Duration = Duration::from_mins(1);
const TRIES: u32 = 12;

/// What all parts of a deploy share.
pub struct Desk<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The plan.
    pub plan: &'a Plan,
    /// Fires when the deploy is to stop.
    pub cancel: &'a CancellationToken,
    /// The namespace of what names none.
    pub namespace: String,
    limiter: Limiter,
    fence: Option<Mutex<Fence>>,
    permit: &'a Permit<'a>,
    emit: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
    warned: Mutex<BTreeSet<String>>,
}

impl<'a> Desk<'a> {
    /// Opens one.
    pub fn new(
        plan: &'a Plan,
        cluster: &'a Cluster,
        permit: &'a Permit<'a>,
        emit: &'a mut (dyn FnMut(Event) + Send),
        cancel: &'a CancellationToken,
    ) -> Self {
        let namespace = plan.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        let fence = cluster.fenced().then(|| Mutex::new(fence(plan, &namespace)));
        Self {
            cluster,
            plan,
            cancel,
            namespace,
            limiter: Limiter::default(),
            fence,
            permit,
            emit: Mutex::new(emit),
            warned: Mutex::default(),
        }
    }

    /// Tells an event.
    pub fn tell(&self, event: Event) {
        (locked(&self.emit))(event);
    }

    /// Tells a sentence.
    pub fn say(&self, text: impl Into<String>) {
        self.tell(Event::Said(text.into()));
    }

    /// Tells a sentence, once in a deploy.
    pub fn say_once(&self, text: String) {
        if locked(&self.warned).insert(text.clone()) {
            self.say(text);
        }
    }

    /// Opens the fence for a touch that the plan does not show, where the policy allows it.
    pub fn ask(&self, touch: &Touch) -> Result<(), String> {
        (self.permit)(touch)?;
        if let (Some(fence), Some(_)) = (&self.fence, &touch.namespace) {
            locked(fence).open_kind(&touch.group, &touch.kind);
        }
        Ok(())
    }

    /// Sends a request to a target and reads the answer.
    pub async fn send(
        &self,
        method: Method,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let call = self.call(method, target, query, body)?;
        self.patiently(&call).await
    }

    fn call(
        &self,
        method: Method,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
        body: Option<&Value>,
    ) -> Result<Call, Failure> {
        if let Some(fence) = &self.fence {
            let made = body.and_then(|body| body.pointer("/metadata/name")?.as_str());
            let name = if method == Method::Post { made.unwrap_or_default() } else { target.name };
            let is_write = method != Method::Get;
            let checked = locked(fence).check(&Target { name, ..*target }, is_write);
            checked.map_err(Failure::Fenced)?;
        }
        for name in [target.name, target.namespace] {
            if name == "." || name == ".." || name.contains(['/', '%']) {
                return Err(Failure::Malformed(format!("`{name}` is no name of an object")));
            }
        }
        Ok(Call {
            method,
            query,
            body: body.map(|body| body.to_string().into_bytes()),
            what: target.what(),
            timeout: LONGEST,
            ..Call::get(target.path())
        })
    }

    /// Sends a request that is about no object, or only about what we ourselves may do.
    pub async fn plain(&self, call: Call) -> Result<Answer, Failure> {
        self.patiently(&Call { timeout: LONGEST, ..call }).await
    }

    /// Sends, and again as long as the server asks for patience.
    async fn patiently(&self, call: &Call) -> Result<Answer, Failure> {
        let mut tries = 0;
        loop {
            let permit = tokio::select! {
                permit = self.limiter.acquire() => permit,
                () = self.cancel.cancelled() => return Err(Failure::Cancelled),
            };
            let sent = Instant::now();
            let (failure, wait) = match self.cluster.attempt(call, self.cancel).await {
                Ok(answer) => {
                    self.limiter.went_well();
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            drop(permit);
            let is_too_much = failure.status().is_some_and(|status| status.code == 429);
            if is_too_much {
                self.limiter.was_too_much(sent);
            }
            let wait = wait.or_else(|| is_too_much.then_some(Duration::from_secs(1)));
            tries += 1;
            let (Some(wait), true) = (wait, tries < TRIES) else { return Err(failure) };
            self.pause(wait).await?;
        }
    }

    /// Reads an object; `None` when it is not there.
    pub async fn get(&self, target: &Target<'_>) -> Result<Option<Value>, Failure> {
        match self.send(Method::Get, target, Vec::new(), None).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Opens a watch.
    pub async fn watch(
        &self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
    ) -> Result<http::Response<crate::deploy::cluster::Content>, Failure> {
        let call = Call { timeout: Duration::ZERO, ..self.call(Method::Get, target, query, None)? };
        self.cluster.stream(&call, self.cancel).await
    }

    /// Reads a text, such as a log.
    pub async fn text(
        &self,
        target: &Target<'_>,
        query: Vec<(&'static str, String)>,
    ) -> Result<String, Failure> {
        let call = Call { accept: Accept::Text, ..self.call(Method::Get, target, query, None)? };
        let answer = self.patiently(&call).await?;
        Ok(answer.body.as_str().unwrap_or_default().to_owned())
    }

    /// Waits, unless we are told to stop.
    pub async fn pause(&self, time: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(Failure::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Which kinds the cluster serves, now.
    pub async fn discover(&self) -> Result<Discovery, Failure> {
        self.cluster.discover(LONGEST, self.cancel).await.map(|found| found.discovery)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fence of a plan: what it declared, no more.
fn fence(plan: &Plan, default: &str) -> Fence {
    let mut fence = Fence::default();
    fence.open_writes();
    let objects = plan.objects.iter().flat_map(|object| plan.touches_of(object));
    for touch in objects.chain(plan.touches_beside()) {
        match touch.namespace.as_deref() {
            None => fence.open_cluster(&touch.group, &touch.kind, touch.name.as_deref()),
            Some(namespace) => {
                fence.open_kind(&touch.group, &touch.kind);
                fence.open_namespace(if namespace.is_empty() { default } else { namespace });
            }
        }
    }
    fence
}

/// A kind that every cluster serves, without asking.
pub fn known(group: &str, version: &str, kind: &str, plural: &str) -> Mapping {
    Mapping {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short: [].into(),
        categories: [].into(),
        namespaced: kind != "Namespace",
        verbs: [].into(),
    }
}
