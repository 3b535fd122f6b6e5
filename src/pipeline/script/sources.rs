//! The git stages: fetch and check out, empty the work tree, remove what the runner left.

use crate::pipeline::build::Build;
use crate::pipeline::script::shell::{Shell, command_line};

/// Files that a killed git leaves and that stop the next one.
const LOCKS: &[&str] =
    &["index.lock", "shallow.lock", "HEAD.lock", "hooks/post-checkout", "config.lock"];

/// `get_sources` after the exports.
pub fn get(shell: &mut Shell, build: &Build) {
    shell.export("GIT_TERMINAL_PROMPT", "0");
    shell.export("GCM_INTERACTIVE", "Never");
    shell.export("GIT_LFS_SKIP_SMUDGE", "1");
    let project = build.project_dir();
    let strategy = build.job_variable("GIT_STRATEGY");
    if !build.job_variable("GIT_CLONE_PATH").is_empty() {
        fail(shell, "setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature");
    }
    let checks_out = match strategy.as_str() {
        "none" => {
            shell.notice("Skipping Git repository setup");
            shell.command("mkdir", &["-p", &project]);
            false
        }
        "empty" => {
            shell.notice("Skipping Git repository setup and creating an empty build directory");
            shell.command("rm", &["-r", "-f", &project]);
            shell.command("mkdir", &["-p", &project]);
            false
        }
        "" | "fetch" | "clone" => {
            if strategy == "clone" {
                shell.command("rm", &["-r", "-f", &project]);
            }
            fetch(shell, build, &project);
            build.job_variable("GIT_CHECKOUT") != "false"
        }
        other => {
            fail(shell, &format!("unknown GIT_STRATEGY {other}"));
            false
        }
    };
    if checks_out {
        check_out(shell, build);
    } else {
        shell.notice("Skipping Git checkout");
    }
    submodules(shell, build);
    own(shell, build, &project);
}

/// A value that the plan could not see, of a project variable say: the stage says so and ends.
fn fail(shell: &mut Shell, text: &str) {
    shell.notice(text);
    shell.command("exit", &["1"]);
}

fn fetch(shell: &mut Shell, build: &Build, project: &str) {
    let git = &build.response.git_info;
    if build.job_variable("FF_USE_GITALY_CORRELATION_ID") != "false" {
        shell.notice(&format!("Gitaly correlation ID: {:032x}", build.response.id));
    }
    if git.depth > 0 {
        shell.notice(&format!("Fetching changes with git depth set to {}...", git.depth));
    } else {
        shell.notice("Fetching changes...");
    }
    remove_stale(shell, project);
    let template = template(shell, build);
    shell.command("git", &["init", project, "--template", &template]);
    shell.command("cd", &[project]);
    let url = without_credentials(&git.repo_url);
    let add = command_line("git", &["remote", "add", "origin", &url]);
    shell.if_quiet(
        &add,
        |shell| shell.notice("Created fresh repository."),
        |shell| shell.command("git", &["remote", "set-url", "origin", &url]),
    );
    let agent =
        format!("http.userAgent=gitlab-runner {} {}", build.runner.version, build.runner.arch);
    let depth = git.depth.to_string();
    let mut arguments = vec!["-c", agent.as_str(), "fetch", "origin", "--no-recurse-submodules"];
    arguments.extend(git.refspecs.iter().map(String::as_str));
    if git.depth > 0 {
        arguments.extend(["--depth", &depth]);
    }
    let flags = build.job_variable("GIT_FETCH_EXTRA_FLAGS");
    if flags.is_empty() {
        arguments.extend(["--prune", "--quiet"]);
    } else {
        arguments.extend(flags.split_whitespace());
    }
    shell.command("git", &arguments);
}

fn remove_stale(shell: &mut Shell, project: &str) {
    for lock in LOCKS {
        shell.command("rm", &["-f", &format!("{project}/.git/{lock}")]);
    }
    let refs = format!("{project}/.git/refs");
    shell.when(
        &format!("[ -d \"{refs}\" ]"),
        |shell| shell.line(&format!("find \"{refs}\" -name \"*.lock\" -exec rm {{}} +")),
        |_| (),
    );
    shell.command("rm", &["-f", &format!("{project}/.git/config")]);
    shell.command("rm", &["-r", "-f", &format!("{project}/.git/hooks")]);
}

/// Writes the template that `git init` copies; the token stays in a file beside the repository.
fn template(shell: &mut Shell, build: &Build) -> String {
    let folder = build.temp_file("git-template");
    let file = format!("{folder}/config");
    let external = build.temp_file(".gitlab-runner.ext.conf");
    shell.command("mkdir", &["-p", &folder]);
    for (key, value) in [
        ("init.defaultBranch", "none"),
        ("fetch.recurseSubmodules", "false"),
        ("credential.interactive", "never"),
        ("gc.autoDetach", "false"),
    ] {
        shell.command("git", &["config", "-f", &file, key, value]);
    }
    shell.command("rm", &["-f", &external]);
    let with_token = build.response.git_info.repo_url.clone();
    let (base, plain) = bases(&with_token);
    shell.command("git", &["config", "-f", &external, &format!("url.{base}.insteadOf"), &plain]);
    shell.command("git", &["config", "-f", &file, "include.path", &external]);
    folder
}

/// Returns scheme and host of a clone URL, with its credentials and without.
fn bases(url: &str) -> (String, String) {
    let host_end =
        url.find("://").and_then(|at| url.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
    let base = host_end.and_then(|end| url.get(..end)).unwrap_or(url);
    (base.to_owned(), without_credentials(base))
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..host_end).and_then(|host| host.rfind('@')) {
        Some(at) => format!("{scheme}://{}", rest.get(at + 1..).unwrap_or_default()),
        None => url.to_owned(),
    }
}

fn check_out(shell: &mut Shell, build: &Build) {
    let git = &build.response.git_info;
    let short = git.sha.get(..8).unwrap_or(&git.sha);
    shell.notice(&format!("Checking out {short} as detached HEAD (ref is {})...", git.git_ref));
    shell.command("git", &["-c", "submodule.recurse=false", "checkout", "-f", "-q", &git.sha]);
    let flags = build.job_variable("GIT_CLEAN_FLAGS");
    if flags != "none" {
        let flags = if flags.is_empty() { "-ffdx" } else { flags.as_str() };
        let mut arguments = vec!["clean"];
        arguments.extend(flags.split_whitespace());
        shell.command("git", &arguments);
    }
    shell.if_quiet(
        "git lfs version",
        |shell| {
            shell.command("git", &["lfs", "pull"]);
            shell.line("echo");
        },
        |_| (),
    );
}

fn submodules(shell: &mut Shell, build: &Build) {
    // The rewrite with the token holds for the clones too, which have a configuration of their own.
    let include = format!("include.path={}", build.temp_file(".gitlab-runner.ext.conf"));
    let update = ["-c", include.as_str(), "submodule", "update", "--init"];
    match build.job_variable("GIT_SUBMODULE_STRATEGY").as_str() {
        "normal" => {
            shell.notice("Updating/initializing submodules...");
            shell.command("git", &update);
        }
        "recursive" => {
            shell.notice("Updating/initializing submodules recursively...");
            shell.command("git", &[update.as_slice(), &["--recursive"]].concat());
        }
        _ => shell.notice("Skipping Git submodules setup"),
    }
}

/// Gives the files to the user that a driver asked for with its own marker file.
fn own(shell: &mut Shell, build: &Build, project: &str) {
    let marker = format!("{}/.gitlab-build-uid-gid", build.folders.builds);
    shell.when(
        &format!("[ -e \"{marker}\" ]"),
        |shell| shell.line(&format!("chown -R \"$(stat -c '%u:%g' \"{marker}\")\" \"{project}\"")),
        |_| (),
    );
    forget_credentials(shell);
}

fn forget_credentials(shell: &mut Shell) {
    shell.line("git credential reject < /dev/null > /dev/null 2>&1 || true");
}

/// `clear_worktree`: no exports.
pub fn clear(shell: &mut Shell, build: &Build) {
    let project = build.project_dir();
    shell.notice("Deleting tracked and untracked files...");
    shell.when(
        &format!("[ -d \"{project}\" ]"),
        |shell| {
            shell.command("cd", &[&project]);
            shell.command("git", &["rm", "-rf", "--ignore-unmatch", "--quiet", "."]);
            shell.command("git", &["clean", "-ffdx", "-q"]);
        },
        |_| (),
    );
}

/// `cleanup_file_variables` after the exports.
pub fn clean_up(shell: &mut Shell, build: &Build) {
    forget_credentials(shell);
    for name in ["gitlab_runner_env", "masking.db", ".gitlab-runner.ext.conf", ".glr.gconf"] {
        shell.command("rm", &["-f", &build.temp_file(name)]);
    }
    for variable in build.response.variables.iter().filter(|variable| variable.file) {
        shell.command("rm", &["-f", &build.temp_file(&variable.key)]);
    }
    let project = build.project_dir();
    for lock in LOCKS {
        shell.command("rm", &["-f", &format!("{project}/.git/{lock}")]);
    }
    shell.command("rm", &["-r", "-f", &build.temp_file("git-template")]);
    shell.command("rm", &["-f", &format!("{}/.gitlab-build-uid-gid", build.folders.builds)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_leaves_the_remote_and_stays_in_the_rewrite() {
        let url = "http://gitlab-ci-token:T@127.0.0.1:8929/g/p.git";
        assert_eq!(without_credentials(url), "http://127.0.0.1:8929/g/p.git");
        assert_eq!(
            bases(url),
            (
                "http://gitlab-ci-token:T@127.0.0.1:8929".to_owned(),
                "http://127.0.0.1:8929".to_owned()
            )
        );
    }
}
