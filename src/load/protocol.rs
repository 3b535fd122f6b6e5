//! What coordinator and worker say to each other: frames of a length (4 bytes, big endian) and JSON.
//!
//! The coordinator sends [`Order::Plan`], the worker answers [`Report::Ready`]; the coordinator sends
//! [`Order::Start`], the worker sends a snapshot a thread and second, then [`Report::Done`]. When the
//! orders end, the worker stops: that is how a run is cancelled and how a lost coordinator is noticed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::load::error::Error;
use crate::load::failure::Kind;
use crate::load::histogram::Histogram;
use crate::load::pace::Share;
use crate::load::plan::Plan;
use crate::load::record::{Cell, Recorder};
use crate::load::trace::Traced;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// What to do.
    Plan {
        /// The plan; its pins say where connections may go.
        plan: Box<Plan>,
        /// The worker's part of it.
        share: Share,
    },
    /// When to begin.
    Start {
        /// In milliseconds since 1970.
        at: i64,
    },
}

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The plan is compiled, the threads are there.
    Ready {
        /// How many.
        threads: u32,
    },
    /// Setup or teardown still go on.
    Waiting,
    /// The setup failed, so nothing else is done; why.
    NoSetup(String),
    /// The teardown failed; why.
    NoTeardown(String),
    /// Something of a walk through the plan.
    Traced(Box<Traced>),
    /// What a thread counted in an interval.
    Snapshot(Box<Snapshot>),
    /// The end.
    Done {
        /// CPU time of the process in microseconds.
        cpu: u64,
    },
    /// It could not go on.
    Failed(String),
}

/// What a thread counted in an interval.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which thread.
    pub thread: u32,
    /// The interval's number, the same in each thread.
    pub number: u32,
    /// Its start, in microseconds since the run's.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// Users running at its end.
    pub users: u32,
    /// When it was really closed, in microseconds since the run's start: later than `to` where the
    /// thread was busy.
    pub closed: u64,
    /// The thread's CPU time until then, in microseconds.
    pub cpu: u64,
    /// Starts that were too late.
    pub late: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Steps left out.
    pub skipped: u64,
    /// Rounds of journeys that were finished.
    pub rounds: u64,
    /// How often a feed had no row any more, and how often one was used again.
    pub used_up: [u64; 2],
    /// How often each check held and failed.
    pub checks: Vec<[u64; 2]>,
    /// How far starts were behind their meant moments.
    pub lag: Packed,
    /// The endpoints that were used.
    pub endpoints: Vec<Delta>,
    /// The same on the baseline of a regression test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<Delta>,
}

/// What an endpoint did in an interval.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delta {
    /// Its name.
    pub name: String,
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
    /// Response time.
    pub response: Packed,
    /// Service time.
    pub service: Packed,
    /// Time to the answer's head.
    pub first_byte: Packed,
    /// Connecting, where that was done.
    pub connect: Packed,
    /// TLS after that.
    pub tls: Packed,
    /// Failures: text, kind, count.
    pub failures: Vec<(String, Kind, u64)>,
}

/// A histogram's buckets that hold something: each as its distance from the one before and its
/// count, seven bits a byte, base64.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(String);

impl Packed {
    /// Packs a histogram.
    pub fn new(histogram: &Histogram) -> Self {
        let mut bytes = Vec::new();
        let mut next = 0;
        for (index, count) in histogram.buckets() {
            push(&mut bytes, u64::try_from(index - next).unwrap_or(0));
            push(&mut bytes, count);
            next = index + 1;
        }
        Self(STANDARD.encode(bytes))
    }

    /// Adds what is packed to a histogram.
    pub fn add_to(&self, histogram: &mut Histogram) -> Result<(), Error> {
        let wrong = || Error::Histogram("it is no list of buckets".to_owned());
        let bytes = STANDARD.decode(&self.0).map_err(|_| wrong())?;
        let mut bytes = bytes.as_slice();
        let mut next: usize = 0;
        while !bytes.is_empty() {
            let distance = pull(&mut bytes).and_then(|distance| usize::try_from(distance).ok());
            let index = distance.and_then(|distance| next.checked_add(distance));
            let index = index.ok_or_else(wrong)?;
            let count = pull(&mut bytes).ok_or_else(wrong)?;
            if !histogram.add_to(index, count) {
                return Err(wrong());
            }
            next = index + 1;
        }
        Ok(())
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(low_bits(number) | 0x80);
        number >>= 7;
    }
    bytes.push(low_bits(number));
}

fn low_bits(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0)
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let byte = bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl Snapshot {
    /// Takes what the recorder counted since the last time.
    pub fn fill(&mut self, recorder: &mut Recorder) {
        self.lag = Packed::new(recorder.lag());
        let misses = recorder.drain(|name, cell| self.endpoints.push(Delta::new(name, cell)));
        (self.late, self.dropped, self.skipped) = (misses.late, misses.dropped, misses.skipped);
    }
}

impl Snapshot {
    /// Takes what the recorder of the baseline counted since the last time.
    pub fn fill_baseline(&mut self, recorder: &mut Recorder) {
        let misses = recorder.drain(|name, cell| self.baseline.push(Delta::new(name, cell)));
        self.late += misses.late;
        self.dropped += misses.dropped;
        self.skipped += misses.skipped;
    }
}

impl Delta {
    fn new(name: &str, cell: &Cell) -> Self {
        let failures = cell
            .failures
            .iter()
            .map(|(failure, count)| (failure.to_string(), failure.kind(), *count))
            .collect();
        Self {
            name: name.to_owned(),
            count: cell.count,
            failed: cell.failed,
            reused: cell.reused,
            sent: cell.sent,
            received: cell.received,
            response: Packed::new(&cell.response),
            service: Packed::new(&cell.service),
            first_byte: Packed::new(&cell.first_byte),
            connect: Packed::new(&cell.connect),
            tls: Packed::new(&cell.tls),
            failures,
        }
    }
}

/// Longer frames are not read: 200 endpoints with full histograms stay far below.
const LONGEST: usize = 64 * 1024 * 1024;

/// Writes a frame.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    frame: &T,
) -> Result<(), Error> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame).map_err(Error::Frame)?;
    let length = bytes.len() - 4;
    let short = u32::try_from(length).ok().filter(|_| length <= LONGEST);
    let head = short.ok_or(Error::FrameLength(length))?.to_be_bytes();
    bytes[..4].copy_from_slice(&head);
    to.write_all(&bytes).await.map_err(Error::Stream)?;
    to.flush().await.map_err(Error::Stream)
}

/// Reads a frame; `None` at the end of the stream. Not safe to cancel: half a frame would be lost.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, Error> {
    let mut head = [0; 4];
    match from.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(Error::Stream(error)),
    }
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Error::FrameLength(length));
    }
    // Grows with what really comes, not with what the head promises.
    let mut bytes = Vec::new();
    let promised = u64::try_from(length).unwrap_or(u64::MAX);
    from.take(promised).read_to_end(&mut bytes).await.map_err(Error::Stream)?;
    if bytes.len() < length {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(Error::Frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn histograms_merge_exactly_over_the_wire(
            threads in prop::collection::vec(
                prop::collection::vec(1_u64..600_000_000, 0..60), 1..5),
        ) {
            let mut merged = Histogram::default();
            let mut whole = Histogram::default();
            for values in &threads {
                let mut own = Histogram::default();
                for value in values {
                    own.record(*value);
                    whole.record(*value);
                }
                Packed::new(&own).add_to(&mut merged).unwrap();
            }
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(merged.len(), whole.len());
        }

        #[test]
        fn bytes_that_are_no_buckets_are_refused_or_harmless(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut histogram = Histogram::default();
            drop(Packed(STANDARD.encode(&bytes)).add_to(&mut histogram));
            prop_assert!(histogram.max() < 700_000_000);
        }
    }

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent_and_the_end_is_told() {
        let (mut here, mut there) = tokio::io::duplex(64);
        let frames = async {
            write(&mut here, &Order::Start { at: 7 }).await.unwrap();
            write(&mut here, &Order::Start { at: 8 }).await.unwrap();
            drop(here);
        };
        let reads = async {
            for expected in [7, 8] {
                let order = read::<Order>(&mut there).await.unwrap();
                assert!(matches!(order, Some(Order::Start { at }) if at == expected));
            }
            assert!(read::<Order>(&mut there).await.unwrap().is_none());
        };
        tokio::join!(frames, reads);
    }

    #[tokio::test]
    async fn hostile_frames_are_refused() {
        let long = [0xff, 0xff, 0xff, 0xff, b'{'];
        let refused = read::<Report>(&mut long.as_slice()).await;
        assert!(matches!(refused, Err(Error::FrameLength(_))));
        let wrong = [0, 0, 0, 2, b'{', b'}'];
        assert!(matches!(read::<Report>(&mut wrong.as_slice()).await, Err(Error::Frame(_))));
        let half = [0, 0, 0, 9, b'{'];
        assert!(matches!(read::<Report>(&mut half.as_slice()).await, Ok(None)));
        for packed in ["no base64", "AAAA", "////////////", "/////w8B"] {
            assert!(Packed(packed.to_owned()).add_to(&mut Histogram::default()).is_err());
        }
    }
}
