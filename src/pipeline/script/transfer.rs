//! The stages that call `gitlab-runner` inside the environment: caches and artifacts.
//!
//! Names and paths go there unexpanded: the helper does it, with what `$GITLAB_ENV` added.

use sha2::{Digest, Sha256};

use crate::pipeline::build::Build;
use crate::pipeline::hex;
use crate::pipeline::response::{Artifact, Cache};
use crate::pipeline::script::Passed;
use crate::pipeline::script::shell::{Shell, command_line, quote};
use crate::pipeline::variables::expand_text;

const PROGRAM: &str = "gitlab-runner";

/// Runs `body` only where the helper is on the PATH, and says what is lost where it is not.
fn guarded(shell: &mut Shell, action: &str, body: impl FnOnce(&mut Shell)) {
    let missing = format!("Missing {PROGRAM}. {action} is disabled.");
    shell.if_quiet(&command_line(PROGRAM, &["--version"]), body, |shell| shell.warning(&missing));
}

/// `restore_cache`; returns true when there is something to do.
pub fn restore_cache(shell: &mut Shell, build: &Build) -> bool {
    let mut any = false;
    for cache in &build.response.cache {
        let paths = &cache.paths;
        let key = expand_text(build, &cache.key);
        if paths.is_empty() && !cache.untracked {
            continue;
        }
        any = true;
        if cache.policy == "push" {
            shell.notice(&format!("Not downloading cache {key} due to policy"));
            continue;
        }
        let keys = std::iter::once(key)
            .chain(cache.fallback_keys.iter().map(|key| expand_text(build, key)))
            .filter(|key| !key.is_empty())
            .collect::<Vec<_>>();
        guarded(shell, "Extracting cache", |shell| extract(shell, build, &keys));
    }
    any
}

/// Tries one key after the other: each inside the `else` of the one before.
fn extract(shell: &mut Shell, build: &Build, keys: &[String]) {
    let Some((key, others)) = keys.split_first() else { return };
    shell.notice(&format!("Checking cache for {key}..."));
    let file = cache_file(build, key);
    let call = command_line(PROGRAM, &["cache-extractor", "--file", &file, "--timeout", "10"]);
    shell.when(
        &call,
        |shell| shell.notice("Successfully extracted cache"),
        |shell| {
            shell.warning("Failed to extract cache");
            extract(shell, build, others);
        },
    );
}

/// `archive_cache…`; returns true when a cache's `when:` matches.
pub fn archive_cache(shell: &mut Shell, build: &Build, passed: Passed) -> bool {
    let mut any = false;
    for cache in build.response.cache.iter().filter(|cache| passed.asks(&cache.when)) {
        let paths = &cache.paths;
        if paths.is_empty() && !cache.untracked {
            continue;
        }
        any = true;
        let key = expand_text(build, &cache.key);
        if cache.policy == "pull" {
            shell.notice(&format!("Not uploading cache {key} due to policy"));
            continue;
        }
        guarded(shell, "Creating cache", |shell| archive(shell, build, cache, &key, paths));
    }
    any
}

fn archive(shell: &mut Shell, build: &Build, cache: &Cache, key: &str, paths: &[String]) {
    let temp_dir = build.temp_dir();
    let env_file = build.temp_file("gitlab_runner_cache_env");
    let metadata = serde_json::json!({ "cachekey": key }).to_string();
    let entry = format!("CACHE_METADATA=\"{}\"\n", metadata.replace('"', "\\\""));
    shell.line(&format!("mkdir -p \"{temp_dir}\""));
    shell.line(&format!("printf '%s' {} > \"{env_file}\"", quote(&entry)));
    shell.notice(&format!("Creating cache {key}..."));
    let file = cache_file(build, key);
    let alternate = cache_file(build, &hashed(key));
    let mut arguments = vec!["cache-archiver", "--file", &file, "--alternate-file", &alternate];
    arguments.extend(["--timeout", "10"]);
    for path in paths {
        arguments.extend(["--path", path]);
    }
    if cache.untracked {
        arguments.push("--untracked");
    }
    arguments.extend(["--env-file", &env_file]);
    shell.when(
        &command_line(PROGRAM, &arguments),
        |shell| shell.notice("Created cache"),
        |shell| shell.warning("Failed to create cache"),
    );
    shell.command("rm", &["-f", &env_file]);
}

fn hashed(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// Where a cache lies, seen from the project directory.
fn cache_file(build: &Build, key: &str) -> String {
    let project = build.project_dir();
    let path = &build.response.job_info.project_full_path;
    let target = format!("{}/{path}/{key}/cache.zip", build.folders.cache);
    relative(&project, &target)
}

fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
}

/// `download_artifacts`; returns true when a dependency has an archive.
pub fn download_artifacts(shell: &mut Shell, build: &Build) -> bool {
    let response = &build.response;
    let with_archive: Vec<_> = response
        .dependencies
        .iter()
        .filter(|dependency| !dependency.artifacts_file.filename.is_empty())
        .collect();
    if with_archive.is_empty() {
        return false;
    }
    let url = api_base(build);
    guarded(shell, "Artifacts downloading", |shell| {
        for dependency in &with_archive {
            let id = dependency.id.to_string();
            shell.notice(&format!("Downloading artifacts for {} ({id})...", dependency.name));
            shell.command(
                PROGRAM,
                &["artifacts-downloader", "--url", &url, "--token", &dependency.token, "--id", &id],
            );
        }
    });
    true
}

/// `upload_artifacts…`; returns true when an artifact's `when:` matches.
pub fn upload_artifacts(shell: &mut Shell, build: &Build, passed: Passed) -> bool {
    let mut any = false;
    let artifacts = build.response.artifacts.as_deref().unwrap_or_default();
    for artifact in artifacts.iter().filter(|artifact| passed.asks(&artifact.when)) {
        let paths = &artifact.paths;
        if paths.is_empty() && !artifact.untracked {
            continue;
        }
        any = true;
        let arguments = uploader(build, artifact, paths);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        guarded(shell, "Uploading artifacts", |shell| {
            shell.notice("Uploading artifacts...");
            shell.command(PROGRAM, &arguments);
        });
    }
    any
}

fn uploader(build: &Build, artifact: &Artifact, paths: &[String]) -> Vec<String> {
    let (url, id) = (api_base(build), build.response.id.to_string());
    let mut pairs = vec![
        ("--url", url.as_str()),
        ("--token", &build.response.token),
        ("--id", &id),
        ("--timeout", "1h0m0s"),
        ("--response-header-timeout", "10m0s"),
    ];
    pairs.extend(paths.iter().map(|path| ("--path", path.as_str())));
    pairs.extend(artifact.exclude.iter().flatten().map(|glob| ("--exclude", glob.as_str())));
    if !artifact.name.is_empty() {
        pairs.push(("--name", &artifact.name));
    }
    if let Some(expire_in) = &artifact.expire_in
        && artifact.artifact_type == "archive"
    {
        pairs.push(("--expire-in", expire_in));
    }
    pairs.push(("--artifact-format", &artifact.artifact_format));
    pairs.push(("--artifact-type", &artifact.artifact_type));
    let mut arguments = vec!["artifacts-uploader".to_owned()];
    for (flag, value) in pairs {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    if artifact.untracked {
        arguments.push("--untracked".to_owned());
    }
    arguments
}

/// Where the helper finds the API.
fn api_base(build: &Build) -> String {
    build.job_variable("CI_SERVER_URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_relative_to_the_project() {
        assert_eq!(
            relative("/builds/g/p", "/cache/g/p/deps-protected/cache.zip"),
            "../../../cache/g/p/deps-protected/cache.zip"
        );
        assert_eq!(relative("/x/builds/p", "/x/cache/p/k/cache.zip"), "../../cache/p/k/cache.zip");
    }
}
