//! Why an image does not come, or never could, in the words that people need. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::containers::last_message;
use super::event::{Finding, Topic};
use super::plan::{list, text};
use super::resolve::{Thing, pod};

/// Why an image cannot be pulled: the back-off itself does not say it, an earlier event does.
pub fn pull_message(message: &str, container: &str, warnings: &[&Value]) -> String {
    let says_why = message.contains(": ") || is_final(message);
    let earlier = last_message(warnings, "Failed", container, &["Failed to pull image"]);
    let full = if says_why { message } else { earlier.unwrap_or(message) };
    // Runtimes repeat themselves: the innermost cause is what people need.
    let mut clean = full.rsplit_once("rpc error: code = ").map_or(full, |(_, rest)| rest);
    clean = clean.split_once("desc = ").map_or(clean, |(_, rest)| rest);
    for wrapper in [
        "Back-off pulling image",
        "ErrImagePull",
        "failed to pull",
        "failed to resolve",
        "failed to do request",
    ] {
        if let (true, Some((_, inner))) = (clean.starts_with(wrapper), after_quotes(clean)) {
            clean = inner;
        }
    }
    clean.to_owned()
}

/// What a text wraps: what is behind its first `: ` that stands in no quotes.
fn after_quotes(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ':' if !is_quoted => {
                let inner = text.get(at + 1..)?.strip_prefix(' ')?;
                return Some((text.get(..at)?, inner));
            }
            _ => {}
        }
    }
    None
}

/// Images of pods that can never come. What the cluster's admission makes another image of is left to it.
pub fn findings(things: &[Thing], predicted: &BTreeMap<usize, Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for thing in things {
        let Some((template, pointer)) = thing.pod() else { continue };
        let becomes = predicted.get(&thing.index).and_then(|object| pod(object));
        for kind in ["/spec/initContainers", "/spec/containers"] {
            for (n, container) in list(template, kind).iter().enumerate() {
                let image = text(container, "/image");
                let is_kept = becomes.is_none_or(|(template, _)| {
                    list(template, kind).iter().any(|one| text(one, "/image") == image)
                });
                if let (true, Some((what, way))) = (is_kept, mistake(image)) {
                    let path = format!("{pointer}{kind}/{n}/image");
                    let finding = Finding::error(Topic::Manifest, thing.index, &path, what);
                    findings.push(finding.hint(way));
                }
            }
        }
    }
    findings
}

/// What is wrong with the name of an image, and the way out: nothing but a kubelet looks at it otherwise.
/// The grammar is that of the distribution project's `reference` package.
fn mistake(image: &str) -> Option<(String, &'static str)> {
    let is_template = image.contains('$') || image.contains("{{") || image.contains(['<', '>']);
    if is_template {
        let what = format!("image `{image}` holds a variable that nobody replaced");
        return Some((what, "replace it before the deploy: `envsubst < FILE`, `sed`, a template"));
    }
    let is_of_name = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']')
    };
    if let Some(wrong) = image.chars().find(|c| !is_of_name(*c)) {
        let what = format!("`{image}` is not the name of an image: it has `{wrong}` in it");
        return Some((what, "a name is made of letters, digits and `.`, `_`, `-`, `/`, `:`, `@`"));
    }
    if image.starts_with([':', '/', '@'])
        || image.ends_with([':', '/', '@'])
        || ["//", ":/", "/:", ":@"].iter().any(|empty| image.contains(empty))
    {
        let what = format!("image `{image}` has an empty part");
        return Some((what, "look at the variables that it was made of: one of them was empty"));
    }
    if path(image).contains(|c: char| c.is_ascii_uppercase()) {
        let what = format!("image `{image}` has capital letters, which no registry takes");
        return Some((what, "in GitLab, `$CI_REGISTRY_IMAGE` is the project's path in lower case"));
    }
    None
}

/// An image's name without its registry, tag and digest.
fn path(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    let path = match name.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            path
        }
        _ => name,
    };
    path.split_once(':').map_or(path, |(path, _)| path)
}

/// True when no amount of waiting brings the image.
pub fn is_final(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "not found",
        "manifest unknown",
        "unauthorized",
        "denied",
        "not exist",
        "invalid reference",
        "no match for platform",
    ]
    .iter()
    .any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_image_can_have_is_told_with_what_is_wrong() {
        for good in [
            "nginx",
            "nginx:1.27-alpine",
            "library/nginx",
            "registry.example.com/shop",
            "Registry.Example.com:5000/a/b_c:V1.0_rc",
            "localhost/a:B",
            "[::1]:5000/a",
            "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "r.io/a:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(mistake(good), None, "{good}");
        }
        for (bad, what) in [
            ("$IMAGE:1", "nobody replaced"),
            ("r.io/a:${TAG}", "nobody replaced"),
            ("{{ .Values.image }}", "nobody replaced"),
            ("r.io/a:<VERSION>", "nobody replaced"),
            ("r.io/a b", "` ` in it"),
            ("r.io/a:1,2", "`,` in it"),
            ("r.io/a:", "empty part"),
            ("/a:1", "empty part"),
            ("r.io//a:1", "empty part"),
            ("r.io/a@", "empty part"),
            ("r.io/:1", "empty part"),
            ("r.io/Shop/web:1", "capital letters"),
            ("shop/Web", "capital letters"),
        ] {
            let told = mistake(bad).unwrap_or_else(|| panic!("{bad} passes"));
            assert!(told.0.contains(what) && told.0.contains(bad), "{told:?}");
        }
    }
}
