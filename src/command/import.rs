//! `dyno import`: makes a plan from an HTTP archive, URLs, curl lines or an OpenAPI description.

use std::io::{Read, Write};
use std::path::PathBuf;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::load::import::{Source, import};
use crate::outcome::Outcome;

/// Arguments of `dyno import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the file is: har, urls, curl or openapi
    #[arg(value_name = "KIND")]
    source: Source,
    /// The file; `-` is the standard input
    file: PathBuf,
    /// Where the load goes, in place of what the file says
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Plan file to write; standard output when left out
    #[arg(long, short, value_name = "PLAN")]
    output: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the file cannot be read or no plan can be made from it.
pub fn run(args: &Args, streams: &mut Streams) -> Result<Outcome> {
    let file = args.file.display();
    let is_piped = args.file.as_os_str() == "-";
    let text = if is_piped {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(&args.file)
    };
    let text = text.map_err(|error| {
        Error::job(std::io::Error::new(error.kind(), format!("cannot read `{file}`: {error}")))
            .outcome(Outcome::Usage)
    })?;
    let name = args.file.file_stem().filter(|_| !is_piped);
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let plan = import(
        args.source,
        &name.unwrap_or_else(|| "imported".to_owned()),
        &text,
        args.target.as_deref(),
    )
    .map_err(|error| Error::job(error).outcome(Outcome::Usage).hint(format!("check {file}")))?;
    match &args.output {
        Some(path) => std::fs::write(path, plan).map_err(|error| {
            Error::job(error)
                .hint(format!("check --output: `{}` cannot be written", path.display()))
        })?,
        None => streams.out.write_all(plan.as_bytes()).map_err(Error::system)?,
    }
    Ok(Outcome::Passed)
}
