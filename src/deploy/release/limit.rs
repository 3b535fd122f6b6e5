//! How many requests are on their way at once: more while the server keeps up, half of it when it
//! says that it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

const START: f64 = 12.0;
const MOST: f64 = 32.0;

/// The rule, without time and waiting.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Width {
    limit: f64,
}

impl Width {
    /// One more for every round of answers.
    fn widened(self) -> Self {
        Self { limit: (self.limit + 1.0 / self.limit).min(MOST) }
    }

    fn halved(self) -> Self {
        Self { limit: (self.limit / 2.0).max(1.0) }
    }

    fn allows(self, in_flight: u32) -> bool {
        f64::from(in_flight) + 1.0 <= self.limit.max(1.0)
    }
}

/// A bound on requests in flight that follows what the server can take.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    width: Width,
    in_flight: u32,
    halved: Option<Instant>,
}

/// The right to send one request.
#[derive(Debug)]
pub struct Permit<'a>(&'a Limiter);

impl Default for Limiter {
    fn default() -> Self {
        let state = State { width: Width { limit: START }, in_flight: 0, halved: None };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

impl Limiter {
    /// Waits for the right to send a request.
    pub async fn acquire(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.width.allows(state.in_flight) {
                    state.in_flight += 1;
                    return Permit(self);
                }
            }
            freed.await;
        }
    }

    /// The server answered as usual.
    pub fn went_well(&self) {
        let mut state = self.state();
        state.width = state.width.widened();
    }

    /// The server asked for patience. What was sent before the last halving says nothing new.
    pub fn was_too_much(&self, sent: Instant) {
        let mut state = self.state();
        if state.halved.is_none_or(|halved| sent > halved) {
            state.width = state.width.halved();
            state.halved = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_slowly_halves_at_once_and_never_ends() {
        let mut width = Width { limit: START };
        for _ in 0..10_000 {
            width = width.widened();
        }
        assert!((width.limit - MOST).abs() < 1e-9);
        for _ in 0..20 {
            width = width.halved();
        }
        assert!(width.allows(0) && !width.allows(1));
    }

    #[tokio::test]
    async fn one_burst_of_refusals_halves_once() {
        let limiter = Limiter::default();
        let sent = Instant::now();
        for _ in 0..5 {
            limiter.was_too_much(sent);
        }
        assert!((limiter.state().width.limit - START / 2.0).abs() < 1e-9);
        let permits = [limiter.acquire().await, limiter.acquire().await];
        assert_eq!(limiter.state().in_flight, 2);
        drop(permits);
        assert_eq!(limiter.state().in_flight, 0);
    }
}
