//! Plans as written: what is meant by them, and what is told of their mistakes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::written;
use crate::load::import::{Source, import};
use crate::load::limit::Limit;
use crate::load::model::Kind;
use crate::load::take::Take;
use crate::load::template::{Condition, Names, Template};
use crate::load::{Error, Overrides, Plan, Written};
use crate::unit::{Rate, Span};

fn build(yaml: &str, overrides: &Overrides) -> Result<Plan, Error> {
    let vars = BTreeMap::from([("HOST".to_owned(), "shop.example:8080".to_owned())]);
    Plan::build(&written(yaml), overrides, &vars)
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
            "load",
            "load.duration",
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
    assert_eq!(plan.model.words, "5 users, 5/s starting, for 1m");
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
    assert_eq!(plan.model.words, "250 users, 25/s starting, for 9s");
    let origins: Vec<String> = plan.origins().iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["other:443", "third:444"]);
    assert_eq!((plan.timeout, plan.limits.len()), (Span::seconds(1), 1));
    let open = Overrides { arrivals: Some(Rate(50.0)), ..Overrides::default() };
    let model = build(yaml, &open).unwrap().model;
    assert!(matches!(model.kind, Kind::Arrivals { max_users: 500, .. }), "{model:?}");
    assert_eq!(model.words, "50/s arriving, for 1m");
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
    let plan = Plan::build(&Written::default(), &overrides, &BTreeMap::new()).unwrap();
    assert_eq!(plan.journeys.len(), 1);
    let none = Plan::build(&Written::default(), &Overrides::default(), &BTreeMap::new());
    let text = none.unwrap_err().to_string();
    for key in ["3 mistakes", "target: it is missing", "load.duration: it", "load.users: it"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn a_plan_survives_the_way_to_the_worker() {
    let plan = build(
        "target: http://$HOST\nload: { stages: [{ arrivals: 5/s, ramp: 1s, hold: 1m }], seed: 7 }\n\
         journeys: [{ data: { a: [1] }, steps: [{ post: '/{{ pick(a) }}', json: { b: [1.5] }, \
         check: { status: [2xx, 404] } }] }]\nlimits: [p99.9 < 1s over 10s during stage 1 or abort]",
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
        Plan::build(&written(yaml), &Overrides::default(), &vars).unwrap();
    }
}

#[test]
fn limits_are_aimed_at_stages_tags_and_presets_that_there_are() {
    let yaml = "target: http://$HOST\n\
        load: { stages: [{ users: 5, hold: 1m, name: warm }, { users: 9, ramp: 5s, hold: 1m }] }\n\
        journeys: [{ tags: [shop], steps: [{ get: /a, tags: [read] }, { steps: [{ get: /b }], \
        tags: [write] }] }]\n\
        limits: [p95 < 1s during warm, p95 < 1s during wram, errors tagged read < 1%, \
        errors tagged raed < 1%, p95 < 1s during run, 'capacity > 5/s']";
    let found = mistakes(yaml, &Overrides::default());
    let told: Vec<String> = found.iter().map(|(key, text)| format!("{key}: {text}")).collect();
    assert_eq!(
        told,
        [
            "limits[1]: no stage is named `wram`: did you mean `warm`?",
            "limits[5]: `capacity` is found by `preset: stress`, `recovery` by `spike`, `drift` by `soak`",
            "limits[3]: no step has the tag `raed`: did you mean `read`?",
        ]
    );
    let stress = "target: http://a\nload: { preset: stress, users: 50, duration: 10m }\n\
        limits: [p95 < 1s over 10s]";
    assert!(mistakes(stress, &Overrides::default())[0].1.contains("leave `over` out"));
    let plan = build(yaml.split("limits").next().unwrap(), &Overrides::default()).unwrap();
    let tagged = |tag: &str| plan.tags[tag].join(" ");
    assert_eq!(
        [tagged("shop"), tagged("read"), tagged("write")],
        ["GET /a GET /b", "GET /a", "GET /b"]
    );
}

proptest! {
    #[test]
    fn no_text_of_a_plan_is_a_panic(text in "[a-z0-9<>=%$./ \"'(){}\\[\\]*é#:,-]{0,40}") {
        drop(text.parse::<Limit>());
        drop(Take::parse(&text));
        drop(crate::load::check::regex(&text));
        let names = Names::new(["ids".to_owned()].into_iter());
        drop(Condition::parse(&text, &names));
        drop(Template::parse(&format!("x {{{{ {text} }}}} y"), &names));
        drop(crate::load::feed::rows("a.csv", &text));
        for source in [Source::Har, Source::Urls, Source::Curl, Source::OpenApi] {
            drop(import(source, "x", &text, Some("http://a")));
        }
        drop(import(Source::Curl, "x", &format!("curl {text}"), None));
        drop(import(Source::Urls, "x", &format!("http://a/{text}"), None));
    }

    #[test]
    fn what_is_imported_is_a_plan_whatever_was_in_it(path in "[a-z0-9{}%?=&\"'$<>-]{0,20}", body in "[a-z{}\"':,\n]{0,20}") {
        let line = format!("curl 'http://a.example/{}' -d '{}'", path.replace('\'', ""), body.replace('\'', ""));
        if let Ok(yaml) = import(Source::Curl, "x", &line, None) {
            let built = build(&yaml, &Overrides::default());
            prop_assert!(built.is_ok(), "{built:?}\n{yaml}");
        }
    }
}
