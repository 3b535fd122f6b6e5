//! Signals: the first one cancels, the second one ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The process's signals, listened to before any work starts.
#[derive(Debug)]
pub struct Signals {
    cancel: CancellationToken,
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
        let first = cancel.clone();
        let mut listener = tokio::task::JoinSet::new();
        listener.spawn(async move {
            let mut received = 0_u32;
            loop {
                tokio::select! {
                    _ = term.recv() => (),
                    _ = int.recv() => (),
                    _ = hup.recv() => (),
                }
                received += 1;
                first.cancel();
                if received > 1 {
                    end_now(code);
                }
            }
        });
        Ok(Self { cancel, listener })
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
