//! `metrics.k8s.io`: what the cluster itself measures of every pod, without history.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::selector::NAME;
use crate::gate::series::{Point, Series};

#[derive(Deserialize)]
struct ListFile {
    items: Vec<PodFile>,
}

#[derive(Deserialize)]
struct PodFile {
    metadata: MetadataFile,
    timestamp: String,
    #[serde(default)]
    containers: Vec<ContainerFile>,
}

#[derive(Deserialize)]
struct MetadataFile {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ContainerFile {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

/// Reads a `PodMetricsList`: one series a container and resource, `cpu` in cores and `memory` in
/// bytes, with the pod's labels.
///
/// # Errors
/// With what its API does not promise.
pub fn read(body: serde_json::Value) -> Result<Vec<Series>, String> {
    let list: ListFile = serde_json::from_value(body).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for pod in list.items {
        let at_ms = pod
            .timestamp
            .parse::<jiff::Timestamp>()
            .map_err(|_| format!("`{}` is no time", pod.timestamp))?
            .as_millisecond();
        for container in pod.containers {
            for (resource, quantity) in container.usage {
                let value =
                    quantity_of(&quantity).ok_or_else(|| format!("`{quantity}` is no quantity"))?;
                let mut labels: BTreeMap<String, String> = pod
                    .metadata
                    .labels
                    .iter()
                    .map(|(key, value)| (format!("label_{}", plain(key)), value.clone()))
                    .collect();
                labels.extend([
                    (NAME.to_owned(), resource),
                    ("namespace".to_owned(), pod.metadata.namespace.clone()),
                    ("pod".to_owned(), pod.metadata.name.clone()),
                    ("container".to_owned(), container.name.clone()),
                ]);
                all.push(Series { labels, points: vec![Point { at_ms, value }], n_absent: 0 });
            }
        }
    }
    Ok(all)
}

fn plain(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Reads a quantity as Kubernetes writes it: `12345678n`, `250m`, `20Mi`, `1e3`.
fn quantity_of(text: &str) -> Option<f64> {
    const SUFFIXES: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    let value: f64 = number.parse().ok()?;
    Some(value * factor).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, value) in
            [("12345678n", 0.012_345_678), ("250m", 0.25), ("2", 2.0), ("20Mi", 20_971_520.0)]
        {
            let read = quantity_of(text).unwrap();
            assert!((read - value).abs() < 1e-12, "{text}: {read}");
        }
        for text in ["", "Mi", "abc", "NaN", "infm"] {
            assert_eq!(quantity_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_of_pods_becomes_series_at_their_own_times() {
        let body = r#"{"items":[{"metadata":{"name":"web-1","namespace":"acme",
            "labels":{"app.kubernetes.io/name":"web"}},"timestamp":"2026-03-01T12:00:00Z",
            "window":"15s","containers":[{"name":"c","usage":{"cpu":"500m","memory":"1Ki"}}]}]}"#;
        let series = read(serde_json::from_str(body).unwrap()).unwrap();
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].labels["label_app_kubernetes_io_name"], "web");
        assert_eq!(series[0].points[0], Point { at_ms: 1_772_366_400_000, value: 0.5 });
        for body in ["null", "{}", r#"{"items":[{"metadata":{"name":"a"},"timestamp":"x"}]}"#] {
            assert!(read(serde_json::from_str(body).unwrap()).is_err(), "{body}");
        }
    }
}
