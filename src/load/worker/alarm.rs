//! A timer finer than the millisecond of the runtime's: arrivals have their moment.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// One timer.
#[derive(Debug)]
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// Makes one; needs a running reactor.
    #[expect(deprecated, reason = "its replacement is unsafe; an owned descriptor keeps it sound")]
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    /// Waits until the moment. Dropped, it leaves the timer set, which the next call sets anew.
    pub async fn until(&self, moment: Instant) -> std::io::Result<()> {
        let Some(rest) = moment.checked_duration_since(Instant::now()) else { return Ok(()) };
        if rest.is_zero() {
            return Ok(());
        }
        let once = Itimerspec { it_interval: spec(Duration::ZERO), it_value: spec(rest) };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut count = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut count) {
                Ok(_) => {
                    // It rings once: nothing more is to be read before it is set anew.
                    ready.clear_ready();
                    return Ok(());
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn spec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_moment_and_not_before() {
        let alarm = Alarm::new().unwrap();
        for micros in [0, 300, 1500] {
            let moment = Instant::now() + Duration::from_micros(micros);
            alarm.until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
    }
}
