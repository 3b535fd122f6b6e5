//! Signals: the first one cancels, the second one ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The process's signals, listened to before any work starts.
#[derive(Debug)]
pub struct Signals {
    cancel: CancellationToken,
    first: Arc<AtomicU8>,
    listener: tokio::task::JoinSet<()>,
}

impl Signals {
    /// Starts listening to SIGTERM, SIGINT and SIGHUP. The second one ends the process with 130.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        Self::ending_with(130)
    }

    /// As [`Signals::listen`]; the second signal ends the process with this code.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn ending_with(code: u8) -> std::io::Result<Self> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let cancel = CancellationToken::new();
        let (first, number) = (cancel.clone(), Arc::new(AtomicU8::new(0)));
        let kept = Arc::clone(&number);
        let mut listener = tokio::task::JoinSet::new();
        listener.spawn(async move {
            let mut received = 0_u32;
            loop {
                let signal = tokio::select! {
                    _ = term.recv() => 15,
                    _ = int.recv() => 2,
                    _ = hup.recv() => 1,
                };
                received += 1;
                if received == 1 {
                    kept.store(signal, Ordering::Relaxed);
                }
                first.cancel();
                if received > 1 {
                    end_now(code);
                }
            }
        });
        Ok(Self { cancel, first: number, listener })
    }

    /// How a program ends that an interrupt is meant to end: 0 then, else as a shell tells of the
    /// first signal.
    pub fn code(&self) -> u8 {
        match self.first.load(Ordering::Relaxed) {
            0 | 2 => 0,
            signal => 128 + signal,
        }
    }

    /// Fires at the first signal.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort_all();
    }
}

#[expect(clippy::exit, reason = "the second signal means: now, without unwinding")]
fn end_now(code: u8) -> ! {
    std::process::exit(code.into())
}
