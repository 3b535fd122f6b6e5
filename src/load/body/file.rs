//! Bodies that are read from files or made, as written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::unit::Size;

/// Bytes that are sent: `{ size: 10MiB, fill: random }` or `{ file: photo.jpg, type: image/jpeg }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UploadFile {
    /// A file, by its path from the plan's file.
    pub file: Option<String>,
    /// How many bytes are made.
    pub size: Option<Size>,
    /// With `size`: what they are; `random` when left out.
    pub fill: Option<Fill>,
    /// The content type; `application/octet-stream` when left out.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// In a multipart body: the file's name there; its own when left out.
    pub name: Option<String>,
}

/// What made bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// By chance: they cannot be packed.
    #[default]
    Random,
    /// Zeros.
    Zero,
    /// The letters and digits, again and again.
    Pattern,
}

/// A part of a multipart body: a text, or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartFile {
    /// A text; it may hold templates.
    Text(String),
    /// Bytes, as a file.
    File(UploadFile),
}

impl Serialize for PartFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(to),
            Self::File(file) => file.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for PartFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PartVisitor)
    }
}

impl JsonSchema for PartFile {
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<UploadFile>();
        json_schema!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, file] })
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = PartFile;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, or `{ file: … }` or `{ size: … }`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PartFile, E> {
        Ok(PartFile::Text(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<PartFile, E> {
        Ok(PartFile::Text(value.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<PartFile, E> {
        Ok(PartFile::Text(value.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<PartFile, E> {
        Ok(PartFile::Text(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<PartFile, E> {
        Ok(PartFile::Text(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PartFile, A::Error> {
        UploadFile::deserialize(MapAccessDeserializer::new(map)).map(PartFile::File)
    }
}
