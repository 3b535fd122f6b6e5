//! Every way an answer is framed, cut at every point, and bytes that are no answer.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::load::tests::mutants::{changed, changes};

const GET: Question = Question { is_head: false, wants_body: true, wants_headers: false };
const HEAD_REQUEST: Question = Question { is_head: true, wants_body: true, wants_headers: false };

/// How taking some bytes ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// With the whole answer, and so many bytes left over.
    Done(Answer, usize),
    /// It waits for more.
    Open,
    /// It is no answer.
    Failed(Failure),
}

fn take(question: Question, pieces: &[&[u8]]) -> End {
    let mut parser = Parser::new(question);
    let mut left = 0;
    for piece in pieces {
        let taken = match parser.take(piece) {
            Ok(taken) => taken,
            Err(failure) => return End::Failed(failure),
        };
        left += piece.len() - taken;
    }
    if parser.is_done() { End::Done(parser.into_answer(), left) } else { End::Open }
}

/// Takes an answer whole and byte by byte: both must end alike. The end of the stream ends it.
#[track_caller]
fn answer(question: Question, text: &str) -> Answer {
    let whole = finish(question, &[text.as_bytes()]);
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(whole, finish(question, &bytes), "{text}");
    whole.unwrap_or_else(|failure| panic!("{failure}: {text}"))
}

fn finish(question: Question, pieces: &[&[u8]]) -> Result<Answer, Failure> {
    let mut parser = Parser::new(question);
    for piece in pieces {
        parser.take(piece)?;
    }
    parser.end()?;
    Ok(parser.into_answer())
}

#[test]
fn every_framing_gives_its_body_and_says_whether_the_connection_stays() {
    for (text, body, is_kept) in [
        // By length.
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\ncontent-length:3\r\n\r\nabc", "abc", true),
        ("HTTP/1.1 200\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
        // By chunks.
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
             2;a=\"b\"\r\nab\r\n00A \r\n0123456789\r\n0;x\r\ntrailer: x\r\nother: y\r\n\r\n",
            "ab0123456789",
            true,
        ),
        // By the end of the connection.
        ("HTTP/1.1 200 OK\r\n\r\nabc", "abc", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nabc", "abc", false),
        ("HTTP/1.1 200 OK\r\n\r\n", "", false),
        // Without a body, whatever the head says.
        ("HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\nabc", "", true),
        ("HTTP/1.1 304 Same\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", "", false),
        ("HTTP/1.1 304 Same\r\n\r\n", "", true),
        // After interim answers.
        (
            "HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP/1.1 103 Early\r\nlocation: /no\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "a",
            true,
        ),
        // What the connection header and the version say.
        ("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 1\r\n\r\na", "a", false),
        ("HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 1\r\n\r\na", "a", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", "a", false),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", "a", true),
        // Two framings at once, or one that the version does not have: the last answer there.
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\n\r\n",
            "a",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\n\r\n",
            "a",
            false,
        ),
    ] {
        let answer = answer(GET, text);
        assert_eq!(answer.body, body.as_bytes(), "{text}");
        assert_eq!(answer.received, u64::try_from(body.len()).unwrap(), "{text}");
        assert_eq!(answer.is_kept, is_kept, "{text}");
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    for framing in ["content-length: 99", "transfer-encoding: chunked", "x: y"] {
        let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let End::Done(answer, 0) = take(HEAD_REQUEST, &[text.as_bytes()]) else { panic!("{text}") };
        assert!(answer.body.is_empty() && answer.is_kept);
    }
}

#[test]
fn headers_that_matter_are_read_whatever_their_case() {
    let answer = answer(
        GET,
        "HTTP/1.1 302 Found\r\nLOCATION: /next\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\n\
         Content-Encoding: gzip\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(answer.status, 302);
    assert_eq!(answer.location.as_deref(), Some("/next"));
    assert_eq!(answer.cookies, ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.coding, Coding::Gzip);
}

#[test]
fn what_is_no_answer_is_refused_at_once() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let many = "x: y\r\n".repeat(HEADERS + 1);
    for (text, says) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1."),
        ("H2", "HTTP/1."),
        ("HTTP/2 200\r\n\r\n", "HTTP/1."),
        ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1."),
        ("HTTP/1.1 abc OK\r\n\r\n", "status"),
        ("HTTP/1.1 099 No\r\n\r\n", "status"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocols"),
        ("HTTP/1.1 200 OK\r\nname without colon\r\n\r\n", "header"),
        ("HTTP/1.1 200 OK\r\nname : value\r\n\r\n", "header"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0x1\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "two"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1,2\r\n\r\n", "two"),
        (&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "too many headers"),
        (&format!("{chunked}g\r\n"), "chunk size"),
        (&format!("{chunked}\r\n"), "chunk size"),
        (&format!("{chunked}-1\r\n"), "chunk size"),
        (&format!("{chunked}1\nx"), "chunk size"),
        (&format!("{chunked}1;a\nx"), "chunk size"),
        (&format!("{chunked}fffffffffffffffff\r\n"), "chunk size"),
        (&format!("{chunked}1\r\nab\r\n"), "chunk end"),
        (&format!("{chunked}1\r\na\n"), "chunk end"),
        (&format!("{chunked}0\r\ntrailer\n\r\n"), "trailers"),
        (&format!("{chunked}0\r\n\rx"), "trailers"),
        (&format!("{chunked}1;{}", "x".repeat(20_000)), "chunk line"),
        (&format!("{chunked}0\r\n{}", "a: b\r\n".repeat(5000)), "chunk line"),
        (&format!("{chunked}{}", "0".repeat(20_000)), "chunk line"),
    ] {
        let End::Failed(Failure::Malformed(why)) = take(GET, &[text.as_bytes()]) else {
            panic!("taken: {text}")
        };
        assert!(why.contains(says), "{why}: {text}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let cut = finish(GET, &bytes);
        assert!(matches!(cut, Err(Failure::Malformed(_))), "byte by byte: {text}");
    }
}

#[test]
fn a_cut_answer_is_told_as_such_wherever_it_is_cut() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    ] {
        for end in 0..text.len() {
            let cut = finish(GET, &[&text.as_bytes()[..end]]);
            assert_eq!(cut, Err(Failure::Closed), "{}", &text[..end]);
        }
    }
}

#[test]
fn a_head_ends_at_its_bound_in_pieces_of_any_size() {
    let line = format!("x: {}\r\n", "y".repeat(1000));
    for size in [7, 1460, 4096, 32 * 1024, 1 << 20] {
        let text = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(100));
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        assert_eq!(take(GET, &pieces), End::Failed(too_large()), "{size}");
    }
    let text = format!("HTTP/1.1 200 OK\r\n{}content-length: 1\r\n\r\na", line.repeat(60));
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(4096).collect();
    assert!(matches!(take(GET, &pieces), End::Done(_, 0)));
}

#[test]
fn a_body_is_kept_only_where_it_is_wanted_and_only_up_to_its_bound() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551\r\n\r\n";
    let piece = vec![b'x'; 1 << 20];
    let mut parser = Parser::new(GET);
    parser.take(head).unwrap();
    assert_eq!(parser.answer.body.capacity(), 0, "a promised length is no reason for memory");
    for n in 1..=9 {
        parser.take(&piece).unwrap();
        assert!(parser.answer.body.capacity() <= 2 * READ);
        assert_eq!(parser.answer.is_cut, n > 8);
    }
    assert_eq!(parser.answer.body.capacity(), 0);
    let mut parser =
        Parser::new(Question { is_head: false, wants_body: false, wants_headers: false });
    parser.take(head).unwrap();
    parser.take(&piece).unwrap();
    assert_eq!((parser.answer.body.capacity(), parser.received()), (0, 1 << 20));
}

/// A valid answer and what it must read as.
fn valid() -> impl Strategy<Value = (Vec<u8>, u16, Vec<u8>)> {
    let chunk = prop::collection::vec(any::<u8>(), 1..300);
    let chunks = prop::collection::vec((chunk, "(;[a-z]{1,5})?"), 0..6);
    let headers = prop::collection::vec("x-[a-z]{1,10}: [ -~]{0,40}", 0..20);
    let trailers = prop::collection::vec("[a-z]{1,10}: [ -~]{0,20}", 0..3);
    (200_u16..=599, headers, chunks, trailers, any::<bool>(), 0_usize..3).prop_map(
        |(status, headers, chunks, trailers, is_chunked, n_interim)| {
            let mut text = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n".repeat(n_interim);
            write!(text, "HTTP/1.1 {status} Some reason\r\n").unwrap();
            for header in headers {
                write!(text, "{header}\r\n").unwrap();
            }
            let mut body: Vec<u8> = chunks.iter().flat_map(|(chunk, _)| chunk.clone()).collect();
            let mut bytes;
            if is_chunked {
                bytes = format!("{text}transfer-encoding: chunked\r\n\r\n").into_bytes();
            } else {
                bytes = format!("{text}content-length: {}\r\n\r\n", body.len()).into_bytes();
            }
            if status == 204 || status == 304 {
                body.clear();
            } else if is_chunked {
                for (chunk, extension) in &chunks {
                    bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n");
                for trailer in &trailers {
                    bytes.extend(format!("{trailer}\r\n").bytes());
                }
                bytes.extend(b"\r\n");
            } else {
                bytes.extend(&body);
            }
            (bytes, status, body)
        },
    )
}

/// Cuts bytes into pieces whose lengths come round and round.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn an_answer_reads_the_same_however_it_is_cut(
        (bytes, status, body) in valid(),
        lengths in prop::collection::vec(1_usize..200, 1..8),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let sent = [bytes.as_slice(), &rest].concat();
        let whole = take(GET, &[&sent]);
        let End::Done(answer, left) = &whole else { panic!("{whole:?}") };
        prop_assert_eq!(left, &rest.len());
        prop_assert_eq!(answer.status, status);
        prop_assert_eq!(&answer.body, &body);
        prop_assert!(answer.is_kept);
        prop_assert_eq!(&whole, &take(GET, &pieces(&sent, &lengths)));
        // No beginning of it is an answer.
        for end in (0..bytes.len()).step_by(7) {
            prop_assert_eq!(take(GET, &[&bytes[..end]]), End::Open);
        }
    }

    #[test]
    fn an_answer_reads_the_same_whatever_head_is_remembered(
        (one, _, _) in valid(),
        (two, _, _) in valid(),
        order in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 1..400_usize), 1..12),
    ) {
        let mut memory = Memory::default();
        for (is_one, is_head, wants_headers, cut) in order {
            let bytes = if is_one { &one } else { &two };
            let question = Question { is_head, wants_headers, ..GET };
            let mut parser = Parser::new(question);
            let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
            let mut left = 0;
            for piece in [piece, rest] {
                left += piece.len() - parser.take_known(&mut memory, piece).unwrap();
            }
            let remembered = if parser.is_done() { End::Done(parser.into_answer(), left) } else { End::Open };
            prop_assert_eq!(remembered, take(question, &[piece, rest]));
        }
    }

    #[test]
    fn an_answer_with_wrong_bytes_in_it_breaks_nothing_and_reads_the_same_however_it_is_cut(
        (bytes, _, _) in valid(),
        changes in changes(),
        coding in prop::sample::select(vec![Coding::Gzip, Coding::Deflate, Coding::Plain]),
        lengths in prop::collection::vec(1_usize..200, 1..8),
    ) {
        let bytes = changed(&bytes, &changes);
        let whole = finish(GET, &[&bytes]);
        prop_assert_eq!(whole.clone().ok(), finish(GET, &pieces(&bytes, &lengths)).ok());
        if let Ok(mut answer) = whole {
            prop_assert!(answer.body.len() <= bytes.len() && answer.cookies.len() <= HEADERS);
            answer.coding = coding;
            drop(answer.unpack());
            prop_assert!(answer.body.len() <= READ);
        }
    }

    #[test]
    fn no_bytes_break_the_parser_or_make_it_keep_more_than_its_bounds(
        head in prop::sample::select(vec![
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 301 \r\nlocation: ", "HTTP/1.1 200 OK\r\ncontent-length: ",
        ]),
        noise in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"\r\n0123456789abcdef:; ,".to_vec())],
            0..2000,
        ),
        lengths in prop::collection::vec(1_usize..200, 1..8),
    ) {
        let bytes = [head.as_bytes(), &noise].concat();
        let mut parser = Parser::new(GET);
        for piece in pieces(&bytes, &lengths) {
            if parser.take(piece).is_err() {
                break;
            }
            prop_assert!(parser.held.len() <= HEAD);
            prop_assert!(parser.answer.body.len() <= bytes.len());
            prop_assert!(parser.answer.cookies.len() <= HEADERS);
        }
        drop(parser.end());
        // However it is cut, the same bytes are either an answer or none.
        let whole = finish(GET, &[&bytes]).ok();
        prop_assert_eq!(whole, finish(GET, &pieces(&bytes, &lengths)).ok());
    }
}

#[test]
fn headers_are_kept_only_where_somebody_asks() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Ab: c\r\n\r\n";
    for (wants_headers, kept) in [(false, 0), (true, 2)] {
        let mut parser = Parser::new(Question { wants_headers, ..GET });
        parser.take(bytes).unwrap();
        let headers = parser.into_answer().headers;
        assert_eq!(headers.len(), kept);
        assert!(kept == 0 || headers[1] == ("x-ab".to_owned(), "c".to_owned()));
    }
}

#[test]
fn only_the_very_head_that_was_met_last_is_taken_for_known() {
    let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let cookie = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\nok";
    let mut memory = Memory::default();
    let mut met = |question, bytes: &[u8]| {
        let known = memory.recall(question, bytes).is_some();
        let mut parser = Parser::new(question);
        parser.take_known(&mut memory, bytes).unwrap();
        (known, parser.into_answer().cookies.len())
    };
    assert_eq!(met(GET, plain), (false, 0));
    assert_eq!(met(GET, plain), (true, 0));
    assert_eq!(met(HEAD_REQUEST, plain), (false, 0), "the same head, and no body");
    assert_eq!(met(GET, plain), (false, 0));
    for _ in 0..2 {
        assert_eq!(met(GET, cookie), (false, 1), "a cookie is of this answer alone");
    }
    assert_eq!(met(GET, plain), (true, 0));
    assert_eq!(met(GET, &plain[..plain.len() - 3]), (false, 0), "its end has not come");
}
