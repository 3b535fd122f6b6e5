//! How urgently a pipeline is to end: each level includes the ones before it.

use tokio::sync::watch;

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    Running,
    /// Cancelled: scripts are stopped, `after_script` and clean-up still run.
    Cancelled,
    /// By force: only the driver's cleanup still runs.
    Forced,
}

/// Raises the level.
#[derive(Debug, Clone)]
pub struct Interrupter(watch::Sender<Level>);

/// Waits for a level.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Level>);

impl Interrupter {
    /// A pair at [`Level::Running`].
    pub fn new() -> (Self, Interrupt) {
        let (sender, receiver) = watch::channel(Level::Running);
        (Self(sender), Interrupt(receiver))
    }

    /// Raises the level; it never falls.
    pub fn raise(&self, level: Level) {
        self.0.send_if_modified(|now| {
            let higher = level > *now;
            *now = (*now).max(level);
            higher
        });
    }
}

impl Interrupt {
    /// The level now.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Returns once `level` is reached; never when the other side is gone.
    pub async fn reached(&self, level: Level) -> Level {
        let mut receiver = self.0.clone();
        let reached = receiver.wait_for(|now| *now >= level).await.map(|now| *now);
        match reached {
            Ok(level) => level,
            Err(_) => std::future::pending().await,
        }
    }
}
