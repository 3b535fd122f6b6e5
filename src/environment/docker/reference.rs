//! Image references: `HOST[:PORT]/PATH[:TAG][@DIGEST]`, and what services are called by them.

/// A reference to an image, taken apart as Docker does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host; `docker.io` when none is written.
    pub registry: String,
    /// The path without registry, tag and digest, as written.
    pub path: String,
    /// The tag, when one is written.
    pub tag: Option<String>,
    /// The digest, when one is written.
    pub digest: Option<String>,
}

/// A text that refers to no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an image")]
pub struct NoReference(String);

impl Reference {
    /// Takes a reference apart.
    ///
    /// # Errors
    /// When the text has characters that no reference has.
    pub fn parse(text: &str) -> Result<Self, NoReference> {
        let wrong = || NoReference(text.to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            Some(_) | None => ("docker.io", name),
        };
        let is_path = |path: &str| {
            !path.is_empty()
                && path.split('/').all(|part| {
                    !part.is_empty()
                        && part.bytes().all(|byte| {
                            byte.is_ascii_lowercase()
                                || byte.is_ascii_digit()
                                || matches!(byte, b'.' | b'_' | b'-')
                        })
                })
        };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':')
                })
        };
        let fits = is_path(path)
            && is_word(registry)
            && tag.as_deref().is_none_or(is_word)
            && digest.as_deref().is_none_or(is_word);
        if !fits {
            return Err(wrong());
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned(), tag, digest })
    }

    /// What Docker is asked for: without a tag, `latest` and not all of them.
    pub fn full(&self) -> String {
        let name = self.name();
        match (&self.tag, &self.digest) {
            (_, Some(digest)) => format!("{name}@{digest}"),
            (Some(tag), None) => format!("{name}:{tag}"),
            (None, None) => format!("{name}:latest"),
        }
    }

    /// Registry and path, without tag and digest.
    pub fn name(&self) -> String {
        if self.registry == "docker.io" {
            self.path.clone()
        } else {
            format!("{}/{}", self.registry, self.path)
        }
    }

    /// The host names under which GitLab's users expect a service of this image:
    /// `registry.example.com/db/postgres:11` is `registry.example.com__db__postgres` and
    /// `registry.example.com-db-postgres`.
    ///
    /// Reference: <https://docs.gitlab.com/ci/services/#accessing-the-services>.
    pub fn host_names(&self) -> Vec<String> {
        let host = self.registry.split(':').next().unwrap_or_default();
        let name = if self.registry == "docker.io" {
            self.path.clone()
        } else {
            format!("{host}/{}", self.path)
        };
        let mut names = vec![name.replace('/', "__"), name.replace('/', "-")];
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_as_docker_does() {
        for (text, registry, full) in [
            ("alpine", "docker.io", "alpine:latest"),
            ("bitnami/kubectl:1.30", "docker.io", "bitnami/kubectl:1.30"),
            ("localhost:5000/a", "localhost:5000", "localhost:5000/a:latest"),
            ("localhost/a:b", "localhost", "localhost/a:b"),
            ("r.example.com/g/p/i:v1.2-x", "r.example.com", "r.example.com/g/p/i:v1.2-x"),
            ("a@sha256:00ff", "docker.io", "a@sha256:00ff"),
            ("a:1@sha256:00ff", "docker.io", "a@sha256:00ff"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.registry.as_str(), reference.full().as_str()), (registry, full));
        }
        for text in ["", "A", "a b", "a:", ":a", "a//b", "/a", "a/", "a:b:c/", "http://a/b", "a\n"]
        {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn services_are_found_by_both_names() {
        for (text, names) in [
            ("postgres:16", &["postgres"][..]),
            ("tutum/wordpress:latest", &["tutum__wordpress", "tutum-wordpress"]),
            (
                "registry.example.com:8443/a/b:1",
                &["registry.example.com__a__b", "registry.example.com-a-b"],
            ),
        ] {
            assert_eq!(Reference::parse(text).unwrap().host_names(), names);
        }
    }
}
