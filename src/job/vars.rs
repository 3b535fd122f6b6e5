//! Environment variables, as something that can be handed in.

use std::collections::BTreeMap;

/// Looks environment variables up. Everything that reads one takes this, so tests hand in a map.
pub trait Vars {
    /// Returns the variable's value; `None` when it is unset or not UTF-8.
    fn get(&self, name: &str) -> Option<String>;

    /// Returns every variable, sorted by name.
    fn all(&self) -> BTreeMap<String, String>;

    /// Returns the variable's value unless it is unset or empty.
    fn filled(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

/// The variables of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessVars;

impl Vars for ProcessVars {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn all(&self) -> BTreeMap<String, String> {
        std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn all(&self) -> BTreeMap<String, String> {
        self.clone()
    }
}
