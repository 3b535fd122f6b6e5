//! deploy.json, the suite in junit.xml, and the namespace and address in dyno.env.

use serde::Serialize;

use crate::deploy::release::{
    Action, Finding, ObjectSummary, Severity, Sources, Summary, Topic, Undone,
};
use crate::report::junit::{Case, Outcome, Suite};
use crate::report::{Error, Folder};
use crate::verdict::Verdict;

const FILE: &str = "deploy.json";
const SUITE: &str = "dyno deploy";
/// Variables of the dotenv report.
const NAMESPACE: &str = "DYNO_DEPLOY_NAMESPACE";
const URL: &str = "DYNO_DEPLOY_URL";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tool: &'static str,
    verdict: Verdict,
    reasons: &'a [String],
    window: Option<Window>,
    server: &'a str,
    namespace: &'a str,
    url: Option<&'a str>,
    plan: bool,
    objects: Vec<ObjectEntry<'a>>,
    findings: Vec<FindingEntry<'a>>,
}

#[derive(Serialize)]
struct Window {
    start: i64,
    end: i64,
}

#[derive(Serialize)]
struct ObjectEntry<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    action: Action,
    ready: bool,
    reason: Option<&'a str>,
    undone: Option<&'a Undone>,
    seconds: f64,
    file: Option<&'a str>,
    line: Option<usize>,
}

#[derive(Serialize)]
struct FindingEntry<'a> {
    severity: Severity,
    topic: Topic,
    text: &'a str,
    hint: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
}

/// Writes a report that says `error`, before anything is asked: a deploy that is killed must not leave
/// an earlier pass behind.
pub fn begin(folder: &Folder) -> Result<(), Error> {
    let reasons = ["the deploy has not finished".to_owned()];
    unfinished(folder, &reasons, (&[], &Sources::default()))
}

/// Writes a report of a deploy that did not come to a summary: it was refused, or could not be read.
pub fn unfinished(
    folder: &Folder,
    reasons: &[String],
    (findings, sources): (&[Finding], &Sources),
) -> Result<(), Error> {
    let document = Document {
        schema: "dyno.deploy/1",
        tool: "deploy",
        verdict: Verdict::Error,
        reasons,
        window: None,
        server: "",
        namespace: "",
        url: None,
        plan: false,
        objects: Vec::new(),
        findings: findings.iter().map(|finding| finding_entry(finding, sources)).collect(),
    };
    folder.write(FILE, json(&document).as_bytes())?;
    folder.merge_junit(&Suite { name: SUITE.to_owned(), cases: vec![whole(reasons)] }).map(drop)
}

fn whole(reasons: &[String]) -> Case {
    Case {
        name: "deploy".to_owned(),
        class: SUITE.to_owned(),
        seconds: 0.0,
        outcome: Outcome::Error(reasons.join("\n")),
    }
}

/// Writes deploy.json, the suite and, where something was deployed, its variables. Returns a warning
/// when an earlier junit.xml could not be kept.
pub fn write(
    folder: &Folder,
    summary: &Summary,
    sources: &Sources,
) -> Result<Option<String>, Error> {
    let document = Document {
        schema: "dyno.deploy/1",
        tool: "deploy",
        verdict: summary.verdict,
        reasons: &summary.reasons,
        window: Some(Window { start: summary.start_ms, end: summary.end_ms }),
        server: &summary.server,
        namespace: &summary.namespace,
        url: summary.url.as_deref(),
        plan: summary.only_shown,
        objects: summary.objects.iter().map(|object| entry(object, sources)).collect(),
        findings: summary.findings.iter().map(|finding| finding_entry(finding, sources)).collect(),
    };
    folder.write(FILE, json(&document).as_bytes())?;
    if !summary.only_shown && summary.verdict <= Verdict::Warned {
        let mut variables = vec![(NAMESPACE.to_owned(), summary.namespace.clone())];
        variables.extend(summary.url.clone().map(|url| (URL.to_owned(), url)));
        folder.merge_dotenv(&variables)?;
    }
    folder.merge_junit(&suite(summary))
}

fn json(document: &Document<'_>) -> String {
    // Every number in it is finite and every key is text: this cannot fail.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

fn entry<'a>(object: &'a ObjectSummary, sources: &'a Sources) -> ObjectEntry<'a> {
    let place = object.object.and_then(|index| sources.locate(index, ""));
    ObjectEntry {
        kind: &object.kind,
        namespace: &object.namespace,
        name: &object.name,
        action: object.action,
        ready: object.ready,
        reason: object.reason.as_deref(),
        undone: object.undone.as_ref(),
        seconds: object.seconds,
        file: place.map(|(file, _)| file),
        line: place.map(|(_, place)| place.line),
    }
}

fn finding_entry<'a>(finding: &'a Finding, sources: &'a Sources) -> FindingEntry<'a> {
    let place = finding.object.and_then(|index| sources.locate(index, &finding.path));
    FindingEntry {
        severity: finding.severity,
        topic: finding.topic,
        text: &finding.text,
        hint: finding.hint.as_deref(),
        file: place.map(|(file, _)| file),
        line: place.map(|(_, place)| place.line),
        column: place.map(|(_, place)| place.column),
    }
}

/// One case an object.
fn suite(summary: &Summary) -> Suite {
    let mut cases: Vec<Case> = summary.objects.iter().map(|object| case(object, summary)).collect();
    let is_told = cases.iter().any(|case| matches!(case.outcome, Outcome::Failed(_)));
    // What is no object's fault has a case of its own.
    if summary.verdict > Verdict::Warned && !is_told {
        cases.push(whole(&summary.reasons));
    }
    Suite { name: SUITE.to_owned(), cases }
}

fn case(object: &ObjectSummary, summary: &Summary) -> Case {
    let found: Vec<&str> = summary
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error && finding.object == object.object)
        .map(|finding| finding.text.as_str())
        .collect();
    let outcome = if !found.is_empty() && object.object.is_some() {
        Outcome::Failed(found.join("\n"))
    } else if object.ready || summary.only_shown {
        Outcome::Passed
    } else if object.action == Action::Skipped {
        Outcome::Skipped("the deploy ended before its turn".to_owned())
    } else if let Some(reason) = &object.reason {
        Outcome::Failed(reason.clone())
    } else {
        Outcome::Skipped("applied, and not followed to its end".to_owned())
    };
    let place = if object.namespace.is_empty() {
        object.name.clone()
    } else {
        format!("{}/{}", object.namespace, object.name)
    };
    Case {
        name: format!("{} {place}", object.kind),
        class: SUITE.to_owned(),
        seconds: object.seconds,
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::release::Ended;

    fn summary(verdict: Verdict, ready: bool) -> Summary {
        Summary {
            verdict,
            ended: Ended::Passed,
            reasons: vec!["Deployment shop/web: it crashed".to_owned()],
            hint: None,
            start_ms: 1_700_000_000_000,
            end_ms: 1_700_000_001_000,
            server: "https://c:6443".to_owned(),
            namespace: "shop".to_owned(),
            url: Some("https://shop.example.com".to_owned()),
            objects: vec![ObjectSummary {
                object: Some(0),
                kind: "Deployment".to_owned(),
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                action: Action::Configured,
                ready,
                reason: (!ready).then(|| "it crashed".to_owned()),
                undone: (!ready).then_some(Undone::Restored),
                seconds: 1.5,
            }],
            findings: Vec::new(),
            only_shown: false,
        }
    }

    #[test]
    fn the_report_holds_what_a_reader_needs() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        begin(&folder).unwrap();
        write(&folder, &summary(Verdict::Failed, false), &Sources::default()).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&folder.read(FILE).unwrap().unwrap()).unwrap();
        assert_eq!(json["schema"], "dyno.deploy/1");
        assert_eq!(json["verdict"], "failed");
        assert_eq!(json["window"]["end"], 1_700_000_001_000_i64);
        let object = &json["objects"][0];
        for (key, value) in [
            ("kind", "Deployment"),
            ("namespace", "shop"),
            ("name", "web"),
            ("action", "configured"),
            ("reason", "it crashed"),
            ("undone", "restored"),
        ] {
            assert_eq!(object[key], value);
        }
        assert_eq!(object["ready"], false);
        let junit = folder.read("junit.xml").unwrap().unwrap();
        assert!(junit.contains("name=\"Deployment shop/web\""), "{junit}");
        assert!(junit.contains("failures=\"1\""), "{junit}");
        assert_eq!(folder.read("dyno.env").unwrap(), None);
    }

    #[test]
    fn a_deploy_that_passed_names_its_namespace_and_address() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        write(&folder, &summary(Verdict::Passed, true), &Sources::default()).unwrap();
        assert_eq!(
            folder.read("dyno.env").unwrap().as_deref(),
            Some("DYNO_DEPLOY_NAMESPACE=shop\nDYNO_DEPLOY_URL=https://shop.example.com\n")
        );
        let junit = folder.read("junit.xml").unwrap().unwrap();
        assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    }
}
