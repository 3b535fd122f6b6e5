//! Prometheus' remote write 1.0: a `WriteRequest` in protobuf, packed by snappy. Four messages of
//! two fields each do not need a compiler.

use super::protobuf::Message;
use super::series::Batch;

// Numbers of the messages' fields (prometheus/prompb, remote.proto and types.proto).
const SERIES: u8 = 1;
const LABEL: u8 = 1;
const SAMPLE: u8 = 2;
const NAME: u8 = 1;
const TEXT: u8 = 2;
const VALUE: u8 = 1;
const TIME: u8 = 2;

/// Returns what is posted.
pub fn body(batch: &Batch) -> Result<Vec<u8>, String> {
    let message = message(batch).into_bytes();
    snap::raw::Encoder::new().compress_vec(&message).map_err(|error| error.to_string())
}

fn message(batch: &Batch) -> Message {
    let mut request = Message::default();
    for sample in &batch.samples {
        let mut series = Message::default();
        // Sorted by name, as receivers demand: `__name__` comes before every letter.
        let name = [("__name__", sample.metric.prometheus()), ("job", "dyno")];
        let mut labels: Vec<(&str, &str)> = name.into_iter().chain(sample.labels.iter()).collect();
        labels.sort_unstable();
        for (name, value) in labels {
            series.message(LABEL, &Message::default().with_text(NAME, name).with_text(TEXT, value));
        }
        let mut point = Message::default();
        point.double(VALUE, sample.value);
        point.number(TIME, u64::try_from(batch.at).unwrap_or(0));
        series.message(SAMPLE, &point);
        request.message(SERIES, &series);
    }
    request
}
