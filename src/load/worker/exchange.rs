//! One request and what follows from it: connect, send, read, judge the answer, follow redirects.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::load::failure::Failure;
use crate::load::plan::{Method, Version};
use crate::load::record::Sample;
use crate::load::script::{CompiledRequest, Want};
use crate::load::template::Missing;
use crate::load::trace::{Exchange, Traced};
use crate::load::worker::answer::{Answer, Question};
use crate::load::worker::dial::{Stream, dial};
use crate::load::worker::http2::Seat;
use crate::load::worker::local::Local;
use crate::load::worker::message::{Message, Unrendered};
use crate::load::worker::user::User;
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
                self.forget(&request.want);
                return Err(missing);
            }
            Err(Unrendered::Failed(failure)) => {
                let now = Instant::now();
                let meant = self.meant.take().unwrap_or(now);
                self.forget(&request.want);
                let sample = Sample {
                    endpoint: request.want.endpoint,
                    meant,
                    connect: None,
                    tls: None,
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
            self.forget(&request.want);
        }
        Ok(())
    }

    /// A step that needs the variables of a failed request must not run on the last round's.
    pub fn forget(&mut self, want: &Want) {
        for (slot, ..) in &want.save {
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
        let mut endpoint = request.want.endpoint;
        for n_redirects in 0.. {
            let begin = Instant::now();
            let meant = self.meant.take().unwrap_or(begin);
            let mut times = Times::default();
            self.watch.set(begin, request.want.timeout);
            let shown =
                local.trace.as_ref().map(|_| message.wire(&self.jar, &local.pool).into_owned());
            let answer = self.attempt(local, request, (&message, begin), &mut times).await;
            self.watch.clear();
            let ended = times.ended.unwrap_or_else(Instant::now);
            self.now = ended;
            let is_shared = self.seats.iter().any(|seat| seat.site() == message.site);
            let shown = shown.map(|sent| {
                let sent =
                    if is_shared { sent.replacen(" HTTP/1.1\r", " HTTP/2\r", 1) } else { sent };
                (sent, answer.as_ref().ok().cloned())
            });
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
                self.judge(local, &request.want, answer, elapsed)
            });
            let is_good = result.is_ok();
            if let Some((sent, answer)) = shown {
                let elapsed = ended.saturating_duration_since(meant);
                self.show(local, &request.want, (sent, answer, elapsed), result.as_ref().err());
            }
            self.note_connection(&result);
            let sample = Sample {
                endpoint,
                meant,
                connect: times.connect,
                tls: times.tls,
                written: times.written,
                first_byte: times.first_byte,
                ended,
                sent: message.body_length(),
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
    pub fn show(
        &self,
        local: &Local,
        want: &Want,
        (sent, answer, elapsed): (String, Option<Answer>, Duration),
        failure: Option<&Failure>,
    ) {
        let Some(trace) = &local.trace else { return };
        let mut answer = answer.unwrap_or_default();
        let body = match answer.unpack() {
            Ok(()) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(failure) => format!("({failure})"),
        };
        let saved = want.save.iter().filter_map(|(slot, _)| self.named(local, *slot));
        let names = &local.crew.script.endpoints;
        let exchange = Exchange {
            endpoint: names.get(want.endpoint).cloned().unwrap_or_default(),
            request: sent,
            status: answer.status,
            said: std::mem::take(&mut answer.said),
            headers: answer.headers,
            body,
            elapsed: elapsed.as_secs_f64() * 1000.0,
            failure: failure.map(ToString::to_string),
            saved: saved.collect(),
        };
        trace.borrow_mut().push(Traced::Exchange(exchange.shorten()));
    }

    /// Sends a message and returns what comes back, over whatever connection is right for it;
    /// `begin` is now. What few users do is boxed, for every user has room for all that is not.
    pub async fn attempt(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
        (message, begin): (&Message<'_>, Instant),
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        let question = Question {
            is_head: message.method == Method::Head,
            wants_body: request.want.wants_body || local.trace.is_some(),
            wants_headers: request.want.wants_headers || local.trace.is_some(),
        };
        let version = local.crew.sites.get(message.site).map(|site| site.version);
        if version == Some(Version::Two) {
            return Box::pin(self.attempt_shared(local, request, (message, question), times)).await;
        }
        loop {
            if !self.seats.is_empty() && self.seats.iter().any(|seat| seat.site() == message.site) {
                return Box::pin(self.attempt_shared(local, request, (message, question), times))
                    .await;
            }
            let kept = self.kept(local, message.site).await;
            let is_reused = kept.is_some();
            let mut connection = if let Some(connection) = kept {
                times.written = Some(begin);
                connection
            } else {
                let timeout = request.want.timeout;
                let stream = self.connect(local, timeout, message.site, times).await?;
                if stream.is_http2() {
                    let seat = local.links.seat(message.site, local.crew.plan.http.streams);
                    Box::pin(seat.open(local, async || Ok(stream))).await?;
                    self.seats.push(seat);
                    continue;
                }
                times.written = Some(Instant::now());
                Connection::new(message.site, stream)
            };
            let wire = message.wire(&self.jar, &local.pool);
            let asked = (local, &*self.watch);
            let request = (wire.as_bytes(), message.tail());
            let exchange = connection.exchange(asked, request, question, times).await;
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

    /// Connects to the site.
    pub async fn connect(
        &mut self,
        local: &Local,
        timeout: Duration,
        site: usize,
        times: &mut Times,
    ) -> Result<Stream, Failure> {
        let turn = usize::try_from(self.number).unwrap_or(0).wrapping_add(self.n_dialled);
        self.n_dialled = self.n_dialled.wrapping_add(1);
        let dialled =
            tokio::time::timeout(timeout, Box::pin(dial(&local.crew, site, turn, times))).await;
        dialled.unwrap_or_else(|_| Err(unconnected(local, site, timeout)))
    }

    /// As [`User::attempt`], over a connection that users share.
    async fn attempt_shared(
        &mut self,
        local: &Local,
        request: &CompiledRequest,
        (message, question): (&Message<'_>, Question),
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        loop {
            let mut seat = self.seat(local, request.want.timeout, message.site, times).await?;
            let is_reused = seat.is_used;
            let wire = message.wire(&self.jar, &local.pool);
            let asked = (local, &*self.watch);
            let exchange = seat.exchange(asked, (message, &wire), question, times).await;
            local.pool.give_back(wire);
            if seat.is_good() {
                self.seats.push(seat);
            }
            match exchange {
                Ok(answer) => {
                    for cookie in &answer.cookies {
                        self.jar.set(message.site, message.path(), cookie);
                    }
                    return Ok(answer);
                }
                Err(lost)
                    if is_reused
                        && lost.is_unanswered
                        && (lost.is_unsent || message.is_repeatable()) => {}
                Err(lost) => return Err(lost.failure),
            }
        }
    }

    /// Returns the user's place in a connection to the site, made where there is none.
    pub async fn seat(
        &mut self,
        local: &Local,
        timeout: Duration,
        site: usize,
        times: &mut Times,
    ) -> Result<Seat, Failure> {
        if let Some(at) = self.seats.iter().position(|seat| seat.site() == site) {
            let seat = self.seats.swap_remove(at);
            if seat.is_good() {
                return Ok(seat);
            }
        }
        let seat = local.links.seat(site, local.crew.plan.http.streams);
        let open = seat.open(local, async || {
            let stream = self.connect(local, timeout, site, times).await?;
            let is_plain = matches!(stream, Stream::Plain(_));
            if is_plain || stream.is_http2() {
                return Ok(stream);
            }
            let text = "the server does not offer HTTP/2: use `http: { version: auto }`";
            Err(Failure::Connect(text.to_owned()))
        });
        let opened = tokio::time::timeout(timeout, Box::pin(open)).await;
        opened.unwrap_or_else(|_| Err(unconnected(local, site, timeout)))?;
        Ok(seat)
    }
}

impl User {
    /// Returns one of the site's pinned addresses.
    pub fn address(&mut self, local: &Local, site: usize) -> Result<SocketAddr, Failure> {
        let turn = usize::try_from(self.number).unwrap_or(0).wrapping_add(self.n_dialled);
        let site = local.crew.sites.get(site).ok_or(Failure::Closed)?;
        let at = turn.checked_rem(site.addresses.len());
        let address = at.and_then(|at| site.addresses.get(at)).copied();
        address.ok_or_else(|| Failure::Redirect(site.origin.to_string()))
    }
}

fn unconnected(local: &Local, site: usize, timeout: Duration) -> Failure {
    let origin = local.crew.sites.get(site).map(|site| site.origin.to_string());
    let origin = origin.unwrap_or_default();
    Failure::Connect(format!("no connection to {origin} within {}", Span(timeout)))
}

/// Returns where the answer sends on, unless the step wants this very answer.
fn redirect<'a>(request: &CompiledRequest, answer: &'a Answer) -> Option<&'a str> {
    let wants_it = request
        .want
        .status
        .iter()
        .any(|range| range.lo <= answer.status && answer.status <= range.hi);
    let is_redirect = [301, 302, 303, 307, 308].contains(&answer.status);
    if is_redirect && !wants_it { answer.location.as_deref() } else { None }
}
