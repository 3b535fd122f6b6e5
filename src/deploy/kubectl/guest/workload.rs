//! `kubectl set image` and `kubectl scale`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, help, input, mistake, nothing_named, options, set_env};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Operation, Parsed, Scale, SetImage, Usage};

pub const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("output", 'o', Kind::Text),
    flag("all", Kind::Bool),
    flag("local", Kind::Bool),
    flag("record", Kind::Bool),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("field-manager", Kind::Text),
    flag("replicas", Kind::Number),
    flag("current-replicas", Kind::Number),
    flag("resource-version", Kind::Text),
    flag("timeout", Kind::Duration),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// What only `kubectl scale` knows.
const OF_SCALE: [&str; 4] = ["replicas", "current-replicas", "resource-version", "timeout"];

/// Reads `kubectl set …`.
pub fn parse_set(mut context: Context<'_>) -> Result<Parsed, Usage> {
    match flags::words(context.argv).first().copied() {
        Some("env") => return set_env::parse(context),
        Some("image") | None => {}
        Some(what) => {
            return Err(mistake(format!("dyno's kubectl set knows image and env, not \"{what}\"")));
        }
    }
    let known: Vec<Flag> =
        FLAGS.iter().filter(|flag| !OF_SCALE.contains(&flag.name)).copied().collect();
    let mut flags = context.flags(&known, "kubectl set image")?;
    if flags.args.is_empty() {
        return Err(help::bare("set"));
    }
    flags.args.remove(0);
    if flags.is("local", false) {
        return Err(mistake("dyno's kubectl set image does not know --local"));
    }
    let args = std::mem::take(&mut flags.args);
    let (resources, images) = apart(&args, "image")?;
    flags.args = resources;
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    let output = options::output(&flags, false)?;
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(nothing_named());
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in &images {
        let Some((containers, image)) = pair.split_once('=').filter(|(name, _)| !name.is_empty())
        else {
            return Err(mistake(format!("invalid image pairs: {pair}")));
        };
        pairs.extend(containers.split(',').map(|name| (name.to_owned(), image.to_owned())));
    }
    let all = flags.is("all", false);
    let set = SetImage {
        selection: get::selection(&mut context, &flags, Bare::Mistake)?,
        all,
        images: pairs,
        dry_run,
        field_manager: flags.text("field-manager").unwrap_or("kubectl-set").to_owned(),
        output,
    };
    context.request(&flags, notes, Operation::SetImage(set))
}

/// Resources first, then what becomes of them: `NAME=VALUE`, `NAME-`.
pub fn apart(args: &[String], what: &str) -> Result<(Vec<String>, Vec<String>), Usage> {
    let changes = |arg: &str| {
        (arg.contains('=') && !arg.starts_with('=')) || (arg.ends_with('-') && arg != "-")
    };
    let first = args.iter().position(|arg| changes(arg)).unwrap_or(args.len());
    let (resources, pairs) = args.split_at(first);
    match pairs.iter().rfind(|arg| !changes(arg)) {
        None => Ok((resources.to_vec(), pairs.to_vec())),
        Some(late) => {
            Err(mistake(format!("all resources must be specified before {what} changes: {late}")))
        }
    }
}

/// Reads `kubectl scale …`.
pub fn parse_scale(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl scale")?;
    if !flags.has("replicas") {
        return Err(mistake("required flag(s) \"replicas\" not set"));
    }
    let replicas = flags.number("replicas", -1);
    if replicas < 0 {
        return Err(mistake(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    }
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(nothing_named());
    }
    let mut notes = Vec::new();
    let scale = Scale {
        dry_run: options::dry_run(&flags, &mut notes)?,
        output: options::output(&flags, false)?,
        selection: get::selection(&mut context, &flags, Bare::Mistake)?,
        all: flags.is("all", false),
        replicas,
        current_replicas: flags.number("current-replicas", -1),
        resource_version: flags.filled("resource-version"),
    };
    context.request(&flags, notes, Operation::Scale(scale))
}
