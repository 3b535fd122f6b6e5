//! One call that is no HTTP request, and what follows from it: done, judged, counted.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use crate::load::call::{CompiledCall, CompiledDeed};
use crate::load::failure::Failure;
use crate::load::record::Sample;
use crate::load::script::CompiledHeader;
use crate::load::template::{Escape, Missing, Template};
use crate::load::worker::answer::Answer;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::watch::Watch;
use crate::load::worker::wire::Times;
use crate::unit::Span;

/// A call as it is about to be made, its texts rendered.
#[derive(Debug)]
pub enum Ready {
    /// Opens a WebSocket: path, subprotocol, headers.
    Open(String, Option<String>, Vec<(String, String)>),
    /// What is sent, what is awaited.
    Say(Option<String>, Option<String>),
    /// The code.
    Close(u16),
    /// Service, method, message as JSON, metadata.
    Grpc(String, String, String, Vec<(String, String)>),
    /// Name, type, whether over TCP.
    Dns(String, String, bool),
    /// What is sent, what is awaited, whether the connection stays.
    Tcp(Option<String>, Option<String>, bool),
}

impl User {
    /// Makes a call. `Err` when it was left out.
    pub async fn call(&mut self, local: &Local, call: &CompiledCall) -> Result<(), Missing> {
        let ready = match self.ready(local, call) {
            Ok(ready) => ready,
            Err(missing) => {
                self.forget(&call.want);
                return Err(missing);
            }
        };
        let begin = Instant::now();
        let meant = self.meant.take().unwrap_or(begin);
        let mut times = Times::default();
        let shown = local.trace.as_ref().map(|_| ready.shown(call));
        self.watch.set(begin, call.want.timeout);
        let mut sent = 0;
        let answer = self.deed(local, call, ready, (&mut times, &mut sent)).await;
        self.watch.clear();
        let ended = times.ended.unwrap_or_else(Instant::now);
        self.now = ended;
        let shown = shown.map(|sent| (sent, answer.as_ref().ok().cloned()));
        let elapsed = ended.saturating_duration_since(meant);
        let received = times.received;
        let result = answer.and_then(|answer| self.judge(local, &call.want, answer, elapsed));
        if let Some((sent, answer)) = shown {
            self.show(local, &call.want, (sent, answer, elapsed), result.as_ref().err());
        }
        self.note_connection(&result);
        if result.is_err() {
            self.forget(&call.want);
        }
        let sample = Sample {
            endpoint: call.want.endpoint,
            meant,
            connect: times.connect,
            tls: times.tls,
            written: times.written,
            first_byte: times.first_byte,
            ended,
            sent,
            received,
            result,
        };
        local.recorder.borrow_mut().add(sample);
        Ok(())
    }

    fn ready(&mut self, local: &Local, call: &CompiledCall) -> Result<Ready, Missing> {
        self.with_scope(local, |scope, rng| {
            let mut text = |template: &Template| {
                let mut text = String::new();
                template.render(scope, rng, Escape::None, &mut text).map(|()| text)
            };
            let mut headers = Vec::new();
            for (name, value) in &call.headers {
                let value = match value {
                    CompiledHeader::Fixed(value) => {
                        String::from_utf8_lossy(value.as_bytes()).into_owned()
                    }
                    CompiledHeader::Template(template) => text(template)?,
                    CompiledHeader::Token(number) => local.crew.token(*number).unwrap_or_default(),
                };
                headers.push((name.as_str().to_owned(), value));
            }
            let mut maybe =
                |template: &Option<Template>| template.as_ref().map(&mut text).transpose();
            Ok(match &call.deed {
                CompiledDeed::Open(path, protocol) => {
                    let base = &local.crew.plan.target.base;
                    let mut place = if call.is_at_target { base.clone() } else { String::new() };
                    path.render(scope, rng, Escape::Url, &mut place)?;
                    Ready::Open(place, protocol.clone(), headers)
                }
                CompiledDeed::Say(send, expect) => Ready::Say(maybe(send)?, maybe(expect)?),
                CompiledDeed::Close(code) => Ready::Close(*code),
                CompiledDeed::Grpc { service, method, message } => {
                    let mut json = String::new();
                    message.write_json(scope, rng, &mut json)?;
                    Ready::Grpc(service.clone(), method.clone(), json, headers)
                }
                CompiledDeed::Dns { name, kind, is_tcp } => {
                    Ready::Dns(text(name)?, kind.clone(), *is_tcp)
                }
                CompiledDeed::Tcp(send, expect, is_kept) => {
                    Ready::Tcp(maybe(send)?, maybe(expect)?, *is_kept)
                }
            })
        })
    }

    async fn deed(
        &mut self,
        local: &Local,
        call: &CompiledCall,
        ready: Ready,
        (times, sent): (&mut Times, &mut u64),
    ) -> Result<Answer, Failure> {
        let site = call.origin.as_ref().map(|origin| local.crew.site(origin)).transpose()?;
        let site = site.unwrap_or(0);
        let want = &call.want;
        let watch = std::rc::Rc::clone(&self.watch);
        match ready {
            Ready::Open(path, protocol, headers) => {
                let asked = (path, protocol, headers);
                watched(&watch, self.open_socket(local, (site, want), asked, times)).await
            }
            Ready::Say(send, expect) => {
                watched(&watch, self.say(want, (send, expect), (times, sent))).await
            }
            Ready::Close(code) => watched(&watch, self.close_socket(code, times)).await,
            Ready::Grpc(service, method, json, headers) => {
                let asked = (service.as_str(), method.as_str(), json.as_str(), headers.as_slice());
                self.grpc(local, (site, want), asked, (times, sent)).await
            }
            Ready::Dns(name, kind, is_tcp) => {
                let asked = (name.as_str(), kind.as_str(), is_tcp);
                watched(&watch, self.dns(local, (site, want), asked, (times, sent))).await
            }
            Ready::Tcp(send, expect, is_kept) => {
                let asked = (send, expect, is_kept);
                watched(&watch, self.tcp(local, (site, want), asked, (times, sent))).await
            }
        }
    }
}

impl Ready {
    /// What a walk shows of it.
    fn shown(&self, call: &CompiledCall) -> String {
        let origin = call.origin.as_ref().map(crate::load::plan::Origin::url).unwrap_or_default();
        let mut lines = Vec::new();
        let mut body = None;
        let fields = |headers: &[(String, String)]| {
            headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        match self {
            Self::Open(path, protocol, headers) => {
                lines.push(format!("open {origin}{path}"));
                lines.extend(protocol.iter().map(|name| format!("sec-websocket-protocol: {name}")));
                lines.extend(fields(headers));
            }
            Self::Say(send, expect) => {
                lines.extend(expect.iter().map(|text| format!("expect: {text}")));
                body.clone_from(send);
            }
            Self::Close(code) => lines.push(format!("close {code}")),
            Self::Grpc(service, method, json, headers) => {
                lines.push(format!("{origin} {service}/{method}"));
                lines.extend(fields(headers));
                body = Some(json.clone());
            }
            Self::Dns(name, kind, is_tcp) => {
                let over = if *is_tcp { "TCP" } else { "UDP" };
                lines.push(format!("{origin} {kind} {name} over {over}"));
            }
            Self::Tcp(send, expect, _) => {
                lines.push(origin);
                lines.extend(expect.iter().map(|text| format!("expect: {text}")));
                body.clone_from(send);
            }
        }
        format!("{}\r\n\r\n{}", lines.join("\r\n"), body.unwrap_or_default())
    }
}

/// Lets something go on until the deadline.
pub async fn watched<T>(
    watch: &Watch,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if watch.is_over() {
            return Poll::Ready(Err(Failure::Timeout(Span(watch.timeout()))));
        }
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            watch.wait(cx);
        }
        polled
    })
    .await
}
