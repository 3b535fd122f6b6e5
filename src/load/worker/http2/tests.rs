//! The connection without its socket: what frames do to it, in whatever pieces they come.

use proptest::prelude::*;

use super::frame::{Head, push_head, push_numbers};
use super::*;
use crate::load::tests::mutants::{changed, changes, conversation};

const QUESTION: Question = Question { is_head: false, wants_body: true, wants_headers: true };

/// An open connection with so many requests on their way.
fn open(n_asked: usize) -> Conn {
    let mut conn = Conn::new();
    let mut settings = Vec::new();
    push_head(&mut settings, 0, frame::SETTINGS, 0, 0);
    conn.read(&settings, Instant::now()).unwrap();
    for _ in 0..n_asked {
        assert!(conn.has_room());
        conn.begin(QUESTION, Vec::new(), b"\x82", (b"", Outgoing::default()));
    }
    conn.out.clear();
    conn
}

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_head(&mut bytes, payload.len(), kind, flags, stream);
    bytes.extend_from_slice(payload);
    bytes
}

fn ended(conn: &mut Conn, id: u32) -> Option<Result<(), Failure>> {
    conn.stream(id).and_then(|stream| stream.end.clone())
}

/// `:status: 200`, then a header that goes into the table.
const HEAD: &[u8] = b"\x88\x40\x01x\x03yes";
const END: u8 = frame::END_STREAM;
const WHOLE: u8 = frame::END_HEADERS;

#[test]
fn answers_come_in_any_order_and_any_pieces() {
    let mut conn = open(3);
    let (first, second) = HEAD.split_at(3);
    let bytes = [
        framed(frame::HEADERS, 0, 5, first),
        framed(frame::CONTINUATION, WHOLE, 5, second),
        framed(frame::DATA, 0, 5, b"fi"),
        // Packed by the table that the answer before filled; padded.
        framed(frame::HEADERS, WHOLE | END | frame::PADDED, 1, b"\x02\x88\xbe\0\0"),
        framed(42, 0, 7, b"unknown"),
        framed(frame::DATA, END, 5, b"ve"),
    ]
    .concat();
    for byte in bytes.chunks(1) {
        conn.read(byte, Instant::now()).unwrap();
    }
    let stream = conn.take(5).unwrap();
    assert_eq!((stream.end, stream.answer.status), (Some(Ok(())), 200));
    assert_eq!((stream.answer.body.as_slice(), stream.answer.received), (&b"five"[..], 4));
    let stream = conn.take(1).unwrap();
    assert_eq!(stream.answer.headers, [("x".to_owned(), "yes".to_owned())]);
    assert_eq!(ended(&mut conn, 3), None);
    assert!(conn.out.is_empty());
    // The one that nobody waits for any more is given up.
    conn.take(3).unwrap();
    assert_eq!(Head::read(&conn.out).map(|head| head.kind), Some(frame::RST_STREAM));
    conn.read(&framed(frame::HEADERS, WHOLE, 3, b"\xbe"), Instant::now()).unwrap();
}

#[test]
fn what_breaks_the_connection_is_told() {
    let settings = |name: u8, value: u32| {
        framed(frame::SETTINGS, 0, 0, &[&[0, name][..], &value.to_be_bytes()].concat())
    };
    for (bytes, says) in [
        (framed(frame::HEADERS, WHOLE, 3, HEAD), "an answer to no request"),
        (framed(frame::HEADERS, WHOLE, 2, HEAD), "an answer to no request"),
        (framed(frame::HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff"), "header compression"),
        (framed(frame::HEADERS, WHOLE | frame::PADDED, 1, b"\x09\x88"), "padding"),
        (framed(frame::CONTINUATION, WHOLE, 1, HEAD), "nothing goes on"),
        (framed(frame::PUSH_PROMISE, WHOLE, 1, HEAD), "a push that was forbidden"),
        (framed(frame::DATA, 0, 0, b"x"), "data of no stream"),
        (framed(frame::PING, 0, 0, b"short"), "a ping"),
        (framed(frame::WINDOW_UPDATE, 0, 0, &[0; 4]), "a window"),
        (framed(frame::WINDOW_UPDATE, 0, 1, &[0x7f, 255, 255, 255]), "a window"),
        (framed(frame::SETTINGS, 0, 0, b"x"), "settings"),
        (settings(4, u32::MAX), "settings"),
        (settings(5, 100), "settings"),
        (vec![0xff; 9], "a frame larger than allowed"),
        (
            [framed(frame::HEADERS, 0, 1, HEAD), framed(frame::DATA, 0, 1, b"")].concat(),
            "a head that does not go on",
        ),
    ] {
        let mut conn = open(1);
        let error = conn.read(&bytes, Instant::now()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}, not {says}");
    }
}

#[test]
fn what_breaks_one_answer_leaves_the_others() {
    for (frames, says) in [
        (framed(frame::HEADERS, WHOLE, 1, b"\xbe"), "header compression"),
        (framed(frame::HEADERS, WHOLE, 1, b"\x40\x01x\x01y"), "a head without a status"),
        (framed(frame::DATA, 0, 1, b"x"), "a body before its head"),
        (framed(frame::RST_STREAM, 0, 1, &7_u32.to_be_bytes()), "REFUSED_STREAM"),
        (
            [
                framed(frame::HEADERS, WHOLE, 1, b"\x88\x0f\x0d\x019"),
                framed(frame::DATA, END, 1, b"x"),
            ]
            .concat(),
            "a body of another length",
        ),
    ] {
        let mut conn = open(2);
        let read = conn.read(&frames, Instant::now());
        if let Err(failure) = read {
            conn.fail(failure);
        } else {
            assert_eq!(ended(&mut conn, 3), None);
        }
        let end = ended(&mut conn, 1).unwrap().unwrap_err().to_string();
        assert!(end.contains(says), "{end}, not {says}");
    }
}

#[test]
fn floods_end_the_connection() {
    let ping = framed(frame::PING, 0, 0, &[0; 8]);
    let reset = framed(frame::RST_STREAM, 0, 1, &[0; 4]);
    let empty = framed(frame::DATA, 0, 1, b"");
    let settings = framed(frame::SETTINGS, 0, 0, b"");
    let parts = framed(frame::CONTINUATION, 0, 1, b"");
    for flood in [ping, reset, empty, settings, parts] {
        let mut conn = open(1);
        conn.read(&framed(frame::HEADERS, 0, 1, HEAD)[..], Instant::now()).unwrap();
        if flood[3] != frame::CONTINUATION {
            conn.read(&framed(frame::CONTINUATION, WHOLE, 1, b""), Instant::now()).unwrap();
        }
        let many = flood.repeat(1000);
        let failed = (0..20).find_map(|_| conn.read(&many, Instant::now()).err());
        assert!(failed.is_some(), "{flood:?}");
        assert!(conn.out.len() < 1 << 20);
    }
}

#[test]
fn a_body_goes_out_as_the_windows_allow_it() {
    let mut conn = open(0);
    let body = vec![b'x'; 100_000];
    let id = conn.begin(QUESTION, Vec::new(), b"\x83", (&body, Outgoing::default()));
    let mut sent = 0;
    let mut drain = |conn: &mut Conn| {
        while conn.has_more() {
            conn.fill();
            assert!(conn.out.len() < 128 * 1024);
            let mut rest = conn.out.as_slice();
            while let Some(head) = Head::read(rest) {
                rest = &rest[frame::LENGTH + head.length..];
                if head.kind == frame::DATA {
                    sent += head.length;
                    assert_eq!(head.has(END), sent == body.len());
                }
            }
            conn.out.clear();
        }
        sent
    };
    assert_eq!(drain(&mut conn), 65_535);
    let mut more = Vec::new();
    push_numbers(&mut more, frame::WINDOW_UPDATE, 0, &[100_000]);
    conn.read(&more, Instant::now()).unwrap();
    assert_eq!(drain(&mut conn), 65_535);
    push_numbers(&mut more, frame::WINDOW_UPDATE, id, &[100_000]);
    conn.read(&more[13..], Instant::now()).unwrap();
    assert_eq!(drain(&mut conn), 100_000);
}

#[test]
fn a_farewell_lets_go_on_what_it_names_and_the_rest_was_never_touched() {
    let mut conn = open(3);
    let farewell = framed(frame::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]);
    conn.read(&farewell, Instant::now()).unwrap();
    assert!(conn.is_over());
    assert_eq!(ended(&mut conn, 3), None);
    assert!(conn.stream(5).unwrap().is_untouched);
    conn.read(&framed(frame::HEADERS, WHOLE | END, 3, b"\x88"), Instant::now()).unwrap();
    assert_eq!(ended(&mut conn, 3), Some(Ok(())));
    let angry = framed(frame::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]);
    let error = conn.read(&angry, Instant::now()).unwrap_err();
    assert_eq!(error.to_string(), "connection ended by the server: ENHANCE_YOUR_CALM");
}

proptest! {
    #[test]
    fn no_bytes_break_it(
        frames in prop::collection::vec(
            (0..12_u8, any::<u8>(), 0..9_u32, prop::collection::vec(any::<u8>(), 0..40)), 0..30),
        cut in 1..50_usize,
    ) {
        let mut conn = open(3);
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(kind, flags, stream, payload)| framed(*kind, *flags, *stream, payload))
            .collect();
        for piece in bytes.chunks(cut) {
            if let Err(failure) = conn.read(piece, Instant::now()) {
                conn.fail(failure);
                break;
            }
            if conn.has_more() {
                conn.fill();
            }
        }
        prop_assert!(conn.out.len() < 1 << 20);
    }

    #[test]
    fn a_conversation_with_wrong_bytes_in_it_breaks_nothing_and_is_the_same_however_it_is_cut(
        body in prop::collection::vec(any::<u8>(), 0..300),
        changes in changes(),
        cut in 1..50_usize,
    ) {
        let right = conversation(&body, b"\x40\x01t\x01r");
        let read = |bytes: &[u8], cut: usize| {
            let mut conn = open(1);
            let end = bytes.chunks(cut).find_map(|piece| conn.read(piece, Instant::now()).err());
            (conn.take(1).map(|stream| (stream.end, stream.answer)), end.is_some())
        };
        let (stream, is_wrong) = read(&right, cut);
        let (end, answer) = stream.unwrap();
        prop_assert!(!is_wrong && end == Some(Ok(())) && answer.body == body);
        let wrong = changed(&right, &changes);
        let whole = read(&wrong, wrong.len().max(1));
        prop_assert_eq!(&whole, &read(&wrong, cut));
        prop_assert!(whole.0.is_none_or(|(_, answer)| answer.body.len() <= wrong.len()));
    }
}
