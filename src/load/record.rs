//! What requests are counted in: per thread and endpoint, swapped each second, merged exactly.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::load::failure::Failure;
use crate::load::histogram::Histogram;

/// One request as it went.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its number among the endpoints.
    pub endpoint: usize,
    /// When it was meant to start.
    pub meant: Instant,
    /// How long it took to connect, where that was done for it.
    pub connect: Option<Duration>,
    /// How long TLS took after that.
    pub tls: Option<Duration>,
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
#[derive(Debug, Default)]
pub struct Cell {
    /// Requests.
    pub count: u64,
    /// Failed ones.
    pub failed: u64,
    /// Those sent without making a connection.
    pub reused: u64,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// From the meant start to the last byte, in microseconds.
    pub response: Histogram,
    /// From the write to the last byte.
    pub service: Histogram,
    /// From the write to the answer's head.
    pub first_byte: Histogram,
    /// Connecting, where that was done.
    pub connect: Histogram,
    /// TLS after that.
    pub tls: Histogram,
    /// How often each failure was met.
    pub failures: HashMap<Failure, u64>,
}

/// At most so many kinds of failures are kept for an endpoint in an interval.
const FAILURES: usize = 50;

impl Cell {
    /// Forgets the counts and keeps the memory.
    fn clear(&mut self) {
        (self.count, self.failed, self.reused) = (0, 0, 0);
        (self.sent, self.received) = (0, 0);
        let Self { response, service, first_byte, connect, tls, failures, .. } = self;
        for histogram in [response, service, first_byte, connect, tls] {
            histogram.clear();
        }
        failures.clear();
    }

    fn add(&mut self, sample: Sample) {
        self.count += 1;
        self.sent += sample.sent;
        self.received += sample.received;
        note(&mut self.response, sample.ended.saturating_duration_since(sample.meant));
        if let Some(span) = sample.connect {
            note(&mut self.connect, span);
        }
        if let Some(span) = sample.tls {
            note(&mut self.tls, span);
        }
        if let Some(written) = sample.written {
            self.reused += u64::from(sample.connect.is_none());
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

fn note(histogram: &mut Histogram, span: Duration) {
    histogram.record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
}

/// What one thread counted in one interval beside its requests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Misses {
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
    cells: Vec<Cell>,
    misses: Misses,
    lag: Histogram,
}

/// At most so many endpoints are told apart; what comes later is counted as `other`.
pub const ENDPOINTS: usize = 200;

/// The endpoint that stands for all beyond the cap.
pub const OTHER: &str = "other";

impl Recorder {
    /// Starts with the plan's endpoints.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, cells: Vec::new(), misses: Misses::default(), lag: Histogram::default() }
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
            self.cells.resize_with(sample.endpoint + 1, Cell::default);
        }
        if let Some(cell) = self.cells.get_mut(sample.endpoint) {
            cell.add(sample);
        }
    }

    /// Notes how far a start was behind its meant moment.
    pub fn started(&mut self, behind: Duration) {
        note(&mut self.lag, behind);
    }

    /// Counts a late start.
    pub fn late(&mut self) {
        self.misses.late += 1;
    }

    /// Counts an arrival without a free user.
    pub fn dropped(&mut self) {
        self.misses.dropped += 1;
    }

    /// Counts a step left out.
    pub fn skipped(&mut self) {
        self.misses.skipped += 1;
    }

    /// How far starts were behind, since the last time.
    pub fn lag(&self) -> &Histogram {
        &self.lag
    }

    /// Hands out the cells that hold something, by endpoint, and begins anew.
    pub fn drain(&mut self, mut take: impl FnMut(&str, &Cell)) -> Misses {
        self.lag.clear();
        for (cell, name) in self.cells.iter_mut().zip(&self.names) {
            if cell.count > 0 {
                take(name, cell);
                cell.clear();
            }
        }
        std::mem::take(&mut self.misses)
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
            connect: None,
            tls: None,
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
        for _ in 0..2 {
            recorder.add(sample(0, 5, Ok(())));
            recorder.add(sample(0, 7, Err(Failure::Status(500))));
            recorder.late();
            let mut n_cells = 0;
            let misses = recorder.drain(|name, cell| {
                n_cells += 1;
                assert_eq!(name, "GET /");
                assert_eq!((cell.count, cell.failed, cell.sent, cell.received), (2, 1, 2, 4));
                assert_eq!(cell.reused, 2);
                assert_eq!((cell.response.len(), cell.first_byte.len()), (2, 0));
                assert_eq!(cell.failures.len(), 1);
            });
            assert_eq!((n_cells, misses.late), (1, 1));
        }
        assert_eq!(recorder.drain(|_, _| panic!("nothing came")), Misses::default());
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
    fn kinds_of_failures_are_capped() {
        let mut recorder = Recorder::new(vec!["GET /".to_owned()]);
        for n in 0..500 {
            recorder.add(sample(0, 1, Err(Failure::Redirect(n.to_string()))));
        }
        recorder.drain(|_, cell| {
            assert_eq!(cell.failures.len(), FAILURES + 1);
            assert_eq!(cell.failures.values().sum::<u64>(), 500);
        });
    }
}
