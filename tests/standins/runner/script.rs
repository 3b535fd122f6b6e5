//! The scripts that gitlab-runner generates for bash: one frame, a body for each stage.

use std::fmt::Write as _;

use serde_json::Value;

use super::variables::{Folders, Variable};

/// Quotes as gitlab-runner does: `''`, as it is, or `$'…'`.
pub fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_@,./-".contains(&b);
    if text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut result = "$'".to_owned();
    for byte in text.bytes() {
        match byte {
            0x07 => result.push_str("\\a"),
            0x08 => result.push_str("\\b"),
            b'\t' => result.push_str("\\t"),
            b'\n' => result.push_str("\\n"),
            0x0b => result.push_str("\\v"),
            0x0c => result.push_str("\\f"),
            b'\r' => result.push_str("\\r"),
            b'\'' => result.push_str("\\'"),
            b'\\' => result.push_str("\\\\"),
            b' '..=b'~' => result.push(char::from(byte)),
            _ => write!(result, "\\x{byte:02X}").unwrap(),
        }
    }
    result + "'"
}

/// Puts a body into the frame that all stages share.
pub fn framed(body: &str) -> String {
    format!(
        "#!/usr/bin/env bash\n\n\
         trap 'exit 1' TERM\n\n\
         case \"$(set -o)\" in *\"pipefail\"*) set -o pipefail;; esac; set -o errexit\n\
         set +o noclobber\n\
         (trap 'exit 1' TERM; eval {}) < /dev/null\n\
         exit 0\n",
        quoted(body)
    )
}

/// Exports and `$GITLAB_ENV`: what all but the first stage begin with.
pub fn common(variables: &[Variable], folders: &Folders) -> String {
    let temporary = folders.temporary();
    let mut body = String::new();
    for Variable { key, value, file } in variables {
        if *file {
            writeln!(body, "mkdir -p \"{temporary}\"").unwrap();
            writeln!(body, "printf '%s' {} > \"{temporary}/{key}\"", quoted(value)).unwrap();
            writeln!(body, "export {key}=\"{temporary}/{key}\"").unwrap();
        } else {
            writeln!(body, "export {key}={}", quoted(value)).unwrap();
        }
    }
    let env = format!("{temporary}/gitlab_runner_env");
    writeln!(body, "export GITLAB_ENV={}", quoted(&env)).unwrap();
    writeln!(body, "mkdir -p \"{temporary}\"\ntouch \"{env}\"").unwrap();
    writeln!(body, "while read -r line; do export \"$line\"; done < \"{env}\"").unwrap();
    body
}

/// A line of the script's own, in green.
pub fn told(text: &str) -> String {
    format!("echo {}\n", quoted(&format!("\u{1b}[32;1m{text}\u{1b}[0;m")))
}

/// A user's commands, each told before it runs.
pub fn commands(script: &[String]) -> String {
    let mut body = String::new();
    for command in script.iter().map(|command| command.trim()) {
        let mut lines = command.lines();
        match (lines.next(), lines.next()) {
            (None, _) => body.push_str("echo\n"),
            (Some(only), None) => body += &told(&format!("$ {only}")),
            (Some(first), Some(_)) => {
                body += &told(&format!("$ {first} # collapsed multi-line command"));
            }
        }
        body.push_str(command);
        body.push('\n');
    }
    body
}

/// `prepare_script`.
pub fn prepare(folders: &Folders, hostname: &str) -> String {
    let temporary = folders.temporary();
    format!(
        "echo \"Running on $(hostname) via {hostname}...\"\n\
         rm -f {temporary}/gitlab_runner_env\nrm -f {temporary}/masking.db\n"
    )
}

/// `get_sources` for `GIT_STRATEGY` none and fetch.
pub fn sources(response: &Value, folders: &Folders, strategy: &str) -> String {
    let project = &folders.project;
    if strategy == "none" {
        return told("Skipping Git repository setup")
            + &format!("mkdir -p {project}\n")
            + &told("Skipping Git checkout")
            + &told("Skipping Git submodules setup");
    }
    let git = &response["git_info"];
    let text = |key: &str| git[key].as_str().unwrap_or_default().to_owned();
    let (sha, depth) = (text("sha"), git["depth"].to_string());
    let refspecs: Vec<String> = git["refspecs"]
        .as_array()
        .map(|all| all.iter().filter_map(Value::as_str).map(quoted).collect())
        .unwrap_or_default();
    let template = format!("{}/git-template", folders.temporary());
    let mut body = "export GIT_TERMINAL_PROMPT=0\nexport GCM_INTERACTIVE=Never\n\
                    export GIT_LFS_SKIP_SMUDGE=1\n"
        .to_owned();
    body += &told(&format!("Fetching changes with git depth set to {depth}..."));
    writeln!(body, "rm -rf {template}\nmkdir -p {template}").unwrap();
    for (key, value) in [("init.defaultBranch", "none"), ("gc.autoDetach", "false")] {
        writeln!(body, "git config -f {template}/config {key} {value}").unwrap();
    }
    writeln!(body, "git init {project} --template {template}\ncd {project}").unwrap();
    let url = quoted(&text("repo_url"));
    writeln!(body, "if git remote add origin {url} >/dev/null 2>&1; then").unwrap();
    body += &told("Created fresh repository.");
    writeln!(body, "else\ngit remote set-url origin {url}\nfi").unwrap();
    let refspecs = refspecs.join(" ");
    writeln!(
        body,
        "git -c http.userAgent=$'gitlab-runner 19.3.0 linux/amd64' fetch origin \
         --no-recurse-submodules {refspecs} --depth {depth} --prune --quiet"
    )
    .unwrap();
    let short: String = sha.chars().take(8).collect();
    body += &told(&format!("Checking out {short} as detached HEAD (ref is {})...", text("ref")));
    writeln!(body, "git -c submodule.recurse=false checkout -f -q {sha}\ngit clean -ffdx").unwrap();
    body + &told("Skipping Git submodules setup")
}

/// `clear_worktree`.
pub fn clear(folders: &Folders) -> String {
    told("Deleting tracked and untracked files...")
        + &format!(
            "if [ -d {0} ]; then cd {0}; git rm -rf --ignore-unmatch --quiet . ; git clean -ffdx -q; fi\n",
            folders.project
        )
}

/// `upload_artifacts_on_…`: a guarded call of the helper for each entry.
pub fn uploads(response: &Value, url: &str, entries: &[&Value]) -> String {
    let mut calls = String::new();
    for entry in entries {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        write!(
            calls,
            "gitlab-runner artifacts-uploader --url {} --token {} --id {} --timeout 1h0m0s \
             --response-header-timeout 10m0s",
            quoted(url),
            quoted(response["token"].as_str().unwrap_or_default()),
            response["id"]
        )
        .unwrap();
        for path in entry["paths"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            write!(calls, " --path {}", quoted(path)).unwrap();
        }
        for (flag, value) in [("name", text("name")), ("expire-in", text("expire_in"))] {
            if !value.is_empty() {
                write!(calls, " --{flag} {}", quoted(value)).unwrap();
            }
        }
        let (format, kind) = (text("artifact_format"), text("artifact_type"));
        writeln!(calls, " --artifact-format {format} --artifact-type {kind}").unwrap();
    }
    guarded("Uploading artifacts", &calls)
}

/// `download_artifacts`.
pub fn downloads(response: &Value, url: &str) -> String {
    let mut calls = String::new();
    for dependency in response["dependencies"].as_array().into_iter().flatten() {
        let text = |key: &str| dependency[key].as_str().unwrap_or_default();
        calls +=
            &told(&format!("Downloading artifacts for {} ({})...", text("name"), dependency["id"]));
        let token = quoted(text("token"));
        writeln!(
            calls,
            "gitlab-runner artifacts-downloader --url {} --token {token} --id {}",
            quoted(url),
            dependency["id"]
        )
        .unwrap();
    }
    guarded("Artifacts downloading", &calls)
}

/// `restore_cache`: a guarded call of the helper for each cache that is not only pushed.
pub fn restore(response: &Value, folders: &Folders) -> String {
    let mut body = String::new();
    for cache in caches(response) {
        let key = cache["key"].as_str().unwrap_or_default();
        if cache["policy"] == "push" {
            body += &told(&format!("Not downloading cache {key} due to policy"));
            continue;
        }
        let call = format!(
            "gitlab-runner cache-extractor --file {} --timeout 10",
            file(folders, response, key)
        );
        body += &told(&format!("Checking cache for {key}..."));
        body += &guarded_cache(
            "Extracting cache",
            &call,
            "Successfully extracted cache",
            "Failed to extract cache",
        );
    }
    body
}

/// `archive_cache…`: a guarded call of the helper for each cache whose `when:` matches.
pub fn archive(response: &Value, folders: &Folders, is_success: bool) -> Option<String> {
    let mut body = None;
    for cache in caches(response) {
        let is_due = match cache["when"].as_str() {
            Some("always") => true,
            Some("on_failure") => !is_success,
            Some(_) | None => is_success,
        };
        if !is_due {
            continue;
        }
        let body = body.get_or_insert_with(String::new);
        let key = cache["key"].as_str().unwrap_or_default();
        if cache["policy"] == "pull" {
            *body += &told(&format!("Not uploading cache {key} due to policy"));
            continue;
        }
        let mut call = format!(
            "gitlab-runner cache-archiver --file {} --timeout 10",
            file(folders, response, key)
        );
        for path in cache["paths"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            write!(call, " --path {}", quoted(path)).unwrap();
        }
        *body += &told(&format!("Creating cache {key}..."));
        *body += &guarded_cache("Creating cache", &call, "Created cache", "Failed to create cache");
    }
    body
}

fn caches(response: &Value) -> impl Iterator<Item = &Value> {
    response["cache"].as_array().into_iter().flatten()
}

/// A cache's file, seen from the project's folder.
fn file(folders: &Folders, response: &Value, key: &str) -> String {
    let up = "../".repeat(folders.project.split('/').filter(|part| !part.is_empty()).count());
    let path = response["job_info"]["project_full_path"].as_str().unwrap_or_default();
    quoted(&format!("{up}{}/{path}/{key}/cache.zip", folders.cache.trim_start_matches('/')))
}

fn guarded_cache(action: &str, call: &str, done: &str, failed: &str) -> String {
    let missing = quoted(&format!("Missing gitlab-runner. {action} is disabled."));
    format!(
        "if gitlab-runner --version >/dev/null 2>&1 ; then\nif {call} ; then\n{}else\n{}fi\n\
         else\necho {missing}\nfi\n",
        told(done),
        told(failed)
    )
}

fn guarded(action: &str, calls: &str) -> String {
    let missing = quoted(&format!("Missing gitlab-runner. {action} is disabled."));
    format!(
        "if gitlab-runner --version >/dev/null 2>&1 ; then\n{}{calls}else\necho {missing}\nfi\n",
        told(&format!("{action}..."))
    )
}

/// `cleanup_file_variables`.
pub fn cleanup(variables: &[Variable], folders: &Folders) -> String {
    let temporary = folders.temporary();
    let mut body = format!("rm -f {temporary}/gitlab_runner_env\nrm -f {temporary}/masking.db\n");
    for variable in variables.iter().filter(|variable| variable.file) {
        writeln!(body, "rm -f {temporary}/{}", variable.key).unwrap();
    }
    body
}
