//! What a template computes with: parts of the object, and what functions make.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::deploy::jsonpath::go_print;
use crate::deploy::manifest::float;

/// A value.
#[derive(Debug, Clone)]
pub enum Val<'a> {
    /// None at all: a key that is missing.
    Nothing,
    /// A part of the object; true while Go would know it as an `interface {}` only.
    Part(&'a Value, bool),
    /// A part of a list.
    Items(&'a [Value]),
    /// A text.
    Text(Rc<str>),
    /// A whole number of a template's own.
    Int(i64),
    /// A byte of a text.
    Byte(u8),
    /// Any other number.
    Float(f64),
    /// A truth value.
    Bool(bool),
}

/// A value looked into.
#[derive(Debug, Clone, Copy)]
pub enum View<'v> {
    /// None at all.
    Nothing,
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'v str),
    /// A list.
    List(&'v [Value]),
    /// A map.
    Map(&'v Map<String, Value>),
}

impl<'a> Val<'a> {
    /// A text as a value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Val::Text(Rc::from(text.as_ref()))
    }

    /// The value inside.
    pub fn view(&self) -> View<'_> {
        match self {
            Val::Nothing => View::Nothing,
            Val::Items(items) => View::List(items),
            Val::Text(text) => View::Text(text),
            Val::Int(number) => View::Int(*number),
            Val::Byte(byte) => View::Int(i64::from(*byte)),
            Val::Float(number) => View::Float(*number),
            Val::Bool(truth) => View::Bool(*truth),
            Val::Part(value, _) => view(value),
        }
    }

    /// What is in an `interface {}`; of an empty one nothing.
    pub fn unboxed(self) -> Self {
        match self {
            Val::Part(Value::Null, _) => Val::Nothing,
            Val::Part(value, _) => Val::Part(value, false),
            other => other,
        }
    }

    /// True for `null` where Go would have an empty interface.
    pub fn is_null(&self) -> bool {
        matches!(self, Val::Part(Value::Null, _))
    }

    /// The name of its type in Go.
    pub fn kind(&self) -> &'static str {
        match self {
            Val::Part(_, true) => "interface {}",
            Val::Int(_) => "int",
            Val::Byte(_) => "uint8",
            _ => self.inner_kind(),
        }
    }

    /// The name of the type of what is inside.
    pub fn inner_kind(&self) -> &'static str {
        match (self, self.view()) {
            (Val::Int(_), _) => "int",
            (Val::Byte(_), _) => "uint8",
            (_, View::Nothing | View::Null) => "<nil>",
            (_, View::Bool(_)) => "bool",
            (_, View::Int(_)) => "int64",
            (_, View::Float(_)) => "float64",
            (_, View::Text(_)) => "string",
            (_, View::List(_)) => "[]interface {}",
            (_, View::Map(_)) => "map[string]interface {}",
        }
    }

    /// True where a condition holds.
    pub fn truth(&self) -> bool {
        match self.view() {
            View::Nothing | View::Null => false,
            View::Bool(truth) => truth,
            View::Int(number) => number != 0,
            View::Float(number) => number != 0.0,
            View::Text(text) => !text.is_empty(),
            View::List(items) => !items.is_empty(),
            View::Map(map) => !map.is_empty(),
        }
    }

    /// A part of it, by key or place.
    pub fn child(value: &'a Value) -> Self {
        Val::Part(value, true)
    }

    /// As Go's `Print` writes it.
    pub fn told(&self) -> String {
        match self.view() {
            View::Nothing | View::Null => "<nil>".to_owned(),
            View::Bool(truth) => truth.to_string(),
            View::Int(number) => number.to_string(),
            View::Float(number) => float(number),
            View::Text(text) => text.to_owned(),
            View::List(items) => {
                let items: Vec<String> = items.iter().map(go_print).collect();
                format!("[{}]", items.join(" "))
            }
            View::Map(_) => match self {
                Val::Part(value, _) => go_print(value),
                _ => String::new(),
            },
        }
    }
}

/// A JSON value looked into.
pub fn view(value: &Value) -> View<'_> {
    match value {
        Value::Null => View::Null,
        Value::Bool(truth) => View::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => View::Int(number),
            None => View::Float(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => View::Text(text),
        Value::Array(items) => View::List(items),
        Value::Object(map) => View::Map(map),
    }
}
