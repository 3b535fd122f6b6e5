//! `kubectl diff`, the guest's part: the objects written to two folders, and `diff` run on them.

use std::path::Path;
use std::process::Command;

use crate::command::Streams;
use crate::command::kubectl::{STDERR, STDOUT, put, put_bytes};
use crate::deploy::kubectl::Pair;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;

/// Compares; 0 where all is the same, 1 where something differs.
///
/// # Errors
/// When the folders cannot be written.
pub(super) fn run(pairs: &[Pair], vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let folder = |prefix: &str| tempfile::Builder::new().prefix(prefix).tempdir();
    let live = folder("LIVE-").map_err(Error::job)?;
    let merged = folder("MERGED-").map_err(Error::job)?;
    for pair in pairs {
        // A name of the server's that would leave its folder names nothing.
        let name = pair.name.replace('/', "_");
        write(live.path(), &name, &pair.live)?;
        write(merged.path(), &name, &pair.merged)?;
    }
    let wanted = vars.filled("KUBECTL_EXTERNAL_DIFF");
    let (program, args) = program(wanted.as_deref());
    let output = Command::new(&program).args(args).args([live.path(), merged.path()]).output();
    let why = match output {
        Ok(output) => {
            put_bytes((&mut streams.out, STDOUT), &output.stdout)?;
            put_bytes((&mut streams.err, STDERR), &output.stderr)?;
            match output.status.code() {
                Some(0) => return Ok(Outcome::Code(0)),
                Some(1) => return Ok(Outcome::Code(1)),
                Some(code) => format!("exit status {code}"),
                None => "signal: killed".to_owned(),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "executable file not found in $PATH".to_owned()
        }
        Err(error) => error.to_string(),
    };
    put((&mut streams.err, STDERR), &format!("error: failed to run \"{program}\": {why}\n"))?;
    Ok(Outcome::Code(2))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::write(folder.join(name), text).map_err(Error::job)
}

/// The program, and its options: of a program of one's own only those that are plain.
fn program(wanted: Option<&str>) -> (String, Vec<String>) {
    let Some(wanted) = wanted else {
        return ("diff".to_owned(), vec!["-u".to_owned(), "-N".to_owned()]);
    };
    let mut words = wanted.split(' ');
    let program = words.next().unwrap_or_default().to_owned();
    let plain = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '=')
    };
    (program, words.filter(plain).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_ones_own_keeps_its_plain_options() {
        assert_eq!(program(None).0, "diff");
        let (name, args) = program(Some("colordiff -N -u $(rm) --color=no"));
        assert_eq!((name.as_str(), args.join(" ")), ("colordiff", "-N -u --color=no".to_owned()));
    }
}
