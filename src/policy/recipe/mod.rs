//! Image recipes: which images are answered without being pulled, by which files and commands.

mod library;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::environment::sandbox::File;
use crate::policy::glob::Glob;
use crate::policy::problem::{Problem, Problems};
use crate::policy::yaml::{self, Document};

pub use library::Library;

/// A recipe as written: what stands for an image.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeFile {
    /// Images that this recipe answers; `*` is any text.
    pub images: Vec<String>,
    /// Files that a script expects in the image, by absolute path.
    #[serde(default)]
    pub files: BTreeMap<String, ContentFile>,
    /// Commands of the image, and what is run in their place.
    #[serde(default)]
    pub commands: Vec<CommandFile>,
}

/// What is in a recipe's file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentFile {
    /// This text.
    Text(String),
    /// This text, and it can be run.
    Program(String),
    /// A plan of dyno's own, by name.
    Plan(String),
}

/// A command of an image, and what is run in its place.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CommandFile {
    /// The command with its first arguments, in each of its spellings.
    pub when: Vec<String>,
    /// Shell text, run in the script's own shell.
    pub run: String,
    /// What becomes of the remaining arguments.
    #[serde(default)]
    pub args: ArgsFile,
}

/// What becomes of the remaining arguments.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArgsFile {
    /// They are dropped, as a program does that reads none.
    #[default]
    Ignore,
    /// They follow the shell text.
    Pass,
}

/// A recipe as meant.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Images that it answers.
    pub images: Vec<Glob>,
    /// Files that the environment makes.
    pub files: Vec<File>,
    /// Commands that the shell answers.
    pub commands: Vec<Command>,
}

/// A command that the shell answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command and its first arguments, one space between each.
    pub when: String,
    /// Shell text; it may use `"$@"`, the remaining arguments.
    pub run: String,
}

/// Plans that a recipe's file can be.
const PLANS: [(&str, &str); 1] = [("acme", include_str!("../../../config/plans/acme.yaml"))];

/// Returns the first recipe that answers an image.
pub fn find<'a>(recipes: impl IntoIterator<Item = &'a Recipe>, image: &str) -> Option<&'a Recipe> {
    recipes.into_iter().find(|recipe| recipe.answers(image))
}

impl Recipe {
    /// True when it answers an image.
    pub fn answers(&self, image: &str) -> bool {
        self.images.iter().any(|glob| glob.matches(image))
    }
}

/// Reads a recipe.
pub fn parse(name: &str, file: &Path, text: &str) -> Result<Recipe, Problems> {
    let parsed = yaml::parse::<RecipeFile>(file, text);
    let mut reader = Reader { document: parsed.document, problems: parsed.problems };
    let recipe = parsed.value.map(|file| reader.recipe(name, file));
    match recipe {
        Some(recipe) if reader.problems.is_empty() => Ok(recipe),
        _ => Err(Problems(yaml::sorted(reader.problems))),
    }
}

struct Reader {
    document: Document,
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(self.document.problem(key, message));
    }

    fn recipe(&mut self, name: &str, file: RecipeFile) -> Recipe {
        if file.images.is_empty() && self.document.is_whole("images") {
            self.wrong("images", "a recipe without images answers nothing");
        }
        let mut images = Vec::new();
        for (n, text) in file.images.iter().enumerate() {
            match Glob::plain(text) {
                Ok(glob) => images.push(glob),
                Err(error) => self.wrong(&format!("images[{n}]"), error.to_string()),
            }
        }
        let mut files = Vec::new();
        for (path, content) in file.files {
            let key = format!("files.{path}");
            self.check_path(&key, &path);
            files.extend(self.content(&key, &path, content));
        }
        let mut commands: Vec<Command> = Vec::new();
        for (n, command) in file.commands.iter().enumerate() {
            self.commands(n, command, &mut commands);
        }
        Recipe { name: name.to_owned(), images, files, commands }
    }

    fn content(&mut self, key: &str, path: &str, content: ContentFile) -> Option<File> {
        let path = PathBuf::from(path);
        match content {
            ContentFile::Text(content) => Some(File { path, content, executable: false }),
            ContentFile::Program(content) => Some(File { path, content, executable: true }),
            ContentFile::Plan(name) => {
                let plan = PLANS.iter().find(|(plan, _)| *plan == name);
                if plan.is_none() {
                    let known = PLANS.map(|(plan, _)| format!("`{plan}`")).join(", ");
                    self.wrong(
                        &format!("{key}.plan"),
                        format!("unknown plan `{name}`; there is {known}"),
                    );
                }
                plan.map(|(_, text)| File { path, content: (*text).to_owned(), executable: false })
            }
        }
    }

    /// System folders are the environment's own; a file of a recipe would be hidden or hide.
    fn check_path(&mut self, key: &str, path: &str) {
        let parts: Vec<&str> = path.split('/').collect();
        let is_plain = parts.first() == Some(&"")
            && parts.len() > 2
            && parts.iter().skip(1).all(|part| !matches!(*part, "" | "." | ".."))
            && !path.chars().any(char::is_control);
        if !is_plain {
            self.wrong(key, format!("`{path}` is not an absolute path in a folder of its own"));
            return;
        }
        let top = parts.get(1).copied().unwrap_or_default();
        if SYSTEM_FOLDERS.contains(&top) {
            self.wrong(key, format!("`/{top}` belongs to the environment, not to a recipe"));
        }
    }

    fn commands(&mut self, n: usize, file: &CommandFile, commands: &mut Vec<Command>) {
        let key = format!("commands[{n}]");
        let run = file.run.trim();
        if run.is_empty() {
            self.wrong(&format!("{key}.run"), "is empty");
        }
        let run = match file.args {
            ArgsFile::Ignore => run.to_owned(),
            ArgsFile::Pass => format!("{run} \"$@\""),
        };
        if file.when.is_empty() && self.document.is_whole(&format!("{key}.when")) {
            self.wrong(&format!("{key}.when"), "a command without a spelling is never called");
        }
        for (m, when) in file.when.iter().enumerate() {
            let key = format!("{key}.when[{m}]");
            let when = when.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some(message) = wrong_command(&when) {
                self.wrong(&key, message);
            }
            if commands.iter().any(|command| command.when == when) {
                self.wrong(&key, format!("`{when}` is answered twice"));
            }
            commands.push(Command { when, run: run.clone() });
        }
    }
}

const SYSTEM_FOLDERS: [&str; 16] = [
    "bin", "boot", "builds", "cache", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run",
    "sbin", "sys", "tmp", "usr",
];

/// Words of the shell itself, and dyno's: a function of that name would break every script.
const TAKEN: [&str; 28] = [
    "dyno", "kubectl", "locust", "alias", "break", "builtin", "case", "cd", "command", "declare",
    "echo", "eval", "exec", "exit", "export", "false", "local", "printf", "read", "return", "set",
    "shift", "source", "test", "trap", "true", "umask", "unset",
];

fn wrong_command(when: &str) -> Option<String> {
    let Some(program) = when.split(' ').next().filter(|program| !program.is_empty()) else {
        return Some("is empty".to_owned());
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if let Some(c) = when.chars().find(|&c| c != ' ' && !is_plain(c)) {
        return Some(format!("`{c}` cannot be part of a command here"));
    }
    if program.starts_with('-') || program.contains('=') {
        return Some(format!("`{program}` is no command"));
    }
    if TAKEN.contains(&program) {
        return Some(format!("`{program}` is a word of the shell's or dyno's own"));
    }
    None
}
