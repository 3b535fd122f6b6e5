//! Values that must not be seen: no `Debug`, no `Display`, one way out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret value. `reveal` is the one way out, called on the line that sends it.
///
/// It serialises (a job hands its own tokens to the broker over the socket), but only on purpose:
/// by a struct that names it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Hands the value out.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[MASKED]")
    }
}
