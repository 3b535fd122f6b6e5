//! A mistake while a file is read: where, what, and whether it only follows from another.

use std::fmt;
use std::path::Path;

use super::tree::Place;
use crate::policy::problem::Problem;

/// A mistake on its way to a [`Problem`].
#[derive(Debug, Clone)]
pub struct Mistake {
    pub(super) key: String,
    pub(super) place: Option<Place>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) missing: Option<&'static str>,
    pub(super) is_consequence: bool,
}

impl Mistake {
    pub(super) fn new(message: String) -> Self {
        Self {
            key: String::new(),
            place: None,
            message,
            hint: None,
            missing: None,
            is_consequence: false,
        }
    }

    /// A mistake that ends the reading.
    pub fn whole(place: Place, message: String) -> Self {
        Self { place: Some(place), ..Self::new(message) }
    }

    /// A mistake at a key.
    pub fn at(key: String, place: Place, message: String) -> Self {
        Self { key, place: Some(place), ..Self::new(message) }
    }

    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Path of the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// True when it only follows from another mistake that is told already.
    pub fn is_consequence(&self) -> bool {
        self.is_consequence
    }

    /// The mistake as it is told.
    pub fn into_problem(self, file: &Path) -> Problem {
        let place = self.place.unwrap_or(Place { line: 1, column: 1 });
        Problem {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            key: self.key,
            message: self.message,
            hint: self.hint,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl serde::de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing")) }
    }
}
