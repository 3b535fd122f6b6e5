//! What each endpoint did in the last seconds, for sinks.

use std::time::Duration;

use super::{Books, EndpointTally, SECOND, millis, rate};
use crate::load::event::{EndpointProgress, EndpointsProgress};
use crate::load::gauge::Stretch;

/// How often sinks are told.
const EVERY: u64 = 5 * SECOND;

impl Books {
    /// Returns the endpoints' recent figures when it is time for them.
    pub(super) fn recent_at(&mut self, to: u64) -> Option<EndpointsProgress> {
        to.is_multiple_of(EVERY).then(|| self.recent(to)).flatten()
    }

    /// Returns what came since the last time; `None` when no sink wants it or nothing was counted.
    pub fn recent(&mut self, to: u64) -> Option<EndpointsProgress> {
        let from = self.recent_from?;
        let span = Duration::from_micros(to.checked_sub(from).filter(|span| *span > 0)?);
        self.recent_from = Some(to);
        let mut sum = Stretch::default();
        let mut endpoints = Vec::new();
        for endpoint in &mut self.endpoints {
            let recent = std::mem::take(&mut endpoint.recent);
            sum.add(&recent);
            let (total, failed) = totals(endpoint);
            endpoints.push(progress(&endpoint.name, (total, failed), &recent, span));
        }
        let all = progress("", (self.total, self.total_failed), &sum, span);
        Some(EndpointsProgress { at: self.at(to), users: self.users_until(to), all, endpoints })
    }
}

fn totals(endpoint: &EndpointTally) -> (u64, u64) {
    let EndpointTally { ramp, steady, .. } = endpoint;
    (ramp.count + steady.count, ramp.failed + steady.failed)
}

fn progress(
    name: &str,
    (total, failed): (u64, u64),
    recent: &Stretch,
    span: Duration,
) -> EndpointProgress {
    let at = |percent: f64| millis(recent.response.value_at_percentile(percent));
    EndpointProgress {
        name: name.to_owned(),
        total,
        failed,
        rate: rate(recent.count, span),
        p50: at(50.0),
        p95: at(95.0),
        p99: at(99.0),
    }
}
