//! gRPC: unary calls over HTTP/2, messages from and to JSON.

mod reflection;

use std::time::{Duration, Instant};

use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};

use crate::load::call::{GRPC_CODES, code_name, proto};
use crate::load::failure::Failure;
use crate::load::script::Want;
use crate::load::worker::answer::{Answer, Question, malformed};
use crate::load::worker::local::Local;
use crate::load::worker::message::Message;
use crate::load::worker::user::User;
use crate::load::worker::wire::Times;

pub use reflection::learn;

/// What every call wants: the message, and the status behind it.
const QUESTION: Question = Question { is_head: false, wants_body: true, wants_headers: true };

/// The bytes before a message: whether it is packed, and its length.
const PREFIX: usize = 5;

impl User {
    /// Makes a unary call; the answer's body is its message as JSON, where somebody reads it.
    pub async fn grpc(
        &mut self,
        local: &Local,
        (site, want): (usize, &Want),
        (service, name, json, headers): (&str, &str, &str, &[(String, String)]),
        (times, sent): (&mut Times, &mut u64),
    ) -> Result<Answer, Failure> {
        let pool = local.crew.services.get();
        let method = pool.ok_or_else(|| "nothing is known of its services".to_owned());
        let method = method.and_then(|pool| proto::find(pool, service, name));
        let method = method.map_err(Failure::Ended)?;
        let message = pack(&method, json)?;
        *sent = u64::try_from(message.len()).unwrap_or(0);
        let path = format!("/{service}/{name}");
        let answer =
            self.unary(local, (site, want.timeout), (&path, headers, message), times).await?;
        let wants_text = want.wants_body || local.trace.is_some();
        read(&method, answer, wants_text)
    }

    /// Sends a message to a path and returns what comes back, status unseen.
    pub async fn unary(
        &mut self,
        local: &Local,
        (site, timeout): (usize, Duration),
        (path, headers, message): (&str, &[(String, String)], Vec<u8>),
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        let message = Message::grpc(&local.crew, site, path, headers, message)?;
        loop {
            let mut seat = self.seat(local, timeout, site, times).await?;
            let is_reused = seat.is_used;
            let wire = message.wire(&self.jar, &local.pool);
            let asked = (local, &*self.watch);
            let exchange = seat.exchange(asked, (&message, &wire), QUESTION, times).await;
            if seat.is_good() {
                self.seats.push(seat);
            }
            match exchange {
                Ok(answer) => return Ok(answer),
                // What the server never touched is asked again.
                Err(lost) if is_reused && lost.is_unanswered && lost.is_unsent => {}
                Err(lost) => return Err(lost.failure),
            }
        }
    }
}

/// Puts a message that is told as JSON into its frame.
fn pack(method: &MethodDescriptor, json: &str) -> Result<Vec<u8>, Failure> {
    let input = method.input();
    let wrong = |error: String| {
        Failure::Ended(format!("the message is no `{}`: {error}", input.full_name()))
    };
    let mut from = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(input.clone(), &mut from);
    let message = message.map_err(|error| wrong(error.to_string()))?;
    framed(&message.encode_to_vec())
}

/// Puts the bytes of a message into their frame.
fn framed(message: &[u8]) -> Result<Vec<u8>, Failure> {
    let length = u32::try_from(message.len()).map_err(|_| Failure::TooLarge)?;
    Ok([&[0][..], &length.to_be_bytes(), message].concat())
}

/// Takes the first message out of its frame, and returns what follows.
fn unframed(body: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let wrong = || malformed("gRPC: a message of another length than told");
    let (head, rest) = body.split_first_chunk::<PREFIX>().ok_or_else(wrong)?;
    let [is_packed, length @ ..] = *head;
    if is_packed != 0 {
        return Err(malformed("gRPC: a packed message, which was not asked for"));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| wrong())?;
    rest.split_at_checked(length).ok_or_else(wrong)
}

/// Returns the status of an answer and what the server says of it.
fn status(answer: &Answer) -> Result<(u16, String), Failure> {
    let find = |name: &str| {
        let found = answer.headers.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let Some(code) = find("grpc-status") else {
        return Err(match answer.status {
            200 => malformed("gRPC: an answer without a status"),
            status => Failure::Status(status),
        });
    };
    let code = code.parse().map_err(|_| malformed("gRPC: a status that is no number"))?;
    Ok((code, unescaped(find("grpc-message").unwrap_or_default())))
}

/// Reads an answer: its status, and its message where there is one.
fn read(
    method: &MethodDescriptor,
    mut answer: Answer,
    wants_text: bool,
) -> Result<Answer, Failure> {
    let (code, why) = status(&answer)?;
    answer.said = code_name(&GRPC_CODES, code);
    if !why.is_empty() {
        answer.said = format!("{}: {}", answer.said, crate::load::trace::cut(&why, 200));
    }
    answer.status = code;
    if answer.is_cut {
        return Err(Failure::TooLarge);
    }
    let body = std::mem::take(&mut answer.body);
    if code != 0 && body.is_empty() {
        return Ok(answer);
    }
    let (message, rest) = unframed(&body)?;
    if !rest.is_empty() {
        return Err(malformed("gRPC: more than one message"));
    }
    if wants_text {
        let message = DynamicMessage::decode(method.output(), message)
            .map_err(|error| malformed(&format!("gRPC: {error}")))?;
        let options = prost_reflect::SerializeOptions::new().skip_default_fields(false);
        let mut to = serde_json::Serializer::new(Vec::new());
        let written = message.serialize_with_options(&mut to, &options);
        written.map_err(|error| malformed(&format!("gRPC: {error}")))?;
        answer.body = to.into_inner();
    }
    Ok(answer)
}

/// Undoes the percents of a `grpc-message`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sets a deadline for something that is no step.
fn deadline(user: &User, span: Duration) {
    user.watch.set(Instant::now(), span);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    #[test]
    fn frames_that_lie_are_refused() {
        assert_eq!(unframed(&framed(b"abc").unwrap()), Ok((&b"abc"[..], &b""[..])));
        for wrong in
            [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x05abc", b"\0\xff\xff\xff\xffabc", b"\x01\0\0\0\0"]
        {
            assert!(unframed(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(unescaped("a%20b%C3%BC%zz%4"), "a bü%zz%4");
    }

    proptest! {
        #[test]
        fn a_message_with_wrong_bytes_in_it_breaks_nothing(
            text in "[ -~]{0,40}",
            changes in changes(),
            code in prop_oneof![Just("0".to_owned()), "[0-9 -]{0,3}"],
            why in "[%0-9a-fA-F é]{0,12}",
        ) {
            let file = "syntax = \"proto3\"; package a; message M { string text = 1; repeated M m = 2; \
                map<string, int64> n = 3; } service S { rpc Do(M) returns (M); }";
            let files = std::collections::BTreeMap::from([("a.proto".to_owned(), file.to_owned())]);
            let mut protos = proto::Protos::default();
            protos.add("a.proto", &[], &files).unwrap();
            let pool = proto::unpack(&protos.packed()).unwrap();
            let method = proto::find(&pool, "a.S", "Do").unwrap();
            let json = serde_json::json!({ "text": text, "m": [{}, { "text": "x" }], "n": { "a": "5" } });
            let right = pack(&method, &json.to_string()).unwrap();
            let answer = |body: Vec<u8>, code: &str| {
                let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                let headers = vec![pair("grpc-status", code), pair("grpc-message", &why)];
                Answer { status: 200, headers, body, ..Answer::default() }
            };
            prop_assert!(read(&method, answer(right.clone(), "0"), true).is_ok());
            drop(read(&method, answer(changed(&right, &changes), &code), true));
        }
    }
}
