//! `dyno doctor`: looks at a runner's host and at everything that its policy names, and says how to
//! mend what it finds.

mod files;
mod host;
mod reach;
mod runner;
mod toml;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{self, Policy};

/// Arguments of `dyno doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Policy file of the platform team
    #[arg(long, value_name = "FILE", default_value = policy::DEFAULT_PATH)]
    policy: PathBuf,
    /// Configuration file of gitlab-runner
    #[arg(long, value_name = "FILE", default_value = "/etc/gitlab-runner/config.toml")]
    runner_config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at: `runner`, `sandbox`, `source wavefront` …
    part: String,
    what: String,
    /// What to do; empty when nothing needs to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    mend: String,
}

impl Finding {
    fn ok(part: &str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, part, what, "")
    }

    fn warn(part: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Level::Warn, part, what, mend)
    }

    fn fail(part: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Level::Fail, part, what, mend)
    }

    fn new(level: Level, part: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level, part: part.to_owned(), what: what.into(), mend: mend.into() }
    }
}

/// Runs the verb: 0 when nothing failed, else 1. Warnings do not fail.
///
/// # Errors
/// When standard output is gone.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let (policy, mut findings) = read_policy(&args);
    let path = vars.get("PATH").unwrap_or_default();
    findings.extend(runner::look(&args, &path, policy.as_ref()));
    findings.extend(host::look(&path, policy.as_ref()).await);
    if let Some(policy) = &policy {
        findings.extend(files::look(policy));
        findings.extend(reach::look(policy).await);
    }
    let text = if args.json { json(&findings)? } else { text(&findings) };
    streams.out.write_all(text.as_bytes()).map_err(Error::system)?;
    let is_broken = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if is_broken { Outcome::Code(1) } else { Outcome::Passed })
}

fn read_policy(args: &Args) -> (Option<Policy>, Vec<Finding>) {
    match policy::read(&args.policy) {
        Ok(policy) => {
            let n = policy.profiles.len();
            let profiles = if n == 1 { "1 profile".to_owned() } else { format!("{n} profiles") };
            let what = format!("{} has {profiles} and no mistakes", policy.file.display());
            (Some(policy), vec![Finding::ok("policy", what)])
        }
        Err(problems) => {
            let findings = problems
                .0
                .iter()
                .map(|problem| {
                    let told = policy::Problem { hint: None, ..problem.clone() };
                    let mend = problem.hint.clone().unwrap_or_else(|| "mend the file".to_owned());
                    Finding::fail("policy", told.to_string(), mend)
                })
                .collect();
            (None, findings)
        }
    }
}

fn json(findings: &[Finding]) -> Result<String> {
    let mut text = serde_json::to_string_pretty(findings).map_err(Error::system)?;
    text.push('\n');
    Ok(text)
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for Finding { level, part, what, mend } in findings {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        _ = writeln!(text, "{level}  {part}: {what}");
        if !mend.is_empty() {
            _ = writeln!(text, "      → {mend}");
        }
    }
    let n_failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let n_warned = findings.iter().filter(|finding| finding.level == Level::Warn).count();
    _ = writeln!(text, "{n_failed} to mend, {n_warned} to look at");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_stands_with_the_way_to_mend_it() {
        let findings = [
            Finding::ok("git", "/usr/bin/git"),
            Finding::warn("docker", "not running", "start it"),
            Finding::fail("secret", "open to others", "chmod 600 /etc/dyno/token"),
        ];
        assert_eq!(
            text(&findings),
            "ok    git: /usr/bin/git\n\
             warn  docker: not running\n      → start it\n\
             fail  secret: open to others\n      → chmod 600 /etc/dyno/token\n\
             1 to mend, 1 to look at\n"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&findings).unwrap()).unwrap();
        assert_eq!(json[2]["level"], "fail");
        assert_eq!(json[0]["mend"], serde_json::Value::Null);
    }
}
