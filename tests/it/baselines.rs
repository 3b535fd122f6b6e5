//! Where runs are kept that later ones are compared with: a real S3-compatible server, a folder, and
//! what happens when many pipelines write at once.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::objects::{ACCESS_KEY, BUCKET, Objects, REGION, SECRET_KEY};
use crate::support::{Ending, Job, Lab, Runner, Station};

const PLAN: &str = "cat > perf.yaml <<'YAML'\nchecks:\n  - name: CPU\n    source: wavefront\n    \
    query: ts(\"kubernetes.pod_container.cpu.usage_rate\", pod_name=\"frontend-1\")\n    \
    limit: \"mean < 100\"\n    regression: { at-least: 3, last: 5 }\n\
    gate: { window: { last: 30s }, settle: 1s }\nYAML";

/// The policy's word on a bucket, with a secret key of the lab's folder.
fn bucket(objects: &Objects, lab: &Lab, (bucket, access, secret): (&str, &str, &str)) -> String {
    let secret = lab.secret("s3.secret", secret);
    format!(
        "baselines:\n  s3:\n    url: {}\n    bucket: {bucket}\n    prefix: perf/\n    \
         sigv4: {{ region: {REGION}, access-key-id: {access}, secret-key-file: {} }}\n",
        objects.url(),
        secret.display()
    )
}

fn policy(station: &Station, baselines: &str) -> String {
    station.policy().replacen("sources:\n", &format!("{baselines}sources:\n"), 1)
}

/// A job of the protected default branch.
fn job(lab: &Arc<Lab>, policy: &str, id: u64, script: &str) -> Job {
    Runner::within(lab, policy)
        .seat(|seat| {
            seat.id = id;
            seat.token = format!("JOB-TOKEN-{id}");
        })
        .response(|response| {
            response["git_info"]["protected"] = json!(true);
            let variables = response["variables"].as_array_mut().unwrap();
            for (key, value) in [("CI_COMMIT_BRANCH", "main"), ("CI_DEFAULT_BRANCH", "main")] {
                variables.retain(|variable| variable["key"] != key);
                variables.insert(0, json!({ "key": key, "value": value, "public": true }));
            }
        })
        .script([PLAN, script])
        .run()
}

/// Numbers of jobs that nobody else has.
fn numbers() -> impl Iterator<Item = u64> {
    std::iter::repeat_with(|| Lab::seat().id)
}

fn states(kept: &[u8]) -> Vec<(u64, String)> {
    let kept: Value = serde_json::from_slice(kept).unwrap();
    let runs = kept["runs"].as_array().unwrap();
    let state = |run: &Value| run["state"].as_str().unwrap().to_owned();
    runs.iter().map(|run| (run["job"].as_u64().unwrap(), state(run))).collect()
}

#[test]
fn runs_are_kept_in_a_real_object_store_and_people_judge_them_there() {
    let Some(objects) = Objects::start("runs are kept in a real object store") else { return };
    let station = Station::new(10.0);
    let baselines = bucket(&objects, &station.lab, (BUCKET, ACCESS_KEY, SECRET_KEY));
    let policy = policy(&station, &baselines);
    let ids: Vec<u64> = numbers().take(6).collect();
    let gate = "dyno gate perf.yaml";
    for (n, part) in [(0, "no baseline yet"), (1, "1 accepted"), (2, "2 accepted")] {
        let ran = job(&station.lab, &policy, ids[n], gate);
        assert_eq!(ran.exit_code, Some(98), "{}", ran.log);
        assert!(ran.log.contains(part), "{}", ran.log);
    }
    let key = format!("perf/{}/perf.json", Lab::seat().project_id);
    assert_eq!(states(&objects.object(&key).unwrap()).len(), 3);
    let ran = job(&station.lab, &policy, ids[3], gate);
    assert_eq!(ran.ending, Ending::Success, "{}", ran.log);
    assert!(ran.log.contains("within the noise of the accepted runs"), "{}", ran.log);

    let script = format!(
        "dyno baseline list perf.yaml; dyno baseline reject perf.yaml {0}; \
         dyno baseline reject perf.yaml {1}; dyno baseline accept perf.yaml {1}; \
         dyno baseline accept perf.yaml 1 || echo \"unknown ended with $?\"",
        ids[0], ids[1]
    );
    let ran = job(&station.lab, &policy, ids[4], &script);
    assert_eq!(ran.ending, Ending::Success, "{}", ran.log);
    assert!(ran.log.contains("no run of job 1 is kept"), "{}", ran.log);
    let of = states(&objects.object(&key).unwrap());
    assert_eq!(of[0], (ids[0], "rejected".to_owned()));
    assert_eq!(of[1], (ids[1], "accepted".to_owned()));

    let script = "dyno baseline reset perf.yaml && dyno baseline list perf.yaml";
    let ran = job(&station.lab, &policy, ids[5], script);
    assert_eq!(ran.ending, Ending::Success, "{}", ran.log);
    assert!(ran.log.contains("No run is kept yet."), "{}", ran.log);
    assert!(!ran.log.contains(SECRET_KEY), "{}", ran.log);
}

#[test]
fn a_wrong_key_or_bucket_is_told_and_costs_no_verdict() {
    let Some(objects) = Objects::start("a wrong key or bucket is told") else { return };
    let station = Station::new(10.0);
    for (entry, words) in [
        (
            (BUCKET, ACCESS_KEY, "a-secret-half-that-was-rotated"),
            "answered 403 Forbidden: SignatureDoesNotMatch: ",
        ),
        ((BUCKET, "AKIDOTHER", SECRET_KEY), "No user exists with the provided access key ID"),
        (("elsewhere", ACCESS_KEY, SECRET_KEY), ": NoSuchBucket: "),
    ] {
        let policy = policy(&station, &bucket(&objects, &station.lab, entry));
        let id = Lab::seat().id;
        let script = "dyno gate perf.yaml || echo \"gate ended with $?\"; \
            dyno baseline list perf.yaml || echo \"list ended with $?\"; \
            dyno baseline reset perf.yaml || echo \"reset ended with $?\"";
        let ran = job(&station.lab, &policy, id, script);
        for part in [
            words,
            "WARNING: the accepted runs cannot be read",
            "WARNING: this run cannot be kept for later ones",
            "\ngate ended with 98\n",
            "\nlist ended with 97\n",
            "\nreset ended with 97\n",
        ] {
            assert!(ran.log.contains(part), "{words}: {part} is not in:\n{}", ran.log);
        }
        assert!(!ran.log.contains(entry.2), "{words}: {}", ran.log);
    }
}

/// Pipelines that end at the same moment, each with a run to keep.
#[track_caller]
fn all_are_kept(station: &Station, baselines: &str, kept: impl Fn() -> Vec<u8>) {
    const WRITERS: usize = 5;
    let policy = policy(station, baselines);
    let mut ids: Vec<u64> = numbers().take(WRITERS).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            let (lab, policy) = (&station.lab, &policy);
            scope.spawn(move || {
                let ran = job(lab, policy, *id, "dyno gate perf.yaml");
                assert!(ran.log.contains("of the accepted ones"), "{}", ran.log);
            });
        }
    });
    let mut found: Vec<u64> = states(&kept()).into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, ids, "no run of another pipeline is lost");
}

#[test]
fn pipelines_that_end_at_the_same_moment_lose_no_run_in_an_object_store() {
    let Some(objects) = Objects::start("pipelines lose no run in an object store") else { return };
    let station = Station::new(10.0);
    let baselines = bucket(&objects, &station.lab, (BUCKET, ACCESS_KEY, SECRET_KEY));
    let key = format!("perf/{}/perf.json", Lab::seat().project_id);
    all_are_kept(&station, &baselines, || objects.object(&key).unwrap());
}

#[test]
fn pipelines_that_end_at_the_same_moment_lose_no_run_in_a_folder() {
    let station = Station::new(10.0);
    let file = station.lab.state().join(format!("baselines/{}/perf.json", Lab::seat().project_id));
    all_are_kept(&station, "", || std::fs::read(&file).unwrap());
}
