//! One request and what follows from it: connect, send, read, judge the answer, follow redirects.

use std::time::{Duration, Instant};

use http::header::{LOCATION, SET_COOKIE};
use serde_json::Value;

use crate::load::failure::Failure;
use crate::load::record::Sample;
use crate::load::script::CompiledRequest;
use crate::load::template::Missing;
use crate::load::worker::connection::Connection;
use crate::load::worker::dial::dial;
use crate::load::worker::message::{Message, Unrendered};
use crate::load::worker::user::{Local, User};
use crate::unit::Span;

/// Redirects followed for one step.
const REDIRECTS: usize = 5;

/// Bytes of an answer that values are saved from.
const SAVED: usize = 8 * 1024 * 1024;

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
    is_cut: bool,
}

/// When things happened in an attempt, also in one that was cut.
#[derive(Debug, Default)]
struct Times {
    written: Option<Instant>,
    first_byte: Option<Instant>,
    received: u64,
    is_connected: bool,
}

impl User {
    /// Does one request of the journey and all redirects it leads to. `Err` when it was left out.
    pub async fn request(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
    ) -> Result<(), Missing> {
        let message = match self.render(local, request) {
            Ok(message) => message,
            Err(Unrendered::Missing(missing)) => {
                self.forget(request);
                return Err(missing);
            }
            Err(Unrendered::Failed(failure)) => {
                let now = Instant::now();
                let meant = self.meant.take().unwrap_or(now);
                self.forget(request);
                let sample = Sample {
                    endpoint: request.endpoint,
                    meant,
                    written: None,
                    first_byte: None,
                    ended: now,
                    sent: 0,
                    received: 0,
                    result: Err(failure),
                };
                local.recorder.borrow_mut().add(sample);
                return Ok(());
            }
        };
        let is_good = self.follow(local, request, message).await;
        if !is_good {
            self.forget(request);
        }
        Ok(())
    }

    /// A step that needs the variables of a failed request must not run on the last round's.
    fn forget(&mut self, request: &CompiledRequest) {
        for (slot, ..) in &request.save {
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = None;
            }
        }
    }

    async fn follow(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
        mut message: Message,
    ) -> bool {
        let mut endpoint = request.endpoint;
        for n_redirects in 0.. {
            let begin = Instant::now();
            let meant = self.meant.take().unwrap_or(begin);
            let mut times = Times::default();
            let answer = self.attempt(local, request, &message, &mut times).await;
            let mut next = None;
            let result = answer.and_then(|answer| {
                if let Some(location) = redirect(request, &answer) {
                    if n_redirects == REDIRECTS {
                        return Err(Failure::Redirects);
                    }
                    next = Some(message.redirected(answer.status, location)?);
                    return Ok(());
                }
                self.judge(request, &answer)
            });
            let is_good = result.is_ok();
            self.note_connection(&result);
            let sample = Sample {
                endpoint,
                meant,
                written: times.written,
                first_byte: times.first_byte,
                ended: Instant::now(),
                sent: u64::try_from(message.body.len()).unwrap_or(0),
                received: times.received,
                result,
            };
            local.recorder.borrow_mut().add(sample);
            match next {
                Some(next) => {
                    let name = format!("{} {}", next.method, next.path.path());
                    endpoint = local.recorder.borrow_mut().endpoint(&name);
                    message = next;
                }
                None => return is_good,
            }
        }
        false
    }

    async fn attempt(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
        message: &Message,
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        let wants_body = !request.save.is_empty();
        let exchange = self.exchange(local, message, wants_body, times);
        let result = tokio::time::timeout(request.timeout, exchange).await;
        let result = result.unwrap_or_else(|_| Err(late(request.timeout, message, times)));
        if result.is_err() {
            // What is left of the answer must not be taken for the next one's.
            self.connections.retain(|connection| connection.origin != message.origin);
        }
        result
    }

    async fn exchange(
        &mut self,
        local: &Local,
        message: &Message,
        wants_body: bool,
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        loop {
            let (mut connection, is_reused) = self.connection(local, message).await?;
            times.is_connected = true;
            times.written = Some(Instant::now());
            let response = match connection.send(message.to_request(&self.jar)).await {
                Ok(response) => response,
                // The server may end an idle connection at the moment it is used again.
                Err(lost) if is_reused && (lost.is_unsent || message.is_repeatable()) => continue,
                Err(lost) => return Err(lost.failure),
            };
            times.first_byte = Some(Instant::now());
            let (head, mut body) = response.into_parts();
            for cookie in head.headers.get_all(SET_COOKIE) {
                if let Ok(cookie) = cookie.to_str() {
                    self.jar.set(&message.origin, message.path.path(), cookie);
                }
            }
            let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let mut answer = Answer {
                status: head.status.as_u16(),
                location: location.map(str::to_owned),
                ..Answer::default()
            };
            while let Some(bytes) = connection.next(&mut body).await? {
                times.received += u64::try_from(bytes.len()).unwrap_or(0);
                if wants_body && answer.body.len() + bytes.len() <= SAVED {
                    answer.body.extend_from_slice(&bytes);
                } else {
                    answer.is_cut = true;
                }
            }
            self.connections.push(connection);
            return Ok(answer);
        }
    }

    /// Returns the user's connection to the message's origin, a new one where there is none.
    async fn connection(
        &mut self,
        local: &Local,
        message: &Message,
    ) -> Result<(Connection, bool), Failure> {
        let at = self.connections.iter().position(|known| known.origin == message.origin);
        if let Some(at) = at {
            let mut connection = self.connections.swap_remove(at);
            if connection.is_ready().await {
                return Ok((connection, true));
            }
        }
        let turn = usize::try_from(self.number).unwrap_or(0) + self.n_dialled;
        self.n_dialled = self.n_dialled.wrapping_add(1);
        let stream = dial(local.crew(), &message.origin, turn).await?;
        Ok((Connection::new(message.origin.clone(), stream).await?, false))
    }

    /// Decides whether the answer is a good one and saves what the step wants from it.
    fn judge(&mut self, request: &CompiledRequest, answer: &Answer) -> Result<(), Failure> {
        let status = answer.status;
        let is_fine = if request.status.is_empty() {
            (200..400).contains(&status)
        } else {
            request.status.iter().any(|range| range.lo <= status && status <= range.hi)
        };
        if !is_fine {
            return Err(Failure::Status(status));
        }
        if request.save.is_empty() {
            return Ok(());
        }
        if answer.is_cut {
            return Err(Failure::TooLarge);
        }
        let document: Value = serde_json::from_slice(&answer.body).map_err(|_| Failure::NotJson)?;
        for (slot, path, text) in &request.save {
            let value = path.find(&document).ok_or_else(|| Failure::Save(text.clone()))?;
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = Some(value);
            }
        }
        Ok(())
    }
}

/// Returns where the answer sends on, unless the step wants this very answer.
fn redirect<'a>(request: &CompiledRequest, answer: &'a Answer) -> Option<&'a str> {
    let wants_it =
        request.status.iter().any(|range| range.lo <= answer.status && answer.status <= range.hi);
    let is_redirect = [301, 302, 303, 307, 308].contains(&answer.status);
    if is_redirect && !wants_it { answer.location.as_deref() } else { None }
}

fn late(timeout: Duration, message: &Message, times: &Times) -> Failure {
    let span = Span(timeout);
    if times.is_connected {
        Failure::Timeout(span)
    } else {
        Failure::Connect(format!("no connection to {} within {span}", message.origin))
    }
}
