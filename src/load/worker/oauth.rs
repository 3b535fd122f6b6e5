//! Tokens that servers give to clients: fetched before the run, shared by all threads, renewed
//! before they end. What this costs is in no figure.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::failure::Failure;
use crate::load::pace::Share;
use crate::load::script::CompiledRequest;
use crate::load::worker::Crew;
use crate::load::worker::local::Local;
use crate::load::worker::message::Unrendered;
use crate::load::worker::user::User;
use crate::load::worker::wire::Times;

/// A token that does not say how long it is good for is renewed after so long.
const USUAL: Duration = Duration::from_mins(5);

/// A server that gave none is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);

impl Crew {
    /// Returns the value of the header that shows a token.
    pub fn token(&self, number: usize) -> Result<String, Failure> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(number).filter(|token| !token.is_empty());
        token.cloned().ok_or_else(|| Failure::Ended("no token was given".to_owned()))
    }
}

/// Fetches all tokens. Returns when the first one is to be renewed; `None` when there is none.
pub async fn fetch(crew: &Arc<Crew>) -> Result<Option<Instant>, String> {
    if crew.script.tokens.is_empty() {
        return Ok(None);
    }
    let local = Local::new(Arc::clone(crew), Instant::now(), Share::WHOLE);
    let mut user = User::new(&local, 0);
    let mut soonest = None;
    for (number, request) in crew.script.tokens.iter().enumerate() {
        let asked = Instant::now();
        let fetched = async {
            tokio::select! {
                fetched = one(&local, &mut user, request) => fetched,
                () = local.patrol.walk() => Err("the patrol ended".to_owned()),
            }
        };
        let (token, span) = fetched.await.map_err(|why| {
            let place = request.origin.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("no OAuth token from {place}: {why}")
        })?;
        let mut tokens = crew.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.resize(crew.script.tokens.len(), String::new());
        if let Some(place) = tokens.get_mut(number) {
            *place = format!("Bearer {token}");
        }
        // A fifth of its time is left for the way, and for a server that is slow.
        let renew = asked + (span * 4 / 5).max(Duration::from_secs(1));
        soonest = Some(soonest.map_or(renew, |known: Instant| known.min(renew)));
    }
    Ok(soonest)
}

/// Renews tokens for ever.
pub async fn keep(crew: &Arc<Crew>, mut next: Option<Instant>) {
    loop {
        let Some(moment) = next else { return std::future::pending().await };
        tokio::time::sleep_until(moment.into()).await;
        // Until a server gives one again, the old one is shown: its refusals are counted.
        next = fetch(crew).await.unwrap_or_else(|_| Some(Instant::now() + AGAIN));
    }
}

async fn one(
    local: &Local,
    user: &mut User,
    request: &CompiledRequest,
) -> Result<(String, Duration), String> {
    let message = user.render(local, request).map_err(|error| match error {
        Unrendered::Missing(missing) => missing.to_string(),
        Unrendered::Failed(failure) => failure.to_string(),
    })?;
    user.watch.set(Instant::now(), request.want.timeout);
    let answer =
        user.attempt(local, request, (&message, Instant::now()), &mut Times::default()).await;
    user.watch.clear();
    let mut answer = answer.map_err(|failure| failure.to_string())?;
    answer.unpack().map_err(|failure| failure.to_string())?;
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = |key: &str| said.as_ref()?.get(key)?.as_str().map(str::to_owned);
    if answer.status != 200 {
        let why = text("error_description").or_else(|| text("error")).unwrap_or_default();
        return Err(format!("status {} {why}", answer.status).trim().to_owned());
    }
    let token = text("access_token").ok_or("its answer holds no `access_token`")?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its `access_token` cannot be sent".to_owned());
    }
    let seconds = said.as_ref().and_then(|said| said.get("expires_in")?.as_u64());
    Ok((token, seconds.map_or(USUAL, Duration::from_secs)))
}
