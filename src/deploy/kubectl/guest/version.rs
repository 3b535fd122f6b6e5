//! `kubectl version` and `kubectl cluster-info`.

use super::{Context, mistake};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::print::{client_version, version_text};
use crate::deploy::kubectl::{Operation, Output, Parsed, Usage};

/// Reads `kubectl version …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    const FLAGS: &[Flag] =
        &[flag("client", Kind::Bool), flag("short", Kind::Bool), short("output", 'o', Kind::Text)];
    let flags = context.flags(FLAGS, "kubectl version")?;
    let output = match flags.text("output").unwrap_or_default() {
        "" => Output::Default,
        "json" => Output::Json,
        "yaml" => Output::Yaml,
        _ => return Err(mistake("--output must be 'yaml' or 'json'")),
    };
    if !flags.args.is_empty() {
        return Err(mistake(format!("extra arguments: [{}]", flags.args.join(" "))));
    }
    if flags.is("client", false) {
        let stdout = version_text(&client_version(), None, &output);
        return Ok(Parsed::Local { stdout, stderr: String::new(), code: 0 });
    }
    context.request(&flags, Vec::new(), Operation::Version { output })
}

/// Reads `kubectl cluster-info`.
pub fn parse_cluster_info(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&[], "kubectl cluster-info")?;
    if let [word, ..] = flags.args.as_slice() {
        return Err(mistake(format!("dyno's kubectl does not know \"cluster-info {word}\"")));
    }
    context.request(&flags, Vec::new(), Operation::ClusterInfo)
}
