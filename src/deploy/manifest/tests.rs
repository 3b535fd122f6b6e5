//! What people feed the reader with: anything at all, and manifests that broke on the way.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::{documents, objects, parse, yaml};

const REAL: &str = include_str!("../../../tests/data/kubectl/many.yaml");

/// What breaks a manifest, beside a byte that is another one.
const PIECES: &[&str] = &[
    "\t",
    "\n---\n",
    "---",
    "...",
    "&a ",
    "*a",
    "<<: *a",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "!!binary ",
    "!x ",
    "|",
    ">-",
    "? ",
    ": ",
    "- ",
    "#",
    "%YAML 1.1",
    "\u{feff}",
    "\0",
    "\r",
    "1e999",
    ".inf",
    "~",
];

/// Reads a file as a command does; how many documents and objects were in it.
fn read(content: &[u8]) -> (usize, usize) {
    let (documents, _error) = documents(content);
    let n_documents = documents.len();
    let objects = documents.into_iter().filter(|one| objects(one.clone(), "x", true).is_ok());
    (n_documents, objects.count())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (n_documents, n_objects) = read(&bytes);
        prop_assert!(n_objects <= n_documents && n_documents <= bytes.len());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\té{}\\[\\]:,&*!|>#'\"-]{0,200}") {
        read(text.as_bytes());
        if let Ok(value) = parse(text.as_bytes()) {
            prop_assert!(depth(&value) <= 101);
            prop_assert!(parse(yaml(&value).as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_real_manifest_that_broke_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..40_usize), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = REAL.as_bytes().to_vec();
        for (at, byte, piece) in changes {
            let at = at.index(bytes.len());
            match PIECES.get(piece) {
                Some(piece) => drop(bytes.splice(at..at, piece.bytes())),
                None => bytes[at] = byte,
            }
        }
        read(&bytes);
        bytes.truncate(end.index(bytes.len()));
        read(&bytes);
    }
}

#[test]
fn what_nests_or_repeats_without_end_is_refused() {
    let mut block = String::new();
    for indent in 0..1500 {
        writeln!(block, "{}a:", " ".repeat(indent)).unwrap();
    }
    let lines = ["[", "{a: ", "- ", "? ", "{\"a\":", "[[{b: "].map(|deep| deep.repeat(20_000));
    for deep in lines.iter().chain([&block]) {
        assert!(parse(deep.as_bytes()).is_err(), "{deep:.20}");
        assert_eq!(read(deep.as_bytes()).1, 0, "{deep:.20}");
    }
    // Each line names the one before it ten times: 10^12 values in 300 bytes.
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{},", n - 1).repeat(10);
        writeln!(bomb, "a{n}: &a{n} [{before}]").unwrap();
    }
    assert!(parse(bomb.as_bytes()).is_err());
}
