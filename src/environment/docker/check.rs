//! What `dyno doctor` tells of a Docker daemon.

use std::path::Path;

use bollard::models::SystemInfo;

use super::engine;
use crate::environment::Finding;

/// Looks at a daemon: whether it answers, is new enough, and can hold a job to its limits.
pub async fn check(socket: &Path) -> Vec<Finding> {
    let at = socket.display();
    let finding = |ok, what: String, mend: &str| Finding { ok, what, mend: mend.to_owned() };
    let connected = async {
        let engine = engine::connect(socket).await?;
        engine.info().await.map_err(engine::failed(format!("ask the daemon at `{at}`")))
    };
    match connected.await {
        Ok(info) => findings(&at.to_string(), &info),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|it| format!(": {it}"));
            let what = format!("{error}{}", cause.unwrap_or_default());
            vec![finding(false, what, &error.hint().unwrap_or_default())]
        }
    }
}

fn findings(at: &str, info: &SystemInfo) -> Vec<Finding> {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let mut found = vec![Finding {
        ok: true,
        what: format!(
            "{at} answers: Docker {}, storage driver {}; `disk` is held by looking, not by it",
            known(&info.server_version),
            known(&info.driver)
        ),
        mend: String::new(),
    }];
    for (can, what) in [
        (info.memory_limit, "memory"),
        (info.cpu_cfs_quota, "cpus"),
        (info.pids_limit, "processes"),
    ] {
        if can == Some(false) {
            found.push(Finding {
                ok: false,
                what: format!("{at} cannot hold jobs to `{what}`"),
                mend: "let the host's kernel give Docker that control group".to_owned(),
            });
        }
    }
    if info.swap_limit == Some(false) {
        found.push(Finding {
            ok: true,
            what: format!("{at} does not count swap: a job may use it beyond its memory"),
            mend: "boot the host with `swapaccount=1`, or without swap".to_owned(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_cannot_hold_a_limit_is_told() {
        let able = SystemInfo {
            server_version: Some("20.10.24".to_owned()),
            driver: Some("overlay2".to_owned()),
            memory_limit: Some(true),
            swap_limit: Some(true),
            pids_limit: Some(true),
            ..SystemInfo::default()
        };
        let told = findings("/d.sock", &able);
        assert_eq!(told.len(), 1);
        assert!(told[0].what.contains("Docker 20.10.24, storage driver overlay2"), "{told:?}");
        let unable = SystemInfo { pids_limit: Some(false), swap_limit: Some(false), ..able };
        let told = findings("/d.sock", &unable);
        assert_eq!(told.iter().map(|it| it.ok).collect::<Vec<_>>(), [true, false, true]);
        assert!(told[1].what.contains("`processes`") && told[2].what.contains("swap"), "{told:?}");
    }
}
