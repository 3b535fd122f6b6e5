//! What `-f` and `-k` name, taken apart into objects.

use serde_json::Value;

use super::selector::Selector;
use super::sources::Source;
use super::{Context, mistake};
use crate::deploy::kubectl::flags::{self, Flag, Kind};
use crate::deploy::kubectl::{Files, Item, Manifest, Usage};
use crate::deploy::manifest::{self, Objects};

/// The flags of [`read`].
pub const FLAGS: [Flag; 3] = [
    flags::short("filename", 'f', Kind::List),
    flags::short("recursive", 'R', Kind::Bool),
    flags::short("kustomize", 'k', Kind::Text),
];

/// True when the command line names files.
pub fn is_given(flags: &flags::Parsed) -> bool {
    !flags.list("filename").is_empty() || flags.filled("kustomize").is_some()
}

/// Insists on files.
pub fn require(flags: &flags::Parsed) -> Result<(), Usage> {
    if flags.has("filename") && flags.has("kustomize") {
        return Err(mistake("only one of -f or -k can be specified"));
    }
    if flags.filled("kustomize").is_some() && flags.is("recursive", false) {
        return Err(mistake("the -k flag can't be used with -f or -R"));
    }
    if is_given(flags) { Ok(()) } else { Err(mistake("must specify one of -f and -k")) }
}

/// Reads all that `-f` names, in order. What is not there at all is an error before anything is
/// done; what cannot be read is an item of its own.
pub fn read(
    context: &mut Context<'_>,
    flags: &flags::Parsed,
    validate: bool,
) -> Result<Vec<Item>, Usage> {
    require(flags)?;
    if let Some(folder) = flags.text("kustomize") {
        let built = context.files.kustomize(folder).map_err(mistake)?;
        return chosen(take_apart(&built, folder, validate), flags);
    }
    if flags.is("recursive", false) && flags.list("filename").iter().any(|name| name == "-") {
        return Err(mistake("the -R flag can't be used with stdin"));
    }
    let mut items = Vec::new();
    for source in sources(context.files, flags)? {
        match source.read(context.files, context.stdin) {
            Ok(content) => items.extend(take_apart(&content, &source.name(), validate)),
            Err(error) => items.push(Item::Error(error)),
        }
    }
    chosen(items, flags)
}

/// What `-l` chooses.
fn chosen(mut items: Vec<Item>, flags: &flags::Parsed) -> Result<Vec<Item>, Usage> {
    if let Some(text) = flags.filled("selector") {
        let selector = Selector::parse(&text)?;
        items.retain(|item| match item {
            Item::Object(manifest) => selector.matches(manifest.object.pointer("/metadata/labels")),
            Item::Error(_) => true,
        });
    }
    Ok(items)
}

/// All that is named, in order; every name that leads nowhere is told.
fn sources(files: &dyn Files, flags: &flags::Parsed) -> Result<Vec<Source>, Usage> {
    let recursive = flags.is("recursive", false);
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    for name in flags.list("filename") {
        if name == "-" && sources.contains(&Source::Stdin) {
            errors.push("standard input cannot be used for multiple arguments".to_owned());
        }
        match Source::find(files, name, recursive) {
            Ok(found) => sources.extend(found),
            Err(unfound) => errors.push(unfound.to_string()),
        }
    }
    if sources.is_empty() && errors.is_empty() {
        errors.push(format!(
            "error reading [{}]: recognized file extensions are [.json .yaml .yml]",
            flags.list("filename").join(" ")
        ));
    }
    match errors.as_slice() {
        [] => Ok(sources),
        [one] => Err(mistake(one)),
        many => Err(Usage(many.join("\n"))),
    }
}

fn take_apart(content: &[u8], source: &str, validate: bool) -> Vec<Item> {
    let (documents, error) = manifest::documents(content);
    let mut items = Vec::new();
    let object = |object: Value, listed: bool| {
        Item::Object(Manifest { source: source.to_owned(), listed, object })
    };
    for document in documents {
        match manifest::objects(document, source, validate) {
            Ok(Objects::One(one)) => items.push(object(one, false)),
            Ok(Objects::List(many)) => items.extend(many.into_iter().map(|one| object(one, true))),
            Err(problem) => {
                items.push(Item::Error(problem.text));
                if problem.ends_file {
                    return items;
                }
            }
        }
    }
    items.extend(error.map(|error| Item::Error(format!("error parsing {source}: {error}"))));
    items
}
