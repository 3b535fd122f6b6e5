//! Processes on this host that a test looks for, and patience with a limit.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Returns as soon as the condition holds; fails when it never does.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A process that a script starts and that nobody else has: `sleep` for a number of seconds of its
/// own.
#[derive(Debug)]
pub struct Marker(u32);

impl Marker {
    /// Makes a marker that no other test has.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(
            900_000_000 + std::process::id() % 100_000 * 100 + NEXT.fetch_add(1, Ordering::Relaxed),
        )
    }

    /// The command for the script.
    pub fn command(&self) -> String {
        format!("sleep {}", self.0)
    }

    /// True while such a process lives.
    pub fn lives(&self) -> bool {
        !self.processes().is_empty()
    }

    fn processes(&self) -> Vec<u32> {
        let wanted = format!("sleep\0{}\0", self.0);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let file = format!("/proc/{pid}/cmdline");
                std::fs::read_to_string(Path::new(&file)).is_ok_and(|line| line.ends_with(&wanted))
            })
            .collect()
    }
}
