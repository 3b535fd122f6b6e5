//! What requests are counted in: per thread and endpoint, swapped each second, merged exactly.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::failure::Failure;

/// One request as it went.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its number among the endpoints.
    pub endpoint: usize,
    /// When it was meant to start.
    pub meant: Instant,
    /// When it was handed to the connection; `None` when there was none.
    pub written: Option<Instant>,
    /// When the answer's head was there.
    pub first_byte: Option<Instant>,
    /// When all was over.
    pub ended: Instant,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body.
    pub received: u64,
    /// How it went.
    pub result: Result<(), Failure>,
}

/// The counts of one endpoint in one interval.
#[derive(Debug)]
pub struct Cell {
    /// Requests.
    pub count: u64,
    /// Failed ones.
    pub failed: u64,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// From the meant start to the last byte, in microseconds.
    pub response: Histogram<u32>,
    /// From the write to the last byte.
    pub service: Histogram<u32>,
    /// From the write to the answer's head.
    pub first_byte: Histogram<u32>,
    /// How often each failure was met.
    pub failures: HashMap<Failure, u64>,
}

/// The largest value kept: ten minutes, in microseconds.
pub const LONGEST: u64 = 600_000_000;

/// At most so many kinds of failures are kept for an endpoint in an interval.
const FAILURES: usize = 50;

/// Makes a histogram of three digits that grows as it needs to, so that it merges exactly with any
/// other one made here and stays small while values are.
#[expect(clippy::expect_used, reason = "only more than five digits are refused")]
pub fn histogram<C: hdrhistogram::Counter>() -> Histogram<C> {
    Histogram::new(3).expect("three digits are fine")
}

impl Cell {
    fn new() -> Self {
        Self {
            count: 0,
            failed: 0,
            sent: 0,
            received: 0,
            response: histogram(),
            service: histogram(),
            first_byte: histogram(),
            failures: HashMap::new(),
        }
    }

    fn add(&mut self, sample: Sample) {
        self.count += 1;
        self.sent += sample.sent;
        self.received += sample.received;
        note(&mut self.response, sample.ended.saturating_duration_since(sample.meant));
        if let Some(written) = sample.written {
            note(&mut self.service, sample.ended.saturating_duration_since(written));
            if let Some(first) = sample.first_byte {
                note(&mut self.first_byte, first.saturating_duration_since(written));
            }
        }
        if let Err(failure) = sample.result {
            self.failed += 1;
            let has_room = self.failures.len() < FAILURES;
            let failure = if has_room || self.failures.contains_key(&failure) {
                failure
            } else {
                Failure::Malformed("(further kinds of failures)".to_owned())
            };
            *self.failures.entry(failure).or_default() += 1;
        }
    }
}

fn note(histogram: &mut Histogram<u32>, span: Duration) {
    let micros = u64::try_from(span.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
    // It resizes itself for every value up to the clamp, so nothing can be refused.
    let _ = histogram.record(micros);
}

/// What one thread counted in one interval.
#[derive(Debug, Default)]
pub struct Interval {
    /// The endpoints that were used, by name.
    pub cells: Vec<(String, Box<Cell>)>,
    /// Starts that were too late.
    pub late: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Steps left out because an earlier one had not given what they need.
    pub skipped: u64,
}

/// A thread's recorder.
#[derive(Debug)]
pub struct Recorder {
    names: Vec<String>,
    cells: Vec<Option<Box<Cell>>>,
    current: Interval,
}

/// At most so many endpoints are told apart; what comes later is counted as `other`.
pub const ENDPOINTS: usize = 200;

/// The endpoint that stands for all beyond the cap.
pub const OTHER: &str = "other";

impl Recorder {
    /// Starts with the plan's endpoints.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, cells: Vec::new(), current: Interval::default() }
    }

    /// Returns the endpoint's number; a new one is made for a name met first now.
    pub fn endpoint(&mut self, name: &str) -> usize {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known;
        }
        let name = if self.names.len() < ENDPOINTS { name } else { OTHER };
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// Counts a request.
    pub fn add(&mut self, sample: Sample) {
        if self.cells.len() <= sample.endpoint {
            self.cells.resize_with(sample.endpoint + 1, || None);
        }
        if let Some(cell) = self.cells.get_mut(sample.endpoint) {
            cell.get_or_insert_with(|| Box::new(Cell::new())).add(sample);
        }
    }

    /// Counts a late start.
    pub fn late(&mut self) {
        self.current.late += 1;
    }

    /// Counts an arrival without a free user.
    pub fn dropped(&mut self) {
        self.current.dropped += 1;
    }

    /// Counts a step left out.
    pub fn skipped(&mut self) {
        self.current.skipped += 1;
    }

    /// Takes what was counted since the last time.
    pub fn take(&mut self) -> Interval {
        let mut interval = std::mem::take(&mut self.current);
        for (cell, name) in self.cells.iter_mut().zip(&self.names) {
            if let Some(cell) = cell.take() {
                interval.cells.push((name.clone(), cell));
            }
        }
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(endpoint: usize, millis: u64, result: Result<(), Failure>) -> Sample {
        let meant = Instant::now();
        let ended = meant + Duration::from_millis(millis);
        Sample {
            endpoint,
            meant,
            written: Some(meant),
            first_byte: None,
            ended,
            sent: 1,
            received: 2,
            result,
        }
    }

    #[test]
    fn an_interval_holds_what_came_since_the_last_one() {
        let mut recorder = Recorder::new(vec!["GET /".to_owned()]);
        recorder.add(sample(0, 5, Ok(())));
        recorder.add(sample(0, 7, Err(Failure::Status(500))));
        let interval = recorder.take();
        let (_, cell) = &interval.cells[0];
        assert_eq!((cell.count, cell.failed, cell.sent, cell.received), (2, 1, 2, 4));
        assert_eq!(cell.response.len(), 2);
        assert_eq!(cell.first_byte.len(), 0);
        assert!(recorder.take().cells.is_empty());
    }

    #[test]
    fn endpoints_are_capped() {
        let mut recorder = Recorder::new(vec!["GET /".to_owned()]);
        for n in 0..1000 {
            recorder.endpoint(&format!("GET /{n}"));
        }
        assert_eq!(recorder.names.len(), ENDPOINTS + 1);
        let last = recorder.endpoint("GET /999");
        assert_eq!(recorder.names[last], OTHER);
    }

    #[test]
    fn values_beyond_the_longest_are_kept_at_it() {
        let mut recorder = Recorder::new(vec!["GET /".to_owned()]);
        recorder.add(sample(0, 3_600_000, Ok(())));
        let interval = recorder.take();
        let max = interval.cells[0].1.response.max();
        assert!((LONGEST..LONGEST + LONGEST / 1000).contains(&max), "{max}");
    }

    #[test]
    fn kinds_of_failures_are_capped() {
        let mut recorder = Recorder::new(vec!["GET /".to_owned()]);
        for n in 0..500 {
            recorder.add(sample(0, 1, Err(Failure::Redirect(n.to_string()))));
        }
        let interval = recorder.take();
        let (_, cell) = &interval.cells[0];
        assert_eq!(cell.failures.len(), FAILURES + 1);
        assert_eq!(cell.failures.values().sum::<u64>(), 500);
    }
}
