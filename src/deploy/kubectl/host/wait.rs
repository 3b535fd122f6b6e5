//! `kubectl wait`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Outcome;
use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::watch::{self, Followed, Step};
use crate::deploy::jsonpath::{self, Template};
use crate::deploy::kubectl::print::{print_object, type_and_name};
use crate::deploy::kubectl::request::{Output, Wait};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// What is waited for.
enum Condition {
    Created,
    Deleted,
    Status { name: String, value: String },
    Path { template: Template, value: Option<String> },
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "delete" => return Ok(Self::Deleted),
            "create" => return Ok(Self::Created),
            _ => {}
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Self::Status { name: name.to_owned(), value: value.to_owned() });
        }
        let Some(path) = text.strip_prefix("jsonpath=") else {
            return Err(format!("unrecognized condition: \"{text}\""));
        };
        let (path, value) = match split(path).as_slice() {
            [path] => (path.clone(), None),
            [path, value] => {
                let value = value.trim_matches(['\'', '"']);
                if value.is_empty() {
                    return Err("jsonpath wait has to have a value after equal sign, like \
                                --for=jsonpath='{.status.readyReplicas}'=3"
                        .to_owned());
                }
                (path.clone(), Some(value.to_owned()))
            }
            _ => {
                return Err("jsonpath wait format must be \
                            --for=jsonpath='{.status.readyReplicas}'=3 or \
                            --for=jsonpath='{.status.readyReplicas}'"
                    .to_owned());
            }
        };
        let path = jsonpath::relaxed(&path)?;
        if path.is_empty() {
            return Err("jsonpath expression cannot be empty".to_owned());
        }
        Ok(Self::Path { template: Template::parse(&path)?, value })
    }

    fn holds(&self, object: &Value) -> Result<bool, String> {
        match self {
            Self::Created => Ok(true),
            Self::Deleted => Ok(false),
            Self::Status { name, value } => Ok(condition_holds(object, name, value)),
            Self::Path { template, value } => {
                let found = jsonpath::values(template, object, true)?;
                let Some(first) = found.first() else { return Ok(false) };
                let Some(value) = value else { return Ok(true) };
                if found.len() > 1 {
                    return Err("given jsonpath expression matches more than one value".to_owned());
                }
                if first.is_array() || first.is_object() {
                    return Err("jsonpath leads to a nested object or list which is not supported"
                        .to_owned());
                }
                Ok(jsonpath::go_print(first).trim() == value.trim())
            }
        }
    }
}

/// Splits at single `=`; a double one is part of the expression.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '=' && chars.peek() != Some(&'=') {
            parts.push(String::new());
            continue;
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
            if c == '=' {
                last.extend(chars.next());
            }
        }
    }
    parts
}

fn condition_holds(object: &Value, name: &str, value: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, key: &str| {
        condition.get(key).and_then(Value::as_str).unwrap_or_default().to_lowercase()
    };
    let Some(condition) = conditions
        .into_iter()
        .flatten()
        .find(|condition| text(condition, "type") == name.to_lowercase())
    else {
        return false;
    };
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = condition
        .get("observedGeneration")
        .or_else(|| object.pointer("/status/observedGeneration"))
        .and_then(Value::as_i64);
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return false;
    }
    text(condition, "status") == value.to_lowercase()
}

/// Runs `kubectl wait`.
pub async fn run(session: &mut Session<'_>, wait: &Wait) -> Outcome {
    let conditions: Result<Vec<Condition>, String> =
        wait.conditions.iter().map(|text| Condition::parse(text)).collect();
    let conditions = conditions.map_err(Trouble::text)?;
    let limit = wait.timeout_ms.map_or(WEEK, Duration::from_millis);
    let deadline = Instant::now() + limit;
    let creates = conditions.iter().any(|condition| matches!(condition, Condition::Created));
    let deletes = conditions.iter().any(|condition| matches!(condition, Condition::Deleted));
    let (infos, mut troubles) = loop {
        let (infos, mut troubles) = find(session, &wait.selection, Read::Latest).await?;
        let missing = |trouble: &Trouble| matches!(trouble, Trouble::Status(status) if status.reason == "NotFound");
        let absent = troubles.iter().any(missing) || (infos.is_empty() && troubles.is_empty());
        if creates && absent {
            if Instant::now() >= deadline {
                return Err(Trouble::text("timed out waiting for the condition"));
            }
            session.pause(Duration::from_millis(250)).await?;
            continue;
        }
        if deletes {
            troubles.retain(|trouble| !missing(trouble));
        }
        break (infos, troubles);
    };
    if infos.is_empty() && troubles.is_empty() {
        return if deletes { Ok(()) } else { Err(Trouble::text("no matching resources found")) };
    }
    for info in infos {
        match one(session, wait, &info, &conditions, deadline).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

async fn one(
    session: &mut Session<'_>,
    wait: &Wait,
    info: &Info,
    conditions: &[Condition],
    deadline: Instant,
) -> Outcome {
    for condition in conditions {
        until(session, wait, info, (condition, deadline)).await?;
        let text = if wait.output == Output::Default {
            format!("{} condition met\n", type_and_name(&info.object))
        } else {
            print_object(&info.object, &wait.output, "", false).map_err(Trouble::text)?
        };
        session.out(text);
    }
    Ok(())
}

/// Waits until one condition of an object holds.
async fn until(
    session: &mut Session<'_>,
    wait: &Wait,
    info: &Info,
    (condition, deadline): (&Condition, Instant),
) -> Outcome {
    if let Condition::Deleted = condition {
        let uid = info.object.pointer("/metadata/uid");
        return super::delete::gone(session, info, uid, deadline).await;
    }
    let place = || format!("{}/{}", info.mapping.plural, info.name);
    if wait.timeout_ms == Some(0) {
        return if condition.holds(&info.object).map_err(Trouble::text)? {
            Ok(())
        } else {
            Err(Trouble::text(format!("condition not met for {}", place())))
        };
    }
    let followed = watch::follow(session, info, deadline, |_, object| {
        Ok(if condition.holds(object).map_err(Trouble::text)? {
            Step::Done(())
        } else {
            Step::Wait
        })
    })
    .await?;
    match followed {
        Followed::Done(()) => Ok(()),
        Followed::Deleted => {
            Err(Trouble::text(format!("{} \"{}\" not found", info.mapping.resource(), info.name)))
        }
        Followed::TimedOut => {
            Err(Trouble::text(format!("timed out waiting for the condition on {}", place())))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_by_their_value_and_generation() {
        let object = |observed: i64| {
            json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "n": 3,
                "conditions": [{"type": "Available", "status": "True"}]}})
        };
        for (text, observed, holds) in [
            ("condition=Available", 2, true),
            ("condition=available=TRUE", 2, true),
            ("condition=Available=false", 2, false),
            ("condition=Available", 1, false),
            ("condition=Other", 2, false),
            ("jsonpath={.status.n}=3", 2, true),
            ("jsonpath='{.status.n}'=4", 2, false),
            ("jsonpath=.status.n", 2, true),
            ("jsonpath={.status.conditions[?(@.type==\"Available\")].status}=True", 2, true),
            ("jsonpath={.missing}", 2, false),
        ] {
            let text = text.replace('\'', "");
            let condition = Condition::parse(&text).unwrap();
            assert_eq!(condition.holds(&object(observed)), Ok(holds), "{text}");
        }
        assert!(Condition::parse("nope").is_err());
    }
}
