//! `kubectl get`.

use serde_json::{Value, json};

use super::Outcome;
use super::info::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::table::{self, Columns};
use super::trouble::Trouble;
use super::watching;
use crate::deploy::cluster::{Accept, Failure, Mapping, Target};
use crate::deploy::gotemplate::Missing;
use crate::deploy::kubectl::print::type_and_name;
use crate::deploy::kubectl::request::{Get, Output, Watch, What};
use crate::deploy::{gotemplate, jsonpath, manifest};

/// Runs `kubectl get`.
pub async fn run(session: &mut Session<'_>, get: &Get) -> Outcome {
    if get.watch != Watch::No {
        return watching::run(session, get).await;
    }
    match &get.output {
        Output::Default | Output::Wide => tables(session, get).await,
        Output::Name
        | Output::Json
        | Output::Yaml
        | Output::JsonPath(_)
        | Output::JsonPathAsJson(_)
        | Output::GoTemplate(_)
        | Output::CustomColumns(_) => objects(session, get).await,
    }
}

/// Drops what `get` shows only on demand.
pub fn hide_managed_fields(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}

fn ignored(get: &Get, trouble: &Trouble) -> bool {
    get.ignore_not_found
        && matches!(trouble, Trouble::Status(status) if status.reason == "NotFound")
}

async fn objects(session: &mut Session<'_>, get: &Get) -> Outcome {
    let columns = match &get.output {
        Output::CustomColumns(spec) => Some(Columns::parse(spec).map_err(Trouble::text)?),
        Output::JsonPath(template) | Output::JsonPathAsJson(template) => {
            // A mistake in the template is told before the server is asked.
            jsonpath::check(template).map_err(Trouble::text)?;
            None
        }
        Output::GoTemplate(template) => {
            gotemplate::check(template).map_err(Trouble::text)?;
            None
        }
        Output::Default | Output::Wide | Output::Name | Output::Json | Output::Yaml => None,
    };
    let (infos, mut troubles) = if get.subresource.is_empty() {
        find(session, &get.selection, Read::Latest).await?
    } else {
        subresources(session, get).await?
    };
    troubles.retain(|trouble| !ignored(get, trouble));
    if get.single {
        Trouble::all(std::mem::take(&mut troubles))?;
    }
    if infos.is_empty() && get.ignore_not_found {
        return Trouble::all(troubles);
    }
    let mut objects: Vec<Value> = infos.into_iter().map(|info| info.object).collect();
    // What is picked out of an object may be picked out of these too.
    if !get.managed_fields && matches!(get.output, Output::Json | Output::Yaml) {
        objects.iter_mut().for_each(hide_managed_fields);
    }
    if let Some(path) = &get.sort_by {
        table::sort(&mut objects, path, |object| object).map_err(Trouble::text)?;
    }
    if get.output == Output::Name {
        session.out(objects.iter().map(|object| type_and_name(object) + "\n").collect::<String>());
        return Trouble::all(troubles);
    }
    let object = if get.single && objects.len() == 1 {
        objects.pop().unwrap_or_default()
    } else {
        let metadata = json!({"resourceVersion": ""});
        json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": metadata})
    };
    let printed = printed(session, get, columns.as_ref(), &object);
    match printed {
        Ok(text) => session.out(text),
        Err(error) => troubles.push(Trouble::text(error)),
    }
    Trouble::all(troubles)
}

/// An object, or a list of them, in the form that was asked for. What a template printed before it
/// failed is told.
fn printed(
    session: &mut Session<'_>,
    get: &Get,
    columns: Option<&Columns>,
    object: &Value,
) -> Result<String, String> {
    match (&get.output, columns) {
        (_, Some(columns)) => columns.print(object, get.no_headers),
        (Output::Json, None) => Ok(manifest::indented(object) + "\n"),
        (Output::JsonPath(template), None) => jsonpath::render(template, object, get.allow_missing),
        (Output::JsonPathAsJson(template), None) => {
            jsonpath::render_json(template, object, get.allow_missing)
        }
        (Output::GoTemplate(template), None) => {
            let missing = if get.allow_missing { Missing::Allowed } else { Missing::Refused };
            let (text, ended) = gotemplate::render(template, object, missing);
            session.out(text);
            ended.map(|()| String::new())
        }
        (
            Output::Default | Output::Wide | Output::Name | Output::Yaml | Output::CustomColumns(_),
            None,
        ) => Ok(manifest::yaml(object)),
    }
}

/// The parts of the objects that `--subresource` names.
async fn subresources(
    session: &mut Session<'_>,
    get: &Get,
) -> Result<(Vec<Info>, Vec<Trouble>), Trouble> {
    if matches!(get.selection.what, What::Types(_)) {
        return Err(Trouble::text("subresource cannot be used when bulk resources are specified"));
    }
    let (infos, mut troubles) = find(session, &get.selection, Read::AsNamed).await?;
    let mut found = Vec::new();
    for info in infos {
        let target = Target { subresource: &get.subresource, ..info.target() };
        match session.get(&target).await {
            Ok(object) => found.push(Info { object, ..info }),
            Err(failure) => troubles.push(failure.into()),
        }
    }
    Ok((found, troubles))
}

/// A kind's answer: its mapping and the server's table.
struct Answer {
    mapping: Mapping,
    table: Value,
}

async fn tables(session: &mut Session<'_>, get: &Get) -> Outcome {
    session.discover().await?;
    let mut answers: Vec<Answer> = Vec::new();
    let mut troubles: Vec<Trouble> = Vec::new();
    if let What::Types(words) = &get.selection.what {
        for mapping in select::mappings(session, words)? {
            let pieces = if get.sort_by.is_some() {
                select::whole_tables(session, &get.selection, &mapping).await
            } else {
                select::pieces(session, &get.selection, &mapping, Accept::Table).await
            };
            match pieces {
                Ok(pieces) => answers.extend(
                    pieces.into_iter().map(|table| Answer { mapping: mapping.clone(), table }),
                ),
                Err(stop @ Trouble::Network(_)) => return Err(stop),
                Err(trouble) => troubles.push(trouble),
            }
        }
    } else {
        let (infos, built) = find(session, &get.selection, Read::AsNamed).await?;
        troubles.extend(built);
        for info in infos {
            let target = Target { subresource: &get.subresource, ..info.target() };
            match session.read(&target, Vec::new(), Accept::Table).await {
                Ok(table) => answers.push(Answer { mapping: info.mapping, table }),
                Err(
                    stop @ (Failure::Cancelled | Failure::Refused { .. } | Failure::Network(_)),
                ) => {
                    return Err(stop.into());
                }
                Err(failure) => troubles.push(failure.into()),
            }
        }
    }
    troubles.retain(|trouble| !ignored(get, trouble));
    let text = print(get, &answers)?;
    if text.is_empty() && !get.ignore_not_found && troubles.is_empty() {
        let namespaced =
            !get.selection.all_namespaces && answers.iter().all(|answer| answer.mapping.namespaced);
        let place = session.namespace().to_owned();
        session.err(if namespaced {
            format!("No resources found in {place} namespace.\n")
        } else {
            "No resources found\n".to_owned()
        });
    }
    session.out(text);
    Trouble::all(troubles)
}

/// One aligned table for each run of answers of one kind.
fn print(get: &Get, answers: &[Answer]) -> Result<String, Trouble> {
    let several = answers.iter().any(|answer| {
        answers.first().is_some_and(|first| {
            first.mapping.kind != answer.mapping.kind || first.mapping.group != answer.mapping.group
        })
    });
    let mut texts: Vec<String> = Vec::new();
    for group in answers.chunk_by(|left, right| left.mapping == right.mapping) {
        let Some(first) = group.first() else { continue };
        let kind = (several || get.show_kind).then(|| first.mapping.type_name());
        let style = table::Style {
            wide: get.output == Output::Wide,
            namespace: get.selection.all_namespaces && first.mapping.namespaced,
            kind,
            headers: !get.no_headers,
            labels: get.show_labels,
            label_columns: &get.label_columns,
            sort_by: get.sort_by.as_deref(),
        };
        let tables: Vec<&Value> = group.iter().map(|answer| &answer.table).collect();
        let text = match table::print(&tables, &style) {
            Ok(text) => text,
            // A table that cannot be sorted is none, to kubectl.
            Err(_) if get.sort_by.is_some() => String::new(),
            Err(why) => return Err(Trouble::text(why)),
        };
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts.join(if get.no_headers { "" } else { "\n" }))
}
