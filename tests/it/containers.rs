//! What a profile allows containers, what they carry, and what stands in their way.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::support::{
    Ending, Job, Lab, OwnDaemon, Place, Runner, Try, docker, eventually, policy, skip,
};

fn lab() -> Arc<Lab> {
    Arc::new(Lab::new())
}

/// A job under a policy with these keys for containers.
fn under(lab: &Arc<Lab>, keys: &str) -> Runner {
    Place::Docker.runner_of(lab, &Place::policy_with(&format!("pull: [never], {keys}")))
}

#[track_caller]
fn says(job: &Job, texts: &[&str]) {
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for text in texts {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
}

#[test]
fn memory_processors_and_processes_are_what_the_profile_says() {
    let lab = lab();
    let job = under(&lab, "memory: 128MiB, processes: 77, cpus: 0.5")
        .script([
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true",
            "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true",
            "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null || true",
        ])
        .run();
    says(&job, &["\n134217728\n", "\n77\n", "\n50000", "128MiB memory, 77 processes, 0.5 cores"]);
}

#[test]
fn a_job_has_few_capabilities_and_gets_no_more() {
    let lab = lab();
    let job = under(&lab, "cpus: 1")
        .script(["grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status"])
        .run();
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service, setfcap.
    let few = "00000000800004fb";
    says(&job, &[&format!("CapEff:\t{few}\n"), &format!("CapBnd:\t{few}\n"), "NoNewPrivs:\t1\n"]);
}

#[test]
fn paths_in_memory_are_of_the_size_that_the_profile_says() {
    let lab = lab();
    let job = under(&lab, "tmpfs: { /tmp: 1MiB, /var/scratch: 2MiB }")
        .script([
            "grep -E ' (/tmp|/var/scratch) tmpfs ' /proc/mounts | cut -d ' ' -f 2",
            "echo 'echo it can be run' > /var/scratch/a; chmod 755 /var/scratch/a; /var/scratch/a",
            "head -c 3000000 /dev/zero > /tmp/big || echo it is full",
        ])
        .run();
    says(&job, &["\n/tmp\n", "\n/var/scratch\n", "\nit can be run\n", "\nit is full\n"]);
}

#[test]
fn a_services_path_is_memory_where_the_profile_says() {
    let lab = lab();
    let job = under(&lab, "services-tmpfs: { /data: 1MiB }")
        .image("dyno-test/busybox:1")
        .response(|response| {
            response["services"] = json!([{
                "name": "dyno-test/busybox:1", "alias": "mounts", "entrypoint": ["/bin/sh", "-c"],
                "command": ["grep ' /data tmpfs ' /proc/mounts > /data/x; nc -ll -p 80 -e cat /data/x"]
            }]);
        })
        .script(["until nc -w 1 mounts 80 </dev/null >/tmp/told 2>/dev/null; do sleep 0.1; done", "cat /tmp/told"])
        .run();
    says(&job, &["/data tmpfs", "size=1024k"]);
}

#[test]
fn a_job_that_holds_more_than_its_disk_is_ended() {
    for line in ["head -c 60000000 /dev/zero > big", "head -c 60000000 /dev/zero > /root/big"] {
        let lab = lab();
        let job = under(&lab, "disk: 20MiB")
            .script([line, "sleep 10000"])
            .after_script(["echo after"])
            .run();
        assert_eq!(
            (&job.ending, job.exit_code),
            (&Ending::ScriptFailure, Some(137)),
            "{}",
            job.log
        );
        for text in ["its disk limit of 20MiB", "more disk in profile performance"] {
            assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
        }
        assert!(Place::Docker.has_no_job_left(&lab));
    }
    let within = under(&lab(), "disk: 20MiB")
        .script(["head -c 6000000 /dev/zero > big; sleep 3; rm big; echo fine"])
        .run();
    says(&within, &["\nfine\n", "20MiB disk"]);
}

#[test]
fn whoever_looks_at_the_daemon_finds_whose_a_container_is() {
    let lab = lab();
    let (job, _) = under(&lab, "cpus: 1")
        .response(|response| {
            response["services"] = json!([{ "name": "dyno-test/echo:1", "alias": "db" }]);
        })
        .script(["echo there", "sleep 1000"])
        .begin();
    job.until_log_has("\nthere\n");
    let filter = format!("label=dyno.state={}", lab.state().display());
    for (list, n_found) in [(&["ps"][..], 3), (&["network", "ls"], 1), (&["volume", "ls"], 1)] {
        let labels = ["--filter", &filter, "--format", "{{.Labels}}"];
        let told = docker(&[list, &labels].concat());
        assert_eq!(told.matches("dyno.state=").count(), n_found, "{list:?}\n{told}");
        for label in [
            "dyno.project.path=group/project",
            "dyno.project.id=4217",
            "dyno.pipeline.id=9001",
            "dyno.job.name=passes",
            "dyno.job=dyno-",
        ] {
            assert_eq!(told.matches(label).count(), n_found, "{label}: {told}");
        }
    }
    job.stop(crate::support::Stop::ForceCancel);
    job.end();
    assert!(Place::Docker.has_no_job_left(&lab));
}

#[test]
fn the_user_that_a_job_names_runs_its_scripts() {
    let of_user = |user: &str| {
        let user = json!(user);
        under(&lab(), "cpus: 1")
            .image("dyno-test/busybox:1")
            .response(|response| response["image"]["executor_opts"]["docker"]["user"] = user)
            .file("SETTINGS", "settings of the job")
            .script(["id -u; id -g; touch made; cat $SETTINGS; echo; echo said > /dev/stdout"])
            .run()
    };
    says(&of_user("1234:4321"), &["\n1234\n4321\nsettings of the job\nsaid\n"]);
    says(&of_user("worker"), &["\n1234\n1234\n"]);
    let job = of_user("nobody-knows");
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert_eq!(job.stages(), ["config", "prepare", "cleanup"], "{}", job.log);
    assert!(job.log.contains("nobody-knows") && job.log.contains("hint: "), "{}", job.log);
}

#[test]
fn a_service_is_ready_when_its_health_check_says_so() {
    let with = |image: &str, patience: &str| {
        let image = json!([{ "name": image, "alias": "it" }]);
        under(&lab(), &format!("wait-for-services: {patience}"))
            .response(|response| response["services"] = image)
            .script(["echo the job goes on"])
            .run()
    };
    let start = std::time::Instant::now();
    let healthy = with("dyno-test/healthy:1", "30s");
    assert!(start.elapsed().as_secs() >= 2, "it was not waited for");
    says(&healthy, &["\nthe job goes on\n"]);
    assert!(!healthy.log.contains("not ready"), "{}", healthy.log);
    let sick = with("dyno-test/sick:1", "2s");
    says(&sick, &["its health check says `unhealthy`", "I am not well", "\nthe job goes on\n"]);
}

#[test]
fn services_have_their_own_variables_and_commands_and_the_first_taker_keeps_a_name() {
    let telling = "echo of $WHO with ${TOKEN:-no token} > /tmp/told; nc -ll -p 80 -e cat /tmp/told";
    let service = |who: &str, alias: &str| {
        json!({ "name": "dyno-test/busybox:1", "alias": alias, "entrypoint": ["/bin/sh", "-c"],
                "command": [telling], "variables": [{ "key": "WHO", "value": who }] })
    };
    let ask = |name: &str| {
        format!(
            "until nc -w 1 {name} 80 </dev/null >told 2>/dev/null; do sleep 0.1; done; cat told"
        )
    };
    let job = under(&lab(), "cpus: 1")
        .image("dyno-test/busybox:1")
        .masked("TOKEN", "s3cr3t-of-the-project")
        .response(|response| {
            response["services"] =
                json!([service("$OWN one", "first,shared"), service("two", "second shared")]);
        })
        .variable("OWN", "my")
        .script([&ask("first"), &ask("second"), &ask("shared")])
        .run();
    says(&job, &["\nof my one with no token\n", "\nof two with no token\n"]);
    assert_eq!(job.log.matches("\nof my one with").count(), 2, "{}", job.log);
    assert!(job.log.contains("alias shared is another service's already"), "{}", job.log);
}

#[test]
fn a_bridge_reaches_the_host_where_the_profile_grants_it() {
    let lab = lab();
    let (job, _) = under(&lab, "network: bridge")
        .script(["ip route | grep -c default; cat /etc/hosts"])
        .begin();
    let job = job.end();
    says(&job, &["\n1\n", "Docker's network"]);
    let none = under(&lab, "network: none").script(["ip link | grep -c mtu; hostname -i"]).run();
    says(&none, &["\n1\n", "\n127.0.0.1\n"]);
}

#[test]
fn a_daemon_that_is_too_old_is_told() {
    let lab = lab();
    let socket = lab.folder().join("old.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                while stream.read(&mut head).is_ok_and(|n| n > 0) {
                    let body =
                        r#"{"Version":"18.09.1","ApiVersion":"1.39","MinAPIVersion":"1.12"}"#;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.39\r\n\
                         Content-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let text = Place::contained(&policy(""), &socket.display().to_string(), "pull: [never]");
    let job = Runner::within(&lab, &text).image("dyno-test/bash:1").script(["true"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    for text in ["speaks API 1.39, which is too old", "hint: install Docker 20.10 or later"] {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
    assert!(lab.has_no_job_left());
}

/// A small file system in memory; unmounted when it is dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status();
        mount.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_under_the_drivers_folder_is_the_platforms_fault() {
    for place in [Place::Sandbox, Place::Docker] {
        let lab = lab();
        let Some(_full) = Small::mount(lab.state(), "size=1m,nr_inodes=4") else {
            return skip(
                "a_full_disk_under_the_drivers_folder_is_the_platforms_fault",
                "cannot mount",
            );
        };
        let job = place.runner_in(&lab).script(["true"]).run();
        assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
        for text in ["No space left on device", "hint: free space on the runner's host"] {
            assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
        }
        assert!(place.has_no_job_left(&lab), "{}", job.log);
    }
}

#[test]
fn a_daemon_with_a_full_disk_is_the_platforms_fault() {
    let daemon = OwnDaemon::start();
    let lab = lab();
    let text = Place::contained(&policy(""), &daemon.socket(), "pull: [never]");
    let run =
        || Runner::within(&lab, &text).image("dyno-test/bash:1").script(["echo it ran"]).run();
    says(&run(), &["\nit ran\n"]);
    let small = Small::mount(daemon.volumes(), "size=1m,nr_inodes=2");
    let Some(small) = small else {
        return skip("a_daemon_with_a_full_disk_is_the_platforms_fault", "cannot mount");
    };
    let job = run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    for text in ["no space left on device", "hint: free space on the runner's host"] {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
    drop(small);
    assert!(lab.has_no_job_left() && daemon.has_nothing_left(&lab.state()));
}

const PIPELINE: &str = "\
default: { image: \"dyno-test/busybox:1\", tags: [Dedicated] }
stages: [build, test]
variables: { GREETING: hello }
build:
  stage: build
  image: { name: dyno-test/entrypoint:1, entrypoint: [\"/entrypoint\"] }
  cache: { key: deps, paths: [deps/] }
  script:
    - echo \"the entrypoint says $FROM_ENTRYPOINT\"
    - mkdir -p deps out && echo cached > deps/a && echo \"$GREETING from build\" > out/result
  artifacts: { paths: [out/], reports: { dotenv: build.env } }
  after_script: [\"echo VERSION=1.2.3 > build.env\"]
test:
  stage: test
  cache: { key: deps, paths: [deps/], policy: pull }
  services:
    - name: dyno-test/redis:7
      alias: db,database
      command: [\"--requirepass\", of-the-pipeline]
  script:
    - cat deps/a out/result; echo \"version $VERSION\"
    - |
      for name in dyno-test__redis dyno-test-redis db database; do
        printf 'AUTH of-the-pipeline\\r\\nSET key %s\\r\\nGET key\\r\\nQUIT\\r\\n' $name | nc $name 6379 | tr -d '\\r'
      done
";

#[test]
fn a_pipeline_with_a_database_an_entrypoint_a_cache_and_artifacts_is_tried() {
    let lab = lab();
    let tried = Try::new(&lab, &Place::policy_with("pull: [never]"), PIPELINE).run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    for text in [
        "the entrypoint says yes",
        "cached",
        "hello from build",
        "version 1.2.3",
        "dyno-test__redis",
        "dyno-test-redis",
        "database",
        "pipeline passed",
    ] {
        assert!(tried.log.contains(text), "`{text}` is missing:\n{}", tried.log);
    }
    assert_eq!(tried.log.matches("+OK").count(), 12, "{}", tried.log);
    eventually("nothing is left", || lab.has_no_job_left());
}

/// A job of the pipeline above, as a runner is given it.
fn of_pipeline(lab: &Arc<Lab>, project: u64, policy: &str) -> Runner {
    let of_project = Place::Docker.runner_of(lab, &Place::policy_with("pull: [never]"));
    of_project.image("dyno-test/busybox:1").seat(|seat| seat.project_id = project).response(
        |response| {
            response["cache"] = json!([{ "key": "deps", "paths": ["deps/"], "policy": policy,
                                         "when": "on_success", "untracked": false }]);
        },
    )
}

#[test]
fn the_same_pipeline_runs_job_by_job_under_a_runner() {
    let (lab, project) = (lab(), Lab::seat().id);
    let mut build_id = 0;
    let build = of_pipeline(&lab, project, "pull-push")
        .seat(|seat| build_id = seat.id)
        .response(|response| {
            response["image"] =
                json!({ "name": "dyno-test/entrypoint:1", "entrypoint": ["/entrypoint"] });
            response["artifacts"] = json!([
                { "name": "results", "paths": ["out/"], "when": "on_success",
                  "artifact_type": "archive", "artifact_format": "zip" },
                { "name": ".env", "paths": ["build.env"], "when": "always",
                  "artifact_type": "dotenv", "artifact_format": "gzip" },
            ]);
        })
        .script([
            "echo \"the entrypoint says $FROM_ENTRYPOINT\"",
            "mkdir -p deps out && echo cached > deps/a && echo hello from build > out/result",
        ])
        .after_script(["echo VERSION=1.2.3 > build.env"])
        .run();
    says(&build, &["the entrypoint says yes", "Created cache"]);
    let dotenv = lab.gitlab().uploads().into_iter().find(|upload| upload.kind == "dotenv").unwrap();
    let dotenv = dotenv.text();
    let (key, value) = dotenv.trim_end().split_once('=').unwrap();

    let ask = "printf 'AUTH of-the-pipeline\\r\\nSET key %s\\r\\nGET key\\r\\nQUIT\\r\\n' $name";
    let ask = format!(
        "for name in dyno-test__redis dyno-test-redis db database; do {ask} | nc $name 6379 | tr -d '\\r'; done"
    );
    let test = of_pipeline(&lab, project, "pull")
        .variable(key, value)
        .response(|response| {
            response["services"] = json!([{ "name": "dyno-test/redis:7", "alias": "db,database",
                                            "command": ["--requirepass", "of-the-pipeline"] }]);
            response["dependencies"] = json!([{
                "id": build_id, "name": "build", "token": format!("JOB-TOKEN-{build_id}"),
                "artifacts_file": { "filename": "artifacts.zip", "size": 1000 }
            }]);
        })
        .script(["cat deps/a out/result; echo \"version $VERSION\"", &ask])
        .run();
    says(
        &test,
        &["\ncached\nhello from build\nversion 1.2.3\n", "dyno-test__redis", "\ndatabase\n"],
    );
    assert_eq!(test.log.matches("+OK").count(), 12, "{}", test.log);
    assert!(Place::Docker.has_no_job_left(&lab));
}

#[test]
fn a_laptop_with_a_daemon_runs_any_image() {
    let lab = lab();
    let socket = crate::support::setting("DYNO_TEST_DOCKER").unwrap();
    let tried = Try::on_a_laptop(&lab, PIPELINE)
        .environment("DOCKER_HOST", &format!("unix://{socket}"))
        .run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    assert!(tried.log.contains("version 1.2.3"), "{}", tried.log);
    let without =
        Try::on_a_laptop(&lab, "a: { image: \"dyno-test/busybox:1\", script: \"true\" }\n")
            .environment("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .run();
    assert_eq!(without.code, Some(1), "{}", without.log);
    assert!(without.log.contains("start Docker"), "{}", without.log);
}
