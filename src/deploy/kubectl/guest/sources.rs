//! What `-f` names: files, folders, patterns, standard input, URLs; read with the caller's rights.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::go_error;
use crate::deploy::kubectl::Files;

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
const FETCHES: usize = 3;

/// One text to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// What a URL gives.
    Url(String),
}

/// A name that leads to nothing.
#[derive(Debug)]
pub enum Unfound {
    /// Nothing is there.
    Missing(String),
    /// A folder cannot be read.
    Folder(String, std::io::Error),
    /// It cannot be looked at.
    Closed(String, std::io::Error),
}

/// In kubectl's words.
impl std::fmt::Display for Unfound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the path \"{name}\" does not exist"),
            Self::Folder(name, error) => {
                write!(f, "error reading \"{name}\": {}", go_error(error))
            }
            Self::Closed(name, error) => {
                let why = go_error(error);
                write!(f, "the path \"{name}\" cannot be accessed: stat {name}: {why}")
            }
        }
    }
}

impl Source {
    /// The texts that a name stands for, in order; none when a folder holds none.
    pub fn find(files: &dyn Files, name: &str, recursive: bool) -> Result<Vec<Self>, Unfound> {
        if name == "-" {
            return Ok(vec![Self::Stdin]);
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            return Ok(vec![Self::Url(name.to_owned())]);
        }
        let found = paths(files, name, recursive)?;
        Ok(found.into_iter().map(Self::File).collect())
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "STDIN".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => url.clone(),
        }
    }

    /// Its text; else why not, in kubectl's words.
    pub fn read(&self, files: &dyn Files, stdin: &mut dyn Read) -> Result<Vec<u8>, String> {
        match self {
            Self::Stdin => {
                let mut content = Vec::new();
                let read = stdin.read_to_end(&mut content);
                read.map(|_| content).map_err(|error| format!("error parsing STDIN: {error}"))
            }
            Self::File(path) => files
                .read(path)
                .map_err(|error| format!("open {}: {}", path.display(), go_error(&error))),
            Self::Url(url) => fetch(files, url),
        }
    }
}

/// A file, or a folder's files in lexical order; a name that is not there may be a pattern.
fn paths(files: &dyn Files, name: &str, recursive: bool) -> Result<Vec<PathBuf>, Unfound> {
    let path = Path::new(name);
    let found = match files.list(path) {
        Ok(Some(_)) => vec![path.to_path_buf()],
        Ok(None) => return Ok(vec![path.to_path_buf()]),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => expand(files, name),
        Err(error) => return Err(Unfound::Closed(name.to_owned(), error)),
    };
    if found.is_empty() {
        return Err(Unfound::Missing(name.to_owned()));
    }
    let mut all = Vec::new();
    for path in found {
        if matches!(files.list(&path), Ok(Some(_))) {
            walk(files, &path, recursive, &mut all)
                .map_err(|error| Unfound::Folder(name.to_owned(), error))?;
        } else {
            all.push(path);
        }
    }
    Ok(all)
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
            Err(error) if files.has_platform() => {
                last = format!(
                    "Get \"{url}\": {error}\nthe job itself fetches what -f names, with no other \
                     network than its own"
                );
            }
            Err(error) => last = unreached(url, &error),
        }
    }
    Err(last)
}

/// Why an address cannot be had, in kubectl's words.
fn unreached(url: &str, error: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return "Unable to connect to the server: http: no Host in request URL".to_owned();
    }
    if error.contains("onnection refused") {
        return format!(
            "The connection to the server {host} was refused - did you specify the right host or \
             port?"
        );
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if ["no record", "failed to lookup", "not known", "no such host"]
        .iter()
        .any(|part| error.contains(part))
    {
        return format!("Unable to connect to the server: dial tcp: lookup {name}: no such host");
    }
    format!("Unable to connect to the server: Get \"{url}\": {error}")
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
            Source::find(&tree, name, recursive)
                .map(|found| found.iter().map(Source::name).collect::<Vec<_>>())
                .map_err(|unfound| unfound.to_string())
        };
        assert_eq!(names("dir", false).unwrap(), ["dir/a.yml", "dir/b.yaml"]);
        assert_eq!(names("dir/", true).unwrap(), ["dir/a.yml", "dir/b.yaml", "dir/sub/c.json"]);
        assert_eq!(names("x.txt", false).unwrap(), ["x.txt"]);
        assert_eq!(names("dir/*.y*ml", false).unwrap(), ["dir/a.yml", "dir/b.yaml"]);
        assert_eq!(names("-", false).unwrap(), ["STDIN"]);
        assert_eq!(names("nope", false).unwrap_err(), "the path \"nope\" does not exist");
    }
}
