//! New Relic's `NerdGraph`: a user key, a GraphQL document with declared variables, NRQL whose
//! mistakes come back inside of a 200.

use regex::Regex;
use serde_json::{Value, json};

use super::{Journal, Metric, NONSENSE, find, now_ms};
use crate::standins::server::{Request, Response, Server, Site};

/// The stand-in.
#[derive(Debug, Clone)]
pub struct NewRelic {
    /// The user's key.
    pub key: String,
    /// The account that the user may see.
    pub account: u64,
    /// Attributes of the event type `Shop`.
    pub metrics: Vec<Metric>,
    /// What it was asked.
    pub journal: Journal,
}

impl NewRelic {
    /// Starts it on a free port.
    pub fn start(&self) -> std::io::Result<Server> {
        Server::start(0, std::sync::Arc::new(self.clone()))
    }

    fn graphql(&self, request: &Request) -> Response {
        let key = request.header("api-key").unwrap_or_default();
        if !key.starts_with("NRAK-") || key != self.key {
            return errors(401, "The API key provided is invalid", "UNAUTHENTICATED");
        }
        if request.header("content-type") != Some("application/json") {
            return errors(400, "the content type is not application/json", "BAD_REQUEST");
        }
        let body = request.json();
        let document = body["query"].as_str().unwrap_or_default();
        if let Err(why) = is_document(document, &body["variables"]) {
            return errors(400, &why, "GRAPHQL_VALIDATION_FAILED");
        }
        if body["variables"]["account"] != self.account {
            let mut response = json!({ "data": { "actor": { "account": null } } });
            response["errors"] = json!([{
                "message": "Access denied.", "path": ["actor", "account"],
                "extensions": { "errorClass": "ACCESS_DENIED" },
            }]);
            return Response::json(200, &response);
        }
        let nrql = body["variables"]["nrql"].as_str().unwrap_or_default();
        match self.results(nrql) {
            Ok(results) => Response::json(
                200,
                &json!({ "data": { "actor": { "account": { "nrql": {
                    "results": results, "metadata": { "facets": null },
                } } } } }),
            ),
            Err(why) => errors(200, &format!("NRQL Syntax Error: {why}"), "INVALID_INPUT"),
        }
    }

    /// An attribute that no event has is null in every bucket.
    fn results(&self, nrql: &str) -> Result<Vec<Value>, String> {
        let grammar = Regex::new(
            r"^SELECT (average|sum|min|max)\((\w+)\) FROM Shop(?: FACET (\w+)(?: LIMIT (MAX|\d+))?)? SINCE (\d+) UNTIL (\d+) TIMESERIES (\d+) seconds$",
        );
        let grammar = grammar.expect("a good pattern");
        let found = grammar
            .captures(nrql)
            .ok_or_else(|| format!("Error at line 1 position 1, unexpected in '{nrql}'"))?;
        let number = |n: usize| found[n].parse::<i64>().map_err(|error| error.to_string());
        let (since, until, step) = (number(5)?, number(6)?, number(7)? * 1000);
        if since >= until || step == 0 || (until - since) / step > 366 {
            return Err("the number of buckets is not between 1 and 366".to_owned());
        }
        let field = format!("{}.{}", &found[1], &found[2]);
        let known = find(&self.metrics, &found[2]);
        let of = known.map_or_else(|| vec![(String::new(), None)], |metric| metric.of.clone());
        // Ten facets unless said otherwise, and nothing tells of the others.
        let limit = match found.get(4).map(|limit| limit.as_str()) {
            None => 10,
            Some("MAX") => of.len(),
            Some(number) => number.parse().unwrap_or(0),
        };
        let facets = if found.get(3).is_some() { limit } else { 1 };
        let mut results = Vec::new();
        // Its buckets begin where the query does.
        let begins = std::iter::successors(Some(since), |begin| Some(begin + step));
        for begin in begins.take_while(|begin| *begin < until) {
            for (host, value) in of.iter().take(facets) {
                let is_over = begin + step <= now_ms() && begin + step <= until;
                let value = if is_over { *value } else { value.map(|_| NONSENSE) };
                let seconds = |ms: i64| json!(ms.div_euclid(1000));
                let mut bucket = json!({
                    "beginTimeSeconds": seconds(begin), "endTimeSeconds": seconds(begin + step),
                });
                bucket[&field] = json!(value);
                if let Some(name) = found.get(3) {
                    bucket["facet"] = json!(host);
                    bucket[name.as_str()] = json!(host);
                }
                results.push(bucket);
            }
        }
        Ok(results)
    }
}

/// The shape that `NerdGraph` asks for: an operation that declares the variables it uses, with the
/// types of the schema, and values of those types.
fn is_document(document: &str, variables: &Value) -> Result<(), String> {
    let words = document.split_whitespace().collect::<Vec<_>>().join(" ");
    let opens = words.matches('{').count();
    if opens == 0 || opens != words.matches('}').count() {
        return Err("Syntax error: unexpected end of document".to_owned());
    }
    for (name, kind) in [("account", "Int!"), ("nrql", "Nrql!")] {
        if !words.contains(&format!("${name}: {kind}")) {
            return Err(format!("Variable `{name}` is not defined as {kind}"));
        }
    }
    let path = Regex::new(
        r"actor \{ account\(id: \$account\) \{ nrql\(query: \$nrql(?:, timeout: \d+)?\) \{ results(?: metadata \{ facets \})? \} \} \}",
    );
    if !path.expect("a good pattern").is_match(&words) {
        return Err("Cannot query field on type \"RootQueryType\"".to_owned());
    }
    if !variables["account"].is_u64() || !variables["nrql"].is_string() {
        return Err("Variable \"account\" has an invalid value".to_owned());
    }
    Ok(())
}

fn errors(status: u16, message: &str, class: &str) -> Response {
    let error = json!({ "message": message, "extensions": { "errorClass": class } });
    Response::json(status, &json!({ "data": null, "errors": [error] }))
}

#[async_trait::async_trait]
impl Site for NewRelic {
    async fn answer(&self, request: Request) -> Response {
        let asked = request.json()["variables"]["nrql"].to_string();
        let response = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/graphql") => self.graphql(&request),
            _ => errors(404, "Not Found", "NOT_FOUND"),
        };
        self.journal.note(&asked, response)
    }
}
