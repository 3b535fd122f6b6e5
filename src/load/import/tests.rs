//! Imported plans are plans: each is read back and built.

use std::collections::BTreeMap;

use super::{Source, import};
use crate::load::plan::{Action, Body};
use crate::load::tests::support::written;
use crate::load::{Overrides, Plan};

/// Imports, reads back and builds; returns the text and each request as `METHOD path name`.
fn check(source: Source, text: &str) -> (String, Vec<String>, Plan) {
    let yaml = import(source, "test", text, None).unwrap();
    let vars = BTreeMap::from([
        ("AUTHORIZATION".to_owned(), "x".to_owned()),
        ("COOKIE".to_owned(), "x".to_owned()),
    ]);
    let plan = match Plan::build(&written(&yaml), &Overrides::default(), &vars) {
        Ok(plan) => plan,
        Err(error) => panic!("{error}\n{yaml}"),
    };
    let told = |step: &crate::load::plan::Step| match &step.action {
        Action::Request(request) => format!("{} {} {}", request.method, request.path, request.name),
        Action::Call(_) | Action::Group(_) | Action::Choice(_) => panic!("{step:?}"),
    };
    let requests = plan.journeys[0].steps.iter().map(told).collect();
    (yaml, requests, plan)
}

fn body(plan: &Plan, n: usize) -> &Body {
    match &plan.journeys[0].steps[n].action {
        Action::Request(request) => &request.body,
        Action::Call(_) | Action::Group(_) | Action::Choice(_) => panic!(),
    }
}

#[test]
fn an_archive_becomes_a_journey_that_takes_ids_from_answers() {
    let entry = |method: &str, url: &str, more: &str, response: &str| {
        format!(
            r#"{{"request":{{"method":"{method}","url":"{url}","headers":[{{"name":"Authorization","value":"Bearer s3cret"}},{{"name":"Cookie","value":"s"}},{{"name":"X-App","value":"1"}}]{more}}},"response":{response}}}"#
        )
    };
    let json = r#"{"status":200,"content":{"mimeType":"application/json","text":"{\"data\":[{\"id\":17},{\"id\":18}],\"own\":\"0123456789abcdef01\"}"}}"#;
    let plain = r#"{"status":200,"content":{"mimeType":"text/html","text":""}}"#;
    let entries = [
        entry("GET", "https://shop.example/", "", plain),
        entry("GET", "https://shop.example/app.js?v=1", "", plain),
        entry("GET", "https://cdn.example/x", "", plain),
        entry("OPTIONS", "https://shop.example/products", "", plain),
        entry("GET", "https://shop.example/products", "", json),
        entry("GET", "https://shop.example/products/18?full=1#top", "", plain),
        entry("GET", "https://shop.example/users/0123456789abcdef01", "", plain),
        entry("GET", "https://shop.example/orders/99", "", r#"{"status":404}"#),
        entry(
            "POST",
            "https://shop.example/cart",
            r#","postData":{"mimeType":"application/json","text":"{\"t\":\"{{x}}\",\"n\":1}"}"#,
            r#"{"status":302,"redirectURL":"/done"}"#,
        ),
        entry("GET", "https://shop.example/done", "", plain),
    ];
    let har = format!(r#"{{"log":{{"entries":[{}]}}}}"#, entries.join(","));
    let (yaml, requests, plan) = check(Source::Har, &har);
    assert_eq!(
        requests,
        [
            "GET / /",
            "GET /products /products",
            "GET /products/{{ pick(ids1_data) }}?full=1 /products/{id}",
            "GET /users/{{ id2_own }} /users/{id}",
            "GET /orders/99 /orders/{id}",
            "POST /cart /cart",
        ]
    );
    assert!(yaml.contains(r#"save: { ids1_data: "$.data[*].id", id2_own: "$.own" }"#), "{yaml}");
    assert!(yaml.contains("# Left out: 1 request to other hosts."), "{yaml}");
    assert!(!yaml.contains("s3cret") && yaml.contains("{{ env.AUTHORIZATION }}"), "{yaml}");
    assert_eq!(plan.target.to_string(), "https://shop.example");
    assert_eq!(*body(&plan, 5), Body::Json(serde_json::json!({ "t": "{{ '{{' }}x}}", "n": 1 })));
}

#[test]
fn a_list_of_urls_becomes_steps() {
    let text = "# pages\nhttps://shop.example/a/123\n\nPOST https://shop.example/b?x=1\n/c\nhttps://o.example/d\n";
    let (_, requests, _) = check(Source::Urls, text);
    assert_eq!(requests, ["GET /a/123 /a/{id}", "POST /b?x=1 /b", "GET /c /c", "GET /d /d"]);
    for (text, says) in [
        ("FETCH http://a/", "line 1: `FETCH` is no method"),
        ("a.example", "line 1: `a.example`"),
        ("/a", "give --target"),
        ("", "no request in it"),
    ] {
        let error = import(Source::Urls, "t", text, None).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(import(Source::Urls, "t", "/a", Some("http://b")).unwrap().contains("http://b"));
}

#[test]
fn curl_lines_become_steps() {
    let text = r#"# a comment
curl -sS 'https://shop.example/a' -H 'X-A: b' --compressed
curl -XPOST https://shop.example/b \
  -H "Content-Type: application/json" -d '{"n": 1}'
curl https://shop.example/form -d a=1 -d 'b=it''s' -u eric:s3cret
curl -G https://shop.example/q -d x=1; curl -I https://shop.example/h
curl https://shop.example/up -F note=hi -F 'pic=@b.bin;type=image/png'
wget x
"#;
    let (yaml, requests, plan) = check(Source::Curl, text);
    assert_eq!(
        requests,
        [
            "GET /a /a",
            "POST /b /b",
            "POST /form /form",
            "GET /q?x=1 /q",
            "HEAD /h /h",
            "POST /up /up"
        ]
    );
    let parts = "multipart: { note: hi, pic: { file: b.bin } }";
    assert!(yaml.contains(parts), "{yaml}");
    assert_eq!(*body(&plan, 1), Body::Json(serde_json::json!({ "n": 1 })));
    assert_eq!(*body(&plan, 2), Body::Text("a=1&b=its".to_owned()));
    assert!(yaml.contains("application/x-www-form-urlencoded"), "{yaml}");
    assert!(!yaml.contains("s3cret") && !yaml.contains("ZXJpYz"), "{yaml}");
    for (text, says) in [
        ("curl -F a http://a/", "curl line 1: `-F a` is not `name=text`"),
        ("curl http://a/\ncurl -Z http://a/", "curl line 2: curl's `-Z` has no counterpart"),
        ("curl -d @file http://a/", "from a file"),
        ("curl 'http://a/", "quote is not closed"),
        ("curl -s", "it has no URL"),
    ] {
        let error = import(Source::Curl, "t", text, None).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_description_becomes_a_smoke_test_of_what_only_reads() {
    let text = r##"
openapi: 3.0.0
servers: [{ url: "https://shop.example/v1/" }]
paths:
  /products:
    get:
      parameters:
        - { name: page, in: query, required: true, schema: { type: integer, default: 2 } }
        - { name: sort, in: query }
      responses: { "200": {}, default: {} }
    post: {}
  /products/{id}:
    parameters: [{ $ref: "#/components/parameters/id" }]
    get: { responses: { "200": {}, "206": {}, "404": {} } }
components:
  parameters:
    id: { name: id, in: path, required: true, example: 7 }
"##;
    let (yaml, requests, plan) = check(Source::OpenApi, text);
    assert_eq!(requests, ["GET /products?page=2 /products", "GET /products/7 /products/{id}"]);
    assert_eq!(plan.target.to_string(), "https://shop.example/v1");
    assert!(yaml.contains("preset: smoke") && yaml.contains("status: [200, 206]"), "{yaml}");
    assert!(yaml.contains("# Left out: 1 operation that changes something."), "{yaml}");
    let old = "swagger: '2.0'\nhost: shop.example\nbasePath: /v2\npaths: { '/u/{id}': { get: { parameters: \
        [{ name: id, in: path, type: string, format: uuid }] } } }";
    let (_, requests, plan) = check(Source::OpenApi, old);
    assert_eq!(requests, ["GET /u/00000000-0000-4000-8000-000000000001 /u/{id}"]);
    assert_eq!(plan.target.to_string(), "https://shop.example/v2");
    let none = import(Source::OpenApi, "t", "a: 1", None).unwrap_err().to_string();
    assert!(none.contains("no `paths`"), "{none}");
}
