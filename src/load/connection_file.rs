//! `http:` and `tls:` of a plan file, as written: how connections are made and what they speak.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `http:`, how HTTP is spoken: `{ version: 2, streams: 10 }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HttpFile {
    /// `1` (when left out), `2` (agreed on by TLS, or taken as known without it), or `auto`: what
    /// the server prefers, by TLS.
    pub version: Option<Version>,
    /// HTTP/2: how many users share a connection, a stream for each; 1 when left out.
    pub streams: Option<u32>,
    /// A proxy that connections go through: `http://proxy:3128` or `$HTTPS_PROXY`. It is asked for
    /// tunnels (CONNECT) to the addresses that the targets have; the policy must allow both.
    pub proxy: Option<String>,
    /// Hosts that are connected to without it: names, `.domains`, networks, or `$NO_PROXY`.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub no_proxy: Vec<String>,
    /// Hands plain HTTP to the proxy as it is, in place of a tunnel: it looks the names up itself.
    pub forward: Option<bool>,
}

/// `tls:`, how TLS is spoken. Files are PEM, named by their path from the plan's file; a text that
/// begins with `-----BEGIN` is taken as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TlsFile {
    /// Certificate authorities to trust beside the system's.
    pub ca: Option<String>,
    /// The client's certificate, and those that vouch for it.
    pub certificate: Option<String>,
    /// The key of the client's certificate.
    pub key: Option<String>,
    /// The name that the server is asked by (SNI) and must prove, in place of its host's.
    pub server_name: Option<String>,
    /// Takes whoever answers for the target, whatever its certificate says. Every run says so.
    pub insecure: Option<bool>,
}

impl TlsFile {
    /// The files it names.
    pub fn files(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        let files =
            [("ca", &mut self.ca), ("certificate", &mut self.certificate), ("key", &mut self.key)];
        files.into_iter().flat_map(|(key, file)| file.iter_mut().map(move |file| (key, file)))
    }
}

/// What stands in a plan in place of a file's name.
pub fn is_inline(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN")
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    One,
    /// HTTP/2.
    Two,
    /// What the server prefers, where TLS lets it say so; else HTTP/1.1.
    Auto,
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1" | "1.1" => Ok(Self::One),
            "2" | "2.0" => Ok(Self::Two),
            "auto" => Ok(Self::Auto),
            _ => Err(format!("`{text}` is not an HTTP version: use 1, 2 or auto")),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One => to.serialize_u8(1),
            Self::Two => to.serialize_u8(2),
            Self::Auto => to.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(VersionVisitor)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [1, 1.1, 2, "1", "1.1", "2", "auto"] })
    }
}

struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = Version;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an HTTP version: 1, 2 or auto")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Version, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Version, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Version, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Version, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_auto() {
        for (yaml, version) in [
            ("1", Some(Version::One)),
            ("1.1", Some(Version::One)),
            ("2", Some(Version::Two)),
            ("\"2\"", Some(Version::Two)),
            ("auto", Some(Version::Auto)),
            ("3", None),
            ("h2", None),
        ] {
            assert_eq!(serde_saphyr::from_str::<Version>(yaml).ok(), version, "{yaml}");
        }
        let json = serde_json::to_string(&[Version::One, Version::Two, Version::Auto]).unwrap();
        assert_eq!(json, "[1,2,\"auto\"]");
    }
}
