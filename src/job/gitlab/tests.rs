//! The client against GitLab's answers, as its API gives them.

use super::*;
use crate::job::standin::{Act, Standin};

const TOKEN: &str = "glpat-nobody-may-see";

fn found(value: &str) -> Act {
    Act::json("200 OK", &format!(r#"{{"key":"abc","value":"{value}","environment_scope":"*"}}"#))
}

fn missing() -> Act {
    Act::json("404 Not Found", r#"{"message":"404 Variable Not Found"}"#)
}

fn taken() -> Act {
    Act::json(
        "400 Bad Request",
        r#"{"message":{"key":["(VARIABLE_NAME) has already been taken"]}}"#,
    )
}

fn several() -> Act {
    Act::json(
        "409 Conflict",
        r#"{"message":"There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"}"#,
    )
}

struct Ran {
    result: Result<Written, Error>,
    /// Method and path of each request.
    lines: Vec<String>,
    requests: Vec<String>,
}

async fn write(acts: Vec<Act>, project: Project, scope: Option<&str>) -> Ran {
    let standin = Standin::start(acts).await;
    let gitlab = Gitlab::new(&standin.url, None).unwrap();
    let is_protected_ref = false;
    let variable =
        NewVariable { project: &project, key: "abc", value: "passed", scope, is_protected_ref };
    let result = gitlab.write_variable(&Secret::new(TOKEN.to_owned()), variable).await;
    let requests = standin.requests();
    let line = |request: &String| {
        let line = request.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1").replacen("/api/v4/projects/", "", 1)
    };
    Ran { result, lines: requests.iter().map(line).collect(), requests }
}

#[track_caller]
fn statuses(written: &Written) -> Vec<String> {
    written.steps.iter().map(|step| format!("{} {}", step.method, step.status)).collect()
}

#[tokio::test]
async fn a_variable_that_is_there_is_put_and_read_back() {
    let ran = write(vec![found("passed"); 2], Project::Id(7), None).await;
    let written = ran.result.unwrap();
    assert_eq!(ran.lines, ["PUT 7/variables/abc", "GET 7/variables/abc"]);
    assert_eq!(statuses(&written), ["PUT 200 OK", "GET 200 OK"]);
    assert_eq!((written.status.as_str(), written.value.as_str()), ("200 OK", "passed"));
    assert!(ran.requests[0].contains(&format!("private-token: {TOKEN}")), "{}", ran.requests[0]);
    assert!(ran.requests[0].ends_with(r#"{"key":"abc","value":"passed"}"#), "{}", ran.requests[0]);
}

#[tokio::test]
async fn a_variable_that_is_not_there_is_made() {
    let made = Act::json("201 Created", "{}");
    let ran = write(vec![missing(), made, found("passed")], Project::Id(7), None).await;
    assert_eq!(ran.lines, ["PUT 7/variables/abc", "POST 7/variables", "GET 7/variables/abc"]);
    assert_eq!(ran.result.unwrap().status, "201 Created");
}

#[tokio::test]
async fn a_variable_that_another_pipeline_made_meanwhile_is_put_again() {
    let acts = vec![missing(), taken(), found("passed"), found("passed")];
    let ran = write(acts, Project::Id(7), None).await;
    assert_eq!(
        ran.lines,
        ["PUT 7/variables/abc", "POST 7/variables", "PUT 7/variables/abc", "GET 7/variables/abc"]
    );
    ran.result.unwrap();
}

#[tokio::test]
async fn of_several_scopes_the_one_for_all_is_written_and_that_is_told() {
    let ran = write(vec![several(), found("passed"), found("passed")], Project::Id(7), None).await;
    let filter = "7/variables/abc?filter%5Benvironment_scope%5D=*";
    assert_eq!(
        ran.lines,
        ["PUT 7/variables/abc", &format!("PUT {filter}"), &format!("GET {filter}")]
    );
    assert!(ran.result.unwrap().warning.unwrap().contains("scope `*`"));
}

#[tokio::test]
async fn a_scope_that_is_named_is_always_sent() {
    let ran = write(
        vec![missing(), Act::json("201 Created", "{}"), found("passed")],
        Project::Id(7),
        Some("review/*"),
    )
    .await;
    assert_eq!(ran.lines[0], "PUT 7/variables/abc?filter%5Benvironment_scope%5D=review%2F*");
    assert!(ran.requests[1].contains(r#""environment_scope":"review/*""#), "{}", ran.requests[1]);
    assert_eq!(ran.result.unwrap().warning, None);
}

#[tokio::test]
async fn a_project_path_is_one_segment() {
    let project = Project::Path("group/sub group/../x".to_owned());
    let ran = write(vec![found("passed"); 2], project, None).await;
    assert_eq!(ran.lines[0], "PUT group%2Fsub%20group%2F..%2Fx/variables/abc");
}

#[tokio::test]
async fn each_refusal_is_told_with_its_way_out_and_without_the_token() {
    for (act, part) in [
        (Act::json("401 Unauthorized", r#"{"message":"401 Unauthorized"}"#), "expired"),
        (Act::json("403 Forbidden", r#"{"message":"403 Forbidden"}"#), "role Maintainer"),
        (
            Act::json("400 Bad Request", r#"{"message":{"value":["is invalid"]}}"#),
            "at least 8 characters",
        ),
        (Act::json("500 Internal Server Error", ""), "500 Internal Server Error"),
        (Act::answer("302 Found", "Location: http://127.0.0.1:9/", ""), "not followed"),
        (several(), "name its scope"),
        (Act::Send(Vec::new()), "cannot reach GitLab: PUT"),
    ] {
        let ran = write(vec![act], Project::Id(7), None).await;
        let error = ran.result.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    }
}

#[tokio::test]
async fn a_project_that_is_not_there_is_told() {
    let nothing = Act::json("404 Not Found", r#"{"message":"404 Project Not Found"}"#);
    let ran = write(vec![nothing], Project::Id(7), None).await;
    assert_eq!(ran.lines, ["PUT 7/variables/abc", "POST 7/variables"]);
    assert!(ran.result.unwrap_err().to_string().contains("404 Project Not Found"));
}

#[tokio::test]
async fn a_value_that_another_writer_changed_is_an_error() {
    let ran = write(vec![found("passed"), found("failed")], Project::Id(7), None).await;
    assert!(matches!(ran.result, Err(Error::Changed { found, .. }) if found == "failed"));
}

#[tokio::test]
async fn a_short_failure_is_got_over() {
    let busy = Act::answer("429 Too Many Requests", "Retry-After: 0", "");
    let acts = vec![busy, Act::Send(Vec::new()), found("passed"), found("passed")];
    let ran = write(acts, Project::Id(7), None).await;
    assert_eq!(statuses(&ran.result.unwrap()), ["PUT 200 OK", "GET 200 OK"]);
}

async fn identity(job: &str, agents: &str) -> (Result<Identity, Error>, Vec<String>) {
    let acts = [Act::json("200 OK", job), Act::json("200 OK", agents)];
    let standin = Standin::start(acts).await;
    let gitlab = Gitlab::new(&format!("{}/", standin.url), None).unwrap();
    let identity = gitlab.identity(&Secret::new(TOKEN.to_owned())).await;
    (identity, standin.requests())
}

#[tokio::test]
async fn gitlab_says_who_the_job_is() {
    let job = r#"{"id":1,"user":{"id":5,"username":"theseanodell","x":1},
        "pipeline":{"id":9,"project_id":7},"tag_list":["Dedicated"]}"#;
    let (found, requests) =
        identity(job, r#"{"environment":{"slug":"production","tier":"production"}}"#).await;
    assert_eq!(
        found.unwrap(),
        Identity {
            login: "theseanodell".to_owned(),
            user_id: 5,
            tags: vec!["Dedicated".to_owned()],
            environment_slug: Some("production".to_owned()),
            environment_tier: Some("production".to_owned()),
            project_id: 7,
        }
    );
    for (request, path) in requests.iter().zip(["job", "job/allowed_agents"]) {
        assert!(request.starts_with(&format!("GET /api/v4/{path} HTTP/1.1")), "{request}");
        assert!(request.contains(&format!("job-token: {TOKEN}")), "{request}");
    }
    let (found, _) = identity(job, "{}").await;
    assert_eq!(found.unwrap().environment_slug, None);
}

#[tokio::test]
async fn an_identity_without_a_user_or_a_project_is_none() {
    for job in
        ["{}", r#"{"user":{"id":5,"username":"a"}}"#, r#"{"pipeline":{"project_id":1}}"#, "["]
    {
        let (found, _) = identity(job, "{}").await;
        assert!(matches!(found, Err(Error::Malformed { .. })), "{job}");
    }
}

#[test]
fn a_url_that_cannot_be_gitlabs_is_told() {
    for url in ["", "gitlab", "ftp://gitlab", "https://a:secretword@gitlab"] {
        let error = Gitlab::new(url, None).unwrap_err().to_string();
        assert!(!error.contains("secretword"), "{error}");
    }
    let gitlab = Gitlab::new("https://example.com/gitlab/api/v4/", None).unwrap();
    assert_eq!(
        gitlab.variable_url(&Project::Path("a/b".to_owned()), "abc"),
        "https://example.com/gitlab/api/v4/projects/a%2Fb/variables/abc"
    );
}
