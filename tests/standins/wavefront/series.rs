//! Series of points: a constant, what was fed in, or what the shop's processor time says.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds since 1970, and a value.
pub type Point = (u64, f64);

/// Points that grow while a load runs.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    points: Arc<Mutex<Vec<Point>>>,
}

impl Feed {
    /// Adds a point.
    pub fn push(&self, at: u64, value: f64) {
        self.points.lock().unwrap_or_else(PoisonError::into_inner).push((at, value));
    }

    /// Follows a shop: once a second its processor time of that second, in millicores. Ends with
    /// the process.
    pub fn follow(&self, shop: SocketAddr) {
        let feed = self.clone();
        std::thread::spawn(move || {
            let mut before: Option<(Instant, f64)> = None;
            loop {
                let asked = Instant::now();
                let seconds = scrape(shop);
                if let (Some((then, old)), Some(new)) = (before, seconds) {
                    let millicores = (new - old) / (asked - then).as_secs_f64() * 1000.0;
                    feed.push(super::now(), millicores.max(0.0));
                }
                before = seconds.map(|seconds| (asked, seconds));
                std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed()));
            }
        });
    }
}

#[derive(Debug, Clone)]
enum Source {
    Constant(f64),
    Feed(Feed),
    Points(Vec<Point>),
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Metric name.
    pub metric: String,
    /// Source.
    pub host: String,
    /// Point tags.
    pub tags: BTreeMap<String, String>,
    source: Source,
}

impl Series {
    /// A series with a point of the same value in every second.
    pub fn constant(metric: &str, tags: &[(&str, &str)], value: f64) -> Self {
        Self::new(metric, tags, Source::Constant(value))
    }

    /// A series of what a feed has got so far.
    pub fn fed(metric: &str, tags: &[(&str, &str)], feed: Feed) -> Self {
        Self::new(metric, tags, Source::Feed(feed))
    }

    fn new(metric: &str, tags: &[(&str, &str)], source: Source) -> Self {
        let tags =
            tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { metric: metric.to_owned(), host: "node-1".to_owned(), tags, source }
    }

    /// One series of many: the values of a second put together.
    pub fn merged(many: &[Self], aggregate: fn(&[f64]) -> f64) -> Self {
        let metric = many.first().map(|one| one.metric.clone()).unwrap_or_default();
        let mut seconds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (at, value) in many.iter().flat_map(|one| one.points(super::now() - 3600, u64::MAX)) {
            seconds.entry(at).or_default().push(value);
        }
        let points = seconds.into_iter().map(|(at, values)| (at, aggregate(&values))).collect();
        Self { metric, host: String::new(), tags: BTreeMap::new(), source: Source::Points(points) }
    }

    /// Returns the points in `start..end`.
    pub fn points(&self, start: u64, end: u64) -> Vec<Point> {
        let within = |points: &[Point]| {
            points.iter().copied().filter(|(at, _)| (start..end).contains(at)).collect()
        };
        match &self.source {
            Source::Constant(value) => {
                let end = end.min(super::now() + 1);
                (start.max(end.saturating_sub(7200))..end).map(|at| (at, *value)).collect()
            }
            Source::Feed(feed) => {
                within(&feed.points.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Source::Points(points) => within(points),
        }
    }

    /// Returns the newest point before a moment.
    pub fn last_before(&self, moment: u64) -> Option<Point> {
        self.points(moment.saturating_sub(3600), moment).last().copied()
    }
}

/// Puts points into buckets of `step` seconds, named by their first second.
pub fn summarized(points: &[Point], step: u64, how: &str) -> Vec<Point> {
    let mut buckets: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (at, value) in points {
        buckets.entry(at / step * step).or_default().push(*value);
    }
    let summary = |mut values: Vec<f64>| -> f64 {
        let n = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        match how {
            "COUNT" => n,
            "SUM" => values.iter().sum(),
            "MIN" => values.iter().copied().fold(f64::MAX, f64::min),
            "MAX" => values.iter().copied().fold(f64::MIN, f64::max),
            "FIRST" => values.first().copied().unwrap_or_default(),
            "LAST" => values.last().copied().unwrap_or_default(),
            "MEDIAN" => {
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or_default()
            }
            _ => values.iter().sum::<f64>() / n,
        }
    };
    buckets.into_iter().map(|(at, values)| (at, summary(values))).collect()
}

/// Reads the shop's processor seconds; nothing while it cannot be reached.
fn scrape(shop: SocketAddr) -> Option<f64> {
    let mut stream = TcpStream::connect_timeout(&shop, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {shop}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let line = answer.lines().find(|line| line.starts_with("process_cpu_seconds_total "))?;
    line.rsplit(' ').next()?.parse().ok()
}
