//! What went wrong, whose fault it is, and what to do now.

use std::fmt;

use crate::outcome::Outcome;

/// Whose fault an error is; decides the exit class that gitlab-runner sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The job's: a wrong plan, a refusal by policy, a failed verdict. Never retried.
    Job,
    /// The platform's: a source, a cluster, the environment. gitlab-runner retries it in prepare.
    System,
}

/// An error on its way to a person: a cause chain, a fault, the exit code of the tool, a hint.
#[derive(Debug)]
pub struct Error {
    fault: Fault,
    outcome: Outcome,
    cause: Box<dyn std::error::Error + Send + Sync>,
    hint: Option<String>,
}

/// The result of everything in `command`, `broker` and `executor`.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The job's fault: bad input, exit code 2 unless [`Error::outcome`] says otherwise.
    pub fn job(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { fault: Fault::Job, outcome: Outcome::Usage, cause: cause.into(), hint: None }
    }

    /// The platform's fault: something could not be reached, exit code 97.
    pub fn system(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            fault: Fault::System,
            outcome: Outcome::Unreachable,
            cause: cause.into(),
            hint: None,
        }
    }

    /// A refusal by policy: the job's fault, exit code 96.
    pub fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::job(cause).outcome(Outcome::Refused)
    }

    /// Sets the exit code of a tool that ends with this error.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds the way out: one imperative sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// How a tool ends that meets this error.
    pub fn as_outcome(&self) -> Outcome {
        self.outcome
    }

    /// The error as plain data, for the way over the socket.
    pub fn told(&self) -> Told {
        let mut causes = vec![self.cause.to_string()];
        let mut source = self.cause.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Told {
            fault_is_system: self.fault == Fault::System,
            outcome: self.outcome,
            causes,
            hint: self.hint.clone(),
        }
    }
}

/// An [`Error`] as plain data; reads the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// True when the platform is at fault.
    pub fault_is_system: bool,
    /// How the tool ends.
    pub outcome: Outcome,
    /// The message and its causes, outermost first; never empty.
    pub causes: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
}

impl From<Told> for Error {
    fn from(told: Told) -> Self {
        let mut cause: Option<Chained> = None;
        for text in told.causes.into_iter().rev() {
            cause = Some(Chained { text, source: cause.map(Box::new) });
        }
        let cause = cause.unwrap_or(Chained { text: "unknown error".to_owned(), source: None });
        Self {
            fault: if told.fault_is_system { Fault::System } else { Fault::Job },
            outcome: told.outcome,
            cause: Box::new(cause),
            hint: told.hint,
        }
    }
}

#[derive(Debug)]
struct Chained {
    text: String,
    source: Option<Box<Chained>>,
}

impl fmt::Display for Chained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Chained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.told();
        let mut causes = told.causes.iter();
        if let Some(first) = causes.next() {
            write!(f, "error: {first}")?;
        }
        for cause in causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = &told.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_the_same_after_the_socket() {
        let error = Error::system(Chained {
            text: "cannot pull image `alpine:9`".to_owned(),
            source: Some(Box::new(Chained { text: "manifest unknown".to_owned(), source: None })),
        })
        .hint("check `image:` in .gitlab-ci.yml");
        let there = Error::from(error.told());
        assert_eq!(there.to_string(), error.to_string());
        assert_eq!(
            error.to_string(),
            "error: cannot pull image `alpine:9`\n  caused by: manifest unknown\nhint: check `image:` in .gitlab-ci.yml"
        );
        assert_eq!(there.fault(), Fault::System);
    }
}
