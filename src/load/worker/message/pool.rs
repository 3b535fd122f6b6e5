//! Texts and bodies that are used again and again.

use std::borrow::Cow;
use std::cell::RefCell;

/// Texts to be written into, used again and again by a thread's users.
#[derive(Debug, Default)]
pub struct Pool(RefCell<Vec<String>>);

/// The same for bodies of answers.
#[derive(Debug, Default)]
pub struct Bodies(RefCell<Vec<Vec<u8>>>);

/// So many are kept, each up to so many bytes.
const KEPT: usize = 16;
const LENGTH: usize = 64 * 1024;

impl Bodies {
    /// Returns an empty one.
    pub fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes one back.
    pub fn give(&self, mut body: Vec<u8>) {
        let mut bodies = self.0.borrow_mut();
        if bodies.len() < KEPT && (1..=LENGTH).contains(&body.capacity()) {
            body.clear();
            bodies.push(body);
        }
    }
}

impl Pool {
    /// Returns an empty one.
    pub fn take(&self) -> String {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a text back that was only written for one sending.
    pub fn give_back(&self, text: Cow<'_, str>) {
        if let Cow::Owned(text) = text {
            self.give(text);
        }
    }

    /// Takes one back.
    pub fn give(&self, mut text: String) {
        let mut texts = self.0.borrow_mut();
        if texts.len() < KEPT && text.capacity() <= LENGTH {
            text.clear();
            texts.push(text);
        }
    }
}
