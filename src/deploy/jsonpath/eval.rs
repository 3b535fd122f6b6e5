//! A template over a value.

use std::borrow::Cow;

use serde_json::Value;

use super::compare;
use super::parse::{Node, Param, Template};
use crate::deploy::manifest;

type Found<'a> = Vec<Cow<'a, Value>>;

/// What a template prints.
pub fn text(template: &Template, value: &Value, allow_missing: bool) -> Result<String, String> {
    let results = results(template, value, allow_missing)?;
    let mut text = String::new();
    for found in results {
        for (n, value) in found.iter().enumerate() {
            if n > 0 {
                text.push(' ');
            }
            text.push_str(&printed(value));
        }
    }
    Ok(text)
}

/// What a template finds, part by part.
pub fn results<'a>(
    template: &Template,
    value: &'a Value,
    allow_missing: bool,
) -> Result<Vec<Found<'a>>, String> {
    let mut walk = Walk { allow_missing, begin: 0, inside: 0, end: 0, last_end: 0 };
    walk.template(&template.nodes, 0, Cow::Borrowed(value))
}

fn printed(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(_) => go_print(value),
        Value::Array(_) | Value::Object(_) => manifest::compact(value),
    }
}

/// Go's `fmt.Sprint` of a value.
pub fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => manifest::float(float),
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_print).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_print(value))).collect();
            format!("map[{}]", items.join(" "))
        }
    }
}

struct Walk {
    allow_missing: bool,
    begin: u32,
    inside: u32,
    end: u32,
    last_end: usize,
}

impl Walk {
    /// Works off the nodes from `start`; inside of a range, up to its end.
    fn template<'a>(
        &mut self,
        nodes: &[Node],
        start: usize,
        value: Cow<'a, Value>,
    ) -> Result<Vec<Found<'a>>, String> {
        let current = vec![value];
        let mut all = Vec::new();
        let mut at = start;
        while let Some(node) = nodes.get(at) {
            let found = self.walk(current.clone(), node)?;
            if self.end > 0 && self.end <= self.inside {
                self.end -= 1;
                self.last_end = at;
                break;
            }
            if self.begin > 0 {
                self.begin -= 1;
                self.inside += 1;
                if found.is_empty() {
                    // Still walked once, to find the end.
                    self.template(nodes, at + 1, Cow::Owned(Value::Null))?;
                }
                for value in found {
                    all.extend(self.template(nodes, at + 1, value)?);
                }
                self.inside -= 1;
                if self.last_end > at {
                    at = self.last_end;
                }
                at += 1;
                continue;
            }
            all.push(found);
            at += 1;
        }
        Ok(all)
    }

    fn walk<'a>(&mut self, input: Found<'a>, node: &Node) -> Result<Found<'a>, String> {
        match node {
            Node::List(nodes) => self.list(input, nodes),
            Node::Text(text) => Ok(vec![Cow::Owned(Value::String(text.clone()))]),
            Node::Field(name) => self.field(input, name),
            Node::Slice(params) => slices(input, *params),
            Node::Filter { left, right, operator } => self.filter(input, left, right, operator),
            Node::Int(number) => Ok(same(&input, &Value::from(*number))),
            Node::Float(number) => Ok(same(&input, &Value::from(*number))),
            Node::Bool(flag) => Ok(same(&input, &Value::Bool(*flag))),
            Node::Wildcard => Ok(input.into_iter().flat_map(children).collect()),
            Node::Recursive => Ok(recursive(input)),
            Node::Union(lists) => {
                let mut found = Vec::new();
                for nodes in lists {
                    found.extend(self.list(input.clone(), nodes)?);
                }
                Ok(found)
            }
            Node::Identifier(name) => match name.as_str() {
                "range" => {
                    self.begin += 1;
                    Ok(input)
                }
                "end" if self.inside > 0 => {
                    self.end += 1;
                    Ok(Vec::new())
                }
                "end" => Err("not in range, nothing to end".to_owned()),
                _ => Err(format!("unrecognized identifier {name}")),
            },
        }
    }

    fn list<'a>(&mut self, input: Found<'a>, nodes: &[Node]) -> Result<Found<'a>, String> {
        let mut current = input;
        for node in nodes {
            current = self.walk(current, node)?;
        }
        Ok(current)
    }

    fn field<'a>(&mut self, input: Found<'a>, name: &str) -> Result<Found<'a>, String> {
        if input.is_empty() {
            return Ok(input);
        }
        let found: Found<'a> = input.into_iter().filter_map(|value| member(value, name)).collect();
        if found.is_empty() && !self.allow_missing {
            return Err(format!("{name} is not found"));
        }
        Ok(found)
    }

    fn filter<'a>(
        &mut self,
        input: Found<'a>,
        left: &[Node],
        right: &[Node],
        operator: &str,
    ) -> Result<Found<'a>, String> {
        let mut kept = Vec::new();
        for value in input {
            let Some(items) = elements(value.clone()) else {
                return Err(format!(
                    "{} is not array or slice and cannot be filtered",
                    go_print(&value)
                ));
            };
            for item in items {
                let lefts = self.list(vec![item.clone()], left);
                if operator == "exists" {
                    if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                        kept.push(item);
                    }
                    continue;
                }
                let lefts = lefts?;
                let Some(one) = single(&lefts)? else { continue };
                let rights = self.list(vec![item.clone()], right)?;
                let Some(other) = single(&rights)? else { continue };
                if compare::holds(one, operator, other)? {
                    kept.push(item);
                }
            }
        }
        Ok(kept)
    }
}

fn single<'a>(found: &'a [Cow<'_, Value>]) -> Result<Option<&'a Value>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

fn same<'a>(input: &Found<'_>, value: &Value) -> Found<'a> {
    input.iter().map(|_| Cow::Owned(value.clone())).collect()
}

fn member<'a>(value: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match value {
        Cow::Borrowed(Value::Object(map)) => map.get(name).map(Cow::Borrowed),
        Cow::Owned(Value::Object(mut map)) => map.remove(name).map(Cow::Owned),
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    }
}

fn elements(value: Cow<'_, Value>) -> Option<Found<'_>> {
    match value {
        Cow::Borrowed(Value::Array(items)) => Some(items.iter().map(Cow::Borrowed).collect()),
        Cow::Owned(Value::Array(items)) => Some(items.into_iter().map(Cow::Owned).collect()),
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    }
}

fn children(value: Cow<'_, Value>) -> Found<'_> {
    match value {
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Object(map)) => {
            map.into_iter().map(|(_, value)| Cow::Owned(value)).collect()
        }
        // Go's wildcard takes a text's bytes apart.
        Cow::Borrowed(Value::String(text)) => {
            text.bytes().map(|byte| Cow::Owned(Value::from(byte))).collect()
        }
        other @ (Cow::Borrowed(_) | Cow::Owned(_)) => elements(other).unwrap_or_default(),
    }
}

fn recursive(input: Found<'_>) -> Found<'_> {
    let mut found = Vec::new();
    for value in input {
        let inner = children(value.clone());
        if !inner.is_empty() {
            found.push(value);
            found.extend(recursive(inner));
        }
    }
    found
}

fn slices(input: Found<'_>, params: [Param; 3]) -> Result<Found<'_>, String> {
    let mut found = Vec::new();
    for value in input {
        if value.is_null() {
            continue;
        }
        let Some(items) = elements(value.clone()) else {
            let kind = match &*value {
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                Value::Number(number) if number.is_f64() => "float64",
                Value::Number(_) => "int64",
                Value::Null | Value::Array(_) | Value::Object(_) => "map[string]interface {}",
            };
            return Err(format!("{kind} is not array or slice"));
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let [first, last, step] = params;
        let mut from = if first.known { first.value } else { 0 };
        if from < 0 {
            from += length;
        }
        let mut to = if last.known { last.value } else { length };
        if to < 0 || (to == 0 && last.derived) {
            to += length;
        }
        if from == to {
            return Ok(found);
        }
        let out =
            |index: i64| Err(format!("array index out of bounds: index {index}, length {length}"));
        if from >= length || from < 0 {
            return out(from);
        }
        if to > length || to < 0 {
            return out(to - 1);
        }
        if from > to {
            return Err(format!("starting index {from} is greater than ending index {to}"));
        }
        if step.known && step.value <= 0 {
            return Err("step must be > 0".to_owned());
        }
        let index = |number: i64| usize::try_from(number).unwrap_or(0);
        let step = if step.known { index(step.value) } else { 1 };
        let (from, to) = (index(from), index(to));
        found.extend(items.into_iter().take(to).skip(from).step_by(step));
    }
    Ok(found)
}
