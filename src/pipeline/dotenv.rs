//! The dotenv report as GitLab parses it.

use crate::pipeline::response::Variable;

/// GitLab takes less than this.
const MAX_BYTES: usize = 5120;
/// The limit of GitLab.com's largest plan; a self-managed one has 20 by default.
const MAX_VARIABLES: usize = 150;

/// A report that GitLab rejects as a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid Format")]
pub struct Rejected;

/// Reads a report: every line must be `KEY=VALUE`, also a blank one or a comment.
pub fn parse(content: &[u8]) -> Result<Vec<Variable>, Rejected> {
    if content.len() >= MAX_BYTES {
        return Err(Rejected);
    }
    let text = std::str::from_utf8(content).map_err(|_| Rejected)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables: Vec<Variable> = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once('=').ok_or(Rejected)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Rejected);
        }
        let variable = Variable::private(key, value);
        match variables.iter_mut().find(|other| other.key == key) {
            Some(other) => *other = variable,
            None => variables.push(variable),
        }
    }
    if variables.len() > MAX_VARIABLES { Err(Rejected) } else { Ok(variables) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_taken_or_rejected_as_a_whole() {
        let long = format!("A={}", "x".repeat(MAX_BYTES));
        for (text, expected) in [
            ("A=1\nB=two words\n", Some("A=1;B=two words")),
            ("\u{feff} A = \"q\" \nA=2", Some("A=2")),
            ("A=x=y", Some("A=x=y")),
            ("A=", Some("A=")),
            ("", Some("")),
            ("A=1\n\nB=2\n", None),
            ("# comment\nA=1\n", None),
            ("A-B=1", None),
            ("A", None),
            (long.as_str(), None),
        ] {
            let told = parse(text.as_bytes()).ok().map(|variables| {
                let pairs: Vec<String> =
                    variables.iter().map(|v| format!("{}={}", v.key, v.value)).collect();
                pairs.join(";")
            });
            assert_eq!(told.as_deref(), expected, "{text}");
        }
    }
}
