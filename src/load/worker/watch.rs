//! Timeouts without a timer a request: one patrol a thread looks at all deadlines now and then.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// A user's deadline.
#[derive(Debug, Default)]
pub struct Watch {
    deadline: Cell<Option<Instant>>,
    timeout: Cell<Duration>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Sets the deadline of what begins now.
    pub fn set(&self, begin: Instant, timeout: Duration) {
        self.is_over.set(false);
        self.timeout.set(timeout);
        self.deadline.set(Some(begin + timeout));
    }

    /// Forgets it.
    pub fn clear(&self) {
        self.deadline.set(None);
        self.is_over.set(false);
    }

    /// How much time there was.
    pub fn timeout(&self) -> Duration {
        self.timeout.get()
    }

    /// True when the patrol found the deadline passed.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Has the task woken when the deadline passes.
    pub fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn look(&self, now: Instant) {
        if self.deadline.get().is_some_and(|deadline| deadline <= now) {
            self.deadline.set(None);
            self.is_over.set(true);
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }
}

/// Looks at the deadlines of a thread's users.
#[derive(Debug)]
pub struct Patrol {
    watches: RefCell<Vec<Rc<Watch>>>,
    tick: Duration,
}

impl Patrol {
    /// Makes it; `shortest` is the shortest timeout there is: none is noticed later than by a
    /// fiftieth of it, or a millisecond.
    pub fn new(shortest: Duration) -> Self {
        let tick = (shortest / 50).clamp(Duration::from_millis(1), Duration::from_millis(500));
        Self { watches: RefCell::default(), tick }
    }

    /// Returns a new deadline to look at, for as long as it lives.
    pub fn watch(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch::default());
        self.watches.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// Goes its rounds for ever.
    pub async fn walk(&self) {
        loop {
            tokio::time::sleep(self.tick).await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        self.watches.borrow_mut().retain(|watch| {
            watch.look(now);
            // Held by the patrol alone, it is a user's that is gone.
            Rc::strong_count(watch) > 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_found_once_and_forgotten_with_its_user() {
        let patrol = Patrol::new(Duration::from_secs(10));
        let (one, two) = (patrol.watch(), patrol.watch());
        let now = Instant::now();
        one.set(now, Duration::ZERO);
        two.set(now, Duration::from_secs(1));
        patrol.look(now);
        assert!(one.is_over() && !two.is_over());
        one.clear();
        patrol.look(now + Duration::from_secs(2));
        assert!(!one.is_over() && two.is_over());
        drop(one);
        patrol.look(now);
        assert_eq!(patrol.watches.borrow().len(), 1);
    }
}
