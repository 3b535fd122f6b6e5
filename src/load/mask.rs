//! What must not be seen is not shown: the values of `env.NAME` in whatever a run tells.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::load::plan::Plan;
use crate::load::protocol::Snapshot;
use crate::load::template::{Escape, push_escaped};

/// What stands in a secret's place.
const MASK: &str = "[MASKED]";

/// Shorter values would mask half of every text.
const SHORTEST: usize = 3;

/// Knows the secrets of a plan.
#[derive(Debug, Default)]
pub struct Mask(Vec<Hidden>);

struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

impl Mask {
    /// Takes a plan's secrets, also in the forms that they are sent in.
    pub fn of(plan: &Plan) -> Self {
        let mut hidden: Vec<String> = Vec::new();
        for value in plan.env.values().map(crate::secret::Secret::reveal) {
            if value.len() < SHORTEST {
                continue;
            }
            for escape in [Escape::None, Escape::Url, Escape::Form, Escape::Json] {
                let mut text = String::new();
                push_escaped(&mut text, value, escape);
                hidden.push(text);
            }
            hidden.push(STANDARD.encode(value));
        }
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.dedup();
        Self(hidden.into_iter().map(Hidden).collect())
    }

    /// Returns the text without secrets.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for Hidden(secret) in &self.0 {
            if text.contains(secret) {
                text = Cow::Owned(text.replace(secret, MASK));
            }
        }
        text
    }

    /// Takes secrets out of what a thread counted: redirects and failures name what was sent.
    pub fn clean(&self, snapshot: &mut Snapshot) {
        if self.0.is_empty() {
            return;
        }
        for delta in snapshot.endpoints.iter_mut().chain(&mut snapshot.baseline) {
            delta.name = self.hide(&delta.name).into_owned();
            for (text, _, _) in &mut delta.failures {
                *text = self.hide(text).into_owned();
            }
        }
    }
}
