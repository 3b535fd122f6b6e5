//! JSON Schemas of the files that people write.

use schemars::JsonSchema;

use super::file::PolicyFile;
use super::recipe::RecipeFile;

/// The policy's schema.
pub fn policy() -> String {
    text_of::<PolicyFile>()
}

/// A recipe's schema.
pub fn recipe() -> String {
    text_of::<RecipeFile>()
}

/// Returns a type's schema as it stands in `config/`.
pub fn text_of<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
