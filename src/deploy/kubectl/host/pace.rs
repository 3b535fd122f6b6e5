//! How many requests go side by side: twice as many as long as that makes the whole faster. Every one
//! beyond costs a connection, and where the server is the bound it buys nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::session::Ground;

/// A few: enough for a server that is near.
const NEAR: usize = 4;
/// For one that is far away.
const FAR: usize = 16;
/// No answer of a server that is near takes longer than this, if only the quickest is looked at.
const NEAR_WITHIN: Duration = Duration::from_millis(5);
/// No more, however far away the server is: it has its own limits.
pub const MOST: usize = 32;
/// A step is worth it when an object takes no more than this of the time it took before.
const WORTH: f64 = 0.8;

/// How many go side by side at first.
pub fn first(ground: &Ground<'_>) -> usize {
    let is_near = ground.quickest().is_none_or(|quickest| quickest <= NEAR_WITHIN);
    if is_near { NEAR } else { FAR }
}

/// The rule, without time and waiting.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Width {
    now: usize,
    /// What an object took at half the width.
    before: Option<f64>,
    is_settled: bool,
}

impl Width {
    /// Goes on from what an object took, all of them side by side.
    fn next(self, took: f64) -> Self {
        let is_worth_it = self.before.is_none_or(|before| took <= before * WORTH);
        match (is_worth_it, self.now * 2) {
            (true, wider @ ..=MOST) => Self { now: wider, before: Some(took), is_settled: false },
            (true, _) => Self { is_settled: true, ..self },
            (false, _) => Self { now: self.now / 2, is_settled: true, ..self },
        }
    }
}

/// The pace of one command.
#[derive(Debug)]
pub struct Pace {
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    width: Width,
    /// Places to be taken away when they come back.
    surplus: usize,
    n_done: usize,
    since: Instant,
}

impl Pace {
    /// A pace that begins with so many.
    pub fn new(first: usize) -> Self {
        let width = Width { now: first, before: None, is_settled: false };
        let state = State { width, surplus: 0, n_done: 0, since: Instant::now() };
        Self { places: Semaphore::new(first), state: Mutex::new(state) }
    }

    /// Does a piece of work when it is its turn; turns come in the order they are asked for.
    pub async fn at_its_turn<T>(&self, work: impl Future<Output = T>) -> T {
        // The semaphore is never closed: without a place there would just be one more at work.
        let place = self.places.acquire().await.ok();
        let done = work.await;
        self.done(place);
        done
    }

    fn done(&self, place: Option<SemaphorePermit<'_>>) {
        let mut state = self.state();
        if state.surplus > 0 {
            state.surplus -= 1;
            place.into_iter().for_each(SemaphorePermit::forget);
            return;
        }
        state.n_done += 1;
        let width = state.width;
        if width.is_settled {
            return;
        }
        // The first round opens connections, and says nothing of the pace.
        if state.n_done == width.now {
            state.since = Instant::now();
        } else if state.n_done == width.now * 3 {
            let n_timed = u32::try_from(width.now * 2).map_or(1.0, f64::from);
            state.width = width.next(state.since.elapsed().as_secs_f64() / n_timed);
            state.n_done = 0;
            match state.width.now.checked_sub(width.now) {
                Some(more) => self.places.add_permits(more),
                None => state.surplus = width.now - state.width.now,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths one after the other, by what an object takes at each.
    fn widths(took: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut width = Width { now: NEAR, before: None, is_settled: false };
        let mut widths = vec![width.now];
        while !width.is_settled {
            width = width.next(took(width.now));
            widths.push(width.now);
        }
        widths
    }

    #[test]
    fn it_widens_while_that_helps_and_takes_the_last_step_back() {
        let time = |width: usize| u32::try_from(width).map_or(1.0, f64::from);
        // The way is long: the more at once, the better.
        assert_eq!(widths(|width| 10.0 / time(width)), [4, 8, 16, 32, 32]);
        // The server is the bound.
        assert_eq!(widths(|_| 1.0), [4, 8, 4]);
        assert_eq!(widths(|width| f64::max(10.0 / time(width), 0.7)), [4, 8, 16, 32, 16]);
    }

    #[tokio::test]
    async fn no_more_is_at_work_than_has_its_turn_and_all_is_done_in_order() {
        use futures_util::stream::{self, StreamExt};
        let pace = Pace::new(NEAR);
        let at_work = Mutex::new((0_usize, 0_usize));
        let done: Vec<usize> = stream::iter(0..500)
            .map(|n| {
                let (pace, at_work) = (&pace, &at_work);
                pace.at_its_turn(async move {
                    {
                        let mut counts = at_work.lock().unwrap();
                        counts.0 += 1;
                        counts.1 = counts.1.max(counts.0);
                    }
                    tokio::task::yield_now().await;
                    at_work.lock().unwrap().0 -= 1;
                    n
                })
            })
            .buffered(MOST)
            .collect()
            .await;
        assert_eq!(done, (0..500).collect::<Vec<_>>());
        let most = at_work.lock().unwrap().1;
        assert!((NEAR..=MOST).contains(&most), "{most}");
    }
}
