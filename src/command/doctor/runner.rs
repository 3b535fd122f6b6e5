//! gitlab-runner: its version, and the `[[runners]]` entries that hand their jobs to dyno.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::toml::{Entry, entries};
use super::{Args, Finding};
use crate::policy::Policy;

/// The first version with `BUILD_EXIT_CODE_FILE`.
const NEEDED: (u32, u32) = (17, 9);
const EXAMPLE: &str = "take runner-config.toml.example as it is";
const VERBS: [&str; 4] = ["config", "prepare", "run", "cleanup"];
/// The runner gives up on a build five minutes after it was told to stop.
const LONGEST_GRACE: u64 = 120;

pub(super) fn look(args: &Args, path: &str, policy: Option<&Policy>) -> Vec<Finding> {
    let mut findings = vec![version(path)];
    match std::fs::read_to_string(&args.runner_config) {
        Ok(text) => findings.extend(configuration(&text, args, policy)),
        Err(error) => findings.push(Finding::warn(
            "runner",
            format!("cannot read {}: {error}", args.runner_config.display()),
            "name it by `--runner-config`, and run doctor as the runner's user",
        )),
    }
    findings
}

/// Finds a program as a shell does.
pub(super) fn find(path: &str, name: &str) -> Option<PathBuf> {
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(name))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

fn version(path: &str) -> Finding {
    let Some(program) = find(path, "gitlab-runner") else {
        return Finding::warn(
            "runner",
            "gitlab-runner is not on PATH",
            "install gitlab-runner 17.9 or later, unless this host only runs `dyno try`",
        );
    };
    let told = Command::new(&program).arg("--version").output();
    let told = told.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    judge_version(&program, &told.unwrap_or_default())
}

fn judge_version(program: &Path, told: &str) -> Finding {
    let version = told
        .lines()
        .find_map(|line| line.trim().strip_prefix("Version:"))
        .map(str::trim)
        .unwrap_or_default();
    let what = format!("{} is version {version}", program.display());
    match parse_version(version) {
        Some(found) if found >= NEEDED => Finding::ok("runner", what),
        Some(_) => Finding::fail("runner", what, "update gitlab-runner to 17.9 or later"),
        None => Finding::warn(
            "runner",
            format!("{} does not tell its version", program.display()),
            "make sure that it is 17.9 or later",
        ),
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split(['.', '~', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn configuration(text: &str, args: &Args, policy: Option<&Policy>) -> Vec<Finding> {
    let all = match entries(text) {
        Ok(all) => all,
        Err(broken) => {
            let what = format!("{} {broken}", args.runner_config.display());
            let mend = "mend it: gitlab-runner cannot read it either";
            return vec![Finding::fail("runner", what, mend)];
        }
    };
    let ours: Vec<&Entry> = all.iter().filter(|entry| is_ours(entry)).collect();
    if ours.is_empty() {
        let what = format!("no `[[runners]]` of {} calls dyno", args.runner_config.display());
        return vec![Finding::warn("runner", what, EXAMPLE)];
    }
    let mut findings: Vec<Finding> =
        ours.iter().flat_map(|entry| judge_entry(entry, args, policy)).collect();
    for profile in policy.into_iter().flat_map(|policy| &policy.profiles) {
        let has_entry = ours.iter().any(|entry| {
            let chosen = Chosen::of(entry);
            chosen.profile.as_deref() == Some(profile.name.as_str())
                || chosen.tags().is_some_and(|tags| {
                    !profile.matches.tags.is_empty() && tags == profile.matches.tags
                })
        });
        if !has_entry {
            findings.push(Finding::warn(
                "runner",
                format!("no `[[runners]]` entry is for profile `{}`", profile.name),
                EXAMPLE,
            ));
        }
    }
    findings
}

fn is_ours(entry: &Entry) -> bool {
    VERBS.iter().any(|verb| {
        let program = entry.custom(&format!("{verb}_exec"));
        Path::new(program).file_name().is_some_and(|name| name == "dyno")
    })
}

/// What an entry hands to the driver.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    tags: Option<String>,
    profile: Option<String>,
    policy: Option<String>,
}

impl Chosen {
    fn of(entry: &Entry) -> Self {
        Self::of_args(entry.custom.get("config_args").map(Vec::as_slice).unwrap_or_default())
    }

    fn of_args(args: &[String]) -> Self {
        let value = |name: &str| {
            let after = args.iter().position(|arg| arg == name).and_then(|n| args.get(n + 1));
            let glued = || args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='));
            after.cloned().or_else(|| glued().map(str::to_owned))
        };
        Self { tags: value("--tags"), profile: value("--profile"), policy: value("--policy") }
    }

    fn tags(&self) -> Option<std::collections::BTreeSet<String>> {
        let tags = self.tags.as_deref()?;
        Some(tags.split(',').map(|tag| tag.trim().to_owned()).filter(|t| !t.is_empty()).collect())
    }
}

fn judge_entry(entry: &Entry, args: &Args, policy: Option<&Policy>) -> Vec<Finding> {
    let name = entry.text("name");
    let part = format!("runner `{name}` (line {})", entry.line);
    let mut findings = Vec::new();
    if entry.text("executor") != "custom" {
        findings.push(Finding::fail(
            &part,
            format!("its executor is `{}`", entry.text("executor")),
            "set `executor = \"custom\"`",
        ));
    }
    let chosen = Chosen::of(entry);
    for verb in VERBS {
        findings.extend(judge_verb(&part, entry, verb, &chosen));
    }
    findings.extend(judge_choice(&part, &chosen, args, policy));
    let grace = entry.custom("graceful_kill_timeout");
    if grace.parse::<u64>().is_ok_and(|seconds| (1..=LONGEST_GRACE).contains(&seconds)) {
        return finish(&part, findings);
    }
    let what = match grace {
        "" => "`graceful_kill_timeout` is the default of 600 s".to_owned(),
        grace => format!("`graceful_kill_timeout` is {grace}"),
    };
    let mend =
        "set `graceful_kill_timeout = 45`: with more, cleanup can start while a job is alive";
    findings.push(Finding::warn(&part, what, mend));
    finish(&part, findings)
}

fn finish(part: &str, findings: Vec<Finding>) -> Vec<Finding> {
    if findings.is_empty() { vec![Finding::ok(part, "hands its jobs to dyno")] } else { findings }
}

fn judge_verb(part: &str, entry: &Entry, verb: &str, chosen: &Chosen) -> Vec<Finding> {
    let program = entry.custom(&format!("{verb}_exec"));
    if program.is_empty() {
        let mend = format!("set `{verb}_exec` and `{verb}_args`, as for the other three");
        return vec![Finding::fail(part, format!("`{verb}_exec` is missing"), mend)];
    }
    let mut findings = Vec::new();
    if rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_err() {
        let what = format!("`{verb}_exec` is `{program}`, which cannot be run");
        findings.push(Finding::fail(part, what, "install dyno there, or mend the path"));
    }
    let args = entry.custom.get(&format!("{verb}_args")).map(Vec::as_slice).unwrap_or_default();
    if args.first().map(String::as_str) != Some(verb) {
        let what = format!("`{verb}_args` does not start with \"{verb}\"");
        let mend = format!("set `{verb}_args = [\"{verb}\", \"--policy\", …]`");
        findings.push(Finding::fail(part, what, mend));
    } else if Chosen::of_args(args) != *chosen {
        let what = format!("`{verb}_args` and `config_args` name another policy or profile");
        findings.push(Finding::fail(part, what, "make them the same"));
    }
    findings
}

/// True for two names of one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

fn judge_choice(part: &str, chosen: &Chosen, args: &Args, policy: Option<&Policy>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if chosen.tags.is_none() && chosen.profile.is_none() {
        findings.push(Finding::fail(
            part,
            "`config_args` has neither `--tags` nor `--profile`: every job is refused",
            "add `\"--tags\", \"TAGS\"` with the entry's own tags",
        ));
    }
    let other = chosen.policy.as_deref().unwrap_or(crate::policy::DEFAULT_PATH);
    if !is_same_file(Path::new(other), &args.policy) {
        let what = format!("its policy is {other}, not the one looked at");
        let mend = format!("also run `dyno doctor --policy {other}`");
        findings.push(Finding::warn(part, what, mend));
        return findings;
    }
    let Some(policy) = policy else { return findings };
    let is_known = policy.profiles.iter().any(|profile| match &chosen.profile {
        Some(name) => *name == profile.name,
        None => chosen.tags().is_none_or(|tags| tags == profile.matches.tags),
    });
    if !is_known {
        let what = match (&chosen.profile, &chosen.tags) {
            (Some(name), _) => format!("no profile is called `{name}`"),
            (None, Some(tags)) => format!("no profile has exactly the tags `{tags}`"),
            (None, None) => return findings,
        };
        findings.push(Finding::fail(part, what, "mend the tags here or in the policy"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::command::doctor::Level;

    const POLICY: &str =
        "profiles: [{ name: performance, match: { tags: [Dedicated], projects: ['g/*'] } }]\n";

    fn args() -> Args {
        Args {
            policy: "/etc/dyno/dyno.yaml".into(),
            runner_config: "config.toml".into(),
            json: false,
        }
    }

    fn told(toml: &str) -> Vec<(Level, String)> {
        let policy = crate::policy::parse(Path::new("/etc/dyno/dyno.yaml"), POLICY).unwrap();
        configuration(toml, &args(), Some(&policy))
            .into_iter()
            .map(|finding| (finding.level, finding.what))
            .collect()
    }

    /// An entry whose programs are there, as long as the folder is.
    fn entry(change: impl Fn(&str) -> String) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let dyno = folder.path().join("dyno");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &dyno).unwrap();
        let mut text =
            "[[runners]]\nname = \"a\"\nexecutor = \"custom\"\n[runners.custom]\n".to_owned();
        for verb in VERBS {
            _ = writeln!(
                text,
                "{verb}_exec = \"{}\"\n{verb}_args = [\"{verb}\", \"--policy\", \"/etc/dyno/dyno.yaml\", \"--tags\", \"Dedicated\"]",
                dyno.display()
            );
        }
        text.push_str("graceful_kill_timeout = 45\n");
        let text = change(&text);
        (folder, text)
    }

    #[test]
    fn a_right_entry_has_nothing_to_mend() {
        let (_folder, text) = entry(str::to_owned);
        let told = told(&text);
        assert_eq!(told, [(Level::Ok, "hands its jobs to dyno".to_owned())]);
    }

    #[test]
    fn the_example_configuration_fits_the_example_policy() {
        let toml = include_str!("../../../runner-config.toml.example");
        let policy = include_str!("../../../config/dyno.yaml");
        let policy = crate::policy::parse(Path::new("/etc/dyno/dyno.yaml"), policy).unwrap();
        let args = args();
        let wrong: Vec<Finding> = configuration(toml, &args, Some(&policy))
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            // dyno need not be installed where its tests run.
            .filter(|finding| !finding.what.contains("cannot be run"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(entries(toml).unwrap().len(), policy.profiles.len());
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_found() {
        let table: [(&str, &str, Level, &str); 8] = [
            (
                "executor = \"custom\"",
                "executor = \"shell\"",
                Level::Fail,
                "its executor is `shell`",
            ),
            ("config_exec", "x_exec", Level::Fail, "`config_exec` is missing"),
            ("/dyno\"\nrun_args", "/none\"\nrun_args", Level::Fail, "which cannot be run"),
            ("[\"run\"", "[\"prepare\"", Level::Fail, "`run_args` does not start with \"run\""),
            (
                "[\"run\", \"--policy\", \"/etc/dyno/dyno.yaml\"",
                "[\"run\", \"--policy\", \"/etc/other.yaml\"",
                Level::Fail,
                "`run_args` and `config_args` name another",
            ),
            ("\"Dedicated\"", "\"Other\"", Level::Fail, "no profile has exactly the tags `Other`"),
            ("graceful_kill_timeout = 45", "", Level::Warn, "default of 600 s"),
            ("/etc/dyno/dyno.yaml", "/etc/x.yaml", Level::Warn, "its policy is /etc/x.yaml"),
        ];
        for (from, to, level, expected) in table {
            let (_folder, text) = entry(|text| text.replace(from, to));
            let told = told(&text);
            assert!(
                told.iter().any(|(l, what)| *l == level && what.contains(expected)),
                "{from} → {to}: {told:?}"
            );
        }
    }

    #[test]
    fn an_entry_without_a_choice_and_a_profile_without_an_entry_are_found() {
        let (_folder, text) = entry(|text| text.replace("\"--tags\", \"Dedicated\"", ""));
        let told = told(&text);
        assert!(told.iter().any(|(_, what)| what.contains("every job is refused")), "{told:?}");
        assert!(told.iter().any(|(_, what)| what.contains("entry is for profile `performance`")));
        assert!(
            configuration("", &args(), None)
                .iter()
                .any(|finding| finding.what.contains("calls dyno"))
        );
    }

    #[test]
    fn a_broken_configuration_is_told_as_broken() {
        let (_folder, text) =
            entry(|text| text.replace("executor = \"custom\"", "executor = \"custom"));
        let told = told(&text);
        assert_eq!(told.len(), 1, "{told:?}");
        let (level, what) = &told[0];
        assert_eq!(*level, Level::Fail);
        assert!(what.starts_with("config.toml is no valid TOML (line 3, column "), "{what}");
    }

    #[test]
    fn old_runners_are_told() {
        for (told, level) in [
            ("Version:      19.3.0\nGit revision: x\n", Level::Ok),
            ("Version:      17.9.0~pre\n", Level::Ok),
            ("Version:      17.8.5\n", Level::Fail),
            ("Version:      v18.0.0\n", Level::Ok),
            ("", Level::Warn),
            ("Version: development version\n", Level::Warn),
        ] {
            assert_eq!(judge_version(Path::new("r"), told).level, level, "{told}");
        }
    }
}
