//! What `-f` names, read with the caller's rights: files, folders, standard input, URLs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::selector::Selector;
use super::{Context, go_error, mistake};
use crate::deploy::kubectl::flags::{self, Flag, Kind};
use crate::deploy::kubectl::{Files, Item, Manifest, Usage};
use crate::deploy::manifest::{self, Objects};

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
const FETCHES: usize = 3;

/// The flags of [`read`].
pub const FLAGS: [Flag; 3] = [
    flags::short("filename", 'f', Kind::List),
    flags::short("recursive", 'R', Kind::Bool),
    flags::short("kustomize", 'k', Kind::Text),
];

/// True when the command line names files.
pub fn is_given(flags: &flags::Parsed) -> bool {
    flags.has("filename") || flags.has("kustomize")
}

/// Insists on files.
pub fn require(flags: &flags::Parsed) -> Result<(), Usage> {
    if flags.has("filename") && flags.has("kustomize") {
        return Err(mistake("only one of -f or -k can be specified"));
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
    let sources = sources(context.files, flags)?;
    let mut items = Vec::new();
    for source in sources {
        let content = match &source {
            Source::Stdin => {
                let mut content = Vec::new();
                context
                    .stdin
                    .read_to_end(&mut content)
                    .map(|_| content)
                    .map_err(|error| format!("error parsing STDIN: {error}"))
            }
            Source::File(path) => context
                .files
                .read(path)
                .map_err(|error| format!("open {}: {}", path.display(), go_error(&error))),
            Source::Url(url) => fetch(context.files, url),
        };
        match content {
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

enum Source {
    Stdin,
    File(PathBuf),
    Url(String),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "STDIN".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => url.clone(),
        }
    }
}

fn sources(files: &dyn Files, flags: &flags::Parsed) -> Result<Vec<Source>, Usage> {
    let recursive = flags.is("recursive", false);
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    for name in flags.list("filename") {
        if name == "-" {
            if sources.iter().any(|source| matches!(source, Source::Stdin)) {
                errors.push("standard input cannot be used for multiple arguments".to_owned());
            }
            sources.push(Source::Stdin);
        } else if name.starts_with("http://") || name.starts_with("https://") {
            sources.push(Source::Url(name.clone()));
        } else {
            match paths(files, name, recursive) {
                Ok(found) => sources.extend(found.into_iter().map(Source::File)),
                Err(error) => errors.push(error),
            }
        }
    }
    if sources.is_empty() && errors.is_empty() {
        errors.push(format!(
            "error reading {}: recognized file extensions are [.json .yaml .yml]",
            go_list(flags.list("filename"))
        ));
    }
    match errors.as_slice() {
        [] => Ok(sources),
        [one] => Err(mistake(one)),
        many => Err(Usage(many.join("\n"))),
    }
}

fn go_list(names: &[String]) -> String {
    format!("[{}]", names.join(" "))
}

/// A file, or a folder's files in lexical order; a name that is not there may be a pattern.
fn paths(files: &dyn Files, name: &str, recursive: bool) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(name);
    match files.list(path) {
        Ok(Some(_)) => {
            let mut found = Vec::new();
            walk(files, path, recursive, &mut found)
                .map_err(|error| format!("error reading \"{name}\": {}", go_error(&error)))?;
            Ok(found)
        }
        Ok(None) => Ok(vec![path.to_path_buf()]),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = expand(files, name);
            if found.is_empty() {
                return Err(format!("the path \"{name}\" does not exist"));
            }
            let mut all = Vec::new();
            for path in found {
                if matches!(files.list(&path), Ok(Some(_))) {
                    walk(files, &path, recursive, &mut all)
                        .map_err(|error| format!("error reading \"{name}\": {error}"))?;
                } else {
                    all.push(path);
                }
            }
            Ok(all)
        }
        Err(error) => Err(format!(
            "the path \"{name}\" cannot be accessed: stat {name}: {}",
            go_error(&error)
        )),
    }
}

fn walk(
    files: &dyn Files,
    folder: &Path,
    recursive: bool,
    found: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    let mut names = files.list(folder)?.unwrap_or_default();
    names.sort_unstable();
    for name in names {
        let path = folder.join(&name);
        if files.list(&path)?.is_some() {
            if recursive {
                walk(files, &path, true, found)?;
            }
        } else if path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Go's `filepath.Glob`, one component at a time.
fn expand(files: &dyn Files, pattern: &str) -> Vec<PathBuf> {
    let (mut found, rest) = match pattern.strip_prefix('/') {
        Some(rest) => (vec![PathBuf::from("/")], rest),
        None => (vec![PathBuf::new()], pattern),
    };
    for part in rest.split('/') {
        let Ok(glob) = globset::GlobBuilder::new(part).literal_separator(true).build() else {
            return Vec::new();
        };
        let glob = glob.compile_matcher();
        let mut next = Vec::new();
        for folder in &found {
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            if !part.contains(['*', '?', '[']) {
                let path = folder.join(part);
                if files.list(&path).is_ok() {
                    next.push(path);
                }
                continue;
            }
            let Ok(Some(mut names)) = files.list(at) else { continue };
            names.sort_unstable();
            next.extend(
                names.iter().filter(|name| glob.is_match(name)).map(|name| folder.join(name)),
            );
        }
        found = next;
    }
    found
}

/// Three tries, as kubectl: again on transport errors and 5xx.
fn fetch(files: &dyn Files, url: &str) -> Result<Vec<u8>, String> {
    let mut last = String::new();
    for _ in 0..FETCHES {
        match files.fetch(url) {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            Ok(answer) => {
                last = format!(
                    "unable to read URL \"{url}\", server reported {}, status code={}",
                    answer.reason, answer.status
                );
                if answer.status < 500 {
                    break;
                }
            }
            Err(error) => last = format!("Get \"{url}\": {error}"),
        }
    }
    Err(last)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::kubectl::guest::tests_support::Tree;

    #[test]
    fn folders_are_read_in_lexical_order_and_only_manifests() {
        let tree = Tree::new(&[
            ("dir/b.yaml", "b"),
            ("dir/a.yml", "a"),
            ("dir/README.md", "x"),
            ("dir/sub/c.json", "c"),
            ("x.txt", "t"),
        ]);
        let names = |name: &str, recursive: bool| {
            paths(&tree, name, recursive).map(|paths| {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("dir", false).unwrap(), ["dir/a.yml", "dir/b.yaml"]);
        assert_eq!(names("dir/", true).unwrap(), ["dir/a.yml", "dir/b.yaml", "dir/sub/c.json"]);
        assert_eq!(names("x.txt", false).unwrap(), ["x.txt"]);
        assert_eq!(names("dir/*.y*ml", false).unwrap(), ["dir/a.yml", "dir/b.yaml"]);
        assert_eq!(names("nope", false).unwrap_err(), "the path \"nope\" does not exist");
    }
}
