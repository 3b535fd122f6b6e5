//! Plans made from what is there already: a browser's HAR, a list of URLs, curl lines, an OpenAPI
//! description. Pure: text in, plan file out.

mod draft;
mod har;
mod urls;
mod curl;
mod openapi;
#[cfg(test)]
mod tests;

use std::str::FromStr;

/// What a plan is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An HTTP archive, as browsers save it.
    Har,
    /// A URL a line, with a method before it or without.
    Urls,
    /// curl command lines.
    Curl,
    /// An OpenAPI 3 description, JSON or YAML.
    OpenApi,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "har" => Ok(Self::Har),
            "urls" => Ok(Self::Urls),
            "curl" => Ok(Self::Curl),
            "openapi" => Ok(Self::OpenApi),
            _ => Err("use one of har, urls, curl, openapi".to_owned()),
        }
    }
}

/// A text that no plan can be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Makes the text of a plan file; `target` replaces the one that the text names.
pub fn import(
    source: Source,
    name: &str,
    text: &str,
    target: Option<&str>,
) -> Result<String, Error> {
    let mut draft = match source {
        Source::Har => har::read(text)?,
        Source::Urls => urls::read(text)?,
        Source::Curl => curl::read(text)?,
        Source::OpenApi => openapi::read(text)?,
    };
    if draft.steps.is_empty() {
        return Err(Error("there is no request in it that a plan could make".to_owned()));
    }
    if let Some(target) = target {
        target.clone_into(&mut draft.target);
    }
    if draft.target.is_empty() {
        return Err(Error("it does not say where the requests go: give --target".to_owned()));
    }
    Ok(draft.write(name))
}
