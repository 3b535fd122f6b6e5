//! The architecture as a table, and the rules of the house that a program can check.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

/// Bottom first. A module may import from lines below its own, and from itself.
const LAYERS: &[&[&str]] = &[
    &["error", "mistake", "near", "outcome", "secret", "shutdown", "statistics", "unit", "verdict"], // leaves may see each other
    &["job"],
    &["environment", "load", "gate", "deploy"],
    &["policy", "report"],
    &["executor", "broker", "pipeline"],
    &["command"],
    &["cli"],
    &["lib", "main"],
];

/// Where outside crates may appear: a crate, and the places that may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["cli", "command"]),
    ("bollard", &["environment/docker"]),
    ("kube", &["environment/kubernetes", "deploy"]),
    ("k8s_openapi", &["environment/kubernetes", "deploy"]),
    ("hyper", &["load", "gate", "report", "pipeline"]),
    ("reqwest", &["job/gitlab", "job/http", "load/push", "gate", "deploy", "pipeline", "command"]),
    ("schemars", &["unit", "load", "gate", "deploy", "policy", "command"]),
    ("httparse", &["load", "deploy/cluster"]),
    ("lol_html", &["load"]),
    ("snap", &["load/push"]),
    ("zip", &["pipeline", "command/helper"]),
];

const LONGEST_FILE: usize = 600;

struct Source {
    /// Relative to `src`, without `.rs` and `/mod`: `gate/source`.
    module: String,
    file: PathBuf,
    text: String,
}

impl Source {
    fn top(&self) -> &str {
        self.module.split('/').next().unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_under(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_under(&root().join(folder), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    rust_files("src")
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(&src).unwrap().with_extension("");
            let module = relative.to_str().unwrap().trim_end_matches("/mod").to_owned();
            Source { module, text: fs::read_to_string(&file).unwrap(), file }
        })
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The text without comments: a module may be named there by anyone.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Top modules named after `crate::`, also inside `crate::{a, b::c}`.
fn imports(text: &str) -> Vec<String> {
    let text = code(text);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        // `$crate::` and `other_crate::` are none of ours.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(names_in_group(group)),
            None => found.push(identifier(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn names_in_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut item) = (1, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => (),
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names.push(identifier(item.trim()));
            item.clear();
        } else {
            item.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn names_crate(text: &str, name: &str) -> bool {
    let text = code(text);
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        // `crate::load::kube::` and `my_kube::` are other things than the crate `kube`.
        let before = &text[..at];
        !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            || before.ends_with(" ::")
    })
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn imports_point_down_and_never_sideways() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = layer(source.top()) else { continue };
        for name in imports(&source.text) {
            let Some(other) = layer(&name) else { continue };
            let is_fine = name == source.top() || other < own || (own == 0 && other == 0);
            if !is_fine {
                wrong.push(format!(
                    "{}: `{}` imports `{name}`",
                    source.file.display(),
                    source.top()
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_top_module_has_its_layer() {
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| layer(source.top()).is_none())
        .map(|source| format!("{}: not in the table of layers", source.file.display()))
        .collect();
    none(&wrong);
}

#[test]
fn outside_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in CRATES {
            let is_allowed = places.iter().any(|place| {
                source.module == *place || source.module.starts_with(&format!("{place}/"))
            });
            if !is_allowed && names_crate(&source.text, name) {
                wrong.push(format!("{}: names the crate `{name}`", source.file.display()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short_enough() {
    let mut wrong = Vec::new();
    for file in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: the first line is no `//! `", file.display()));
        }
        let n_lines = text.lines().count();
        if n_lines > LONGEST_FILE {
            wrong.push(format!("{}: {n_lines} lines, split it", file.display()));
        }
    }
    none(&wrong);
}

#[test]
fn modules_say_crate_and_not_super_super() {
    let upwards = ["super", "super"].join("::");
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| source.text.contains(&upwards))
        .map(|source| format!("{}: say `crate::`", source.file.display()))
        .collect();
    none(&wrong);
}

#[test]
fn nothing_is_left_for_later_and_no_file_names_the_folder_it_was_written_in() {
    let mut forbidden: Vec<String> =
        [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["#[ign", "ore"], ["../sha", "red"]]
            .iter()
            .map(|parts| parts.concat())
            .collect();
    forbidden.push(root().display().to_string());
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["src", "tests", "scripts", "config", ".ci"] {
        if root().join(folder).is_dir() {
            files_under(&root().join(folder), &mut files);
        }
    }
    files.extend(["README.md", "Cargo.toml", "runner-config.toml.example"].map(|f| root().join(f)));
    let mut wrong = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for word in forbidden.iter().filter(|word| text.contains(word.as_str())) {
            wrong.push(format!("{}: contains `{word}`", file.display()));
        }
    }
    none(&wrong);
}

#[test]
fn the_reader_of_imports_sees_groups_and_skips_comments() {
    let text = "use crate::{a, b::{c, d}, e::f};\n// crate::g\nlet x = crate::h::i;\n$crate::j";
    assert_eq!(imports(text), ["a", "b", "e", "h", "j"]);
}
