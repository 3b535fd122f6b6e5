//! The comparisons of filters: Go's template comparisons, kinds and all.

use std::cmp::Ordering;

use serde_json::Value;

/// True when `left OPERATOR right`.
pub fn holds(left: &Value, operator: &str, right: &Value) -> Result<bool, String> {
    match operator {
        "==" => equal(left, right),
        "!=" => equal(left, right).map(|equal| !equal),
        "<" => less(left, right),
        ">" => Ok(!(less(left, right)? || equal(left, right)?)),
        "<=" => Ok(less(left, right)? || equal(left, right)?),
        ">=" => less(left, right).map(|less| !less),
        _ => Err(format!("unrecognized filter operator {operator}")),
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::String(left), Value::String(right)) => Ok(left == right),
        (Value::Number(left), Value::Number(right)) if left.is_f64() == right.is_f64() => {
            Ok(left == right)
        }
        _ => Err(mismatch(left, right)),
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left < right),
        (Value::Number(one), Value::Number(other)) if one.is_f64() == other.is_f64() => {
            let order = match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => Some(one.cmp(&other)),
                _ => one.as_f64().partial_cmp(&other.as_f64()),
            };
            Ok(order == Some(Ordering::Less))
        }
        (Value::Bool(_), Value::Bool(_)) => Err("invalid type for comparison".to_owned()),
        _ => Err(mismatch(left, right)),
    }
}

fn mismatch(left: &Value, right: &Value) -> String {
    let basic =
        |value: &Value| matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
    if basic(left) && basic(right) {
        "incompatible types for comparison".to_owned()
    } else {
        "invalid type for comparison".to_owned()
    }
}
