//! `kubectl create token`.

use serde_json::{Map, Value, json};

use super::Outcome;
use super::get::hide_managed_fields;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Failure, Method, Target};
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{Output, Token};
use crate::deploy::manifest;

/// Asks for a token and tells it, on a line that does not end: it is for `$(…)`.
pub async fn run(session: &mut Session<'_>, token: &Token) -> Outcome {
    session.discover().await?;
    let mapping = session.by_word("serviceaccounts")?;
    let namespace = session.namespace().to_owned();
    let target = Target {
        mapping: &mapping,
        namespace: &namespace,
        name: &token.account,
        subresource: "token",
    };
    let body = manifest::compact(&asked(token));
    let mut made =
        session.send(Method::Post, &target, Vec::new(), Some(body)).await.map_err(failed)?.body;
    hide_managed_fields(&mut made);
    let text = made.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        return Err(Trouble::text("failed to create token: no token in server response"));
    }
    let told = if token.output == Output::Default {
        text.to_owned()
    } else {
        print_object(&made, &token.output, "created", true).map_err(Trouble::text)?
    };
    session.out(told);
    Ok(())
}

fn failed(failure: Failure) -> Trouble {
    if failure == Failure::Cancelled {
        return failure.into();
    }
    Trouble::text(format!("failed to create token: {}", Trouble::from(failure).message()))
}

fn asked(token: &Token) -> Value {
    let mut spec = Map::new();
    if !token.audiences.is_empty() {
        spec.insert("audiences".to_owned(), json!(token.audiences));
    }
    if token.seconds > 0 {
        spec.insert("expirationSeconds".to_owned(), json!(token.seconds));
    }
    if let Some(bound) = &token.bound {
        let mut object = json!({"kind": bound.kind, "apiVersion": "v1", "name": bound.name});
        if let (Value::Object(object), false) = (&mut object, bound.uid.is_empty()) {
            object.insert("uid".to_owned(), json!(bound.uid));
        }
        spec.insert("boundObjectRef".to_owned(), object);
    }
    json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {}, "spec": spec})
}
