//! `kubectl patch`, from the command line to the request.

use std::path::Path;

use super::get::{self, Bare};
use super::{Context, go_error, input, mistake, options};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Operation, Parsed, PatchKind, PatchWith, Usage};
use crate::deploy::manifest;

pub const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("output", 'o', Kind::Text),
    short("patch", 'p', Kind::Text),
    flag("patch-file", Kind::Text),
    flag("type", Kind::Text),
    flag("local", Kind::Bool),
    flag("subresource", Kind::Text),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("field-manager", Kind::Text),
    flag("record", Kind::Bool),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Reads `kubectl patch …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl patch")?;
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    if flags.is("local", false) {
        return Err(mistake("dyno's kubectl patch does not know --local"));
    }
    let (inline, file) = (flags.filled("patch"), flags.filled("patch-file"));
    let text = match (&inline, &file) {
        (Some(_), Some(_)) => {
            return Err(mistake("cannot specify --patch and --patch-file together"));
        }
        (None, None) => {
            return Err(mistake(
                "must specify --patch or --patch-file containing the contents of the patch",
            ));
        }
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(path)) => context.files.read(Path::new(path)).map_err(|error| {
            mistake(format!("unable to read patch file: open {path}: {}", go_error(&error)))
        })?,
    };
    let written = flags.text("type").unwrap_or("strategic");
    let kind = match written.to_lowercase().as_str() {
        "json" => PatchKind::Json,
        "merge" => PatchKind::Merge,
        "strategic" | "" => PatchKind::Strategic,
        _ => {
            return Err(mistake(format!(
                "--type must be one of [json merge strategic], not \"{written}\""
            )));
        }
    };
    let subresource = flags.filled("subresource").unwrap_or_default();
    let is_json = text.trim_ascii_start().starts_with(b"{");
    let patch = if is_json {
        String::from_utf8_lossy(&text).into_owned()
    } else {
        let patch = manifest::parse(&text).map_err(|error| {
            let shown = inline.clone().unwrap_or_default();
            let error = error.strip_prefix("error converting YAML to JSON: ").unwrap_or(&error);
            mistake(format!("unable to parse {shown:?}: {error}"))
        })?;
        manifest::compact(&patch)
    };
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(super::nothing_named());
    }
    let with = PatchWith {
        selection: get::selection(&mut context, &flags, Bare::Mistake)?,
        output: options::output(&flags, false)?,
        kind,
        patch,
        subresource,
        dry_run,
        field_manager: flags.text("field-manager").unwrap_or("kubectl-patch").to_owned(),
    };
    context.request(&flags, notes, Operation::Patch(with))
}
