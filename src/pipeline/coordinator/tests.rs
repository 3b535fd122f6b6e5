//! The coordinator over real connections: curl-like requests and a real git.

use std::collections::BTreeMap;

use super::*;
use crate::pipeline::response::Variable;
use crate::pipeline::snapshot;

fn vars() -> BTreeMap<String, String> {
    [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/nonexistent")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn record(id: u64) -> JobRecord {
    JobRecord {
        id,
        token: format!("TOKEN-{id}"),
        name: "gate".to_owned(),
        stage: "test".to_owned(),
        git_ref: "main".to_owned(),
        sha: "56d1dd4d".to_owned(),
        pipeline_id: 9,
        tags: vec!["Dedicated".to_owned()],
        environment: Some(("production".to_owned(), "production".to_owned())),
        allow_failure: false,
        running: true,
    }
}

fn store(folder: &std::path::Path) -> Store {
    Store {
        project: Project { id: 4217, path: "group/project".to_owned() },
        user: User {
            id: 5,
            login: "dev".to_owned(),
            name: "Dev".to_owned(),
            email: "dev@example.com".to_owned(),
        },
        submodules: BTreeMap::new(),
        folder: folder.join("uploads"),
        api_tokens: vec!["glpat-x".to_owned()],
        variables: vec![ProjectVariable {
            variable: Variable::private("abc", "passed"),
            scope: "*".to_owned(),
            protected: false,
        }],
        written: Vec::new(),
        jobs: [record(1), record(2)].map(|job| (job.id, job)).into(),
        uploads: BTreeMap::new(),
        dotenv: BTreeMap::new(),
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(Coordinator, tempfile::TempDir) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::new(&vars());
        std::fs::create_dir(folder.path().join("work")).unwrap();
        std::fs::write(folder.path().join("work/file"), "content").unwrap();
        let bare = folder.path().join("r.git");
        snapshot::take(&git, &folder.path().join("work"), &bare, None).await.unwrap();
        let coordinator = Coordinator::start(store(folder.path()), bare, git).await.unwrap();
        test(coordinator, folder).await;
    });
}

/// `METHOD PATH`, headers, body → status and body.
async fn ask(
    coordinator: &Coordinator,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let stream = tokio::net::TcpStream::connect(coordinator.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("Host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

const V: &str = "/api/v4/projects/4217/variables";
const TOKEN: (&str, &str) = ("PRIVATE-TOKEN", "glpat-x");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn variables_answer_as_recorded() {
    run(|coordinator, _folder| async move {
        let multiple = "There are multiple variables with provided parameters. Please use \
                        'filter[environment_scope]'";
        for (line, headers, body, status, part) in [
            (format!("GET {V}/abc"), vec![TOKEN], "", 200, r#""value":"passed""#),
            (format!("PUT {V}/abc"), vec![TOKEN, JSON], r#"{"value":"failed"}"#, 200, "failed"),
            (
                format!("PUT {V}/abc?filter%5Benvironment_scope%5D=production"),
                vec![TOKEN, FORM],
                "value=failed",
                404,
                "404 Variable Not Found",
            ),
            (
                format!("POST {V}"),
                vec![TOKEN, FORM],
                "key=new&value=1&environment_scope=production",
                201,
                r#""environment_scope":"production""#,
            ),
            (format!("POST {V}"), vec![TOKEN, FORM], "key=new&value=2", 201, r#""*""#),
            (format!("POST {V}"), vec![TOKEN, FORM], "key=new&value=2", 400, "already been taken"),
            (format!("PUT {V}/new"), vec![TOKEN, FORM], "value=3", 409, multiple),
            (
                format!("PUT {V}/new?filter%5Benvironment_scope%5D=production"),
                vec![TOKEN, FORM],
                "value=3",
                200,
                r#""value":"3""#,
            ),
            (format!("GET {V}/none"), vec![TOKEN], "", 404, "404 Variable Not Found"),
            (format!("GET {V}/abc"), vec![("PRIVATE-TOKEN", "wrong")], "", 401, "401 Unauthorized"),
            (format!("GET {V}/abc"), vec![("JOB-TOKEN", "TOKEN-1")], "", 401, "401 Unauthorized"),
            (
                "GET /api/v4/projects/group%2fproject/variables/abc".to_owned(),
                vec![TOKEN],
                "",
                200,
                r#""value":"failed""#,
            ),
            (
                "GET /api/v4/projects/group%2fother/variables/abc".to_owned(),
                vec![TOKEN],
                "",
                404,
                "404 Project Not Found",
            ),
            (
                format!("POST {V}"),
                vec![TOKEN, FORM],
                "key=short&value=passed&masked=true",
                400,
                "is invalid",
            ),
            (format!("DELETE {V}/abc"), vec![TOKEN], "", 204, ""),
        ] {
            let (given, told) = ask(&coordinator, &line, &headers, body).await;
            assert_eq!(given, status, "{line}: {told}");
            assert!(told.contains(part), "{line}: {told}");
        }
        let for_production = coordinator.with(|store| store.variables_for("production", true));
        assert_eq!(for_production, [Variable::private("new", "3")]);
        let elsewhere = coordinator.with(|store| store.variables_for("", true));
        assert_eq!(elsewhere, [Variable::private("new", "2")]);
    });
}

#[test]
fn a_running_job_is_told_who_it_is_and_nobody_else_is() {
    run(|coordinator, _folder| async move {
        let token = [("JOB-TOKEN", "TOKEN-1")];
        let (status, told) = ask(&coordinator, "GET /api/v4/job", &token, "").await;
        assert_eq!(status, 200);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["user"]["username"], "dev");
        assert_eq!(told["tag_list"], serde_json::json!(["Dedicated"]));
        let (_, told) = ask(&coordinator, "GET /api/v4/job/allowed_agents", &token, "").await;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["environment"]["tier"], "production");
        coordinator.with(|store| store.jobs.get_mut(&1).unwrap().running = false);
        assert_eq!(ask(&coordinator, "GET /api/v4/job", &token, "").await.0, 401);
        assert_eq!(ask(&coordinator, "GET /api/v4/job", &[], "").await.0, 401);
    });
}

fn upload(content: &[u8]) -> Bytes {
    let mut body =
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.zip\"\r\n\r\n"
            .to_vec();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--B--\r\n");
    body.into()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn artifacts_go_up_and_come_down_with_the_right_token_only() {
    run(|coordinator, _folder| async move {
        let kind = ("Content-Type", "multipart/form-data; boundary=B");
        let line = "POST /api/v4/jobs/1/artifacts?artifact_format=zip&artifact_type=archive";
        let own = [("JOB-TOKEN", "TOKEN-1"), kind];
        assert_eq!(ask(&coordinator, line, &own, upload(b"PK\x00")).await.0, 201);
        let other = [("JOB-TOKEN", "TOKEN-2"), kind];
        assert_eq!(ask(&coordinator, line, &other, upload(b"PK")).await.0, 403);
        let line = "GET /api/v4/jobs/1/artifacts?direct_download=true";
        assert_eq!(ask(&coordinator, line, &own, "").await, (200, "PK\u{0}".to_owned()));
        assert_eq!(ask(&coordinator, line, &other, "").await.0, 403);
        assert_eq!(ask(&coordinator, line, &[], "").await.0, 401);
        let line = "GET /api/v4/jobs/2/artifacts";
        assert_eq!(ask(&coordinator, line, &other, "").await.0, 404);
        assert_eq!(coordinator.with(|store| store.archive(1).filename), "x.zip");
    });
}

#[test]
fn a_dotenv_report_is_parsed_or_rejected() {
    run(|coordinator, _folder| async move {
        let line = "POST /api/v4/jobs/1/artifacts?artifact_format=gzip&artifact_type=dotenv";
        let headers =
            [("JOB-TOKEN", "TOKEN-1"), ("Content-Type", "multipart/form-data; boundary=B")];
        let (status, told) = ask(&coordinator, line, &headers, upload(&gzip("# no\nA=1\n"))).await;
        assert_eq!((status, told.contains("Invalid Format")), (400, true));
        assert_eq!(ask(&coordinator, line, &headers, upload(&gzip("A=1\n"))).await.0, 201);
        let known = coordinator.with(|store| store.dotenv.get(&1).cloned().unwrap());
        assert_eq!(known, [Variable::private("A", "1")]);
    });
}

#[test]
fn git_clones_with_a_running_jobs_token_only() {
    run(|coordinator, folder| async move {
        let git = Git::new(&vars());
        let clone = async |token: &str, to: &str| {
            let host = coordinator.address;
            let url = format!("http://gitlab-ci-token:{token}@{host}/group/project.git");
            let to = folder.path().join(to);
            let arguments = ["clone", "-q", "--depth", "20", &url, to.to_str().unwrap()];
            let output = git.command(&arguments).output().await.unwrap();
            (output.status.success(), std::fs::read_to_string(to.join("file")).ok())
        };
        assert_eq!(clone("TOKEN-1", "a").await, (true, Some("content".to_owned())));
        assert_eq!(clone("wrong", "b").await, (false, None));
        let (status, _) = ask(&coordinator, "GET /group/project.git/info/refs", &[], "").await;
        assert_eq!(status, 401);
    });
}

#[test]
fn the_helper_uploads_and_downloads_what_was_selected() {
    use crate::pipeline::helper::{self, Access, Failure, Log, Selection, Upload};

    run(|coordinator, folder| async move {
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("out")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("out/result.txt"), "result\n").unwrap();
        std::fs::write(from.join("b.env"), "A=1\n").unwrap();
        let access =
            |token: &str| Access { url: coordinator.url(), token: token.to_owned(), id: 1 };
        let upload = |path: &str, format: &str, kind: &str| Upload {
            selection: Selection {
                folder: from.clone(),
                paths: vec![path.to_owned()],
                ..Selection::default()
            },
            name: "results".to_owned(),
            expire_in: Some("1 week".to_owned()),
            format: format.to_owned(),
            kind: kind.to_owned(),
        };
        let mut out: Vec<u8> = Vec::new();
        let log = &mut Log::new(&mut out);
        let own = access("TOKEN-1");
        assert_eq!(helper::upload(&own, &upload("out/", "zip", "archive"), log).await, Ok(()));
        assert_eq!(helper::upload(&own, &upload("b.env", "gzip", "dotenv"), log).await, Ok(()));
        assert_eq!(helper::upload(&own, &upload("none", "zip", "archive"), log).await, Ok(()));
        let other = access("TOKEN-2");
        let refused = Err(Failure::Fatal("permission denied".to_owned()));
        assert_eq!(helper::upload(&other, &upload("out/", "zip", "archive"), log).await, refused);
        assert_eq!(helper::download(&own, &to, log).await, Ok(()));
        assert_eq!(helper::download(&other, &to, log).await, refused);
        assert_eq!(std::fs::read_to_string(to.join("out/result.txt")).unwrap(), "result\n");
        assert_eq!(coordinator.with(|store| store.dotenv.len()), 1);
        assert_eq!(coordinator.with(|store| store.archive(1).filename), "results.zip");
        let told = String::from_utf8(out).unwrap();
        for text in [
            "Uploading artifacts as \"archive\" to coordinator... 201 Created",
            "Uploading artifacts as \"dotenv\" to coordinator... 201 Created",
            "ERROR: No files to upload",
            "Downloading artifacts from coordinator... ok",
        ] {
            assert!(told.contains(text), "{text}\n{told}");
        }
    });
}
