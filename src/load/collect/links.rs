//! How requests came to their connections, for the course of the run.

use super::millis;
use crate::load::error::Error;
use crate::load::failure::Kind;
use crate::load::histogram::Histogram;
use crate::load::protocol::Delta;
use crate::load::summary::{Links, Middle};

/// What a stretch saw of connections and of the answers' beginnings.
#[derive(Debug, Default)]
pub struct LinkTally {
    first_byte: Histogram,
    connect: Histogram,
    tls: Histogram,
    reused: u64,
    failed: u64,
}

impl LinkTally {
    /// Adds what a thread counted for an endpoint.
    pub fn add_delta(&mut self, delta: &Delta) -> Result<(), Error> {
        delta.first_byte.add_to(&mut self.first_byte)?;
        delta.connect.add_to(&mut self.connect)?;
        delta.tls.add_to(&mut self.tls)?;
        self.reused += delta.reused;
        let unconnected = delta.failures.iter().filter(|(_, kind, _)| match kind {
            Kind::Connect | Kind::Generator => true,
            Kind::Answer => false,
        });
        self.failed += unconnected.map(|(_, _, count)| count).sum::<u64>();
        Ok(())
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.first_byte.add(&other.first_byte);
        self.connect.add(&other.connect);
        self.tls.add(&other.tls);
        self.reused += other.reused;
        self.failed += other.failed;
    }

    /// The time to the answers' heads.
    pub fn first_byte(&self) -> Option<Middle> {
        middle(&self.first_byte)
    }

    /// How requests came to their connections.
    pub fn links(&self) -> Links {
        Links {
            opened: self.connect.count(),
            reused: self.reused,
            failed: self.failed,
            connect: middle(&self.connect),
            tls: middle(&self.tls),
        }
    }
}

fn middle(histogram: &Histogram) -> Option<Middle> {
    let at = |percent: f64| millis(histogram.value_at_percentile(percent));
    (!histogram.is_empty()).then(|| Middle { p50: at(50.0), p95: at(95.0) })
}
