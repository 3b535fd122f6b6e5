//! The course of a run: how its requests came to their connections, point by point.

use super::support::{Server, plan, run, text};
use crate::load::Summary;

const PLAN: &str = "target: http://127.0.0.1:$PORT\n\
    load: { users: 2, spawn-rate: 1000, duration: 2s, think: 20ms, timeout: 2s }\n\
    journeys: [{ steps: [{ get: /a }] }]";

/// Connections made, requests without one of their own, requests that got none, over all points.
fn links(summary: &Summary) -> [u64; 3] {
    let mut sum = [0; 3];
    for point in &summary.series {
        let links = point.connections;
        for (sum, own) in sum.iter_mut().zip([links.opened, links.reused, links.failed]) {
            *sum += own;
        }
        assert_eq!(links.opened > 0, links.connect.is_some(), "{point:?}");
        assert_eq!(links.tls, None);
    }
    sum
}

#[tokio::test]
async fn each_point_tells_connections_made_used_again_and_not_had() {
    let server = Server::http(|_| text(200, "")).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    let count = summary.requests.count;
    assert_eq!((links(&summary), summary.connections.count), ([2, count - 2, 0], 2));
    assert!(summary.series.iter().any(|point| point.first_byte.is_some()));

    let closing = Server::http(|_| {
        let mut answer = text(200, "");
        answer.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
        answer
    })
    .await;
    let summary = run(&plan(PLAN, closing.port)).await.summary;
    assert_eq!(links(&summary), [summary.requests.count, 0, 0]);

    let summary = run(&plan(PLAN, 1)).await.summary;
    assert_eq!(links(&summary), [0, 0, summary.requests.count]);
    assert!(summary.series.iter().all(|point| point.first_byte.is_none()));
}
