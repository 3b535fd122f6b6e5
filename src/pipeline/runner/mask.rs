//! Masking as the runner does it: the same bytes are found also where two chunks meet.

use std::sync::LazyLock;

use regex::Regex;

const MASK: &[u8] = b"[MASKED]";

/// Prefixes of GitLab's own tokens: what follows is masked.
static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b(glpat-|gloas-|gldt-|glrt-|glrtr-|glcbt-|glptt-|glft-|glimt-|glagent-|glsoat-|glffct-|gltok-|_gitlab_session=)([A-Za-z0-9_.=-]+)",
    )
    .ok()
});

/// Query parameters of URLs that hold secrets.
static PARAMETERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)([?&](?:private_token|access_token|authenticity_token|rss_token|feed_token|job_token|token|secret|x-amz-signature|x-amz-credential|x-amz-security-token|sig|signature|x-goog-signature|x-goog-credential)=)([^&\s\x22']+)",
    )
    .ok()
});

/// Masks values in a stream of bytes.
#[derive(Debug, Clone)]
pub struct Masker {
    /// Longest first, so that a value inside of another does not win.
    values: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Masker {
    /// A masker for these values; empty ones are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut values: Vec<Vec<u8>> = values
            .into_iter()
            .filter(|value| !value.is_empty())
            .map(|value| value.as_bytes().to_vec())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values, held: Vec::new() }
    }

    /// Takes bytes in and gives those out that can no longer be the start of a value.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(value) = self.values.iter().find(|value| rest.starts_with(value)) {
                out.extend_from_slice(MASK);
                at += value.len();
            } else if self.values.iter().any(|value| value.starts_with(rest)) {
                break;
            } else {
                out.extend(rest.first());
                at += 1;
            }
        }
        self.held.drain(..at);
        out
    }

    /// Gives out what was held back: nothing follows.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Masks a whole text at once.
    pub fn text(&self, text: &str) -> String {
        let mut fresh = Self { values: self.values.clone(), held: Vec::new() };
        let mut out = fresh.push(text.as_bytes());
        out.extend(fresh.finish());
        line(&String::from_utf8_lossy(&out))
    }
}

/// Masks what is known by its shape in one line: GitLab's tokens, secrets in URLs.
pub fn line(text: &str) -> String {
    let mut text = text.to_owned();
    for regex in [&*TOKENS, &*PARAMETERS].into_iter().flatten() {
        if regex.is_match(&text) {
            text = regex.replace_all(&text, "${1}[MASKED]").into_owned();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_shapes_are_masked_in_a_line() {
        for (text, expected) in [
            ("token glpat-abc_DEF-12 end", "token glpat-[MASKED] end"),
            (
                "GET https://h/x?a=1&private_token=abc&b=2",
                "GET https://h/x?a=1&private_token=[MASKED]&b=2",
            ),
            ("https://s3/?X-Amz-Signature=00ff done", "https://s3/?X-Amz-Signature=[MASKED] done"),
            ("no secrets here: token = x", "no secrets here: token = x"),
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn the_longer_of_two_values_wins() {
        assert_eq!(Masker::new(["abc", "abcdef"]).text("abcdef abcd"), "[MASKED] [MASKED]d");
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[abs ]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..6)) {
            let values = ["abs", "bsab", "aaa"];
            let whole = {
                let mut masker = Masker::new(values);
                let mut out = masker.push(text.as_bytes());
                out.extend(masker.finish());
                out
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut masker = Masker::new(values);
            let mut out = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                out.extend(masker.push(&text.as_bytes()[from..cut]));
                from = cut;
            }
            out.extend(masker.finish());
            prop_assert_eq!(&out, &whole);
            let told = String::from_utf8(out).unwrap();
            prop_assert!(!told.contains("abs"), "{}", told);
        }
    }
}
