//! JSON with templates in its strings: request bodies and variables.

use std::fmt::Write;

use rand::rngs::SmallRng;
use serde_json::Value;

use crate::load::template::{
    Error, Escape, Expression, Missing, Names, Scope, Template, push_escaped,
};

/// A JSON value some of whose strings are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// No template inside; with its text.
    Fixed(Value, String),
    /// One expression: keeps its type.
    Expression(Expression),
    /// A string.
    Text(Template),
    /// A list.
    List(Vec<Tree>),
    /// An object; each key with its JSON text.
    Object(Vec<(String, String, Tree)>),
}

impl Tree {
    /// Compiles a value.
    pub fn parse(value: &Value, names: &Names) -> Result<Self, Error> {
        let tree = match value {
            Value::String(text) => {
                let template = Template::parse(text, names)?;
                match template.as_expression() {
                    Some(expression) => Self::Expression(expression.clone()),
                    None if template.as_fixed().is_some() => return Ok(Self::fixed(value)),
                    None => Self::Text(template),
                }
            }
            Value::Array(list) => {
                let list: Vec<Self> =
                    list.iter().map(|value| Self::parse(value, names)).collect::<Result<_, _>>()?;
                if list.iter().all(Self::is_fixed) {
                    return Ok(Self::fixed(value));
                }
                Self::List(list)
            }
            Value::Object(object) => {
                let mut members = Vec::with_capacity(object.len());
                for (key, value) in object {
                    let text = Value::from(key.as_str()).to_string();
                    members.push((key.clone(), text, Self::parse(value, names)?));
                }
                if members.iter().all(|(_, _, tree)| tree.is_fixed()) {
                    return Ok(Self::fixed(value));
                }
                Self::Object(members)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::fixed(value),
        };
        Ok(tree)
    }

    fn fixed(value: &Value) -> Self {
        Self::Fixed(value.clone(), value.to_string())
    }

    fn is_fixed(&self) -> bool {
        match self {
            Self::Fixed(..) => true,
            Self::Expression(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => false,
        }
    }

    /// Returns the value now.
    pub fn value(&self, scope: Scope<'_>, rng: &mut SmallRng) -> Result<Value, Missing> {
        Ok(match self {
            Self::Fixed(value, _) => value.clone(),
            Self::Expression(expression) => expression.eval(scope, rng)?.into_owned(),
            Self::Text(template) => {
                let mut text = String::new();
                template.render(scope, rng, Escape::None, &mut text)?;
                Value::String(text)
            }
            Self::List(list) => Value::Array(
                list.iter().map(|tree| tree.value(scope, rng)).collect::<Result<_, _>>()?,
            ),
            Self::Object(members) => {
                let mut object = serde_json::Map::new();
                for (key, _, tree) in members {
                    object.insert(key.clone(), tree.value(scope, rng)?);
                }
                Value::Object(object)
            }
        })
    }

    /// Appends the value now as JSON text.
    pub fn write_json(
        &self,
        scope: Scope<'_>,
        rng: &mut SmallRng,
        to: &mut String,
    ) -> Result<(), Missing> {
        match self {
            Self::Fixed(_, text) => to.push_str(text),
            Self::Expression(expression) => {
                match expression.eval(scope, rng)?.as_ref() {
                    Value::String(text) => {
                        to.push('"');
                        push_escaped(to, text, Escape::Json);
                        to.push('"');
                    }
                    // Writing to a string cannot fail.
                    value @ (Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_)) => {
                        let _ = write!(to, "{value}");
                    }
                }
            }
            Self::Text(template) => {
                to.push('"');
                template.render(scope, rng, Escape::Json, to)?;
                to.push('"');
            }
            Self::List(list) => {
                to.push('[');
                for (n, tree) in list.iter().enumerate() {
                    if n > 0 {
                        to.push(',');
                    }
                    tree.write_json(scope, rng, to)?;
                }
                to.push(']');
            }
            Self::Object(members) => {
                to.push('{');
                for (n, (_, key, tree)) in members.iter().enumerate() {
                    if n > 0 {
                        to.push(',');
                    }
                    to.push_str(key);
                    to.push(':');
                    tree.write_json(scope, rng, to)?;
                }
                to.push('}');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_keeps_the_types_of_its_templates_and_both_ways_agree() {
        let mut names = Names::default();
        names.variable("product");
        let written = json!({
            "name": "{{ product.name }}", "price": "{{ product.price }}",
            "text": "a \"{{ product.name }}\"", "quantity": "{{ random(2,2) }}",
            "fixed": [1, null, {"x": "y"}], "list": ["{{ product.tags }}", 1.5]
        });
        let tree = Tree::parse(&written, &names).unwrap();
        let variables = [Some(json!({ "name": "b\"elt\n", "price": 4.5, "tags": [true] }).into())];
        let scope = Scope { variables: &variables, ..Scope::default() };
        let expected = json!({
            "name": "b\"elt\n", "price": 4.5, "text": "a \"b\"elt\n\"", "quantity": 2,
            "fixed": [1, null, {"x": "y"}], "list": [[true], 1.5]
        });
        let mut rng = SmallRng::seed_from_u64(1);
        assert_eq!(tree.value(scope, &mut rng).unwrap(), expected);
        let mut text = String::new();
        tree.write_json(scope, &mut rng, &mut text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
