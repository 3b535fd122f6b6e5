//! `kubectl auth`: what one may do, and who one is.

use serde_json::{Value, json};

use super::Outcome;
use super::describe::rights;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Call, Mapping, Method};
use crate::deploy::kubectl::print::{aligned, print_object};
use crate::deploy::kubectl::request::{CanI, Output};
use crate::deploy::manifest;

const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];
const URL_VERBS: [&str; 8] = ["get", "put", "post", "head", "options", "delete", "patch", "*"];

/// A review of oneself: it reads and changes no object.
async fn review(session: &mut Session<'_>, kind: &str, spec: Value) -> Result<Value, Trouble> {
    let (group, plural) = match kind {
        "SelfSubjectReview" => ("authentication.k8s.io", "selfsubjectreviews"),
        "SelfSubjectRulesReview" => ("authorization.k8s.io", "selfsubjectrulesreviews"),
        _ => ("authorization.k8s.io", "selfsubjectaccessreviews"),
    };
    let mut body = json!({"kind": kind, "apiVersion": format!("{group}/v1"), "metadata": {}});
    if let (Value::Object(body), false) = (&mut body, spec.is_null()) {
        body.insert("spec".to_owned(), spec);
    }
    let call = Call {
        method: Method::Post,
        body: Some(manifest::compact(&body).into_bytes()),
        what: plural.to_owned(),
        ..Call::get(format!("/apis/{group}/v1/{plural}"))
    };
    Ok(session.plain(call).await?)
}

/// Runs `kubectl auth can-i`.
pub async fn can_i(session: &mut Session<'_>, ask: &CanI) -> Outcome {
    session.discover().await?;
    let warn =
        |session: &mut Session<'_>, text: String| session.err(format!("Warning: {text}\n\n"));
    let unknown_verb = format!("verb '{}' is not a known verb", ask.verb);
    let spec = if ask.what.starts_with('/') {
        if !URL_VERBS.contains(&ask.verb.as_str()) {
            warn(session, unknown_verb);
        }
        json!({"nonResourceAttributes": {"path": ask.what, "verb": ask.verb}})
    } else {
        let mapping = session.by_word(&ask.what.to_lowercase()).ok();
        match &mapping {
            None if !["*", "users", "groups"].contains(&ask.what.as_str()) => {
                let (name, group) = ask.what.split_once('.').unwrap_or((&ask.what, ""));
                let place =
                    if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                warn(session, format!("the server doesn't have a resource type '{name}'{place}"));
            }
            Some(Mapping { namespaced: false, group, plural, .. }) if !ask.all_namespaces => {
                let place =
                    if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                warn(session, format!("resource '{plural}' is not namespace scoped{place}"));
            }
            None | Some(_) => {}
        }
        if !ask.all_namespaces && !VERBS.contains(&ask.verb.as_str()) {
            warn(session, unknown_verb);
        }
        let namespace =
            if ask.all_namespaces { String::new() } else { session.namespace().to_owned() };
        json!({"resourceAttributes": {
            "namespace": namespace,
            "verb": ask.verb,
            "group": mapping.as_ref().map(|mapping| mapping.group.clone()).unwrap_or_default(),
            "resource": mapping.map_or_else(|| ask.what.clone(), |mapping| mapping.plural),
            "subresource": ask.subresource,
            "name": ask.name,
        }})
    };
    let review = review(session, "SelfSubjectAccessReview", spec).await?;
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if review.pointer("/status/allowed") == Some(&Value::Bool(true)) {
        if !ask.quiet {
            session.out("yes\n");
        }
        return Ok(());
    }
    let reasons = [text("/status/reason"), text("/status/evaluationError")];
    let reasons: String = reasons
        .iter()
        .filter(|reason| !reason.is_empty())
        .flat_map(|reason| [" - ", reason])
        .collect();
    if !ask.quiet {
        session.out(format!("no{reasons}\n"));
    }
    Err(Trouble::Exit(1, String::new()))
}

/// Runs `kubectl auth whoami`.
pub async fn who_am_i(session: &mut Session<'_>, output: &Output) -> Outcome {
    let mut found = review(session, "SelfSubjectReview", Value::Null).await?;
    if *output != Output::Default {
        super::get::hide_managed_fields(&mut found);
        let text = print_object(&found, output, "", true).map_err(Trouble::text)?;
        session.out(text);
        return Ok(());
    }
    let mut rows = vec![vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()]];
    let user = found.pointer("/status/userInfo");
    let field = |name: &str| user.and_then(|user| user.get(name));
    let list = |value: &Value| {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        format!("[{}]", texts.collect::<Vec<_>>().join(" "))
    };
    for (title, name) in [("Username", "username"), ("UID", "uid")] {
        let text = field(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        rows.extend(text.map(|text| vec![title.to_owned(), text.to_owned()]));
    }
    rows.extend(field("groups").map(|groups| vec!["Groups".to_owned(), list(groups)]));
    let extra = field("extra").and_then(Value::as_object);
    rows.extend(
        extra
            .into_iter()
            .flatten()
            .map(|(key, values)| vec![format!("Extra: {key}"), list(values)]),
    );
    session.out(aligned(rows.into_iter()));
    Ok(())
}

/// Runs `kubectl auth can-i --list`. Of a platform's cluster it would tell what the driver may do,
/// and not what a job gets of that.
pub async fn list(session: &mut Session<'_>, no_headers: bool) -> Outcome {
    if session.is_platforms() {
        return Err(Trouble::text(
            "refused: a list of rights is not told of a cluster of the platform; ask for one right \
             at a time",
        ));
    }
    let namespace = session.namespace().to_owned();
    let found = review(session, "SelfSubjectRulesReview", json!({"namespace": namespace})).await?;
    let status = found.get("status").cloned().unwrap_or_default();
    if status.get("incomplete") == Some(&Value::Bool(true)) {
        let why = status.get("evaluationError").and_then(Value::as_str).unwrap_or_default();
        session.err(format!("warning: the list may be incomplete: {why}\n"));
    }
    let part = |key: &str| status.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let rules = [part("resourceRules"), part("nonResourceRules")].concat();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !no_headers {
        let titles = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];
        rows.push(titles.map(str::to_owned).to_vec());
    }
    rows.extend(rights::rows(&rules));
    session.out(aligned(rows.into_iter()));
    Ok(())
}

/// What of a platform's cluster may be asked by its path: nothing that is an object.
const OPEN: [&str; 6] = ["/version", "/healthz", "/livez", "/readyz", "/openapi", "/apis"];

/// Runs `kubectl get --raw`.
pub async fn raw(session: &mut Session<'_>, path: &str) -> Outcome {
    let place = path.split('?').next().unwrap_or_default();
    let is_group = |rest: &str| rest.trim_matches('/').split('/').count() < 3;
    let is_open = OPEN.iter().any(|open| match place.strip_prefix(open) {
        Some(rest) if *open == "/apis" => is_group(rest),
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => ["/api", "/api/", "/api/v1"].contains(&place),
    });
    let is_plain = !place.contains("..") && !place.contains('%') && !place.contains("//");
    if session.is_platforms() && !(is_open && is_plain) {
        let text = format!(
            "refused: on a cluster of the platform --raw asks for no objects; {path} is not among \
             {}, /api",
            OPEN.join(", ")
        );
        return Err(Trouble::text(text));
    }
    let call = Call { accept: Accept::Text, ..Call::get(path) };
    let body = session.plain(call).await?;
    session.out(body.as_str().unwrap_or_default());
    Ok(())
}
