//! From the text of a pipeline file to its plan.

use super::*;
use crate::pipeline::file;

fn plan_with(text: &str, project: &[(&str, &str)]) -> Result<Plan, String> {
    plan_in(text, &[("CI_COMMIT_BRANCH", "main")], project, None)
}

fn plan_in(
    text: &str,
    predefined: &[(&str, &str)],
    project: &[(&str, &str)],
    changed: Option<&[&str]>,
) -> Result<Plan, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".gitlab-ci.yml");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "").unwrap();
    let merged = file::read(&path, folder.path()).map_err(|error| error.to_string())?;
    let setting = Setting {
        folder: folder.path().to_owned(),
        predefined: predefined.iter().map(|(key, value)| Variable::public(*key, *value)).collect(),
        changed: changed.map(|paths| Changed {
            base: "origin/main".to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        project: project.iter().map(|(key, value)| Variable::private(*key, *value)).collect(),
    };
    read(&merged, &setting)
        .map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn plan(text: &str) -> Plan {
    plan_with(text, &[]).unwrap()
}

fn job<'a>(plan: &'a Plan, name: &str) -> &'a Job {
    plan.jobs.iter().find(|job| job.name == name).unwrap()
}

const ORIGINAL: &str = r#"stages:
  - PerformanceCheck
  - deploy_production

performance_check:
  stage: PerformanceCheck
  environment:
    name: staging
  image:
    name: retgits/wavefront-pod-inspector:latest
    entrypoint: [""]
  script:
    - export API_TOKEN=$WFTOKEN
    - /bin/entrypoint.sh
  tags:
    - Dedicated

deploy_to_production:
  stage: deploy_production
  environment:
    name: production
  image:
    name: bitnami/kubectl
    entrypoint: [""]
  script:
    - kubectl create namespace $GITLAB_USER_LOGIN -o yaml --dry-run | kubectl apply -f -
  tags:
    - cluster
    - kubernetes
    - production
"#;

#[test]
fn the_original_pipeline_is_read_without_a_warning() {
    let plan = plan(ORIGINAL);
    assert_eq!(plan.warnings, []);
    assert_eq!(plan.stages, [".pre", "PerformanceCheck", "deploy_production", ".post"]);
    let gate = job(&plan, "performance_check");
    assert_eq!(gate.tags, ["Dedicated"]);
    assert_eq!(gate.environment.as_ref().unwrap().tier, "staging");
    let image = gate.image.as_ref().unwrap();
    assert_eq!(image.name, "retgits/wavefront-pod-inspector:latest");
    assert_eq!(image.entrypoint, Some(vec![String::new()]));
    let deploy = job(&plan, "deploy_to_production");
    assert_eq!(deploy.environment.as_ref().unwrap().tier, "production");
    assert_eq!(deploy.tags, ["cluster", "kubernetes", "production"]);
}

#[test]
fn the_first_matching_rule_decides() {
    let text = r#"
variables: {DEPLOY: "yes"}
a:
  script: x
  rules:
    - if: $CI_COMMIT_BRANCH != "main"
    - if: $DEPLOY == "yes" && $CI_COMMIT_BRANCH =~ /^ma/
      when: manual
      variables: {FROM_RULE: "1", DEPLOY: rule}
b:
  script: x
  rules: [{if: $DEPLOY == "no", when: always}]
c:
  script: x
  rules: [{exists: [Dockerfile], allow_failure: true}]
d:
  script: x
  rules: [{exists: ["**/*.go"]}]
"#;
    let plan = plan(text);
    assert_eq!(plan.left_out, ["b", "d"]);
    let a = job(&plan, "a");
    assert_eq!((a.when, &a.allow_failure), (When::Manual, &AllowFailure::No));
    let values: Vec<String> =
        a.variables.iter().map(|v| format!("{}={}", v.key, v.value)).collect();
    assert_eq!(values, ["DEPLOY=rule", "FROM_RULE=1"]);
    assert_eq!(job(&plan, "c").allow_failure, AllowFailure::Yes);
    let with_no = plan_with(text, &[("DEPLOY", "no")]).unwrap();
    assert_eq!(with_no.left_out, ["a", "d"]);
    assert_eq!(job(&with_no, "b").when, When::Always);
}

#[test]
fn manual_without_rules_is_forgiven() {
    let plan = plan("a: {script: x, when: manual}\n");
    assert_eq!(job(&plan, "a").allow_failure, AllowFailure::Yes);
}

#[test]
fn artifacts_become_an_archive_and_one_entry_a_report() {
    let plan = plan(
        "a:\n  script: x\n  artifacts:\n    name: results\n    paths: [out/]\n    when: always\n    \
         expire_in: 1 week\n    reports:\n      dotenv: build.env\n      junit: [a.xml, b.xml]\n      \
         load_performance: load.json\n      coverage_report: {coverage_format: cobertura, path: c.xml}\n",
    );
    let told: Vec<String> = job(&plan, "a")
        .artifacts
        .iter()
        .map(|a| {
            format!("{} {} {} {} {:?}", a.artifact_type, a.artifact_format, a.name, a.when, a.paths)
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"archive zip results always ["out/"]"#,
            r#"dotenv gzip .env always ["build.env"]"#,
            r#"junit gzip junit.xml always ["a.xml", "b.xml"]"#,
            r#"load_performance raw load-performance.json always ["load.json"]"#,
            r#"cobertura gzip cobertura-coverage.xml always ["c.xml"]"#,
        ]
    );
}

#[test]
fn parallel_jobs_are_numbered_or_named_by_their_matrix() {
    let plan = plan(
        "a: {script: x, parallel: 2}\nb:\n  script: x\n  parallel:\n    matrix:\n      - {OS: [l, w], V: 1}\n\
         c: {script: x, stage: deploy, needs: [a, b]}\n",
    );
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a 1/2", "a 2/2", "b: [l, 1]", "b: [w, 1]", "c"]);
    let needs: Vec<&str> =
        job(&plan, "c").needs.iter().flatten().map(|need| need.job.as_str()).collect();
    assert_eq!(needs, ["a 1/2", "a 2/2", "b: [l, 1]", "b: [w, 1]"]);
}

#[test]
fn each_job_of_a_matrix_has_its_own_tags_environment_and_rules() {
    let plan = plan(
        "a:\n  script: x\n  tags: [\"$R\", fixed]\n  environment: {name: review/$R}\n  parallel:\n    \
         matrix: [{R: [one, two, three]}]\n  rules:\n    - if: $R != \"three\"\n      \
         variables: {FROM: $R}\n",
    );
    let told: Vec<String> = plan
        .jobs
        .iter()
        .map(|job| {
            format!("{} {:?} {}", job.name, job.tags, job.environment.as_ref().unwrap().name)
        })
        .collect();
    assert_eq!(
        told,
        [r#"a: [one] ["one", "fixed"] review/one"#, r#"a: [two] ["two", "fixed"] review/two"#,]
    );
    assert_eq!(plan.left_out, ["a: [three]"]);
}

#[test]
fn parallel_is_held_to_what_gitlab_allows() {
    for (parallel, expected) in [
        ("500", "`parallel:` is 500, GitLab allows 1 to 200"),
        ("0", "`parallel:` is 0, GitLab allows 1 to 200"),
        ("x", "`parallel:` must be a whole number"),
        (
            "{matrix: [{A: [1, 2, 3, 4, 5, 6, 7, 8], B: [1, 2, 3, 4, 5, 6, 7, 8], C: [1, 2, 3, 4]}]}",
            "`matrix:` makes more than 200 jobs, which GitLab refuses",
        ),
    ] {
        let told =
            plan_with(&format!("a:\n  script: x\n  parallel: {parallel}\n"), &[]).unwrap_err();
        assert_eq!(told, format!(".gitlab-ci.yml:3: {expected}"));
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = "a:\n  stage: nowhere\n  script: x\nb:\n  image: {}\nc:\n  script: x\n  needs: [zzz]\n  \
                retry: 9\nd:\n  script:\n    - echo: x\n  when: sometimes\n  rules: [{if: '$A =='}]\n";
    assert_eq!(
        plan_with(text, &[]).unwrap_err(),
        "FILE:2: job `a`: stage `nowhere` does not exist; there are .pre, build, test, deploy, .post\n\
         FILE:4: job `b` has no `script:`\n\
         FILE:5: `image:` needs a `name:`\n\
         FILE:9: `retry:` is 9, GitLab allows 0, 1 or 2\n\
         FILE:14: `if: $A ==`: the condition ends too early\n\
         FILE:13: `when:` is `sometimes`, expected one of on_success, on_failure, always, manual, \
         delayed, never\n\
         FILE:12: `script:` must be text or a list of texts, this is a map; quote a line with `: ` \
         in it\n\
         FILE:8: job `c` needs `zzz`, which is not there"
            .replace("FILE:", ".gitlab-ci.yml:")
    );
}

#[test]
fn a_part_of_the_wrong_shape_is_told_with_its_line() {
    for (written, expected) in [
        ("artifacts: [x]", "`artifacts:` must be a map, this is a list"),
        ("artifacts: {reports: x.xml}", "`reports:` must be a map, this is a single value"),
        ("cache: 5", "`cache:` must be a map, this is a single value"),
        ("cache: [[x]]", "`cache:` must be a map, this is a list"),
        ("retry: [2]", "`retry:` must be a map, this is a list"),
        ("image: ''", "`image:` needs a name"),
        (
            "variables: {GIT_STRATEGY: pull}",
            "`GIT_STRATEGY` is `pull`, expected one of clone, fetch, none, empty",
        ),
        (
            "variables: {GIT_SUBMODULE_STRATEGY: deep}",
            "`GIT_SUBMODULE_STRATEGY` is `deep`, expected one of none, normal, recursive",
        ),
        (
            "variables: {GIT_CLONE_PATH: $CI_BUILDS_DIR/x}",
            "`GIT_CLONE_PATH` is refused by a runner of dyno's: it chooses the folder itself (no \
          `custom_build_dir`)",
        ),
    ] {
        let told = plan_with(&format!("a:\n  script: x\n  {written}\n"), &[]).unwrap_err();
        assert_eq!(told, format!(".gitlab-ci.yml:3: {expected}"));
    }
    for fine in ["artifacts:", "cache:", "cache: []", "retry: 2", "variables: {GIT_STRATEGY: $X}"] {
        plan(&format!("a:\n  script: x\n  {fine}\n"));
    }
}

#[test]
fn what_is_not_done_here_is_warned_by_name() {
    let plan = plan("a:\n  script: x\n  secrets: {}\n  tiemout: 3\n  resource_group: r\n");
    let told: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            ".gitlab-ci.yml:3: `secrets:` of job `a` is not done here: ignored",
            ".gitlab-ci.yml:4: unknown keyword `tiemout:` in job `a`: ignored",
        ]
    );
}

#[test]
fn only_and_except_decide_as_in_gitlab() {
    #[track_caller]
    fn check(written: &str, (branch, source): (&str, &str), changed: Option<&[&str]>, is_in: bool) {
        let text = format!("a:\n  script: x\n{written}\nother: {{script: x}}\n");
        let predefined = [
            ("CI_COMMIT_BRANCH", branch),
            ("CI_PIPELINE_SOURCE", source),
            ("CI_PROJECT_PATH", "group/project"),
        ];
        let plan = plan_in(&text, &predefined, &[("DEPLOY", "yes")], changed).unwrap();
        assert_eq!(plan.jobs.iter().any(|job| job.name == "a"), is_in, "{written} on {branch}");
        assert!(plan.jobs.iter().all(|job| job.held.is_none()));
    }
    let (main, fix) = (("main", "push"), ("fix/1", "push"));
    let (schedule, request) = (("main", "schedule"), ("fix/1", "merge_request_event"));
    for (written, at, is_in) in [
        ("  only: [main]", main, true),
        ("  only: [main]", fix, false),
        ("  only: [tags]", main, false),
        ("  only: [branches]", fix, true),
        ("  only: [pushes]", main, true),
        ("  only: [pushes]", schedule, false),
        ("  only: [schedules]", schedule, true),
        ("  only: [/^FIX/]", fix, false),
        ("  only: [/^FIX/i]", fix, true),
        ("  only: ['/^fix/\\d$/']", fix, true),
        ("  only: [main@group/project]", main, true),
        ("  only: [main@other/project]", main, false),
        ("  only: [merge_requests]", main, false),
        ("  only: [merge_requests]", request, true),
        ("  only: [/^fix/]", request, false),
        ("  when: always", request, false),
        ("  except: [main]", main, false),
        ("  except: [main]", fix, true),
        ("  only: [branches]\n  except: [/^fix/]", fix, false),
        ("  only: {refs: [main], variables: ['$DEPLOY == \"yes\"']}", main, true),
        ("  only: {refs: [main], variables: ['$DEPLOY == \"no\"', $DEPLOY]}", main, true),
        ("  only: {variables: ['$DEPLOY == \"no\"']}", main, false),
        ("  except: {variables: [$DEPLOY]}", main, false),
        ("  except: {refs: [fix], variables: [$DEPLOY]}", main, false),
        ("  only: {changes: [docs/**/*]}", main, true),
    ] {
        check(written, at, None, is_in);
    }
    let docs: &[&str] = &["docs/a/b.md", "README.md"];
    check("  only: {changes: ['docs/**/*']}", main, Some(docs), true);
    check("  only: {changes: ['src/**/*', '*.md']}", main, Some(docs), true);
    check("  only: {changes: ['*.rs']}", main, Some(docs), false);
    check("  except: {changes: ['docs/*']}", main, Some(docs), true);
    check("  except: {changes: ['docs/**']}", main, Some(docs), false);
    check("  rules: [{changes: ['*.rs']}]", main, Some(docs), false);
    check("  rules: [{changes: {paths: ['*.md']}}]", main, Some(docs), true);
}

#[test]
fn a_job_that_nobody_here_can_decide_on_is_held_back() {
    let plan = plan(
        "a: {script: x, only: {kubernetes: active}}\nb: {script: x, only: {kubernetes: active, refs: [other]}}\n",
    );
    let held = job(&plan, "a").held.as_deref();
    assert_eq!(held, Some("`only: kubernetes: active` asks for a cluster of the GitLab project"));
    assert_eq!(plan.left_out, ["b"]);
}

#[test]
fn mistakes_in_only_and_except_are_told() {
    for (written, expected) in [
        ("only: main", "3: `only:` must be a list or a map, this is a single value"),
        ("only: [/main]", "3: `only: /main` is not a pattern: it ends without a `/`"),
        (
            "only: [/main/x]",
            "3: `only: /main/x` is not a pattern: there is no flag `x`, only i, s, m and U",
        ),
        ("except: {variables: ['$A ==']}", "3: `variables: $A ==`: the condition ends too early"),
        (
            "only: {branch: [main]}",
            "3: unknown keyword `only: branch:`, expected refs, variables, changes or kubernetes",
        ),
        (
            "only: [main]\n  rules: [{when: always}]",
            "1: job `a` has `only:` beside `rules:`, GitLab refuses that",
        ),
    ] {
        let told = plan_with(&format!("a:\n  script: x\n  {written}\n"), &[]).unwrap_err();
        assert_eq!(told, format!(".gitlab-ci.yml:{expected}"));
    }
}

#[test]
fn needs_in_a_circle_are_refused() {
    let told = plan_with("a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}\n", &[]);
    assert_eq!(told.unwrap_err(), ".gitlab-ci.yml:1: `needs:` go in a circle: a, b");
}

#[test]
fn retry_is_decided_by_reason_and_code() {
    let retry = |when: &[&str], codes: &[i32]| Retry {
        max: 2,
        when: when.iter().map(|when| (*when).to_owned()).collect(),
        exit_codes: codes.to_vec(),
    };
    for (retry, attempt, reason, code, expected) in [
        (retry(&[], &[]), 1, "script_failure", Some(1), true),
        (retry(&[], &[]), 3, "script_failure", Some(1), false),
        (retry(&["runner_system_failure"], &[]), 1, "script_failure", Some(1), false),
        (retry(&["runner_system_failure"], &[]), 1, "runner_system_failure", None, true),
        (retry(&["always"], &[]), 2, "script_failure", Some(1), true),
        (retry(&[], &[99]), 1, "script_failure", Some(99), true),
        (retry(&[], &[99]), 1, "script_failure", Some(1), false),
    ] {
        assert_eq!(retry.again(attempt, reason, code), expected, "{retry:?} {attempt} {reason}");
    }
}

#[test]
fn a_cache_key_can_be_made_of_files() {
    let plan = plan(
        "a:\n  script: x\n  cache:\n    key: {files: [Dockerfile], prefix: p}\n    paths: [x]\n",
    );
    let key = &job(&plan, "a").caches.first().unwrap().key;
    assert!(key.starts_with("p-") && key.len() == 42, "{key}");
}
