//! The pipeline file as a tree: includes, `extends:`, `!reference` and `default:` resolved.

use std::path::{Path, PathBuf};

use crate::pipeline::inputs;
use crate::pipeline::yaml::{self, Document, Entry, Node, Place, Remark, Value};

/// Keys at the top that are no jobs.
const GLOBAL: &[&str] = &[
    "stages",
    "types",
    "default",
    "include",
    "variables",
    "workflow",
    "spec",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
];

/// Keywords that `default:` (or the top, as older files do) gives to every job.
const INHERITED: &[&str] = &[
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

const MAX_INCLUDES: usize = 150;
const MAX_DEPTH: usize = 10;

/// A pipeline file that cannot be read: every mistake that was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there.
    #[error("cannot read the pipeline file `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is written is wrong.
    #[error("{}", lines(.0))]
    Wrong(Vec<Remark>),
}

fn lines(remarks: &[Remark]) -> String {
    remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A pipeline file with nothing left to look up.
#[derive(Debug)]
pub struct Merged {
    /// The whole tree, for the global keys.
    pub root: Node,
    /// The jobs, in the order of the file, without the hidden ones.
    pub jobs: Vec<Entry>,
    /// What to warn about.
    pub warnings: Vec<Remark>,
}

/// Reads a pipeline file; `folder` is the project's, which local includes are relative to.
pub fn read(file: &Path, folder: &Path) -> Result<Merged, Error> {
    let mut includes = Includes { folder, n_files: 0, open: Vec::new(), warnings: Vec::new() };
    let shown = file.strip_prefix(folder).unwrap_or(file);
    let root = includes.read(file, shown, None)?;
    let mut warnings = includes.warnings;
    let mut wrong = Vec::new();
    let Value::Map(entries) = &root.value else {
        let text = format!("a pipeline file is a map of jobs, this is {}", root.kind());
        return Err(Error::Wrong(vec![Remark::new(&root.place, text)]));
    };
    let mut extended = Vec::new();
    for entry in entries {
        match extend(&root, entry, &mut Vec::new()) {
            Ok(node) => extended.push(Entry { node, ..entry.clone() }),
            Err(remark) => wrong.push(remark),
        }
    }
    let root = Node { place: root.place.clone(), value: Value::Map(extended) };
    let root = match resolve(&root, &root, 0) {
        Ok(root) => root,
        Err(remark) => {
            wrong.push(remark);
            return Err(Error::Wrong(wrong));
        }
    };
    let mut jobs = Vec::new();
    for entry in root.entries() {
        let hidden = entry.key.starts_with('.');
        if hidden || GLOBAL.contains(&entry.key.as_str()) {
            continue;
        }
        if entry.node.entries().is_empty() {
            let text = format!("job `{}` must be a map, this is {}", entry.key, entry.node.kind());
            wrong.push(Remark::new(&entry.place, text));
            continue;
        }
        jobs.push(Entry { node: with_defaults(&root, &entry.node), ..entry.clone() });
    }
    if jobs.is_empty() && wrong.is_empty() {
        wrong.push(Remark::new(&root.place, "no visible job in this file"));
    }
    if !wrong.is_empty() {
        return Err(Error::Wrong(wrong));
    }
    warnings.dedup();
    Ok(Merged { root, jobs, warnings })
}

struct Includes<'a> {
    folder: &'a Path,
    n_files: usize,
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    warnings: Vec<Remark>,
}

impl Includes<'_> {
    /// Reads a file with the inputs that it is given, and what it includes; its own word wins over
    /// theirs.
    fn read(&mut self, file: &Path, shown: &Path, given: Option<&Node>) -> Result<Node, Error> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| Error::Read { path: file.to_owned(), source })?;
        let Document { header, root, remarks } = yaml::read(&shown.display().to_string(), &text)
            .map_err(|remark| Error::Wrong(vec![remark]))?;
        self.warnings.extend(remarks);
        let own = match (&header, given) {
            (Some(header), _) => inputs::apply(header, given, &root).map_err(Error::Wrong)?,
            (None, Some(given)) => {
                let text = format!("`{}` has no `spec:` that takes inputs", shown.display());
                return Err(Error::Wrong(vec![Remark::new(&given.place, text)]));
            }
            (None, None) => root,
        };
        self.n_files += 1;
        let Some(include) = own.get("include").cloned() else { return Ok(own) };
        if self.open.len() >= MAX_DEPTH || self.n_files > MAX_INCLUDES {
            let text = "includes nest too deeply or are too many";
            return Err(Error::Wrong(vec![Remark::new(&include.place, text)]));
        }
        let items = match include.value {
            Value::List(items) => items,
            other @ (Value::Null | Value::Scalar { .. } | Value::Map(_) | Value::Reference(_)) => {
                vec![Node { place: include.place, value: other }]
            }
        };
        self.open.push(file.to_owned());
        let mut merged: Option<Node> = None;
        for item in &items {
            for path in self.local(item)? {
                let shown = path.strip_prefix(self.folder).unwrap_or(&path).to_owned();
                let below = self.read(&path, &shown, item.get("inputs"))?;
                merged = Some(match merged {
                    Some(above) => deep_merge(above, below),
                    None => below,
                });
            }
        }
        self.open.pop();
        Ok(match merged {
            Some(included) => deep_merge(included, own),
            None => own,
        })
    }

    /// The files that an `include:` entry names; kinds that need a GitLab are left out.
    fn local(&mut self, item: &Node) -> Result<Vec<PathBuf>, Error> {
        let local = item.get("local").unwrap_or(item);
        let Some(name) = local.text() else {
            let kind = item.entries().first().map_or("this", |entry| entry.key.as_str());
            let text = format!("`include: {kind}` needs a GitLab: left out, its jobs are missing");
            self.warnings.push(Remark::new(&item.place, text));
            return Ok(Vec::new());
        };
        if name.contains("://") {
            let text = format!("`include: {name}` is not a local file: left out");
            self.warnings.push(Remark::new(&item.place, text));
            return Ok(Vec::new());
        }
        let wrong = |text: String| Error::Wrong(vec![Remark::new(&item.place, text)]);
        let relative = name.trim_start_matches('/');
        if relative.split('/').any(|part| part == "..") {
            return Err(wrong(format!("`{name}` leaves the project")));
        }
        if !relative.contains('*') {
            let path = self.folder.join(relative);
            if !path.is_file() {
                return Err(wrong(format!("included file `{name}` does not exist")));
            }
            return Ok(vec![path]);
        }
        let pattern = wildcard(relative).map_err(|error| wrong(error.to_string()))?;
        let mut found = Vec::new();
        files_below(self.folder, self.folder, &mut |path| {
            let file = self.folder.join(path);
            // As in GitLab, a file that names all files of its folder does not mean itself.
            if path.to_str().is_some_and(|path| pattern.is_match(path))
                && !self.open.contains(&file)
            {
                found.push(file);
            }
        });
        found.sort();
        Ok(found)
    }
}

/// GitLab's wildcards: `*` is anything but a slash and `**` anything, hidden files included.
fn wildcard(pattern: &str) -> Result<regex::Regex, regex::Error> {
    let escaped = regex::escape(pattern);
    let pattern = escaped.replace("\\*\\*", ".*").replace("\\*", "[^/]*");
    regex::Regex::new(&format!("^{pattern}$"))
}

/// Calls `each` with every file below `folder`, relative to `root`; `.git` is left out.
pub fn files_below(root: &Path, folder: &Path, each: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                files_below(root, &path, each);
            }
        } else if let Ok(relative) = path.strip_prefix(root) {
            each(relative);
        }
    }
}

/// Merges maps key by key; everything else is replaced by `over`.
fn deep_merge(under: Node, over: Node) -> Node {
    match (under.value, over.value) {
        (Value::Map(mut entries), Value::Map(more)) => {
            for entry in more {
                match entries.iter().position(|other| other.key == entry.key) {
                    Some(at) => {
                        let old = entries.remove(at);
                        let node = deep_merge(old.node, entry.node);
                        entries.insert(at, Entry { place: entry.place, key: entry.key, node });
                    }
                    None => entries.push(entry),
                }
            }
            Node { place: over.place, value: Value::Map(entries) }
        }
        (_, value) => Node { place: over.place, value },
    }
}

/// Resolves `extends:` of one entry: the parents in order, then its own word.
fn extend(root: &Node, entry: &Entry, path: &mut Vec<String>) -> Result<Node, Remark> {
    let Some(extends) = entry.node.get("extends") else { return Ok(entry.node.clone()) };
    if path.contains(&entry.key) || path.len() > MAX_DEPTH {
        path.push(entry.key.clone());
        let text = format!("`extends:` goes in a circle: {}", path.join(" → "));
        return Err(Remark::new(&extends.place, text));
    }
    path.push(entry.key.clone());
    let parents: Vec<(&Place, &str)> = match &extends.value {
        Value::List(items) => {
            items.iter().filter_map(|item| Some((&item.place, item.text()?))).collect()
        }
        Value::Scalar { text, .. } => vec![(&extends.place, text.as_str())],
        Value::Null | Value::Map(_) | Value::Reference(_) => {
            return Err(Remark::new(&extends.place, "`extends:` takes a name or a list of names"));
        }
    };
    let mut merged: Option<Node> = None;
    for (place, name) in parents {
        let parent = root.entries().iter().find(|other| other.key == name).ok_or_else(|| {
            Remark::new(place, format!("job `{}` extends `{name}`, which is not there", entry.key))
        })?;
        let parent = extend(root, parent, path)?;
        merged = Some(match merged {
            Some(above) => deep_merge(above, parent),
            None => parent,
        });
    }
    path.pop();
    let mut own = entry.node.clone();
    if let Value::Map(entries) = &mut own.value {
        entries.retain(|entry| entry.key != "extends");
    }
    Ok(match merged {
        Some(parents) => deep_merge(parents, own),
        None => own,
    })
}

/// Replaces every `!reference` by what it names; a list inside of a list is flattened.
fn resolve(root: &Node, node: &Node, depth: usize) -> Result<Node, Remark> {
    let value = match &node.value {
        Value::Reference(path) => {
            if depth > MAX_DEPTH {
                return Err(Remark::new(&node.place, "`!reference` goes in a circle"));
            }
            let mut target = Some(root);
            for name in path {
                target = target.and_then(|target| target.get(name));
            }
            let target = target.ok_or_else(|| {
                let text = format!("`!reference [{}]` names nothing", path.join(", "));
                Remark::new(&node.place, text)
            })?;
            return resolve(root, target, depth + 1);
        }
        Value::List(items) => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let referred = matches!(item.value, Value::Reference(_));
                let resolved = resolve(root, item, depth)?;
                match (referred, resolved) {
                    (true, Node { value: Value::List(inner), .. }) => out.extend(inner),
                    (_, resolved) => out.push(resolved),
                }
            }
            Value::List(out)
        }
        Value::Map(entries) => {
            let mut out = Vec::with_capacity(entries.len());
            for entry in entries {
                let node = resolve(root, &entry.node, depth)?;
                out.push(Entry { node, ..entry.clone() });
            }
            Value::Map(out)
        }
        Value::Null | Value::Scalar { .. } => node.value.clone(),
    };
    Ok(Node { place: node.place.clone(), value })
}

/// Adds what `default:` and the old global keywords say where the job is silent.
fn with_defaults(root: &Node, job: &Node) -> Node {
    let inherits = job.get("inherit").and_then(|inherit| inherit.get("default"));
    let wanted = |name: &str| match inherits.map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => text != "false",
        Some(Value::List(names)) => names.iter().any(|item| item.text() == Some(name)),
        Some(Value::Null | Value::Map(_) | Value::Reference(_)) | None => true,
    };
    let mut job = job.clone();
    for name in INHERITED {
        let given = root.get("default").and_then(|node| node.get(name)).or_else(|| root.get(name));
        if let (Some(node), None, true) = (given, job.get(name), wanted(name))
            && let Value::Map(entries) = &mut job.value
        {
            let key = (*name).to_owned();
            entries.push(Entry { place: node.place.clone(), key, node: node.clone() });
        }
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Merged, Error>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let merged = read(&folder.path().join(".gitlab-ci.yml"), folder.path());
        (folder, merged)
    }

    fn text(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key, text(&entry.node)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Value::Reference(path) => format!("!{}", path.join("/")),
        }
    }

    fn jobs(merged: &Merged) -> Vec<String> {
        merged.jobs.iter().map(|job| format!("{}: {}", job.key, text(&job.node))).collect()
    }

    #[test]
    fn includes_extends_references_and_defaults_come_together() {
        let (_folder, merged) = given(&[
            (
                ".gitlab-ci.yml",
                "include:\n  - local: /ci/*.yml\ndefault:\n  tags: [a]\n\
                 .base:\n  variables: {A: 1, B: 2}\n  script: [one]\n\
                 job:\n  extends: .base\n  variables: {B: 3}\n\
                 \x20 script:\n    - !reference [.lib, script]\n    - two\n\
                 alone:\n  inherit: {default: false}\n  script: x\n",
            ),
            ("ci/lib.yml", ".lib:\n  script: [from lib]\njob:\n  stage: build\n"),
        ]);
        let merged = merged.unwrap();
        assert_eq!(
            jobs(&merged),
            [
                "job: {variables: {A: 1, B: 3}, script: [from lib, two], stage: build, tags: [a]}",
                "alone: {inherit: {default: false}, script: x}",
            ]
        );
    }

    #[test]
    fn the_old_global_keywords_are_defaults() {
        let (_folder, merged) =
            given(&[(".gitlab-ci.yml", "image: alpine\njob:\n  script: x\nown:\n  image: b\n")]);
        assert_eq!(jobs(&merged.unwrap()), ["job: {script: x, image: alpine}", "own: {image: b}"]);
    }

    #[test]
    fn mistakes_name_their_line_and_all_come_at_once() {
        let (_folder, merged) =
            given(&[(".gitlab-ci.yml", "a:\n  extends: .nowhere\nb:\n  extends: b\nc: text\n")]);
        assert_eq!(
            merged.unwrap_err().to_string(),
            ".gitlab-ci.yml:2: job `a` extends `.nowhere`, which is not there\n\
             .gitlab-ci.yml:4: `extends:` goes in a circle: b → b\n\
             .gitlab-ci.yml:5: job `c` must be a map, this is a single value"
        );
        let (_folder, merged) = given(&[(".gitlab-ci.yml", "a:\n  script: !reference [x, y]\n")]);
        assert_eq!(
            merged.unwrap_err().to_string(),
            ".gitlab-ci.yml:2: `!reference [x, y]` names nothing"
        );
        let (_folder, merged) = given(&[(".gitlab-ci.yml", "include: gone.yml\na: {script: x}\n")]);
        assert_eq!(
            merged.unwrap_err().to_string(),
            ".gitlab-ci.yml:1: included file `gone.yml` does not exist"
        );
    }

    #[test]
    fn wildcards_are_gitlabs_and_a_file_never_includes_itself() {
        for (pattern, expected) in [
            ("*.yml", "a, hidden, own"),
            ("ci/*.yml", "b, own"),
            ("ci/**.yml", "b, deep, own"),
            ("ci/**/*.yml", "deep, own"),
            ("**.yml", "a, b, deep, hidden, own"),
        ] {
            let root = format!("include: \"{pattern}\"\nown: {{script: x}}\n");
            let (_folder, merged) = given(&[
                (".gitlab-ci.yml", &root),
                ("a.yml", "include: \"*.yml\"\na: {script: x}\n"),
                (".hidden.yml", "hidden: {script: x}\n"),
                ("ci/b.yml", "b: {script: x}\n"),
                ("ci/deep/d.yml", "deep: {script: x}\n"),
            ]);
            let merged = merged.unwrap();
            let mut names: Vec<&str> = merged.jobs.iter().map(|job| job.key.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names.join(", "), expected, "{pattern}");
        }
    }

    #[test]
    fn an_include_that_needs_gitlab_is_told() {
        let (_folder, merged) = given(&[(
            ".gitlab-ci.yml",
            "include:\n  - template: Auto-DevOps.gitlab-ci.yml\na: {script: x}\n",
        )]);
        let warnings = merged.unwrap().warnings;
        assert_eq!(warnings.len(), 1);
        assert!(warnings.iter().any(|warning| warning.text.contains("include: template")));
    }
}
