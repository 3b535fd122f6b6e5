//! The prelude: shell functions that every shell of the job reads before its script: bash through
//! `BASH_ENV`, others because the driver puts it first.
//!
//! They do what no program can. A verdict that the guest wrote is exported into the running shell,
//! so the next line of the same script sees it. A program of an image that a recipe answers is
//! called by its old name, slashes and all. And dyno is found whatever a job makes of `PATH`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use crate::environment::sandbox::File;
use crate::policy::recipe::Recipe;

/// Writes the prelude for a job whose image the recipe answers.
pub fn prelude(recipe: Option<&Recipe>) -> String {
    let mut text = String::from(HEAD);
    let mut programs: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for command in recipe.map(|recipe| recipe.commands.as_slice()).unwrap_or_default() {
        let (program, words) = command.when.split_once(' ').unwrap_or((&command.when, ""));
        programs.entry(program).or_default().push((words, &command.run));
    }
    for (program, answers) in programs {
        write_program(&mut text, program, &answers);
    }
    text
}

/// Programs in `/bin` that do what the prelude's functions of their name do, for callers that are
/// no bash: `sh -c /bin/entrypoint.sh`. What they find out reaches later scripts, as a program's
/// variables do not reach its caller.
pub fn programs(recipe: &Recipe) -> Vec<File> {
    let names: BTreeSet<&str> = recipe
        .commands
        .iter()
        .filter_map(|command| command.when.split(' ').next()?.strip_prefix("/bin/"))
        .filter(|name| !name.contains('/'))
        .collect();
    let program = |name: &str| File {
        path: PathBuf::from(format!("/bin/{name}")),
        content: format!(
            "#!/bin/bash\n# Recipe {} has this program.\n. /run/dyno/prelude.sh\n/bin/{name} \"$@\"\n",
            recipe.name
        ),
        executable: true,
    };
    names.into_iter().map(program).collect()
}

/// In words that every POSIX shell reads. `kubectl` is no function: it leaves no variable behind,
/// and scripts look whether what `command -v kubectl` says can be run.
const HEAD: &str = r#"# Made by dyno for this job; read by every shell of it before its script.
__dyno_answer() {
  local __dyno_code=0
  __dyno_calls=$((${__dyno_calls:-0} + 1))
  local __dyno_file="$DYNO_EXPORTS/$$-$__dyno_calls.sh"
  : >| "$__dyno_file" || :
  DYNO_EXPORT_FILE=$__dyno_file "$@" || __dyno_code=$?
  if [ -s "$__dyno_file" ]; then . "$__dyno_file"; fi
  return $__dyno_code
}
dyno() { __dyno_answer /run/dyno/bin/dyno "$@"; }
locust() { __dyno_answer /run/dyno/bin/locust "$@"; }
if [ -n "${BASH_VERSION:-}" ]; then
  eval 'gitlab-runner() { /run/dyno/bin/gitlab-runner "$@"; }'
  command_not_found_handle() {
    case "$1" in kubectl) /run/dyno/bin/"$@"; return ;; esac
    echo "${0##*/}: $1: command not found" >&2
    return 127
  }
fi
"#;

/// A function that answers a program's calls: those with the recipe's words by the recipe, all
/// others by the program itself.
///
/// A program that is there under its plain name stays what it is: the recipe's files answer it.
fn write_program(text: &mut String, program: &str, answers: &[(&str, &str)]) {
    if !program.contains('/') {
        _ = writeln!(text, "command -v {program} >/dev/null 2>&1 ||");
    }
    _ = writeln!(text, "{program}() {{\n  case \"$*\" in");
    let mut answers_all = false;
    for (words, run) in answers {
        if words.is_empty() {
            answers_all = true;
            _ = writeln!(text, "    *) {run} ;;");
        } else {
            let shift = words.split_whitespace().count();
            let pattern = quote(words);
            _ = writeln!(text, "    {pattern}|{pattern}\\ *) shift {shift}; {run} ;;");
        }
    }
    if !answers_all {
        _ = writeln!(text, "    *) command {program} \"$@\" ;;");
    }
    text.push_str("  esac\n}\n");
}

/// Quotes for a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::policy::recipe;

    const NAMES: [&str; 4] = ["dyno", "kubectl", "locust", "gitlab-runner"];

    /// Runs a script as the sandbox would, with dyno's names as programs that say how they were
    /// called and leave a verdict.
    fn run(shell: &str, recipe: Option<&Recipe>, script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().display().to_string();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir_all(folder.path().join("exports")).unwrap();
        for name in NAMES {
            let program = "echo $(basename $0) $*; echo export abc=failed > ${DYNO_EXPORT_FILE:-/dev/null}; exit 3";
            write(name, &format!("#!/bin/sh\n{program}\n"));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        }
        write("prelude.sh", &prelude(recipe).replace("/run/dyno/bin", &bin));
        let output = call(shell, folder.path(), script);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    fn call(shell: &str, folder: &Path, script: &str) -> std::process::Output {
        // Another shell than bash gets the prelude before its script.
        let script = match shell {
            "bash" => script.to_owned(),
            _ => format!(". {}/prelude.sh\n{script}", folder.display()),
        };
        Command::new(shell)
            .args(["-c", &script])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("BASH_ENV", folder.join("prelude.sh"))
            .env("DYNO_EXPORTS", folder.join("exports"))
            .output()
            .unwrap()
    }

    fn built_in(name: &str) -> Recipe {
        recipe::Library::built_in().recipes.remove(name).unwrap()
    }

    #[test]
    fn a_verdict_is_right_in_the_next_line_of_the_same_script() {
        for shell in ["bash", "dash"] {
            for options in ["", "set -f;", "set -u;", "set -C;", "set -e;"] {
                let script =
                    format!("{options} abc=passed; dyno gate x || echo code $?; echo $abc");
                let told = run(shell, None, &script);
                assert_eq!(told, "dyno gate x\ncode 3\nfailed\n", "{shell} {options}");
            }
        }
        let told = run("bash", None, "dyno gate x || bash -c 'echo $abc'");
        assert_eq!(told, "dyno gate x\nfailed\n");
    }

    #[test]
    fn only_the_call_that_wrote_a_verdict_sets_it() {
        let script = "dyno a || :; abc=mine; kubectl version || :; echo $abc";
        assert_eq!(run("bash", None, script), "dyno a\nkubectl version\nmine\n");
    }

    #[test]
    fn a_failing_tool_ends_a_script_under_errexit_with_its_own_code() {
        for tool in ["kubectl", "dyno"] {
            let told = run("bash", None, &format!("(set -e; {tool} apply; echo no); echo $?"));
            assert_eq!(told, format!("{tool} apply\n3\n"));
        }
    }

    #[test]
    fn what_command_v_says_of_kubectl_can_be_run() {
        assert_eq!(run("bash", None, "[ -x \"$(command -v kubectl)\" ] && echo yes"), "yes\n");
    }

    #[test]
    fn dyno_is_found_whatever_a_job_makes_of_its_path() {
        let told = run("bash", None, "PATH=/nowhere; dyno a; locust b; kubectl c; gitlab-runner d");
        // The stand-ins themselves need `basename`, which is found no more.
        assert!(!told.contains("kubectl: command not found"), "{told}");
        let told = run("bash", None, "PATH=/nowhere; other");
        assert!(told.ends_with("other: command not found\n"), "{told}");
    }

    #[test]
    fn a_program_of_an_image_is_answered_by_its_path() {
        let told = run("bash", Some(&built_in("pod-inspector")), "/bin/entrypoint.sh; echo $abc");
        assert_eq!(told, "dyno inspect\nfailed\n");
    }

    #[test]
    fn an_interpreter_that_is_there_stays_what_it_is() {
        let script = "command -v python3; python3 -c 'print(1 + 1)'";
        let told = run("bash", Some(&built_in("locust")), script);
        assert_eq!(told, "/usr/bin/python3\n2\n");
    }
}
