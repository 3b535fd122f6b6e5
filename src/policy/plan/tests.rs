//! Plan files: their mistakes with line and column, and files that include files.

use std::collections::BTreeMap;
use std::path::Path;

use super::sheet::Sheet;
use super::*;

/// Reads the first of some files.
pub fn sheet(files: &[(&str, &str)]) -> Result<Sheet, Error> {
    let known: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &Path| {
        let text = known.get(path.to_str().unwrap()).copied();
        text.map(|text| text.as_bytes().to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let vars = [("ACCOUNTS", "/builds/p.tmp/ACCOUNTS"), ("PEM", "-----BEGIN CERTIFICATE-----")];
    let vars: BTreeMap<String, String> =
        vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    read_by(Path::new(files[0].0), &read, &vars)
}

fn build(files: &[(&str, &str)]) -> Result<load::Plan, String> {
    let sheet = sheet(files).map_err(|error| error.to_string())?;
    let vars = BTreeMap::<String, String>::new();
    load::Plan::build(&sheet.written("p".to_owned()), &load::Overrides::default(), &vars)
        .map_err(|error| sheet.locate(error).to_string())
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_there_is() {
    let text = "target: http://a\ncheks: []\nload: { users: many, duration: 1m }\n";
    let error = sheet(&[("perf.yaml", text)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`perf.yaml` has 2 mistakes\n\
         \x20 perf.yaml:2:1: cheks: unknown key `cheks` (did you mean `checks`?)\n\
         \x20 perf.yaml:3:16: load.users: must be a whole number from 0 to 4294967295, not `many`"
    );
}

#[test]
fn the_example_plans_are_plans() {
    for (name, text) in [
        ("acme.yaml", include_str!("../../../config/plans/acme.yaml")),
        ("open.yaml", include_str!("../../../config/plans/open.yaml")),
    ] {
        if let Err(error) = sheet(&[(name, text)]) {
            panic!("{error}");
        }
    }
}

#[test]
fn what_cannot_be_meant_is_told_with_its_line_too() {
    let text = "target: http://a\nload: { users: 1, duration: 1m }\njourneys:\n  - steps:\n      \
                - get: /a\n        save: { ids: \"$.ids\" }\n      - get: \"/b/{{ pick(idz) }}\"\n\
                limits:\n  - p95 GET /c < 1s\n";
    let error = build(&[("perf.yaml", text)]).unwrap_err();
    assert_eq!(
        error,
        "error: `perf.yaml` has 2 mistakes\n  \
         perf.yaml:7:14: journeys[0].steps[1].get: `idz` is not set anywhere: did you mean `ids`?\n  \
         perf.yaml:9:5: limits[0]: no step is named `GET /c`: did you mean `GET /a`?"
    );
}

/// What a gate's plan tells of a check whose keys after its query are these.
fn told(keys: &str) -> String {
    let check = format!("checks:\n  - name: latency\n    source: p\n    query: up\n{keys}");
    let files = [("perf.yaml", "include: [shared/checks.yaml]\n"), ("shared/checks.yaml", &check)];
    let sheet = match sheet(&files) {
        Ok(sheet) => sheet,
        Err(error) => return error.to_string(),
    };
    let vars = BTreeMap::<String, String>::new();
    match gate::Plan::build(sheet.gate(), gate::Overrides::default(), &vars) {
        Ok(_) => "it is a plan".to_owned(),
        Err(mistakes) => sheet.locate_all(&mistakes).to_string(),
    }
}

/// Keys of a check, and what is told of them.
const MISTAKES: &[(&str, &str)] = &[
    (
        "    limit: \"< 200ms\"\n",
        "5:12: checks[0].limit: `< 200ms` does not say how samples become one value: write \
         `p95 < 200ms` or `mean < 200ms`",
    ),
    (
        "    limit: p95 < 200 parsecs\n",
        "5:12: checks[0].limit: `parsecs` is no unit; there are %, m,",
    ),
    ("    limit: p95 < 200 MS\n", "5:12: checks[0].limit: `MS` is no unit; did you mean `ms`?"),
    (
        "    limit: maen < 1\n",
        "5:12: checks[0].limit: `maen` is no way to make one value; did you mean `mean`?",
    ),
    ("    limit: mean 800\n", "5:12: checks[0].limit: `mean 800` has no `<`"),
    ("    step: 1s\n", "2:5: checks[0].limit: is missing; write what must hold: `mean < 800`"),
    ("    limit: mean < 5\n    unit: secs\n", "6:11: checks[0].unit: `secs` is no unit; there are"),
    (
        "    limit: mean < 5\n    warn: mean < 9\n",
        "6:11: checks[0].warn: `mean < 9` lies beyond the limit `mean < 5`",
    ),
    (
        "    limit: mean < 5\n    quality:\n      coverage: 80\n",
        "7:17: checks[0].quality.coverage: `80` is no share; write `90%`",
    ),
    (
        "    limit: mean < 5\n    across: summ\n",
        "6:13: checks[0].across: must be one of `every`, `any`, `mean`, `max`, `min`, `sum`, `count`, \
         not `summ` (did you mean `sum`?)",
    ),
    ("    limit: mean < 5\n    step: 1ms\n", "6:11: checks[0].step: must be at least 1s"),
    (
        "    argo: { success-condition: \"reslt < 1\" }\n",
        "5:32: checks[0].argo.success-condition: `reslt < 1` cannot be read: `reslt` is none of \
         result",
    ),
    (
        "    regression:\n      worse-by: 10\n",
        "6:17: checks[0].regression.worse-by: `10` is no share; write `90%`",
    ),
    (
        "    limit: mean < 5\n    queries: { all: up }\n    value: al\n",
        "7:12: checks[0].value: `al` cannot be read: `al` is none of all",
    ),
    (
        "    limit: mean < 5\ngate:\n  score: { pass: 90 }\n",
        "7:18: gate.score.pass: `90` is no share; write `90%`",
    ),
    ("    limit: mean < 5\ngate:\n  settle: 2h\n", "7:11: gate.settle: at most 1h"),
    (
        "    limit: mean < 5\ngate:\n  window: { explicit: { start: monday, end: now } }\n",
        "7:32: gate.window.explicit.start: `monday` is no time; write `2026-03-01T12:00:00Z`",
    ),
];

#[test]
fn a_mistake_in_a_check_is_told_with_its_file_its_line_and_the_way_out() {
    for (keys, expected) in MISTAKES {
        let told = told(keys);
        assert!(told.contains(&format!("shared/checks.yaml:{expected}")), "{keys}{told}");
    }
}

#[test]
fn files_include_files_by_their_own_paths() {
    let main = "include: [shared/shop.yaml]\nload: { users: 1, duration: 1m }\nlimits: [p95 < 1s]\n\
                journeys: [{ name: own, steps: [{ get: /own }] }]";
    let shop = "target: http://shop\nload: { users: 9, duration: 9m }\ninclude: [../limits.yaml]\n\
                journeys: [{ name: shop, steps: [{ get: /shop }] }]";
    let limits = "limits: [errors < 1%]\n";
    let files = [
        ("plans/p.yaml", main),
        ("plans/shared/shop.yaml", shop),
        ("plans/shared/../limits.yaml", limits),
    ];
    let plan = build(&files).unwrap();
    let names: Vec<&str> = plan.journeys.iter().map(|journey| journey.name.as_str()).collect();
    assert_eq!(names, ["own", "shop"]);
    assert_eq!((plan.n_users(), plan.limits.len()), (1, 2));
    assert_eq!(plan.target.to_string(), "http://shop");
}

#[test]
fn a_mistake_in_an_included_file_is_told_there() {
    let main = "include: [b.yaml, c.yaml]\ntarget: http://a\nload: { users: 1, duration: 1m }\n\
                journeys: [{ steps: [{ get: /own }] }]\n";
    let b = "journeys:\n  - steps: [{ get: /b }]\n  - steps: [{ get: b }]\nlimits: [p95 < 1]\n";
    let files = [("a.yaml", main), ("b.yaml", b), ("c.yaml", "include: [a.yaml, d.yaml]\n")];
    let error = sheet(&files).unwrap_err().to_string();
    assert!(
        error.contains("c.yaml:1:11: include[0]: it includes itself: a.yaml → c.yaml → a.yaml")
    );
    assert!(error.contains("c.yaml:1:19: include[1]: cannot read `d.yaml`: "), "{error}");
    let error = build(&[("a.yaml", main), ("b.yaml", b), ("c.yaml", "")]).unwrap_err();
    assert!(error.contains("b.yaml:3:20: journeys[1].steps[0].get: `b` is not a path"), "{error}");
    assert!(error.contains("b.yaml:4:10: limits[0]: `1` is not a duration"), "{error}");
}

#[test]
fn feeds_are_read_from_beside_their_plan() {
    let main = "include: [sub/b.yaml]\ntarget: http://a\nload: { users: 1, duration: 1m }\n";
    let b = "journeys:\n  - feed: { account: { file: a.csv, order: unique } }\n    \
             steps: [{ get: \"/{{ account.name }}\" }]\n";
    let plan =
        build(&[("p.yaml", main), ("sub/b.yaml", b), ("sub/a.csv", "name\neric\n")]).unwrap();
    assert_eq!(plan.journeys[0].feeds[0].rows.len(), 1);
    let error = build(&[("p.yaml", main), ("sub/b.yaml", b)]).unwrap_err();
    assert!(
        error.contains("sub/b.yaml:2:30: journeys[0].feed.account.file: cannot read"),
        "{error}"
    );
    let files = [("p.yaml", main), ("sub/b.yaml", b), ("sub/a.csv", "name\na,b\n")];
    let error = build(&files).unwrap_err();
    assert!(error.contains("account.file: `sub/a.csv` has 2 fields in line 2"), "{error}");
}

#[test]
fn a_file_may_be_named_by_a_variable_or_be_its_value() {
    let plan = "target: https://a\nload: { users: 1, duration: 1m }\ntls: { ca: $PEM }\n\
                include: [\"$ACCOUNTS\"]\n\
                journeys: [{ feed: { a: { file: \"${ACCOUNTS}.csv\" } }, steps: [{ get: \"/{{ a.n }}\" }] }]\n";
    let files = [
        ("sub/p.yaml", plan),
        ("/builds/p.tmp/ACCOUNTS.csv", "n\n1\n"),
        ("/builds/p.tmp/ACCOUNTS", ""),
    ];
    let read = sheet(&files).unwrap();
    let written = read.written("p".to_owned());
    assert_eq!(written.tls.unwrap().ca.unwrap(), "-----BEGIN CERTIFICATE-----");
    assert_eq!(written.files["/builds/p.tmp/ACCOUNTS.csv"], "n\n1\n");
    let error =
        sheet(&[("p.yaml", &plan.replace("$PEM", "$PIM")), files[1], files[2]]).unwrap_err();
    assert!(
        error.to_string().contains("p.yaml:3:12: tls.ca: the variable `PIM` is not set"),
        "{error}"
    );
}

/// Builds the plan of this number in the documentation.
fn documented(number: usize) -> load::Plan {
    let page = include_str!("../../../docs/plans.md");
    let yaml = page.split("```yaml\n").nth(number);
    let yaml = yaml.and_then(|rest| rest.split("```").next()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let cart = "syntax = \"proto3\"; package shop;\n\
        service Cart { rpc Add(Item) returns (Item); }\n\
        message Item { string name = 1; int32 count = 2; }\n";
    let sheet = sheet(&[
        ("plan.yaml", yaml),
        ("accounts.csv", "name,password\neric,x\n"),
        ("ca.pem", &certificate.pem()),
        ("client.pem", &certificate.pem()),
        ("client.key", &key.serialize_pem()),
        ("photo.jpg", "not really"),
        ("cart.proto", cart),
    ]);
    let sheet = sheet.unwrap();
    let vars = BTreeMap::from([
        ("SHOP".to_owned(), "shop.example".to_owned()),
        ("API_TOKEN".to_owned(), "secret".to_owned()),
        ("CLIENT_SECRET".to_owned(), "secret".to_owned()),
    ]);
    let overrides = load::Overrides::default();
    let plan = load::Plan::build(&sheet.written("plan".to_owned()), &overrides, &vars);
    plan.map_err(|error| sheet.locate(error).to_string()).unwrap()
}

#[test]
fn the_plans_in_the_documentation_are_right() {
    let plan = documented(1);
    assert_eq!((plan.journeys.len(), plan.limits.len()), (1, 5));
    let plan = documented(2);
    let origins: Vec<String> = plan.origins().iter().map(load::plan::Origin::url).collect();
    assert_eq!(
        origins,
        [
            "https://shop.example",
            "https://login.example",
            "wss://shop.example",
            "grpc://cart.example:50051",
            "dns://10.0.0.53",
            "tcp://redis.example:6379"
        ]
    );
    assert!(plan.tls.key.is_some() && !plan.protos.is_empty());
}

#[test]
fn mistakes_in_calls_are_told_with_their_places_and_what_was_meant() {
    let yaml = "target: http://shop\n\
        http: { version: 1, streams: 4 }\n\
        tls: { certificate: ca.pem, server-name: 'a b' }\n\
        load: { users: 1, duration: 1s }\n\
        journeys:\n\
        - steps:\n\
        \x20 - grpc: { call: shop.Cart/Ad, proto: cart.proto }\n\
        \x20   form: { a: b }\n\
        \x20 - grpc: { call: shop.Crt/Add, proto: cart.proto }\n\
        \x20   check: { status: NOTFOUND }\n\
        \x20 - websocket: { connect: /a, send: b }\n\
        \x20 - dns: { name: x }\n\
        \x20 - dns: { name: x, server: 'dns://ns', type: AAA }\n\
        \x20 - tcp: { connect: 'redis' }\n\
        \x20 - { get: /x, tcp: {} }\n\
        \x20 - { post: /x, upload: { fill: zero } }\n";
    let cart =
        "syntax = \"proto3\"; package shop; service Cart { rpc Add(I) returns (I); } message I {}";
    let sheet = sheet(&[("p.yaml", yaml), ("cart.proto", cart), ("ca.pem", "nothing")]).unwrap();
    let vars = BTreeMap::<String, String>::new();
    let overrides = load::Overrides::default();
    let plan = load::Plan::build(&sheet.written("p".to_owned()), &overrides, &vars);
    let told = sheet.locate(plan.unwrap_err()).to_string();
    for says in [
        "p.yaml:2:30: http.streams: it belongs to HTTP/2",
        "p.yaml:3:21: tls.certificate: there is no certificate in it",
        "p.yaml:3:21: tls.certificate: a certificate needs its `key`",
        "p.yaml:3:42: tls.server-name: `a b` is not a host name",
        "p.yaml:7:19: journeys[0].steps[0].grpc.call: `shop.Cart` has no method `Ad`: did you mean `Add`?",
        "p.yaml:8:11: journeys[0].steps[0].form: a step of `grpc` has no such thing",
        "p.yaml:9:19: journeys[0].steps[1].grpc.call: no service is named `shop.Crt`: did you mean `shop.Cart`?",
        "p.yaml:10:22: journeys[0].steps[1].check.status: `NOTFOUND` is no status here: did you mean `NOT_FOUND`?",
        "journeys[0].steps[2].websocket: it needs one of",
        "journeys[0].steps[3].dns.server: the target is no such server: say where, `dns://host:port`",
        "journeys[0].steps[4].dns.type: `AAA` is no type of records: did you mean `AAAA`?",
        "journeys[0].steps[5].tcp.connect: `redis` needs its port",
        "journeys[0].steps[6]: a step is one request or one of",
        "journeys[0].steps[7].upload: it needs a `file`, or a `size`",
    ] {
        assert!(told.contains(says), "`{says}` is missing:\n{told}");
    }
}

/// A plan with something of everything.
const WHOLE: &str = r#"include: [more.yaml]
target: http://shop.example:8080/base
http: { version: 2, streams: 3 }
load:
  stages:
    - { name: warm, users: 5, hold: 10s }
    - { name: peak, users: 50, ramp: 10s, hold: 1m, judge: true }
  timeout: 5s
setup:
  - { get: /health, check: { status: 200 } }
journeys:
  - name: buy
    weight: 2
    think: 0.5s..2s
    data: { names: [eric, phoebe] }
    feed: { account: { file: a.csv, order: unique } }
    headers: { x-id: "{{ uuid() }}" }
    steps:
      - &list
        get: /products
        tags: [read]
        save: { ids: "$.data[*].id", first: 'regex id=(\d+)' }
      - repeat: 2
        when: first < 3 and account
        steps: [*list, { get: "/products/{{ pick(ids) }}", name: "/products/{id}" }]
      - post: /cart
        json: { name: "{{ pick(names) }}", n: "{{ random(1, 2) }}" }
        check: { status: [200, 201], json: { $.ok: true }, time: 2s }
limits:
  - p95 < 300ms during peak
  - p99 GET /products < 1s or abort
  - errors < 1% over 10s
"#;

/// Changes a text as somebody does who types: letters, lines, indents.
fn mistyped(text: &str, changes: &[(u8, usize, char)]) -> String {
    let mut text = text.to_owned();
    for (what, at, with) in changes {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let n = lines.len().max(1);
        match what {
            0 if !lines.is_empty() => drop(lines.remove(at % n)),
            1 if !lines.is_empty() => lines.insert(at % n, lines[(at / 7) % n].clone()),
            2 if !lines.is_empty() => lines.swap(at % n, (at / 7) % n),
            3 if !lines.is_empty() => lines[at % n].insert(0, ' '),
            4 if lines.get(at % n).is_some_and(|line| line.starts_with(' ')) => {
                lines[at % n].replace_range(..1, "");
            }
            _ => {
                let mut letters: Vec<char> = text.chars().collect();
                let at = at % letters.len().max(1);
                match what {
                    5 => letters.insert(at, *with),
                    6 if !letters.is_empty() => drop(letters.remove(at)),
                    _ if !letters.is_empty() => letters[at] = *with,
                    _ => {}
                }
                text = letters.into_iter().collect();
                continue;
            }
        }
        text = lines.join("\n");
    }
    text
}

/// True for `file:line:column: …`, of a file that there is.
fn is_placed(line: &str) -> bool {
    let mut parts = line.trim_start().splitn(4, ':');
    let is_file = parts.next().is_some_and(|file| ["p.yaml", "more.yaml"].contains(&file));
    let mut is_number =
        || parts.next().is_some_and(|text| text.parse::<u32>().is_ok_and(|number| number > 0));
    is_file && is_number() && is_number()
}

proptest::proptest! {
    #[test]
    fn a_mistyped_plan_is_a_plan_or_each_of_its_mistakes_is_told_with_its_place(
        changes in proptest::collection::vec(
            (0..9_u8, proptest::prelude::any::<usize>(), proptest::sample::select("\t :-,#&*!|>'\"{}[]%@`$.<0aZ\u{e9}\u{0}".chars().collect::<Vec<_>>())),
            1..5,
        ),
    ) {
        let text = mistyped(WHOLE, &changes);
        let more = "limits: [rate > 5/s]\n";
        let begun = std::time::Instant::now();
        let built = build(&[("p.yaml", &text), ("more.yaml", more), ("a.csv", "name\neric\n")]);
        proptest::prop_assert!(begun.elapsed() < std::time::Duration::from_secs(10));
        if let Err(told) = built {
            let mistakes: Vec<&str> = told.lines().filter(|line| line.starts_with("  ")).collect();
            proptest::prop_assert!(!mistakes.is_empty(), "{}\n{}", told, text);
            for mistake in mistakes {
                proptest::prop_assert!(is_placed(mistake), "{}\n{}", told, text);
            }
        }
    }
}

#[test]
fn the_plan_that_is_mistyped_is_one() {
    build(&[("p.yaml", WHOLE), ("more.yaml", ""), ("a.csv", "name\neric\n")]).unwrap();
}
