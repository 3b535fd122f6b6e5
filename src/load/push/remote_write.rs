//! Prometheus' remote write 1.0: a `WriteRequest` in protobuf, packed by snappy. Four messages of
//! two fields each do not need a compiler.

use super::series::Batch;

/// Fields of the messages, with their wire types: 2 is "so many bytes", 1 is "eight bytes", 0 is
/// "a number".
const SERIES: u8 = 1 << 3 | 2;
const LABEL: u8 = 1 << 3 | 2;
const SAMPLE: u8 = 2 << 3 | 2;
const NAME: u8 = 1 << 3 | 2;
const TEXT: u8 = 2 << 3 | 2;
const VALUE: u8 = 1 << 3 | 1;
const TIME: u8 = 2 << 3;

/// Returns what is posted.
pub fn body(batch: &Batch) -> Result<Vec<u8>, String> {
    snap::raw::Encoder::new().compress_vec(&message(batch)).map_err(|error| error.to_string())
}

fn message(batch: &Batch) -> Vec<u8> {
    let mut request = Vec::new();
    for sample in &batch.samples {
        let mut series = Vec::new();
        // Sorted by name, as receivers demand: `__name__` comes before every letter.
        let name = [("__name__", sample.metric.prometheus()), ("job", "dyno")];
        let mut labels: Vec<(&str, &str)> = name.into_iter().chain(sample.labels.iter()).collect();
        labels.sort_unstable();
        for (name, value) in labels {
            let mut label = Vec::new();
            push_bytes(&mut label, NAME, name.as_bytes());
            push_bytes(&mut label, TEXT, value.as_bytes());
            push_bytes(&mut series, LABEL, &label);
        }
        let mut point = vec![VALUE];
        point.extend(sample.value.to_le_bytes());
        point.push(TIME);
        push_number(&mut point, u64::try_from(batch.at).unwrap_or(0));
        push_bytes(&mut series, SAMPLE, &point);
        push_bytes(&mut request, SERIES, &series);
    }
    request
}

fn push_bytes(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field);
    push_number(to, u64::try_from(bytes.len()).unwrap_or(0));
    to.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn push_number(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}
