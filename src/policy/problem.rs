//! Mistakes in a file that somebody wrote: each with file, line, key and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

/// What stands for the file where no file is wrong.
pub const COMMAND_LINE: &str = "the command line";

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Column, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// Path of the key: `profiles[0].load.targets[1]`; empty at the top.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// Every mistake of a file and the files that belong to it; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.first().map_or(Path::new(""), |problem| &problem.file);
        if file == Path::new(COMMAND_LINE) {
            f.write_str(COMMAND_LINE)?;
        } else {
            write!(f, "`{}`", file.display())?;
        }
        match self.0.len() {
            1 => f.write_str(" has a mistake")?,
            n => write!(f, " has {n} mistakes")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for crate::error::Error {
    /// A policy that cannot be used is the platform's fault, and a retry does not mend it.
    fn from(problems: Problems) -> Self {
        Self::system(problems)
            .outcome(crate::outcome::Outcome::Usage)
            .hint("mend the file; `dyno explain --policy FILE` reads it the same way")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_in_backticks_and_the_command_line_does_not() {
        let problem = |file: &str| Problem {
            file: PathBuf::from(file),
            line: 0,
            column: 0,
            key: "--users".to_owned(),
            message: "must be at least 1".to_owned(),
            hint: None,
        };
        let told = |file: &str| Problems(vec![problem(file)]).to_string();
        assert!(told("plan.yaml").starts_with("`plan.yaml` has a mistake\n"));
        assert!(told(COMMAND_LINE).starts_with("the command line has a mistake\n"));
    }
}
