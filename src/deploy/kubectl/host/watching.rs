//! `kubectl get --watch`: objects told, and told again whenever they change.

use serde_json::{Value, json};

use super::Outcome;
use super::get::hide_managed_fields;
use super::info::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::table::{self, Style};
use super::trouble::Trouble;
use super::watch::Events;
use crate::deploy::cluster::{Accept, Failure, Mapping, Target};
use crate::deploy::kubectl::print::{aligned_on, print_object};
use crate::deploy::kubectl::request::{Get, Output, Watch, What};

/// What is watched: a kind, or one object of it.
struct Watched {
    mapping: Mapping,
    namespace: String,
    name: Option<String>,
}

/// Tells until it is told to stop, or the server ends the watch.
pub async fn run(session: &mut Session<'_>, get: &Get) -> Outcome {
    session.discover().await?;
    let watched = watched(session, get).await?;
    let target = Target {
        mapping: &watched.mapping,
        namespace: &watched.namespace,
        name: "",
        subresource: "",
    };
    let is_table = matches!(get.output, Output::Default | Output::Wide);
    let accept = if is_table { Accept::Table } else { Accept::Json };
    let mut query = select::query(&get.selection);
    if let Some(name) = &watched.name {
        query.retain(|(key, _)| *key != "fieldSelector");
        query.push(("fieldSelector", format!("metadata.name={name}")));
        // One that is not there is an error; many that are not there may come.
        let named = Target { name, ..target };
        session.get(&named).await?;
    }
    let list = session.read(&target, query.clone(), accept).await?;
    let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let version = version.unwrap_or_default().to_owned();
    let mut teller = Teller {
        get,
        mapping: &watched.mapping,
        widths: Vec::new(),
        columns: Value::Null,
        told: false,
    };
    if get.watch == Watch::Yes {
        let items = if is_table { Vec::new() } else { items(&list, &watched.mapping) };
        if is_table {
            teller.tell(session, "ADDED", &list)?;
        }
        for item in items {
            teller.tell(session, "ADDED", &item)?;
        }
    }
    query.push(("watch", "true".to_owned()));
    query.push(("resourceVersion", version));
    let response = session.stream(&target, query, accept).await?;
    follow(session, &mut teller, Events::of(response.into_body())).await
}

async fn follow(session: &mut Session<'_>, teller: &mut Teller<'_>, mut events: Events) -> Outcome {
    loop {
        let event = tokio::select! {
            () = session.cancel().cancelled() => return Err(Failure::Cancelled.into()),
            event = events.next() => event,
        };
        let Some(event) = event else { return Ok(()) };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let object = event.get("object").cloned().unwrap_or_default();
        match kind {
            "BOOKMARK" => {}
            "ERROR" => {
                let why = object.get("message").and_then(Value::as_str).unwrap_or_default();
                return Err(Trouble::text(format!(
                    "unable to decode an event from the watch stream: {why}"
                )));
            }
            kind => teller.tell(session, kind, &object)?,
        }
    }
}

async fn watched(session: &mut Session<'_>, get: &Get) -> Result<Watched, Trouble> {
    let many = || Trouble::text("you may only specify a single resource type");
    if let What::Types(words) = &get.selection.what {
        let mut mappings = select::mappings(session, words)?;
        let Some(mapping) = mappings.pop().filter(|_| mappings.is_empty()) else {
            return Err(many());
        };
        let all = get.selection.all_namespaces;
        let namespace = if all { String::new() } else { select::home(session, &mapping) };
        return Ok(Watched { mapping, namespace, name: None });
    }
    let (mut infos, troubles) = find(session, &get.selection, Read::AsNamed).await?;
    Trouble::all(troubles)?;
    let Some(info) = infos.pop().filter(|_| infos.is_empty()) else { return Err(many()) };
    let Info { mapping, namespace, name, .. } = info;
    Ok(Watched { mapping, namespace, name: Some(name) })
}

fn items(list: &Value, mapping: &Mapping) -> Vec<Value> {
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = |mut item: Value| {
        if let Value::Object(map) = &mut item {
            map.entry("apiVersion").or_insert_with(|| json!(mapping.api_version()));
            map.entry("kind").or_insert_with(|| json!(mapping.kind));
        }
        item
    };
    items.into_iter().map(named).collect()
}

struct Teller<'a> {
    get: &'a Get,
    mapping: &'a Mapping,
    /// Columns are never narrower than they were.
    widths: Vec<usize>,
    /// Told by the server once.
    columns: Value,
    told: bool,
}

impl Teller<'_> {
    fn tell(&mut self, session: &mut Session<'_>, event: &str, object: &Value) -> Outcome {
        let get = self.get;
        if object.get("kind").is_some_and(|kind| kind == "Table") {
            let text = self.table(event, object)?;
            session.out(text);
            return Ok(());
        }
        let mut object = object.clone();
        if !get.managed_fields {
            hide_managed_fields(&mut object);
        }
        if get.watch_events {
            object = json!({"type": event, "object": object});
        }
        if get.output == Output::Yaml && self.told {
            session.out("---\n");
        }
        self.told = true;
        let text = print_object(&object, &get.output, "", false).map_err(Trouble::text)?;
        session.out(text);
        Ok(())
    }

    fn table(&mut self, event: &str, table: &Value) -> Result<String, Trouble> {
        let get = self.get;
        let style = Style {
            wide: get.output == Output::Wide,
            namespace: get.selection.all_namespaces && self.mapping.namespaced,
            kind: get.show_kind.then(|| self.mapping.type_name()),
            headers: !get.no_headers && !self.told,
            labels: get.show_labels,
            label_columns: &get.label_columns,
            sort_by: None,
        };
        let mut table = table.clone();
        match table.get_mut("columnDefinitions") {
            Some(columns) if columns.as_array().is_some_and(|columns| !columns.is_empty()) => {
                self.columns = columns.clone();
            }
            Some(columns) => *columns = self.columns.clone(),
            None => {}
        }
        let mut lines = table::lines(&[&table], &style).map_err(Trouble::text)?;
        if get.watch_events {
            for (n, line) in lines.iter_mut().enumerate() {
                let first = if n == 0 && style.headers { "EVENT" } else { event };
                line.insert(0, first.to_owned());
            }
        }
        self.told |= !lines.is_empty();
        Ok(aligned_on(lines.into_iter(), &mut self.widths))
    }
}
