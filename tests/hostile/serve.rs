//! One server for every case: the query says which answer it gets.
//!
//! A query has the word `hostile_KIND_FORM_CASE` in it, where CASE is a case's number, or `good`; a
//! further `_START` says which minute is asked about, in milliseconds since 1970, else it is the last
//! one. The word may stand anywhere in the request, so every client can be aimed here.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::hostile::{self, Answer, Asked, Form, Kind};

/// Serves until the program ends.
///
/// # Errors
/// When the port cannot be had.
pub fn run(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        // A client that goes away is its own affair.
        std::thread::spawn(move || serve(stream).ok());
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let Some(request) = read(&mut stream)? else { return Ok(()) };
    let answer = if request.starts_with("GET /cases ") {
        Answer::json("200 OK", &list().to_string())
    } else {
        called(&request).unwrap_or_else(|| Answer::json("418 I'm a teapot", "no such case"))
    };
    match answer {
        Answer::Whole(bytes) => {
            stream.write_all(&bytes)?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new())?;
        }
        Answer::Hang(bytes) => {
            stream.write_all(&bytes)?;
            stream.read_to_end(&mut Vec::new())?;
        }
        Answer::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(())
}

/// Every case in every form, by the word that calls it.
fn list() -> Value {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for form in Form::ALL {
            let word = |case: &str| format!("hostile_{}_{}_{case}", kind.name(), form.name());
            for (number, case) in hostile::distinct(Asked { kind, form, start_ms: now_ms() }) {
                all.push(json!({
                    "word": word(&number.to_string()), "kind": kind.name(), "form": form.name(),
                    "name": case.name, "flaw": case.flaw.name(),
                }));
            }
        }
    }
    Value::Array(all)
}

fn called(request: &str) -> Option<Answer> {
    let (_, rest) = request.split_once("hostile_")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let mut parts = rest[..end].split('_');
    let (kind, form) = (Kind::named(parts.next()?)?, Form::named(parts.next()?)?);
    let case = parts.next()?;
    // Samples every 10 s, the newest one a moment ago.
    let start_ms = match parts.next() {
        Some(start) => start.parse().ok()?,
        None => now_ms() / 10_000 * 10_000 - 60_000,
    };
    let asked = Asked { kind, form, start_ms };
    if case == "good" {
        return Some(hostile::good(asked));
    }
    let number: usize = case.parse().ok()?;
    hostile::cases(asked).into_iter().nth(number).map(|case| case.answer)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Reads a whole request; nothing when the client goes away before.
fn read(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut request, mut buffer) = (Vec::new(), [0_u8; 4096]);
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(None);
        }
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |line: &str| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                value.trim().parse().ok()
            } else {
                None
            }
        };
        if body.len() >= head.lines().find_map(length).unwrap_or(0) {
            return Ok(Some(text.into_owned()));
        }
    }
}
