//! The head of the last answer, remembered: under load the next one often repeats it byte for byte,
//! and what was parsed once need not be parsed again.

use crate::load::worker::answer::{Answer, Coding, Question, State};

/// Longer heads are parsed each time.
const LONGEST: usize = 1024;

/// What the last plain head was, and what it said.
#[derive(Debug, Default)]
pub struct Memory {
    /// With its empty line, so nothing that begins with it has another head.
    bytes: Vec<u8>,
    said: Said,
}

/// What a head says when nothing of its text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    status: u16,
    coding: Coding,
    is_kept: bool,
    is_head: bool,
    /// How the body ends.
    pub state: State,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            status: 0,
            coding: Coding::Plain,
            is_kept: false,
            is_head: false,
            state: State::Head,
        }
    }
}

impl Said {
    /// Tells the answer so.
    pub fn tell(self, answer: &mut Answer) {
        answer.status = self.status;
        answer.coding = self.coding;
        answer.is_kept = self.is_kept;
    }
}

impl Memory {
    /// Returns the length of the head that the bytes begin with, and what it says, when it is the
    /// remembered one.
    pub fn recall(&self, question: Question, bytes: &[u8]) -> Option<(usize, Said)> {
        let is_asked = !question.wants_headers && question.is_head == self.said.is_head;
        let is_known = is_asked && !self.bytes.is_empty() && bytes.starts_with(&self.bytes);
        is_known.then_some((self.bytes.len(), self.said))
    }

    /// Remembers a head and what it was parsed to, when nothing of its text is kept.
    pub fn learn(&mut self, question: Question, head: &[u8], (answer, state): (&Answer, State)) {
        let has_text = answer.location.is_some() || !answer.cookies.is_empty();
        if question.wants_headers || has_text || head.len() > LONGEST {
            return;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        self.said = Said {
            status: answer.status,
            coding: answer.coding,
            is_kept: answer.is_kept,
            is_head: question.is_head,
            state,
        };
    }
}
