//! What users send, save and do next.

use serde_json::{Value, json};

use super::support::{Server, plan, run, text};
use crate::load::summary::ErrorCount;
use crate::load::{Event, Traced};
use crate::verdict::Verdict;

/// One round of a single user, however long it takes.
fn once(steps: &str) -> String {
    format!(
        "target: http://127.0.0.1:$PORT\nload: {{ arrivals: 1/s, duration: 500ms, seed: 1 }}\n\
         journeys:\n  - name: j\n    data: {{ users: [{{ name: eric }}] }}\n    steps:\n{steps}"
    )
}

#[tokio::test]
async fn values_of_answers_are_saved_and_used() {
    let server = Server::http(|asked| match asked.line.as_str() {
        "GET /products" => text(200, r#"{"data":[{"id":"a b","n":1},{"id":"a b","n":1}]}"#),
        _ => text(200, "{}"),
    })
    .await;
    let plan = plan(
        &once(
            r#"
      - get: /products
        save: { ids: "$.data[*].id", first: "$.data[0]" }
      - get: "/products/{{ pick(ids) }}"
        name: /products/{id}
      - post: /cart
        headers: { X-User: "{{ pick(users).name }}" }
        json: { id: "{{ first.id }}", n: "{{ first.n }}", text: "n={{ first.n }}" }
      - put: /form
        form: { a: "{{ first.id }}&", b: c }
        repeat: 2
"#,
        ),
        server.port,
    );
    let ran = run(&plan).await;
    assert_eq!(
        server.lines(),
        ["GET /products", "GET /products/a%20b", "POST /cart", "PUT /form", "PUT /form"]
    );
    let asked = server.asked.lock().unwrap();
    let body: Value = serde_json::from_str(&asked[2].body).unwrap();
    assert_eq!(body, json!({ "id": "a b", "n": 1, "text": "n=1" }));
    assert_eq!(asked[2].headers["x-user"], "eric");
    assert_eq!(asked[2].headers["content-type"], "application/json");
    assert_eq!(asked[2].headers["host"], format!("127.0.0.1:{}", server.port));
    assert_eq!(asked[3].body, "a=a%20b%26&b=c");
    let names: Vec<&str> = ran.summary.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["GET /products", "GET /products/{id}", "POST /cart", "PUT /form"]);
    assert_eq!(ran.summary.requests.count, 5);
    assert_eq!(ran.summary.verdict, Verdict::Passed, "{:?}", ran.summary.reasons);
}

#[tokio::test]
async fn a_step_whose_values_are_missing_is_left_out_and_counted() {
    let server = Server::http(|asked| match asked.line.as_str() {
        "GET /broken" => text(200, "no JSON"),
        "GET /empty" => text(200, r#"{"data":[]}"#),
        _ => text(200, r#"{"token":"t"}"#),
    })
    .await;
    let plan = plan(
        &once(
            r#"
      - get: /broken
        save: { ids: "$.data[*].id" }
      - get: "/item/{{ pick(ids) }}"
      - get: /empty
        save: { more: "$.data[*].id" }
      - get: /cart
        when: token
      - steps:
          - get: "/item/{{ pick(more) }}"
          - get: /never
      - get: /login
        save: { token: $.token }
      - get: "/cart/{{ token }}"
        when: token
"#,
        ),
        server.port,
    );
    let ran = run(&plan).await;
    assert_eq!(server.lines(), ["GET /broken", "GET /empty", "GET /login", "GET /cart/t"]);
    assert_eq!(ran.summary.generator.skipped, 2);
    assert_eq!(ran.summary.requests.failed, 2);
    let error = |text: &str| ErrorCount { text: text.to_owned(), count: 1 };
    assert_eq!(
        ran.summary.errors,
        [error("the answer has nothing at `$.data[*].id`"), error("the answer is not JSON"),]
    );
}

#[tokio::test]
async fn cookies_and_redirects_are_followed_each_under_its_name() {
    let server = Server::http(|asked| {
        let mut response = text(200, "");
        let (status, location) = match asked.line.as_str() {
            "POST /login" => (302, "/home?x=1"),
            "GET /far" => (301, "http://127.0.0.1:1/"),
            "GET /loop" => (302, "loop"),
            _ => return response,
        };
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("location", location.parse().unwrap());
        response.headers_mut().append("set-cookie", "session=s; Path=/".parse().unwrap());
        response
    })
    .await;
    let plan = plan(
        &once(
            r"
      - post: /login
        json: { a: 1 }
      - get: /far
      - get: /loop
      - get: /far
        name: kept
        check: { status: 301 }
",
        ),
        server.port,
    );
    let ran = run(&plan).await;
    let lines = server.lines();
    assert_eq!(&lines[..3], ["POST /login", "GET /home?x=1", "GET /far"]);
    assert_eq!(lines.iter().filter(|line| *line == "GET /loop").count(), 6);
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[1].headers["cookie"], "session=s");
    assert!(asked[1].body.is_empty() && !asked[1].headers.contains_key("content-type"));
    let errors: Vec<&str> = ran.summary.errors.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(
        errors,
        ["more than 5 redirects", "redirect to `127.0.0.1:1`, which is not a target of the plan"]
    );
    let kept = ran.summary.endpoints.iter().find(|e| e.name == "GET kept").unwrap();
    assert_eq!((kept.requests.count, kept.requests.failed), (1, 0));
    let home = ran.summary.endpoints.iter().find(|e| e.name == "GET /home").unwrap();
    assert_eq!(home.requests.count, 1);
}

#[tokio::test]
async fn a_connection_is_kept_and_made_anew_after_the_server_closed_it() {
    let server = Server::http(|asked| {
        let mut response = text(200, "x");
        if asked.line == "GET /bye" {
            response.headers_mut().insert("connection", "close".parse().unwrap());
        }
        response
    })
    .await;
    let steps = "\n      - get: /bye\n        repeat: 3\n      - get: /a\n        repeat: 3";
    let ran = run(&plan(&once(steps), server.port)).await;
    assert_eq!(ran.summary.requests.count, 6);
    assert_eq!(ran.summary.requests.failed, 0, "{:?}", ran.summary.errors);
}

#[tokio::test]
async fn journeys_are_walked_by_weight_and_the_start_is_done_once() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { users: 6, spawn-rate: 1000, duration: 1500ms, think: 100ms }\n\
                journeys:\n  - { weight: 2, start: [{ get: /start }], steps: [{ get: /a }] }\n  \
                - { steps: [{ get: /b }] }";
    let ran = run(&plan(yaml, server.port)).await;
    let count = |name: &str| {
        ran.summary.endpoints.iter().find(|e| e.name == name).map(|e| e.requests.count)
    };
    assert_eq!(count("GET /start"), Some(4));
    let (a, b) = (count("GET /a").unwrap(), count("GET /b").unwrap());
    assert!(a > b && b >= 2, "{a} {b}");
}

#[tokio::test]
async fn the_acme_shopper_does_its_round_as_the_original() {
    let server = Server::http(|asked| {
        let body = match asked.line.as_str() {
            "POST /login/" => json!({ "token": "u1" }),
            "GET /products" => json!({ "data": [{ "id": "p1" }] }),
            "GET /products/p1" => json!({ "data": {
                "id": "p1", "name": "Yoga Mat", "price": 62.5,
                "imageUrl1": "/i/1.jpg", "imageUrl2": "/i/2.jpg", "imageUrl3": "/i/3.jpg"
            } }),
            _ => json!({}),
        };
        text(200, &body.to_string())
    })
    .await;
    // One arrival walks through start and one round; its pauses are cut short.
    let yaml = include_str!("../../../config/plans/acme.yaml")
        .replace("$FRONTEND_TARGET", "127.0.0.1:$PORT")
        .replace("users: 250, spawn-rate: 25, duration: 1m", "arrivals: 1/s, duration: 500ms")
        .replace("0.5s..3s", "1ms..2ms");
    let ran = run(&plan(&yaml, server.port)).await;
    let (list, product) = ("GET /products", "GET /products/p1");
    let add = [list, product, "POST /cart/item/add/u1"];
    let mut expected = vec!["POST /login/", list, list, product, list, product];
    expected.extend([list, product, "GET /i/1.jpg", "GET /i/2.jpg", "GET /i/3.jpg"]);
    expected.extend(["GET /", "GET /", "POST /login/"]);
    expected.extend(add);
    expected.extend(add);
    expected.extend([list, "POST /cart/item/modify/u1"]);
    expected.extend(["GET /cart/items/u1", "POST /order/add/u1"]);
    assert_eq!(expected.len(), 1 + 23);
    assert_eq!(server.lines(), expected);
    assert_eq!(ran.summary.requests.failed, 0);
    let asked = server.asked.lock().unwrap();
    let cart: Value = serde_json::from_str(&asked[16].body).unwrap();
    let quantity = cart["quantity"].as_i64().unwrap();
    assert!((1..=2).contains(&quantity));
    assert_eq!(
        (&cart["name"], &cart["price"], &cart["itemid"]),
        (&json!("Yoga Mat"), &json!(62.5), &json!("p1"))
    );
}

#[tokio::test]
async fn checks_fail_requests_by_name_and_values_come_from_anywhere_in_an_answer() {
    let server = Server::http(|asked| {
        let mut response = text(200, r#"{"ok":true,"items":3} <a href="/p/1"><a href="/p/2">"#);
        if asked.line == "GET /json" {
            response = text(200, r#"{"ok":true,"items":3}"#);
        }
        let headers = response.headers_mut();
        headers.insert("x-token", "t1".parse().unwrap());
        headers.append("set-cookie", "sid=s1; Path=/".parse().unwrap());
        response
    })
    .await;
    let plan = plan(
        &once(
            r#"
      - get: /page
        save: { links: 'all href="/p/(\d+)"', token: header X-Token, sid: cookie sid, n: 'regex items.:(\d+)' }
        check: { contains: ['"ok"'], header: { x-token: t }, status: 200, time: 10s }
      - get: "/p/{{ links[1] }}?{{ token }}{{ sid }}{{ n }}"
        check: { contains: [nothing], matches: 'items.:\d' }
        save: { never: 'regex (x)' }
      - get: /json
        check: { json: { $.items: "{{ n }}", $.ok: false, $.more: 1 }, name: the cart }
      - get: /later
        when: never
"#,
        ),
        server.port,
    );
    let summary = run(&plan).await.summary;
    assert_eq!(server.lines(), ["GET /page", "GET /p/2?t1s13", "GET /json"]);
    let mut errors: Vec<&str> = summary.errors.iter().map(|e| e.text.as_str()).collect();
    errors.sort_unstable();
    assert_eq!(
        errors,
        ["check failed: body contains `nothing`", "check failed: the cart: $.more is 1"]
    );
    let counts: Vec<(&str, u64, u64)> = summary
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.passes, check.fails))
        .collect();
    assert_eq!(
        counts,
        [
            ("status 200", 1, 0),
            ("body contains `\"ok\"`", 1, 0),
            ("x-token contains `t`", 1, 0),
            ("within 10s", 1, 0),
            ("body contains `nothing`", 0, 1),
            ("body matches `items.:\\d`", 1, 0),
            ("the cart: $.items is {{ n }}", 1, 0),
            ("the cart: $.more is 1", 0, 1),
            ("the cart: $.ok is false", 0, 1),
        ]
    );
    assert_eq!(summary.checks[0].endpoint, "GET /page");
}

#[tokio::test]
async fn steps_are_repeated_chosen_and_left_out_by_conditions() {
    let server = Server::http(|asked| match asked.line.as_str() {
        "GET /job" => text(200, r#"{"state":"running"}"#),
        _ => text(200, r#"{"state":"done"}"#),
    })
    .await;
    let plan = plan(
        &once(
            r#"
      - set: { n: 0, state: none }
      - while: state != 'done' and n < 3
        steps:
          - get: "{{ path }}"
            name: /wait
            set: { n: "{{ plus(n, 1) }}", path: "/{{ pick(ways) }}" }
            save: { state: $.state }
      - repeat: 200
        choose:
          - { get: /often, weight: 3, think: 0s }
          - { steps: [{ get: /seldom, name: /seldom }] }
          - { get: /never, when: n == 0, weight: 1 }
      - { get: /three, when: "n == 3 and not x" }
      - { get: /x, save: { x: $.x }, when: n > 3 }
    end: [{ get: "/bye?{{ counter() }}", name: /bye }]
"#,
        )
        .replace("users: [{ name: eric }]", "ways: [job]"),
        server.port,
    );
    let ran = run(&plan).await;
    let lines = server.lines();
    let n = |line: &str| lines.iter().filter(|known| *known == line).count();
    assert_eq!(n("GET /job"), 3, "{lines:?}");
    let (often, seldom) = (n("GET /often"), n("GET /seldom"));
    assert!(often > seldom && seldom > 10 && often + seldom < 190, "{often} {seldom}");
    assert_eq!((n("GET /never"), n("GET /three"), n("GET /x")), (0, 1, 0));
    assert_eq!(lines.last().map(String::as_str), Some("GET /bye?1"));
    assert_eq!(ran.summary.requests.failed, 0, "{:?}", ran.summary.errors);
}

#[tokio::test]
async fn secrets_are_sent_and_never_told() {
    let server = Server::http(|asked| {
        let mut response = text(if asked.line.contains("back") { 302 } else { 200 }, "");
        let to = format!("/s3cret%20t/{}", asked.line.len());
        response.headers_mut().insert("location", to.parse().unwrap());
        response
    })
    .await;
    let yaml = once(
        r#"
      - { get: /bearer, auth: { bearer: "{{ env.API_TOKEN }}" } }
      - { get: /basic, auth: { basic: { user: eric, password: "{{ env.API_TOKEN }}" } } }
      - { get: "/back?key={{ env.API_TOKEN }}" }
      - { get: "http://127.0.0.1:$PORT/x#{{ env.API_TOKEN }}", headers: { x-y: "\n" } }
"#,
    );
    let yaml =
        yaml.replace("http://127.0.0.1:$PORT/x#", "/x#").replace(r#", headers: { x-y: "\n" }"#, "");
    let plan = plan(&yaml, server.port);
    let ran = run(&plan).await;
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[0].headers["authorization"], "Bearer s3cret t");
    assert_eq!(asked[1].headers["authorization"], "Basic ZXJpYzpzM2NyZXQgdA==");
    assert_eq!(asked[2].line, "GET /back?key=s3cret%20t");
    let told = format!("{plan:?} {:?} {:?}", ran.summary, ran.events);
    assert!(told.contains("GET /[MASKED]/"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn rounds_keep_their_pace() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { users: 1, duration: 1s }\n\
        journeys: [{ pace: 200ms, steps: [{ get: /a }, { get: /b, think: 20ms }], \
        end: [{ get: /end }] }]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    let count =
        |name: &str| summary.endpoints.iter().find(|e| e.name == name).map(|e| e.requests.count);
    assert!(matches!(count("GET /b"), Some(4..=5)), "{:?}", count("GET /b"));
    assert_eq!(count("GET /end"), Some(1));
}

#[tokio::test]
async fn each_row_of_a_unique_feed_is_used_once_over_all_threads() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 4, spawn-rate: 1000, duration: 300ms, think: 20ms, threads: 2 }\n\
        journeys: [{ feed: { who: { file: a.csv, order: unique } }, \
        steps: [{ get: '/{{ who.name }}/{{ who.n }}', name: /x }] }]";
    let ran = run(&plan(yaml, server.port)).await;
    let mut lines = server.lines();
    lines.sort();
    assert_eq!(lines, ["GET /eric/1", "GET /phoebe/2"]);
    assert_eq!(ran.summary.verdict, Verdict::Warned);
    assert!(
        ran.summary.reasons[0].contains("4 users or rounds had none"),
        "{:?}",
        ran.summary.reasons
    );
    let again = yaml.replace("order: unique", "order: unique, at-end: recycle, per: user");
    let ran = run(&plan(&again, server.port)).await;
    assert_eq!(ran.summary.verdict, Verdict::Passed);
    assert!(ran.summary.reasons[0].contains("2 rounds or users took one again"));
    assert!(ran.summary.requests.count > 8);
}

#[tokio::test]
async fn what_the_setup_saves_is_there_for_all_and_the_teardown_comes_last() {
    let server = Server::http(|asked| match asked.line.as_str() {
        "POST /run" => text(200, r#"{"id":"r1"}"#),
        _ => text(200, ""),
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 3, spawn-rate: 1000, duration: 300ms, think: 50ms, threads: 2 }\n\
        setup: [{ post: /run, save: { run: $.id } }]\nteardown: [{ delete: '/run/{{ run }}' }]\n\
        journeys: [{ steps: [{ get: '/a/{{ run }}', name: /a }] }, { steps: [{ get: /b }] }]\n\
        limits: [errors < 1%]";
    let ran = run(&plan(yaml, server.port)).await;
    let lines = server.lines();
    assert_eq!(lines.first().map(String::as_str), Some("POST /run"));
    assert_eq!(lines.last().map(String::as_str), Some("DELETE /run/r1"));
    assert!(lines.iter().filter(|line| *line == "GET /a/r1").count() > 2, "{lines:?}");
    assert!(ran.summary.endpoints.iter().all(|endpoint| !endpoint.name.contains("/run")));
    assert_eq!(ran.summary.verdict, Verdict::Passed, "{:?}", ran.summary.reasons);
    let broken = yaml.replace("$.id", "$.none");
    let ran = run(&plan(&broken, server.port)).await;
    assert_eq!(ran.summary.verdict, Verdict::Inconclusive);
    assert_eq!(
        ran.summary.reasons,
        ["the setup failed: POST /run: the answer has nothing at `$.none`"]
    );
}

#[tokio::test]
async fn a_walk_shows_each_request_and_answer_once() {
    let server = Server::http(|asked| match asked.line.as_str() {
        "GET /list" => text(200, r#"{"ids":[7]}"#),
        _ => text(200, "no"),
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { preset: stress, users: 50, duration: 10m, think: 1m }\nlimits: ['rate > 100/s']\njourneys:\n  \
        - { name: a, weight: 9, steps: [{ get: /list, save: { ids: '$.ids[*]' }, \
        auth: { bearer: '{{ env.API_TOKEN }}' } }, { post: '/{{ pick(ids) }}', json: { a: '{{ env.API_TOKEN }}' } }] }\n  \
        - { name: b, steps: [{ get: /b, check: { contains: [yes] }, save: { x: cookie c } }, { get: '/{{ x }}' }] }";
    let vars = std::collections::BTreeMap::from([
        ("PORT".to_owned(), server.port.to_string()),
        ("API_TOKEN".to_owned(), "s3cret".to_owned()),
    ]);
    let once = crate::load::Overrides { is_once: true, ..crate::load::Overrides::default() };
    let mut plan = crate::load::Plan::build(&super::support::written(yaml), &once, &vars).unwrap();
    super::support::pin(&mut plan);
    let ran = run(&plan).await;
    let told: Vec<Traced> = ran
        .events
        .iter()
        .filter_map(
            |event| if let Event::Traced(traced) = event { Some((**traced).clone()) } else { None },
        )
        .collect();
    let [
        Traced::Journey(a),
        Traced::Exchange(list),
        Traced::Exchange(post),
        Traced::Journey(b),
        Traced::Exchange(bad),
        Traced::LeftOut(why),
    ] = told.as_slice()
    else {
        panic!("{told:#?}")
    };
    assert_eq!((a.as_str(), b.as_str(), why.as_str()), ("a", "b", "`x` is not known"));
    assert!(list.request.contains("authorization: [MASKED]"), "{}", list.request);
    assert_eq!((list.status, list.body.as_str()), (200, r#"{"ids":[7]}"#));
    assert_eq!(list.saved, [("ids".to_owned(), "[7]".to_owned())]);
    assert!(
        post.request.starts_with("POST /7 HTTP/1.1")
            && post.request.ends_with(r#"{"a":"[MASKED]"}"#)
    );
    assert_eq!(bad.failure.as_deref(), Some("check failed: body contains `yes`"));
    assert_eq!(ran.summary.outcome(), crate::outcome::Outcome::Failed);
    assert_eq!(
        ran.summary.reasons,
        ["1 of 3 requests failed", "1 steps were left out: a value was missing"]
    );
    assert!(!format!("{:?}", ran.events).contains("s3cret"));
}
