//! A soak of hours in a minute: what a run keeps does not grow with how long it lasts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::support::written;
use crate::load::collect::Books;
use crate::load::event::Event;
use crate::load::failure::{Failure, Kind};
use crate::load::histogram::Histogram;
use crate::load::protocol::{Delta, Packed, Snapshot};
use crate::load::push::{Labels, Pusher, Spec};
use crate::load::record::{Recorder, Sample};
use crate::load::result::{End, summarise};
use crate::load::summary::Generator;
use crate::load::{Overrides, Plan};

const HOUR: u64 = 3600;

/// How long the text is that tells all of a value, but for its digits: what it holds, down to its last
/// bucket, whatever was counted there.
fn size(value: &impl std::fmt::Debug) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.bytes().filter(|byte| !byte.is_ascii_digit()).count();
            Ok(())
        }
    }
    let mut counter = Counter(0);
    write!(counter, "{value:?}").unwrap();
    counter.0
}

fn plan(hours: u64) -> Plan {
    let yaml = format!(
        "target: http://a\nload: {{ preset: soak, arrivals: 10/s, duration: {hours}h, push: [store] }}\n\
         journeys: [{{ tags: read, steps: [{{ get: /x }}, {{ get: '/y/{{{{ vu() }}}}', tags: slow }}] }}]\n\
         limits: [p95 < 1s, p99 tagged slow < 9s, errors < 50% over 1m, mean < 2s during end surely]"
    );
    Plan::build(&written(&yaml), &Overrides::default(), &BTreeMap::<String, String>::new()).unwrap()
}

/// What two threads tell of a second: their own endpoints, one whose name is new each time, and a
/// failure that nobody has seen before.
fn snapshots(second: u64) -> [Snapshot; 2] {
    [0, 1].map(|thread| {
        let mut response = Histogram::default();
        for n in 0..20 {
            response.record(500 + (second * 37 + n * 7_919) % 400_000);
        }
        let delta = |name: String, text: Option<String>| Delta {
            name,
            count: 20,
            failed: u64::from(text.is_some()),
            reused: 19,
            sent: 10,
            received: 1000,
            response: Packed::new(&response),
            service: Packed::new(&response),
            first_byte: Packed::new(&response),
            connect: Packed::new(&response),
            tls: Packed::new(&response),
            failures: text.into_iter().map(|text| (text, Kind::Answer, 1)).collect(),
        };
        Snapshot {
            thread,
            number: u32::try_from(second).unwrap(),
            from: second * 1_000_000,
            to: (second + 1) * 1_000_000,
            users: 5,
            closed: (second + 1) * 1_000_000,
            cpu: second * 10_000,
            lag: Packed::new(&response),
            endpoints: vec![
                delta(
                    "GET /x".to_owned(),
                    Some(format!("status NOT_FOUND: no such thing {second}")),
                ),
                delta(format!("GET /z/{second}"), None),
            ],
            ..Snapshot::default()
        }
    })
}

/// The size of the books after a whole run, and of what is reported.
fn sizes(hours: u64) -> (usize, usize, usize) {
    let plan = plan(hours);
    let mut books = Books::new(2, 0, &plan);
    for second in 0..hours * HOUR {
        for snapshot in snapshots(second) {
            books.add(&snapshot).unwrap();
        }
    }
    books.finish();
    let summary = summarise(&plan, &books, Generator::default(), &End::Reached);
    (size(&books), serde_json::to_string(&summary).unwrap().len(), summary.series.len())
}

#[test]
fn the_log_has_a_line_every_five_seconds_and_after_five_minutes_every_thirty() {
    let plan = plan(1);
    let mut books = Books::new(2, 0, &plan);
    let mut lines = Vec::new();
    let mut n_seconds = 0;
    for second in 0..600 {
        for snapshot in snapshots(second) {
            let told = books.add(&snapshot).unwrap();
            lines.extend(told.interval.map(|line| (line.elapsed / 1000, line.count)));
            n_seconds += usize::from(told.second.is_some());
        }
    }
    // A stage's end is one, too: the first 72 s of an hour only warm up.
    let often = (5..=300).filter(|second| second % 5 == 0 || *second == 72);
    let rarely = (330..=600).step_by(30);
    let mut before = 0;
    for (&(at, count), expected) in lines.iter().zip(often.chain(rarely)) {
        assert_eq!((at, count), (expected, (expected - before) * 80), "{lines:?}");
        before = at;
    }
    assert_eq!(before, 600);
    assert_eq!(n_seconds, 600, "a terminal sees each second");
}

#[test]
fn what_is_kept_of_a_run_does_not_grow_with_its_hours() {
    let (short, short_report, _) = sizes(1);
    let (long, long_report, n_points) = sizes(6);
    assert!(n_points <= 600, "{n_points} points");
    assert!(long < short * 5 / 4, "{short} bytes after an hour, {long} after six");
    assert!(long_report < short_report * 3 / 2, "{short_report} bytes, {long_report} bytes");
}

#[test]
fn what_a_thread_counts_in_does_not_grow_with_hours() {
    let mut recorder = Recorder::new(vec!["GET /x".to_owned()]);
    let begun = Instant::now();
    let mut sizes = Vec::new();
    for second in 0..6 * HOUR {
        for n in 0..4 {
            let name = if n == 0 { format!("GET /z/{second}") } else { "GET /x".to_owned() };
            let endpoint = recorder.endpoint(&name);
            let span = Duration::from_micros(500 + (second * 37 + n * 7_919) % 400_000);
            let result = if n == 1 { Err(Failure::Ended(format!("no {second}"))) } else { Ok(()) };
            recorder.add(Sample {
                endpoint,
                meant: begun,
                connect: Some(span),
                tls: None,
                written: Some(begun),
                first_byte: Some(begun + span),
                ended: begun + span,
                sent: 1,
                received: 1,
                result,
            });
        }
        recorder.drain(|_, _| {});
        if second % HOUR == HOUR - 1 {
            sizes.push(size(&recorder));
        }
    }
    let (first, last) = (sizes[0], sizes[5]);
    assert!(last < first * 5 / 4, "{sizes:?}");
}

#[tokio::test]
async fn a_sink_that_is_dead_for_hours_holds_a_minute_of_figures_at_most() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spec = Spec {
        name: "store".to_owned(),
        kind: crate::load::push::Kind::Otlp,
        url: format!("http://{closed}/v1/metrics"),
        token: None,
        basic: None,
        headers: Vec::new(),
        ca_file: None,
    };
    let mut pusher = Pusher::start(vec![spec], Labels::default());
    let plan = plan(6);
    let mut books = Books::new(2, 0, &plan);
    let (mut n, mut kept) = (0, 0);
    for second in 0..HOUR {
        for snapshot in snapshots(second) {
            if let Some(state) = books.add(&snapshot).unwrap().endpoints {
                pusher.offer(&Event::Endpoints(Box::new(state)));
                n += 1;
            }
        }
        kept = kept.max(pusher.n_waiting());
    }
    assert!(n >= 600 && kept <= 12, "{n} pushes, {kept} kept");
    let told = pusher.finish().await.join("\n");
    assert!(told.contains(&format!("did not take {n} of {n} pushes")), "{told}");
}
