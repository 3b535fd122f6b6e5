//! Plain TCP: connect, send, read until what is awaited has come.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::load::failure::Failure;
use crate::load::script::Want;
use crate::load::worker::answer::{Answer, READ};
use crate::load::worker::dial::Stream;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::wire::{Times, failure};

impl User {
    /// Connects, unless a connection was left open, sends and waits.
    pub async fn tcp(
        &mut self,
        local: &Local,
        (site, want): (usize, &Want),
        (send, expect, is_kept): (Option<String>, Option<String>, bool),
        (times, sent): (&mut Times, &mut u64),
    ) -> Result<Answer, Failure> {
        let at = self.streams.iter().position(|(known, _)| *known == site);
        let mut stream = match at {
            Some(at) => self.streams.swap_remove(at).1,
            None => self.connect(local, want.timeout, site, times).await?,
        };
        let mut answer = Answer { said: "connected".to_owned(), ..Answer::default() };
        times.written = Some(Instant::now());
        if let Some(text) = send {
            stream.write_all(text.as_bytes()).await.map_err(|error| failure(&error))?;
            stream.flush().await.map_err(|error| failure(&error))?;
            *sent = u64::try_from(text.len()).unwrap_or(0);
            "sent".clone_into(&mut answer.said);
        }
        if expect.is_some() || want.wants_body {
            let awaited = expect.unwrap_or_default();
            answer.body = read(&mut stream, awaited.as_bytes(), times).await?;
            "received".clone_into(&mut answer.said);
        }
        times.ended = Some(Instant::now());
        if is_kept {
            self.streams.push((site, stream));
        }
        Ok(answer)
    }
}

/// Reads until the text has come; whatever comes first when it is empty.
async fn read(stream: &mut Stream, awaited: &[u8], times: &mut Times) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let n = stream.read(&mut piece).await.map_err(|error| failure(&error))?;
        if n == 0 {
            let is_lost = bytes.is_empty();
            return Err(if is_lost { Failure::Closed } else { missed(awaited) });
        }
        times.first_byte.get_or_insert_with(Instant::now);
        times.received += u64::try_from(n).unwrap_or(0);
        // What was searched before cannot hold the text, but for its beginning.
        let from = bytes.len().saturating_sub(awaited.len());
        bytes.extend_from_slice(&piece[..n]);
        let is_there = |bytes: &[u8]| bytes.windows(awaited.len()).any(|part| part == awaited);
        if awaited.is_empty() || is_there(&bytes[from..]) {
            return Ok(bytes);
        }
        if bytes.len() > READ {
            return Err(Failure::TooLarge);
        }
    }
}

fn missed(awaited: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(awaited);
    Failure::Ended(format!("connection closed before `{}` came", text.escape_debug()))
}
