//! One file per verb; the only place where everything meets.

pub mod config;
pub mod prepare;
pub mod run;
pub mod cleanup;
pub mod gc;
pub mod load;
pub mod import;
pub mod gate;
pub mod baseline;
pub mod inspect;
pub mod kubectl;
pub mod deploy;
pub mod explain;
pub mod doctor;
pub mod schema;
pub mod try_;
pub mod locust;
pub mod helper;
pub mod driver;
mod guest;
mod watch;

use std::io::{ErrorKind, IsTerminal, Write};

use crate::error::{Error, Result};
use crate::outcome::Outcome;

/// The end of a tool whose output nobody reads any more (`| head`), as a shell tells it of one that
/// SIGPIPE ended. It is quiet.
pub const NO_READER: Outcome = Outcome::Code(141);

/// Judges a write to one of the [`Streams`].
///
/// # Errors
/// When it failed; [`NO_READER`] is its outcome where nobody reads.
pub fn put(written: std::io::Result<()>) -> Result<()> {
    written.map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            Error::job("nobody reads the output").outcome(NO_READER)
        } else {
            Error::system(error)
        }
    })
}

/// Where a verb writes: handed in, so that tests can look.
pub struct Streams {
    /// Standard output.
    pub out: Box<dyn Write + Send>,
    /// Standard error.
    pub err: Box<dyn Write + Send>,
    /// True when a person looks at standard output as it comes.
    pub is_terminal: bool,
}

impl Streams {
    /// Those of this process.
    pub fn process() -> Self {
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            is_terminal: std::io::stdout().is_terminal(),
        }
    }
}

/// The load worker: a plan comes on stdin, snapshots go to stdout.
pub fn worker() -> u8 {
    match crate::load::worker() {
        Ok(()) => 0,
        Err(error) => end(&Error::job(error)),
    }
}

fn end(error: &Error) -> u8 {
    // Nobody is left to tell when stderr is gone.
    drop(writeln!(std::io::stderr(), "{error}"));
    error.as_outcome().code()
}
