//! Metric services through the whole program: a job asks, the driver adds the policy's keys, and
//! stand-ins that look at what they are asked answer or refuse.

use crate::standins::backends::{
    CloudWatch, Datadog, Dynatrace, Journal, Metric, NewRelic, Signer,
};
use crate::support::{Ending, Job, Runner, Station};

/// What is asked of a service, in its language, and what its answers have to come to.
struct Case<'a> {
    name: &'a str,
    /// The policy's entries: the right one, and wrong ones with the service's words on them.
    source: String,
    wrong: Vec<(String, &'a str)>,
    /// How long the window is, and how often there is a sample.
    times: (&'a str, &'a str),
    /// One series of 0.5.
    one: &'a str,
    /// Two series, the worse one of 0.9.
    two: &'a str,
    /// Nothing of that name, and what is said of it.
    unknown: (&'a str, &'a str),
    /// Nothing but null.
    nulls: &'a str,
    /// No query, and what the service says of it.
    broken: (&'a str, &'a str),
    secrets: &'a [&'a str],
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::new("cpu", &[("web", Some(0.5)), ("db", Some(0.9))]),
        Metric::new("busy", &[("web", Some(0.5))]),
        Metric::new("cpu.web", &[("web", Some(0.5))]),
        Metric::new("gone", &[("web", None)]),
    ]
}

impl Case<'_> {
    fn policy(&self, station: &Station) -> String {
        let mut sources = format!("  right: {{ {} }}\n", self.source);
        let mut names = vec!["wavefront".to_owned(), "right".to_owned()];
        for (at, (wrong, _)) in self.wrong.iter().enumerate() {
            sources.extend([format!("  wrong-{at}: {{ {wrong} }}\n")]);
            names.push(format!("wrong-{at}"));
        }
        let granted = format!("sources: [{}]", names.join(", "));
        let policy = station.policy().replacen("sources:\n", &format!("sources:\n{sources}"), 1);
        policy.replacen("sources: [wavefront]", &granted, 1)
    }

    /// A line that writes a plan, and one that asks the gate.
    fn gate(&self, name: &str, source: &str, query: &str, limit: &str) -> [String; 2] {
        let (window, step) = self.times;
        [
            format!(
                "cat > {name}.yaml <<'YAML'\nchecks:\n  - name: {name}\n    source: {source}\n    \
                 query: '{query}'\n    limit: {limit}\n    step: {step}\n    \
                 quality: {{ coverage: 50% }}\n\
                 gate: {{ window: {{ last: {window} }}, settle: 1s }}\nYAML"
            ),
            format!("code=0; dyno gate {name}.yaml || code=$?; echo \"{name} ended with $code\""),
        ]
    }

    #[track_caller]
    fn run(&self, station: &Station) -> Job {
        let mut lines = Vec::new();
        for (name, query, limit) in [
            ("holds", self.one, "mean < 0.6"),
            ("breaks", self.one, "mean < 0.4"),
            ("worst", self.two, "mean < 0.8"),
            ("unknown", self.unknown.0, "mean < 0.8"),
            ("nulls", self.nulls, "mean < 0.8"),
            ("broken", self.broken.0, "mean < 0.8"),
        ] {
            lines.extend(self.gate(name, "right", query, limit));
        }
        for at in 0..self.wrong.len() {
            let source = format!("wrong-{at}");
            lines.extend(self.gate(&source, &source, self.one, "mean < 0.8"));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let job = Runner::within(&station.lab, &self.policy(station)).step("script", &lines).run();
        assert_eq!(job.ending, Ending::Success, "{}: {}", self.name, job.log);
        job
    }

    #[track_caller]
    fn check(&self, station: &Station) {
        let job = self.run(station);
        let mut parts = vec![
            "[passed] holds: mean 0.5 holds `mean < 0.6`".to_owned(),
            "[failed] breaks: mean 0.5 breaks `mean < 0.4`".to_owned(),
            "[failed] worst: worst mean of 2 series 0.9 breaks".to_owned(),
            format!("[inconclusive] unknown: {}", self.unknown.1),
            "[inconclusive] nulls: no samples".to_owned(),
            self.broken.1.to_owned(),
        ];
        parts.extend(self.wrong.iter().map(|(_, words)| (*words).to_owned()));
        let mut codes = vec![
            ("holds".to_owned(), 0),
            ("breaks".to_owned(), 99),
            ("worst".to_owned(), 99),
            ("unknown".to_owned(), 98),
            ("nulls".to_owned(), 98),
            // The query is the job's own; a key that is refused is the platform's.
            ("broken".to_owned(), 2),
        ];
        codes.extend((0..self.wrong.len()).map(|at| (format!("wrong-{at}"), 97)));
        parts.extend(codes.iter().map(|(name, code)| format!("\n{name} ended with {code}\n")));
        for part in parts {
            assert!(job.log.contains(&part), "{}: {part} is not in:\n{}", self.name, job.log);
        }
        for secret in self.secrets {
            assert!(!job.log.contains(secret), "{}: {secret} is in:\n{}", self.name, job.log);
        }
    }
}

/// How often a service answered about a query.
fn answers(journal: &Journal, about: &str) -> usize {
    journal.all().iter().filter(|(status, asked)| *status == 200 && asked.contains(about)).count()
}

#[test]
fn datadog_is_asked_with_both_keys_and_its_refusals_are_told() {
    let station = Station::new(0.5);
    let datadog = Datadog {
        api_key: "the-api-key-of-the-organisation".to_owned(),
        application_key: "the-application-key-of-a-user".to_owned(),
        metrics: metrics(),
        journal: Journal::default(),
    };
    let server = datadog.start().unwrap();
    let key = |name: &str, text: &str| station.lab.secret(name, text).display().to_string();
    let api = key("dd.api", &datadog.api_key);
    let application = key("dd.app", &datadog.application_key);
    let other = key("dd.other", "a-key-that-was-revoked");
    let entry = |api: &str, application: &str| {
        let url = server.url();
        format!(
            "datadog: {{ url: \"{url}\", api-key-file: {api}, application-key-file: {application} }}"
        )
    };
    let case = Case {
        name: "datadog",
        source: entry(&api, &application),
        wrong: vec![
            (entry(&other, &application), "answered 403 Forbidden: Forbidden"),
            (entry(&api, &other), "answered 403 Forbidden: Forbidden"),
        ],
        times: ("60s", "10s"),
        one: "avg:cpu{host:web}",
        two: "avg:cpu{*} by {host}",
        unknown: ("avg:nothing{*}", "no series"),
        nulls: "avg:gone{*}",
        broken: ("avg:cpu", "Error parsing query: unable to parse avg:cpu"),
        secrets: &[&datadog.api_key, &datadog.application_key, "a-key-that-was-revoked"],
    };
    case.check(&station);
    assert!(answers(&datadog.journal, "avg:cpu{host:web}") >= 2);
}

#[test]
fn cloudwatch_verifies_every_signature_and_its_pages_are_put_together() {
    let station = Station::new(0.5);
    let signer = Signer {
        access_key: "AKIDOFTHEPLATFORM".to_owned(),
        secret_key: "the/secret+key-of-the-platform".to_owned(),
        region: "eu-central-1".to_owned(),
        service: "monitoring".to_owned(),
        session: Some("the-session-token".to_owned()),
    };
    let cloudwatch =
        CloudWatch { signer: signer.clone(), metrics: metrics(), journal: Journal::default() };
    let server = cloudwatch.start().unwrap();
    let key = |name: &str, text: &str| station.lab.secret(name, text).display().to_string();
    let secret = key("aws.secret", &signer.secret_key);
    let other = key("aws.other", "a-key-that-was-rotated");
    let session = key("aws.session", "the-session-token");
    let entry = |region: &str, id: &str, secret: &str, more: &str| {
        let url = server.url();
        format!(
            "cloudwatch: {{ url: \"{url}\", sigv4: {{ region: {region}, access-key-id: {id}, \
             secret-key-file: {secret}{more} }} }}"
        )
    };
    let (region, id) = (signer.region.as_str(), signer.access_key.as_str());
    let session = format!(", session-token-file: {session}");
    let case = Case {
        name: "cloudwatch",
        source: entry(region, id, &secret, &session),
        wrong: vec![
            (
                entry(region, id, &other, &session),
                "The request signature we calculated does not match",
            ),
            (entry("us-east-1", id, &secret, &session), "scoped to a valid region"),
            (
                entry(region, "AKIDOTHER", &secret, &session),
                "The security token included in the request is invalid",
            ),
            (
                entry(region, id, &secret, ""),
                "The security token included in the request is invalid",
            ),
        ],
        // A step that is no period of its own.
        times: ("60s", "12s"),
        one: "[{\"Id\":\"m1\",\"MetricStat\":{\"Metric\":{\"Namespace\":\"Shop\",\"MetricName\":\"busy\"},\"Period\":10,\"Stat\":\"Average\"}}]",
        two: "SELECT AVG(cpu) FROM \"Shop\" GROUP BY host",
        unknown: ("SELECT AVG(nothing) FROM \"Shop\"", "no samples"),
        nulls: "SELECT AVG(gone) FROM \"Shop\"",
        broken: ("SELECT cpu", "ValidationError: Error in expression"),
        secrets: &[&signer.secret_key, "a-key-that-was-rotated", "the-session-token"],
    };
    case.check(&station);
    let pages =
        cloudwatch.journal.all().into_iter().filter(|(_, asked)| asked.contains("GROUP BY"));
    assert!(pages.count() > 2, "six values a series are two pages of every answer");
}

#[test]
fn new_relic_is_asked_in_graphql_and_its_errors_inside_of_a_200_are_errors() {
    let station = Station::new(0.5);
    let newrelic = NewRelic {
        key: "NRAK-OFTHEPLATFORM".to_owned(),
        account: 1_234_567,
        metrics: metrics(),
        journal: Journal::default(),
    };
    let server = newrelic.start().unwrap();
    let key = |name: &str, text: &str| station.lab.secret(name, text).display().to_string();
    let right = key("nr.key", &newrelic.key);
    let other = key("nr.other", "NRAK-REVOKED");
    let entry = |account: u64, key: &str| {
        let url = server.url();
        format!("newrelic: {{ url: \"{url}/graphql\", account: {account}, token-file: {key} }}")
    };
    let case = Case {
        name: "newrelic",
        source: entry(newrelic.account, &right),
        wrong: vec![
            (
                entry(newrelic.account, &other),
                "answered 401 Unauthorized: The API key provided is invalid",
            ),
            (entry(7_654_321, &right), "Access denied."),
        ],
        times: ("60s", "10s"),
        one: "SELECT average(cpu) FROM Shop",
        two: "SELECT average(cpu) FROM Shop FACET host",
        unknown: ("SELECT average(nothing) FROM Shop", "no samples: all"),
        nulls: "SELECT average(gone) FROM Shop",
        broken: ("SELECT FROM Shop", "NRQL Syntax Error: Error at line 1"),
        secrets: &[&newrelic.key, "NRAK-REVOKED"],
    };
    case.check(&station);
    assert!(answers(&newrelic.journal, "TIMESERIES 10 seconds") >= 2);
}

#[test]
fn dynatrace_is_asked_in_minutes_and_page_by_page() {
    let station = Station::new(0.5);
    let dynatrace = Dynatrace {
        token: "dt0c01.OFTHEPLATFORM".to_owned(),
        other_token: "dt0c01.FORLOGSONLY".to_owned(),
        metrics: metrics(),
        journal: Journal::default(),
    };
    let server = dynatrace.start().unwrap();
    let key = |name: &str, text: &str| station.lab.secret(name, text).display().to_string();
    let right = key("dt.token", &dynatrace.token);
    let other = key("dt.other", &dynatrace.other_token);
    let revoked = key("dt.revoked", "dt0c01.REVOKED");
    let entry =
        |key: &str| format!("dynatrace: {{ url: \"{}\", token-file: {key} }}", server.url());
    let case = Case {
        name: "dynatrace",
        source: entry(&right),
        wrong: vec![
            (entry(&other), "answered 403 Forbidden: Token is missing required scope"),
            (entry(&revoked), "answered 401 Unauthorized: Token Authentication failed"),
        ],
        times: ("8m", "1m"),
        one: "cpu.web:avg",
        two: "cpu:splitBy(host):avg",
        unknown: ("nothing:avg", "no series"),
        nulls: "gone:avg",
        broken: ("cpu:avg(", "could not be parsed: `cpu:avg(`"),
        secrets: &[&dynatrace.token, &dynatrace.other_token, "dt0c01.REVOKED"],
    };
    case.check(&station);
    assert!(answers(&dynatrace.journal, "a further page") >= 2);
}
