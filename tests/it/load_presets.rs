//! The presets that look at a course, live: a target that a spike wears out for a while, and one that
//! grows slower the longer it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::standins::server::{Request, Response, Server, Site};
use crate::support::{Ending, Job, Station};

/// What every answer takes.
const USUAL: Duration = Duration::from_millis(40);

/// Slow from the moment it is asked more often than it can bear, until a while after that has ended.
#[derive(Debug)]
struct Tired {
    /// So many requests in a second are too many.
    most: usize,
    /// How long it needs to come round.
    rest: Duration,
    state: Mutex<(Vec<Instant>, Option<Instant>)>,
}

#[async_trait::async_trait]
impl Site for Tired {
    async fn answer(&self, _: Request) -> Response {
        let now = Instant::now();
        let is_slow = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (asked, until) = &mut *state;
            asked.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
            asked.push(now);
            if asked.len() > self.most {
                *until = Some(now + self.rest);
            }
            until.is_some_and(|until| now < until)
        };
        tokio::time::sleep(if is_slow { USUAL * 10 } else { USUAL }).await;
        Response::text(200, "")
    }
}

#[track_caller]
fn spike(rest: Duration, limits: &str) -> Job {
    let tired = Tired { most: 60, rest, state: Mutex::default() };
    let server = Server::start(0, Arc::new(tired)).unwrap();
    let plan = format!(
        "cat > spike.yaml <<'YAML'\ntarget: {}\n\
         load: {{ preset: spike, arrivals: 100/s, base: 10/s, duration: 20s }}\n\
         journeys: [{{ steps: [{{ get: / }}] }}]\nlimits: [{limits}]\nYAML",
        server.url()
    );
    let lines = [
        plan.as_str(),
        "dyno load spike.yaml && echo calm || echo \"ended with $?\"",
        "cat dyno-report/dyno.env",
    ];
    let job = Station::new(0.5).runner().script(lines).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    job
}

#[track_caller]
fn has(job: &Job, all: &[&str]) {
    for told in all {
        assert!(job.log.contains(told), "`{told}` is missing:\n{}", job.log);
    }
}

fn variable(job: &Job, name: &str) -> f64 {
    let line = job.log.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}:\n{}", job.log))
}

#[test]
fn a_spike_tells_how_long_the_target_needed_and_judges_peak_and_recovery() {
    let job = spike(Duration::from_secs(2), "p95 < 5s, p95 < 200ms during base, recovery < 8s");
    has(&job, &["\ncalm\n", "passed: p95 < 5s", "passed: recovery < 8s (", "DYNO_VERDICT=passed"]);
    // It was slow for 2 s after the last second of the peak.
    let recovery = variable(&job, "DYNO_RECOVERY_MS");
    assert!((1000.0..8000.0).contains(&recovery), "{recovery}\n{}", job.log);
}

#[test]
fn a_spike_that_wears_the_target_out_for_good_fails_on_its_peak_and_on_recovery() {
    let job = spike(Duration::from_mins(1), "p95 < 200ms");
    has(
        &job,
        &[
            "\nended with 99\n",
            "failed: p95 < 200ms (it was 4",
            "failed: recovery < 9s (the target did not recover before the end)",
        ],
    );
}

/// Slower by a fixed step each second.
#[derive(Debug)]
struct Leaking {
    begun: Instant,
    /// What each second adds.
    step: Duration,
}

#[async_trait::async_trait]
impl Site for Leaking {
    async fn answer(&self, _: Request) -> Response {
        let seconds = u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX);
        tokio::time::sleep(USUAL + self.step * seconds).await;
        Response::text(200, "")
    }
}

#[track_caller]
fn soak(step: Duration) -> Job {
    let server = Server::start(0, Arc::new(Leaking { begun: Instant::now(), step })).unwrap();
    let plan = format!(
        "cat > soak.yaml <<'YAML'\ntarget: {}\n\
         load: {{ preset: soak, arrivals: 20/s, duration: 15s }}\n\
         journeys: [{{ steps: [{{ get: / }}] }}]\n\
         limits: [p95 < 5s, p95 < 5s during end, drift < 50%]\nYAML",
        server.url()
    );
    let lines = [
        plan.as_str(),
        "dyno load soak.yaml && echo steady || echo \"ended with $?\"",
        "cat dyno-report/dyno.env",
    ];
    let job = Station::new(0.5).runner().script(lines).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    job
}

#[test]
fn a_soak_sees_response_times_grow_though_every_limit_on_them_holds() {
    let job = soak(Duration::from_millis(20));
    has(
        &job,
        &["\nended with 99\n", "passed: p95 < 5s during end", "failed: drift < 50% (it was "],
    );
    // From 40 ms to 340: more than the middle.
    let drift = variable(&job, "DYNO_DRIFT_PERCENT");
    assert!((80.0..250.0).contains(&drift), "{drift}\n{}", job.log);
}

#[test]
fn a_soak_of_a_steady_target_passes() {
    let job = soak(Duration::ZERO);
    has(&job, &["\nsteady\n", "passed: drift < 50%", "DYNO_VERDICT=passed"]);
}
