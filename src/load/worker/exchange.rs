//! One request and what follows from it: connect, send, read, judge the answer, follow redirects.

use std::time::{Duration, Instant};

use crate::load::failure::Failure;
use crate::load::plan::Method;
use crate::load::record::Sample;
use crate::load::script::CompiledRequest;
use crate::load::template::Missing;
use crate::load::trace::{Exchange, Traced};
use crate::load::worker::answer::{Answer, Question};
use crate::load::worker::dial::dial;
use crate::load::worker::message::{Message, Unrendered};
use crate::load::worker::user::{Local, User};
use crate::load::worker::wire::{Connection, Times};
use crate::unit::Span;

/// Redirects followed for one step.
const REDIRECTS: usize = 5;

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
        mut message: Message<'_>,
    ) -> bool {
        let mut endpoint = request.endpoint;
        for n_redirects in 0.. {
            let begin = Instant::now();
            let meant = self.meant.take().unwrap_or(begin);
            let mut times = Times::default();
            self.watch.set(begin, request.timeout);
            let shown =
                local.trace.as_ref().map(|_| message.wire(&self.jar, &local.pool).into_owned());
            let answer = self.attempt(local, request, &message, &mut times).await;
            self.watch.clear();
            let ended = times.ended.unwrap_or_else(Instant::now);
            self.now = ended;
            let shown = shown.map(|sent| (sent, answer.as_ref().ok().cloned()));
            let mut next = None;
            let result = answer.and_then(|answer| {
                if let Some(location) = redirect(request, &answer) {
                    if n_redirects == REDIRECTS {
                        return Err(Failure::Redirects);
                    }
                    next = Some(message.redirected(&local.crew, answer.status, location)?);
                    return Ok(());
                }
                let elapsed = ended.saturating_duration_since(meant);
                self.judge(local, request, answer, elapsed)
            });
            let is_good = result.is_ok();
            if let Some((sent, answer)) = shown {
                let elapsed = ended.saturating_duration_since(meant);
                self.show(local, request, (sent, answer, elapsed), result.as_ref().err());
            }
            self.note_connection(&result);
            let sample = Sample {
                endpoint,
                meant,
                written: times.written,
                first_byte: times.first_byte,
                ended,
                sent: u64::try_from(message.body_length()).unwrap_or(0),
                received: times.received,
                result,
            };
            local.recorder.borrow_mut().add(sample);
            message.recycle(&local.pool);
            let Some(redirected) = next else { return is_good };
            let path = redirected.path().split('?').next().unwrap_or_default();
            let name = format!("{} {path}", redirected.method);
            endpoint = local.recorder.borrow_mut().endpoint(&name);
            message = redirected;
        }
        false
    }

    /// Keeps an exchange for whoever wants to see it.
    fn show(
        &self,
        local: &Local,
        request: &CompiledRequest,
        (sent, answer, elapsed): (String, Option<Answer>, Duration),
        failure: Option<&Failure>,
    ) {
        let Some(trace) = &local.trace else { return };
        let mut answer = answer.unwrap_or_default();
        let body = match answer.unpack() {
            Ok(()) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(failure) => format!("({failure})"),
        };
        let saved = request.save.iter().filter_map(|(slot, _)| self.named(local, *slot));
        let names = &local.crew.script.endpoints;
        let exchange = Exchange {
            endpoint: names.get(request.endpoint).cloned().unwrap_or_default(),
            request: sent,
            status: answer.status,
            headers: answer.headers,
            body,
            elapsed: elapsed.as_secs_f64() * 1000.0,
            failure: failure.map(ToString::to_string),
            saved: saved.collect(),
        };
        trace.borrow_mut().push(Traced::Exchange(exchange.shorten()));
    }

    async fn attempt(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
        message: &Message<'_>,
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        let question = Question {
            is_head: message.method == Method::Head,
            wants_body: request.wants_body || local.trace.is_some(),
            wants_headers: request.wants_headers || local.trace.is_some(),
        };
        loop {
            let kept = self.kept(local, message.site).await;
            let is_reused = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect(local, request.timeout, message.site).await?,
            };
            times.written = Some(Instant::now());
            let wire = message.wire(&self.jar, &local.pool);
            let asked = (local, &*self.watch);
            let exchange = connection.exchange(asked, wire.as_bytes(), question, times).await;
            local.pool.give_back(wire);
            match exchange {
                Ok(answer) => {
                    for cookie in &answer.cookies {
                        self.jar.set(message.site, message.path(), cookie);
                    }
                    if answer.is_kept {
                        self.connections.push(connection);
                    }
                    return Ok(answer);
                }
                // The server may end an idle connection at the moment it is used again.
                Err(lost)
                    if is_reused
                        && lost.is_unanswered
                        && (lost.is_unsent || message.is_repeatable()) => {}
                Err(lost) => return Err(lost.failure),
            }
        }
    }

    /// Returns the user's connection to the site, when it has one that is still good.
    async fn kept(&mut self, local: &Local, site: usize) -> Option<Connection> {
        let at = self.connections.iter().position(|known| known.site == site)?;
        let mut connection = self.connections.swap_remove(at);
        connection.is_quiet(local).await.then_some(connection)
    }

    async fn connect(
        &mut self,
        local: &Local,
        timeout: Duration,
        site: usize,
    ) -> Result<Connection, Failure> {
        let turn = usize::try_from(self.number).unwrap_or(0).wrapping_add(self.n_dialled);
        self.n_dialled = self.n_dialled.wrapping_add(1);
        let dialled = tokio::time::timeout(timeout, dial(&local.crew, site, turn)).await;
        let stream = dialled.unwrap_or_else(|_| {
            let origin = local.crew.sites.get(site).map(|site| site.origin.to_string());
            let origin = origin.unwrap_or_default();
            Err(Failure::Connect(format!("no connection to {origin} within {}", Span(timeout))))
        })?;
        Ok(Connection::new(site, stream))
    }
}

/// Returns where the answer sends on, unless the step wants this very answer.
fn redirect<'a>(request: &CompiledRequest, answer: &'a Answer) -> Option<&'a str> {
    let wants_it =
        request.status.iter().any(|range| range.lo <= answer.status && answer.status <= range.hi);
    let is_redirect = [301, 302, 303, 307, 308].contains(&answer.status);
    if is_redirect && !wants_it { answer.location.as_deref() } else { None }
}
