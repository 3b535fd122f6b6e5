//! What a job finds inside.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use tokio_util::sync::CancellationToken;

use super::{Driver, JOB, alone, as_both};
use crate::environment::sandbox::File;
use crate::environment::{Environment, Error, ScriptEnd};

#[test]
fn a_recipes_file_is_the_jobs_own() {
    as_both(|mut bench| async move {
        let file = |path: &str, executable| File {
            path: path.into(),
            content: "#!/bin/sh\necho generated\n".to_owned(),
            executable,
        };
        bench.spec.files = vec![
            file("/app/traffic_gen.py", false),
            file("/app/deep/er/run", true),
            file("/opt/x", true),
        ];
        bench.prepare().await;
        let script = "/app/deep/er/run; cd /app; chmod +x traffic_gen.py && ./traffic_gen.py; \
            echo more >>traffic_gen.py; mkdir deep/new; touch /app/new; ls -A /app; /opt/x";
        let ran = bench.run(script).await;
        assert_eq!(ran.end, ScriptEnd::Exited(0), "{}", ran.said);
        assert_eq!(ran.said, "generated\ngenerated\ndeep\nnew\ntraffic_gen.py\ngenerated\n");
        // A next attempt finds the recipe's own text again.
        bench.prepare().await;
        assert_eq!(bench.run("cat /app/traffic_gen.py; ls /app").await.said.lines().count(), 4);
    });
}

#[test]
fn a_recipes_file_in_a_folder_of_the_sandboxs_is_refused() {
    alone(Driver::User, |mut bench| async move {
        let path = "/etc/x/y".into();
        bench.spec.files = vec![File { path, content: String::new(), executable: false }];
        let error = bench.environment().prepare(&CancellationToken::new()).await.unwrap_err();
        let expected = "a recipe's file cannot be at `/etc/x/y`: its top folder is the sandbox's";
        assert_eq!(error.to_string(), expected);
    });
}

#[test]
fn the_guest_is_on_the_path_under_all_its_names() {
    as_both(|mut bench| async move {
        bench.spec.runner = Some("/usr/bin/true".into());
        bench.prepare().await;
        let said = bench
            .run(
                "command -v dyno kubectl locust gitlab-runner; \
            readlink -f $(command -v kubectl); gitlab-runner && echo $prelude",
            )
            .await
            .said;
        assert_eq!(
            said,
            "/run/dyno/bin/dyno\n/run/dyno/bin/kubectl\n/run/dyno/bin/locust\n\
             /run/dyno/bin/gitlab-runner\n/run/dyno/bin/dyno\nsourced\n"
        );
    });
}

#[test]
fn a_program_that_the_jobs_user_cannot_reach_is_placed_where_it_can() {
    alone(Driver::Root, |mut bench| async move {
        let home = bench.place.join("home-of-root");
        fs::DirBuilder::new().mode(0o700).create(&home).unwrap();
        fs::copy(&bench.spec.program, home.join("dyno")).unwrap();
        fs::copy("/usr/bin/true", home.join("gitlab-runner")).unwrap();
        fs::set_permissions(home.join("gitlab-runner"), PermissionsExt::from_mode(0o700)).unwrap();
        bench.spec.program = home.join("dyno");
        bench.spec.runner = Some(home.join("gitlab-runner"));
        bench.prepare().await;
        let ran = bench.run("gitlab-runner && dyno --version").await;
        assert_eq!(ran.end, ScriptEnd::Exited(0), "{}", ran.said);
    });
}

#[test]
fn what_a_stage_leaves_the_next_one_finds_and_a_new_attempt_does_not() {
    as_both(|bench| async move {
        bench.prepare().await;
        let kept = ["/builds/a", "/tmp/a", "/home/job/a", "/run/dyno/exports/a", "/cache/a"];
        bench.run(&format!("touch {}", kept.join(" "))).await;
        let list = format!("ls -d {} 2>/dev/null", kept.join(" "));
        assert_eq!(bench.run(&list).await.said.lines().count(), kept.len());
        bench.prepare().await;
        assert_eq!(bench.run(&list).await.said, "/cache/a\n");
    });
}

#[test]
fn a_cache_of_another_user_is_taken_over() {
    alone(Driver::Root, |mut bench| async move {
        bench.prepare().await;
        bench.run("umask 077; mkdir -p /cache/a/b; echo kept >/cache/a/b/c").await;
        bench.spec.user = Some(JOB + 1);
        bench.prepare().await;
        assert_eq!(bench.run("cat /cache/a/b/c; echo x >/cache/a/b/c").await.said, "kept\n");
    });
}

#[test]
fn a_state_folder_that_the_jobs_user_cannot_reach_is_named() {
    alone(Driver::Root, |bench| async move {
        let state = bench.place.join("state");
        fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
        let error = bench.environment().prepare(&CancellationToken::new()).await.unwrap_err();
        assert!(matches!(&error, Error::Unreachable { path, user: JOB } if *path == state));
        assert_eq!(error.hint().unwrap().rsplit(' ').next(), state.to_str());
    });
}

#[test]
fn a_job_is_never_the_hosts_root() {
    alone(Driver::Root, |mut bench| async move {
        bench.spec.user = Some(0);
        let error = bench.environment().prepare(&CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "the job's user on the host cannot be root");
    });
}
