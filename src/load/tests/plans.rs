//! Plans as written: what is meant by them, and what is told of their mistakes.

use std::collections::BTreeMap;

use super::support::written;
use crate::load::plan::Model;
use crate::load::{Error, Overrides, Plan, Written};
use crate::unit::{Rate, Span};

fn build(yaml: &str, overrides: &Overrides) -> Result<Plan, Error> {
    let vars = BTreeMap::from([("HOST".to_owned(), "shop.example:8080".to_owned())]);
    Plan::build(written(yaml), overrides, &vars)
}

#[track_caller]
fn mistakes(yaml: &str, overrides: &Overrides) -> Vec<(String, String)> {
    match build(yaml, overrides) {
        Err(Error::Plan(mistakes)) => {
            mistakes.0.into_iter().map(|mistake| (mistake.key, mistake.text)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_key() {
    let found = mistakes(
        r#"
target: http://$MISSING/
load: { users: 0, arrivals: 5/s, threads: 0 }
journeys:
  - weight: 0
    steps:
      - get: products
      - get: /a
        post: /b
      - name: nothing
      - steps: [{ get: "/x/{{ unknown }}" }]
        save: { a: $.b }
      - get: /c
        save: { "1x": data }
        check: { status: [200, 6xx] }
        repeat: 0
      - post: /d
        json: { a: "{{ pick( }}" }
        body: text
        headers: { host: x, "a b": y }
        when: never
  - steps: []
limits: ["p95 < 300", "p95 GET /nowhere < 1s"]
"#,
        &Overrides::default(),
    );
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "target",
            "load.threads",
            "load.duration",
            "load",
            "journeys[0].weight",
            "journeys[0].steps[0].get",
            "journeys[0].steps[1]",
            "journeys[0].steps[2]",
            "journeys[0].steps[3].save",
            "journeys[0].steps[4].repeat",
            "journeys[0].steps[4].save.1x",
            "journeys[0].steps[4].check.status",
            "journeys[0].steps[5]",
            "journeys[1].steps",
            "limits[0]",
            "journeys[0].steps[3].steps[0].get",
            "journeys[0].steps[4].save.1x",
            "journeys[0].steps[5].when",
            "journeys[0].steps[5].headers.a b",
            "journeys[0].steps[5].headers.host",
            "journeys[0].steps[5].json",
            "limits[1]",
        ]
    );
    assert!(found[0].1.contains("`MISSING` is not set"), "{found:?}");
}

#[test]
fn the_command_line_replaces_the_file() {
    let yaml = "target: http://$HOST/base/\nload: { users: 5, duration: 1m, timeout: 5s }\n\
                journeys: [{ steps: [{ get: /a }] }]";
    let plan = build(yaml, &Overrides::default()).unwrap();
    assert_eq!(plan.target.to_string(), "http://shop.example:8080/base");
    let closed = |users, rate, seconds| Model::Closed {
        users,
        spawn_rate: Rate(rate),
        duration: Span::seconds(seconds),
    };
    assert_eq!(plan.model, closed(5, 5.0, 60));
    let plan = build(
        yaml,
        &Overrides {
            target: Some("https://other".to_owned()),
            get: vec!["/x".to_owned(), "https://third:444/y".to_owned()],
            users: Some(250),
            spawn_rate: Some(Rate(25.0)),
            duration: Some(Span::seconds(9)),
            timeout: Some(Span::seconds(1)),
            limits: vec!["errors < 1%".to_owned()],
            ..Overrides::default()
        },
    )
    .unwrap();
    assert_eq!(plan.model, closed(250, 25.0, 9));
    let origins: Vec<String> = plan.origins().iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["other:443", "third:444"]);
    assert_eq!((plan.timeout, plan.limits.len()), (Span::seconds(1), 1));
    let open = Overrides { arrivals: Some(Rate(50.0)), ..Overrides::default() };
    let model = build(yaml, &open).unwrap().model;
    assert!(matches!(model, Model::Open { arrivals: Rate(50.0), max_users: 500, .. }), "{model:?}");
    let both = Overrides { users: Some(1), ..open };
    assert!(mistakes(yaml, &both)[0].1.contains("exclude each other"));
}

#[test]
fn without_a_plan_file_flags_are_enough() {
    let overrides = Overrides {
        target: Some("http://h/health".to_owned()),
        users: Some(1),
        duration: Some(Span::seconds(1)),
        ..Overrides::default()
    };
    let plan = Plan::build(Written::default(), &overrides, &BTreeMap::new()).unwrap();
    assert_eq!(plan.journeys.len(), 1);
    let none = Plan::build(Written::default(), &Overrides::default(), &BTreeMap::new());
    let text = none.unwrap_err().to_string();
    for key in ["3 mistakes", "target: it is missing", "load.duration: it", "load.users: it"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn a_plan_survives_the_way_to_the_worker() {
    let plan = build(
        "target: http://$HOST\nload: { arrivals: 5/s, duration: 1m, seed: 7 }\n\
         journeys: [{ data: { a: [1] }, steps: [{ post: '/{{ pick(a) }}', json: { b: [1.5] }, \
         check: { status: [2xx, 404] } }] }]\nlimits: [p99.9 < 1s]",
        &Overrides::default(),
    )
    .unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn the_example_plans_are_right() {
    let vars = BTreeMap::from([
        ("FRONTEND_TARGET".to_owned(), "shop".to_owned()),
        ("TARGET".to_owned(), "shop".to_owned()),
    ]);
    for yaml in [
        include_str!("../../../config/plans/acme.yaml"),
        include_str!("../../../config/plans/open.yaml"),
    ] {
        Plan::build(written(yaml), &Overrides::default(), &vars).unwrap();
    }
}
