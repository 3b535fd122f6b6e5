//! `kubectl top`: what pods and nodes use now, as the metrics API tells it.

use serde_json::Value;

use super::Outcome;
use super::select;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Mapping, Target};
use crate::deploy::kubectl::print::aligned;
use crate::deploy::kubectl::request::{Selection, Top, What};

/// A row before it is laid out.
struct Row {
    namespace: String,
    names: Vec<String>,
    /// In thousandths of a core.
    cpu: i64,
    /// In bytes.
    memory: i64,
}

/// Runs `kubectl top`.
pub async fn run(session: &mut Session<'_>, top: &Top) -> Outcome {
    session.discover().await?;
    let word = if top.nodes { "nodes.metrics.k8s.io" } else { "pods.metrics.k8s.io" };
    let Some(mapping) = session.by_word(word).ok().filter(|found| found.group == "metrics.k8s.io")
    else {
        return Err(Trouble::text("Metrics API not available"));
    };
    if top.nodes {
        return nodes(session, top, &mapping).await;
    }
    let objects = read(session, top, &mapping).await?;
    if objects.is_empty() {
        let namespace = session.namespace().to_owned();
        session.err(if top.all_namespaces {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {namespace} namespace.\n")
        });
        return Ok(());
    }
    let mut rows = Vec::new();
    for object in &objects {
        let containers = object.get("containers").and_then(Value::as_array);
        let containers: Vec<&Value> = containers.into_iter().flatten().collect();
        let sum = |what: &str| containers.iter().map(|one| usage(one, what)).sum();
        let (namespace, name) =
            (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        if top.containers {
            rows.extend(containers.iter().map(|one| Row {
                namespace: namespace.clone(),
                names: vec![name.clone(), text(one, "/name")],
                cpu: usage(one, "cpu"),
                memory: usage(one, "memory"),
            }));
        } else {
            let (cpu, memory) = (sum("cpu"), sum("memory"));
            rows.push(Row { namespace, names: vec![name], cpu, memory });
        }
    }
    sort(&mut rows, top);
    session.out(table(rows, top));
    Ok(())
}

fn table(rows: Vec<Row>, top: &Top) -> String {
    let mut lines = Vec::new();
    let place = |namespace: &str| top.all_namespaces.then(|| namespace.to_owned());
    if !top.no_headers {
        let names = if top.containers { vec!["POD", "NAME"] } else { vec!["NAME"] };
        let names = names.into_iter().chain(["CPU(cores)", "MEMORY(bytes)"]).map(str::to_owned);
        lines.push(place("NAMESPACE").into_iter().chain(names).collect());
    }
    let (cpu, memory) =
        rows.iter().fold((0, 0), |(cpu, memory), row| (cpu + row.cpu, memory + row.memory));
    lines.extend(rows.into_iter().map(|row| {
        let amounts = [cores(row.cpu), mebibytes(row.memory)];
        place(&row.namespace).into_iter().chain(row.names).chain(amounts).collect::<Vec<_>>()
    }));
    if top.sum {
        let blank =
            vec![String::new(); usize::from(top.all_namespaces) + usize::from(top.containers)];
        let rule = ["________".to_owned(), "________".to_owned()];
        let first = [String::new()];
        lines.push(blank.iter().chain(&first).chain(&rule).cloned().collect());
        let sums = [cores(cpu), mebibytes(memory)];
        lines.push(blank.into_iter().chain([String::new()]).chain(sums).collect());
    }
    aligned(lines.into_iter())
}

fn cores(milli: i64) -> String {
    format!("{milli}m")
}

fn mebibytes(bytes: i64) -> String {
    format!("{}Mi", bytes / (1 << 20))
}

async fn nodes(session: &mut Session<'_>, top: &Top, mapping: &Mapping) -> Outcome {
    let objects = read(session, top, mapping).await?;
    if objects.is_empty() {
        session.err("No resources found\n");
        return Ok(());
    }
    let core = session.by_word("nodes")?;
    let mut rows: Vec<(Row, i64, i64)> = Vec::new();
    for object in &objects {
        let name = text(object, "/metadata/name");
        let target = Target { mapping: &core, namespace: "", name: &name, subresource: "" };
        let node = session.get(&target).await?;
        let allocatable = node.pointer("/status/allocatable").cloned().unwrap_or_default();
        let (cpu, memory) = (usage(object, "cpu"), usage(object, "memory"));
        let row = Row { namespace: String::new(), names: vec![name], cpu, memory };
        let of = |what: &str| {
            let text = allocatable.get(what).and_then(Value::as_str).unwrap_or_default();
            quantity(text, what == "cpu")
        };
        rows.push((row, of("cpu"), of("memory")));
    }
    rows.sort_by(|left, right| order(&left.0, &right.0, top));
    let mut lines = Vec::new();
    if !top.no_headers {
        let names = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
        lines.push(names.iter().map(|name| (*name).to_owned()).collect());
    }
    let share = |part: i64, whole: i64| match whole {
        0 => "<unknown>".to_owned(),
        whole => format!("{}%", part.saturating_mul(100) / whole),
    };
    lines.extend(rows.into_iter().map(|(row, cpu, memory)| {
        let mut line = row.names;
        line.extend([
            cores(row.cpu),
            share(row.cpu, cpu),
            mebibytes(row.memory),
            share(row.memory, memory),
        ]);
        line
    }));
    session.out(aligned(lines.into_iter()));
    Ok(())
}

async fn read(
    session: &mut Session<'_>,
    top: &Top,
    mapping: &Mapping,
) -> Result<Vec<Value>, Trouble> {
    if let Some(name) = &top.name {
        let namespace = select::home(session, mapping);
        let target = Target { mapping, namespace: &namespace, name, subresource: "" };
        return Ok(vec![session.read(&target, Vec::new(), Accept::Json).await?]);
    }
    let selection = Selection {
        what: What::Types(Vec::new()),
        all_namespaces: top.all_namespaces,
        labels: top.labels.clone(),
        fields: top.fields.clone(),
        enforce_namespace: false,
    };
    select::list(session, &selection, mapping).await
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn usage(object: &Value, what: &str) -> i64 {
    quantity(&text(object, &format!("/usage/{what}")), what == "cpu")
}

/// A quantity in bytes, or in thousandths rounded up.
fn quantity(text: &str, milli: bool) -> i64 {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    let amount = number.parse::<f64>().unwrap_or(0.0) * factor;
    let amount = if milli { (amount * 1000.0).ceil() } else { amount.ceil() };
    crate::unit::whole(amount).and_then(|whole| i64::try_from(whole).ok()).unwrap_or(0)
}

fn order(left: &Row, right: &Row, top: &Top) -> std::cmp::Ordering {
    match top.sort_by.as_str() {
        "cpu" => right.cpu.cmp(&left.cpu),
        "memory" => right.memory.cmp(&left.memory),
        _ => (&left.namespace, &left.names).cmp(&(&right.namespace, &right.names)),
    }
}

fn sort(rows: &mut [Row], top: &Top) {
    rows.sort_by(|left, right| order(left, right, top));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_unit() {
        for (text, milli, expected) in [
            ("250m", true, 250),
            ("1", true, 1000),
            ("1234567n", true, 2),
            ("12Mi", false, 12 << 20),
            ("1k", false, 1000),
            ("", false, 0),
        ] {
            assert_eq!(quantity(text, milli), expected, "{text}");
        }
    }
}
