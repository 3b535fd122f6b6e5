//! Every recipe that a policy can name: the program's own, and those beside the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Recipe, parse};
use crate::policy::problem::Problem;
use crate::policy::secrets;

/// Recipes that the program brings along.
const BUILT_IN: [(&str, &str); 3] = [
    ("kubectl", include_str!("../../../config/recipes/kubectl.yaml")),
    ("locust", include_str!("../../../config/recipes/locust.yaml")),
    ("pod-inspector", include_str!("../../../config/recipes/pod-inspector.yaml")),
];

/// Every recipe that a policy can name, and what is wrong with those that it cannot.
#[derive(Debug, Default)]
pub struct Library {
    /// By name.
    pub recipes: BTreeMap<String, Recipe>,
    /// Names of those whose file is wrong.
    pub broken: BTreeSet<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Library {
    /// The recipes that the program brings along.
    pub fn built_in() -> Self {
        let mut library = Self::default();
        for (name, text) in BUILT_IN {
            library.add(name, &PathBuf::from(format!("config/recipes/{name}.yaml")), text);
        }
        library
    }

    /// Adds a recipe, in place of an older one of that name.
    pub fn add(&mut self, name: &str, file: &Path, text: &str) {
        match parse(name, file, text) {
            Ok(recipe) => {
                self.recipes.insert(name.to_owned(), recipe);
            }
            Err(problems) => {
                self.broken.insert(name.to_owned());
                self.problems.extend(problems.0);
            }
        }
    }

    /// Adds the recipes beside a policy: `recipes/NAME.yaml` in its folder.
    pub fn add_folder(&mut self, folder: &Path) {
        let folder = folder.join("recipes");
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let is_yaml = file.extension().is_some_and(|extension| extension == "yaml");
            let Some(name) = file.file_stem().and_then(|name| name.to_str()).filter(|_| is_yaml)
            else {
                continue;
            };
            match secrets::read_public(&file) {
                Ok(text) => self.add(name, &file, &text),
                Err(problem) => {
                    self.broken.insert(name.to_owned());
                    self.problems.push(problem);
                }
            }
        }
    }
}
