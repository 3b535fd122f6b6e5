//! `kubectl top`: what pods and nodes use now, as the metrics API tells it.

use serde_json::Value;

use super::Outcome;
use super::quantity::{Amount, quantity};
use super::select;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Mapping, Target};
use crate::deploy::kubectl::request::{Selection, Top, What};

/// A row before it is laid out.
struct Row {
    namespace: String,
    names: Vec<String>,
    cpu: Amount,
    memory: Amount,
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
        why_empty(session, top).await?;
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
        let sum = |what: &str| containers.iter().map(|one| usage(one, what)).sum::<Amount>();
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
    let cpu: Amount = rows.iter().map(|row| row.cpu).sum();
    let memory: Amount = rows.iter().map(|row| row.memory).sum();
    lines.extend(rows.into_iter().map(|row| {
        let amounts = [cores(row.cpu), mebibytes(row.memory)];
        place(&row.namespace).into_iter().chain(row.names).chain(amounts).collect::<Vec<_>>()
    }));
    if top.sum {
        // kubectl counts the further columns where it writes their headers, and only there.
        let further = usize::from(top.all_namespaces) + usize::from(top.containers);
        let n_blank = 1 + if top.no_headers { 0 } else { further };
        let of = |cells: [String; 2]| {
            vec![String::new(); n_blank].into_iter().chain(cells).collect::<Vec<_>>()
        };
        lines.push(of(["________".to_owned(), "________".to_owned()]));
        lines.push(of([cores(cpu), mebibytes(memory)]));
    }
    padded(&lines)
}

/// Lays a table out as kubectl's own printer of `top` does: the last column is padded too.
fn padded(lines: &[Vec<String>]) -> String {
    let n_columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count() + 3).max().unwrap_or(0).max(6)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            let blank = width.saturating_sub(cell.chars().count());
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', blank));
        }
        text.push('\n');
    }
    text
}

fn cores(amount: Amount) -> String {
    format!("{}m", amount.milli())
}

fn mebibytes(amount: Amount) -> String {
    format!("{}Mi", amount.whole() / (1 << 20))
}

/// Pods without metrics are no absence of pods: kubectl looks at them, and tells which one has none
/// though it is old enough.
async fn why_empty(session: &mut Session<'_>, top: &Top) -> Outcome {
    const NEW: i64 = 120;
    let pods = session.by_word("pods")?;
    let selection = selection(top);
    let pods = select::list(session, &selection, &pods).await?;
    let now = jiff::Timestamp::now();
    for pod in &pods {
        let created = text(pod, "/metadata/creationTimestamp").parse::<jiff::Timestamp>();
        let age = created.map_or(0, |created| (now - created).get_seconds());
        if age > NEW {
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            let age = lasted(age);
            let why = format!("Metrics not available for pod {namespace}/{name}, age: {age}");
            return Err(Trouble::text(why));
        }
    }
    if pods.is_empty() { Ok(()) } else { Err(Trouble::text("metrics not available yet")) }
}

/// Seconds as Go writes them: `1h2m3s`.
fn lasted(seconds: i64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
    let minutes =
        if minutes > 0 || !hours.is_empty() { format!("{minutes}m") } else { String::new() };
    format!("{hours}{minutes}{}s", seconds % 60)
}

async fn nodes(session: &mut Session<'_>, top: &Top, mapping: &Mapping) -> Outcome {
    let objects = read(session, top, mapping).await?;
    if objects.is_empty() {
        session.err("No resources found\n");
        return Ok(());
    }
    let core = session.by_word("nodes")?;
    let mut rows: Vec<(Row, Amount, Amount)> = Vec::new();
    for object in &objects {
        let name = text(object, "/metadata/name");
        let target = Target { mapping: &core, namespace: "", name: &name, subresource: "" };
        let node = session.get(&target).await?;
        let allocatable = node.pointer("/status/allocatable").cloned().unwrap_or_default();
        let (cpu, memory) = (usage(object, "cpu"), usage(object, "memory"));
        let row = Row { namespace: String::new(), names: vec![name], cpu, memory };
        let of = |what: &str| {
            let text = allocatable.get(what).and_then(Value::as_str).unwrap_or_default();
            quantity(text)
        };
        rows.push((row, of("cpu"), of("memory")));
    }
    rows.sort_by(|left, right| order(&left.0, &right.0, top));
    let mut lines = Vec::new();
    if !top.no_headers {
        let names = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
        lines.push(names.iter().map(|name| (*name).to_owned()).collect());
    }
    let share = |part: Amount, whole: Amount| match whole.milli() {
        0 => "<unknown>".to_owned(),
        whole => format!("{}%", part.milli().saturating_mul(100) / whole),
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
    session.out(padded(&lines));
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
    select::list(session, &selection(top), mapping).await
}

fn selection(top: &Top) -> Selection {
    Selection {
        what: What::Types(Vec::new()),
        all_namespaces: top.all_namespaces,
        labels: top.labels.clone(),
        fields: top.fields.clone(),
        enforce_namespace: false,
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn usage(object: &Value, what: &str) -> Amount {
    quantity(&text(object, &format!("/usage/{what}")))
}

fn order(left: &Row, right: &Row, top: &Top) -> std::cmp::Ordering {
    match top.sort_by.as_str() {
        "cpu" => right.cpu.milli().cmp(&left.cpu.milli()),
        "memory" => right.memory.whole().cmp(&left.memory.whole()),
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
    fn ages_are_written_as_go_does() {
        for (seconds, text) in [(121, "2m1s"), (3600, "1h0m0s"), (59, "59s")] {
            assert_eq!(lasted(seconds), text);
        }
    }
}
