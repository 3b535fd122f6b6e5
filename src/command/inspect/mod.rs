//! `dyno inspect`: the pod inspector's contract (variables in, lines out), minus its faults.
//!
//! Here is what is asked and how it is told; [`ask`] does the asking.

mod ask;

pub use ask::run;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use crate::gate::{
    Check, Event, JobTokens, Limit, Operator, Plan, Quality, Reduce, Rule, SourceChoice, Style,
    Summary, Variable, Weight, WindowChoice, expand, source,
};
use crate::job::Vars;
use crate::job::gitlab::Written;
use crate::outcome::Outcome;
use crate::report::joblog::printable;
use crate::report::writeback::{self, Value};
use crate::secret::Secret;
use crate::unit::Span;
use crate::verdict::Verdict;

const VARIABLE: &str = "abc";
const METRIC: &str = "kubernetes.pod_container.cpu.usage_rate";
const CLUSTER: &str = "acmefitness-aks-02";
const THRESHOLD: &str = "1";
/// The file that the original makes on an alert.
const ALERT: &str = "alert";

/// The `kubectl` command line that finds the pod where `POD_NAME` is not set.
pub const POD_REQUEST: &[&str] =
    &["get", "pods", "--selector=service=frontend", "-o", "jsonpath={.items[0].metadata.name}"];

/// What is wrong with the variables.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a number.
    #[error("THRESHOLD `{0}` is not a number; write `800` or `0.5`")]
    Threshold(String),
    /// Not the name of a variable.
    #[error("WAVEFRONT_VARIABLE cannot be used")]
    Variable(#[source] writeback::Error),
    /// A value that cannot stand in a query.
    #[error("the query cannot be made: {0}")]
    Query(String),
    /// Nothing runs that could be looked at.
    #[error("no pod matches the selector `service=frontend`; set POD_NAME to the pod to look at")]
    NoPod,
}

/// What the pod inspector is told by its variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    variable: String,
    metric: String,
    cluster: String,
    pod: Option<String>,
    threshold: f64,
    project: String,
    tokens: JobTokens,
}

/// Returns the name of the variable that gets the verdict, whatever else is wrong.
pub fn variable(vars: &dyn Vars) -> String {
    vars.filled("WAVEFRONT_VARIABLE").unwrap_or_else(|| VARIABLE.to_owned())
}

/// Reads the inspector's variables; what is unset or empty has the image's default.
///
/// # Errors
/// When one of them cannot be used: wrong usage, exit code 2.
pub fn read(vars: &dyn Vars) -> Result<Inspection, Error> {
    let or = |name: &str, default: &str| vars.filled(name).unwrap_or_else(|| default.to_owned());
    let written = or("THRESHOLD", THRESHOLD);
    let threshold = written.trim().parse().ok().filter(|threshold: &f64| threshold.is_finite());
    let variable = variable(vars);
    writeback::check_name(&variable).map_err(Error::Variable)?;
    let inspection = Inspection {
        variable,
        metric: or("METRIC", METRIC),
        cluster: or("CLUSTER", CLUSTER),
        pod: vars.filled("POD_NAME"),
        threshold: threshold.ok_or(Error::Threshold(written))?,
        project: vars.filled("CI_PROJECT_NAME").unwrap_or_default(),
        tokens: JobTokens {
            source: vars.filled("API_TOKEN").map(Secret::new),
            gitlab: vars.filled("GITLAB_TOKEN").map(Secret::new),
        },
    };
    inspection.query().map(|_| inspection)
}

impl Inspection {
    /// True when the pod has to be found: ask the cluster with [`POD_REQUEST`].
    pub fn needs_pod(&self) -> bool {
        self.pod.is_none()
    }

    /// Takes what [`POD_REQUEST`] printed.
    ///
    /// # Errors
    /// When that is no pod's name.
    pub fn found_pod(&mut self, printed: &str) -> Result<(), Error> {
        let name = printed.trim();
        if name.is_empty() {
            return Err(Error::NoPod);
        }
        self.pod = Some(name.to_owned());
        self.query().map(drop)
    }

    /// Returns the name of the variable that gets the verdict.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// Returns the job's own GitLab token.
    pub fn gitlab_token(&self) -> Option<Secret> {
        self.tokens.gitlab.clone()
    }

    fn query(&self) -> Result<String, Error> {
        let fields =
            [("M", Some(&self.metric)), ("C", Some(&self.cluster)), ("P", self.pod.as_ref())];
        let values: BTreeMap<String, String> = fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.cloned().unwrap_or_default()))
            .collect();
        expand(r#"ts("$M", cluster="$C" and pod_name="$P")"#, &values).map_err(Error::Query)
    }

    /// Returns the gate's plan: one check over the load's window.
    ///
    /// # Errors
    /// When a value cannot stand in a query.
    pub fn plan(&self) -> Result<Plan, Error> {
        let threshold = self.threshold;
        let limit = Limit {
            text: format!("mean <= {threshold}"),
            reduce: Reduce::Mean,
            operator: Operator::LessOrEqual,
            threshold,
        };
        // The cluster's collector sends about one sample a minute, and a load of the original's
        // length lasts one: a single sample has to do.
        let quality = Quality { points: Some(1), coverage: Some(0.5), ..Quality::default() };
        let rule =
            Rule { limit: Some(limit), quality, step: Some(Span::seconds(60)), ..Rule::default() };
        let is_cpu = self.metric.ends_with("cpu.usage_rate");
        let check = Check {
            name: self.metric.clone(),
            source: SourceChoice::Kind(source::Kind::Wavefront),
            query: self.query()?,
            operands: Vec::new(),
            value: None,
            restarts: None,
            weight: Weight::default(),
            unit: is_cpu.then(|| "millicores".to_owned()),
            rule,
        };
        Ok(Plan {
            name: "inspect".to_owned(),
            checks: vec![check],
            window: WindowChoice::Load { otherwise: Some(Span::seconds(600)) },
            settle: Some(Span::seconds(120)),
            score: None,
            history: BTreeMap::new(),
            recordings: BTreeMap::new(),
            tokens: self.tokens.clone(),
            variable: Some(Variable { key: self.variable.clone(), scope: None }),
            style: Style::Inspector,
        })
    }

    /// Returns the block that comes first.
    fn settings(&self) -> String {
        format!(
            "--- Configuration Settings ---\n\
             Wavefront Variable: {}\n\
             Metric            : {}\n\
             Cluster           : {}\n\
             Pod               : {}\n\
             Threshold         : {:.6}\n\
             GitLab Project    : {}\n\n",
            self.variable,
            self.metric,
            self.cluster,
            self.pod.as_deref().unwrap_or_default(),
            self.threshold,
            self.project,
        )
    }
}

/// How the project variable was written through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was.
    Written(Written),
    /// It was not: the later jobs may see an older value.
    Refused {
        /// The variable's URL.
        url: String,
        /// GitLab's status line, if it answered.
        status: Option<String>,
        /// Why not.
        why: String,
    },
    /// Nobody has a token for it, so nobody asked.
    NotAsked {
        /// Why not.
        why: String,
    },
}

/// Prints the inspector's lines: results on `out`, everything the original never said on `err`.
pub struct Printer<'a> {
    inspection: &'a Inspection,
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    has_settings: bool,
}

impl<'a> Printer<'a> {
    /// Prints nothing yet.
    pub fn new(
        inspection: &'a Inspection,
        out: &'a mut (dyn Write + Send + 'a),
        err: &'a mut (dyn Write + Send + 'a),
    ) -> Self {
        Self { inspection, out, err, has_settings: false }
    }

    fn settings(&mut self) -> io::Result<()> {
        if !self.has_settings {
            self.has_settings = true;
            self.out.write_all(self.inspection.settings().as_bytes())?;
        }
        Ok(())
    }

    /// Tells an event of the gate. The settings come with the first one.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Window { window, note } => {
                if let Some(note) = note {
                    writeln!(self.err, "dyno: {note} ({window})")?;
                }
                self.settings()
            }
            Event::Settling { .. } => match crate::report::gate::line(event) {
                Some(line) => writeln!(self.err, "dyno: {line}"),
                None => Ok(()),
            },
            Event::Asked { url, .. } => {
                self.settings()?;
                writeln!(self.out, "---  Calling Wavefront on  ---\n{url}")
            }
            Event::Answered { status, .. } => {
                writeln!(self.out, "Wavefront response: {status}\n")
            }
            Event::Unanswered { status, why, .. } => {
                let status = status.as_deref().unwrap_or("none");
                writeln!(self.out, "Wavefront response: {status}\n")?;
                writeln!(self.err, "error: {}", printable(why))
            }
            Event::Sampled { .. } | Event::Judged(_) | Event::Finished(_) => Ok(()),
        }
    }

    /// Tells what the original had nothing to say about: a wait for the load.
    pub fn aside(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "dyno: {text}")?;
        self.err.flush()
    }

    /// Tells how the project variable was written; `value` is what was sent.
    pub fn variable(&mut self, value: Value, told: &Told) -> io::Result<()> {
        self.settings()?;
        let url = match told {
            Told::Written(written) => written.url.as_str(),
            Told::Refused { url, .. } => url.as_str(),
            Told::NotAsked { .. } => "",
        };
        let status = match told {
            Told::Written(written) => written.status.as_str(),
            Told::Refused { status, .. } => status.as_deref().unwrap_or("none"),
            Told::NotAsked { .. } => "none",
        };
        writeln!(self.out, "---   Calling GitLab on    ---")?;
        if !url.is_empty() {
            writeln!(self.out, "{url}")?;
        }
        // The space at the line's end is the original's.
        writeln!(self.out, "Setting {} to {value} ", self.inspection.variable)?;
        writeln!(self.out, "GitLab response: {status}\n")?;
        match told {
            Told::Written(written) => match &written.warning {
                Some(warning) => writeln!(self.err, "warning: {warning}"),
                None => Ok(()),
            },
            Told::Refused { why, .. } => {
                let key = &self.inspection.variable;
                writeln!(
                    self.err,
                    "error: {}\nerror: `{key}` is `failed` in this pipeline",
                    printable(why)
                )
            }
            Told::NotAsked { why } => writeln!(self.err, "warning: {why}"),
        }
    }

    /// Tells the result and makes the file `alert` in `folder` on an alert. No newline ends the
    /// last line: it is the original's way. Returns how the inspector ends.
    pub fn finish(&mut self, summary: &Summary, told: &Told, folder: &Path) -> io::Result<Outcome> {
        self.settings()?;
        let outcome = outcome(summary, told);
        let metric = &self.inspection.metric;
        let value = summary.checks.first().and_then(|check| check.value);
        writeln!(self.out, "--- Wavefront Check Result ---")?;
        let is_passed = self::value(summary, Some(told)) == Value::Passed;
        match (summary.verdict, value) {
            (Verdict::Failed, Some(value)) => {
                std::fs::write(folder.join(ALERT), "")?;
                write!(self.out, "ALERT! avg {metric}: {value:.6}")?;
            }
            (Verdict::Passed | Verdict::Warned, Some(value)) if is_passed => {
                let threshold = self.inspection.threshold;
                write!(
                    self.out,
                    "No worries, the avg {metric} is {value:.6} (which is less than {threshold:.6})"
                )?;
            }
            (
                Verdict::Inconclusive
                | Verdict::Error
                | Verdict::Failed
                | Verdict::Passed
                | Verdict::Warned,
                _,
            ) => {
                write!(self.out, "No verdict on {metric}")?;
                for reason in &summary.reasons {
                    writeln!(self.err, "error: {}", printable(reason))?;
                }
            }
        }
        self.out.flush()?;
        Ok(outcome)
    }

    /// Ends without a gate: the cluster gave no pod, or the broker refused. The error itself is
    /// told by the caller.
    pub fn give_up(&mut self) -> io::Result<()> {
        self.settings()?;
        self.out.flush()
    }
}

/// Returns the variable's value in the end: `passed` only where a pass was judged and the API, where
/// it was asked, took it.
pub fn value(summary: &Summary, told: Option<&Told>) -> Value {
    match told {
        Some(Told::Refused { .. }) => Value::Failed,
        Some(Told::Written(_) | Told::NotAsked { .. }) | None => summary.verdict.into(),
    }
}

/// An alert ends with 0, as the original's did: the script looks at the variable. Without a verdict,
/// or with a variable that could not be written, it ends with 98 or 97, and with 2 where the query is
/// wrong.
fn outcome(summary: &Summary, told: &Told) -> Outcome {
    match (summary.verdict, told) {
        (Verdict::Inconclusive, _) => Outcome::Inconclusive,
        (_, Told::Refused { .. }) => Outcome::Unreachable,
        (Verdict::Error, _) if !summary.is_platforms_fault => Outcome::Usage,
        (Verdict::Error, _) => Outcome::Unreachable,
        (Verdict::Passed | Verdict::Warned | Verdict::Failed, _) => Outcome::Passed,
    }
}

#[cfg(test)]
mod tests;
