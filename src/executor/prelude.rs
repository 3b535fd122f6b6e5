//! The prelude: shell functions that every bash of the job reads before its script, through
//! `BASH_ENV`.
//!
//! They do two things that no program can. A verdict that the guest wrote is exported into the
//! running shell, so the next line of the same script sees it. And a program of an image that a
//! recipe answers is called by its old name, slashes and all.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::policy::recipe::Recipe;

/// The guest's own names; each may leave variables behind for the running shell.
const NAMES: [&str; 3] = ["dyno", "kubectl", "locust"];

/// Writes the prelude for a job whose image the recipe answers.
pub fn prelude(recipe: Option<&Recipe>) -> String {
    let mut text = String::from(HEAD);
    for name in NAMES {
        _ = writeln!(text, "{name}() {{ __dyno_answer command {name} \"$@\"; }}");
    }
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

const HEAD: &str = r#"# Made by dyno for this job; read by every bash of it through BASH_ENV.
__dyno_answer() {
  local __dyno_code=0 __dyno_file
  "$@" || __dyno_code=$?
  for __dyno_file in "$DYNO_EXPORTS"/*.sh; do
    if [ -f "$__dyno_file" ]; then . "$__dyno_file"; fi
  done
  return $__dyno_code
}
"#;

/// A function that answers a program's calls: those with the recipe's words by the recipe, all
/// others by the program itself.
fn write_program(text: &mut String, program: &str, answers: &[(&str, &str)]) {
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

    /// Runs a script as the sandbox would, with `dyno` and its names as programs that say how they
    /// were called and leave a verdict.
    fn run(recipe: Option<&Recipe>, script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir_all(folder.path().join("exports")).unwrap();
        for name in NAMES {
            let program =
                "echo $(basename $0) $*; echo export abc=failed > $DYNO_EXPORTS/abc.sh; exit 3";
            write(name, &format!("#!/bin/sh\n{program}\n"));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        }
        write("prelude.sh", &prelude(recipe));
        let output = bash(folder.path(), script);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    fn bash(folder: &Path, script: &str) -> std::process::Output {
        Command::new("bash")
            .args(["-c", script])
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
        let told =
            run(None, "abc=passed; dyno gate x || echo code $?; echo $abc; bash -c 'echo $abc'");
        assert_eq!(told, "dyno gate x\ncode 3\nfailed\nfailed\n");
    }

    #[test]
    fn a_failing_tool_ends_a_script_under_errexit_with_its_own_code() {
        let told = run(None, "(set -e; kubectl apply; echo no); echo $?");
        assert_eq!(told, "kubectl apply\n3\n");
    }

    #[test]
    fn a_program_of_an_image_is_answered_by_its_path() {
        let told = run(Some(&built_in("pod-inspector")), "/bin/entrypoint.sh; echo $abc");
        assert_eq!(told, "dyno inspect\nfailed\n");
    }

    #[test]
    fn an_interpreter_is_itself_but_for_the_recipes_file() {
        let script = "FRONTEND_TARGET=shop:80; python3 /app/traffic_gen.py | head -c 24; echo; \
                      python3 -c 'print(1 + 1)'";
        let told = run(Some(&built_in("locust")), script);
        assert_eq!(told, "dyno load /app/acme.yaml\n2\n");
    }
}
