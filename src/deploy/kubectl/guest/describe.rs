//! `kubectl describe`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake};
use crate::deploy::cluster::{builtin_by_kind, builtin_by_word};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::host::NOT_TOLD;
use crate::deploy::kubectl::{Describe, Item, Operation, Parsed, Usage, What};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("show-events", Kind::Bool),
    flag("chunk-size", Kind::Number),
];

/// Reads `kubectl describe …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl describe")?;
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(mistake(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a \
             complete list of supported resources.",
        ));
    }
    let selection = get::selection(&mut context, &flags, Bare::AllOfType)?;
    if let Some(kind) = not_told(&selection.what) {
        return Err(mistake(format!("dyno's kubectl does not describe a {kind}")));
    }
    let prefix = match flags.args.as_slice() {
        [kind, name] if !kind.contains('/') => Some(name.clone()),
        [..] => None,
    };
    let describe = Describe {
        selection,
        prefix,
        events: flags.has("show-events").then(|| flags.is("show-events", true)),
    };
    context.request(&flags, Vec::new(), Operation::Describe(describe))
}

/// The first kind that a real kubectl tells better.
fn not_told(what: &What) -> Option<&'static str> {
    let by_word = |word: &String| builtin_by_word(word);
    let by_object = |item: &Item| match item {
        Item::Object(manifest) => {
            let text = |key: &str| manifest.object.get(key).and_then(|value| value.as_str());
            let group = text("apiVersion")?.rsplit_once('/').map_or("", |(group, _)| group);
            builtin_by_kind(group, text("kind")?)
        }
        Item::Error(_) => None,
    };
    let kinds: Vec<_> = match what {
        What::Types(words) => words.iter().filter_map(by_word).collect(),
        What::Names(names) => names.iter().filter_map(|one| by_word(&one.resource)).collect(),
        What::Files(items) => items.iter().filter_map(by_object).collect(),
    };
    kinds.into_iter().map(|kind| kind.kind).find(|kind| NOT_TOLD.contains(kind))
}
