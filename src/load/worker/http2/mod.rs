//! HTTP/2: connections that several users of a thread share, each by a seat of its own.
//!
//! Users add their requests to what is written next; one task a connection writes it all at once,
//! reads, and wakes whoever has an answer.

mod huffman;
mod hpack;
mod frame;
mod stream;
mod conn;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::load::body::Outgoing;
use crate::load::failure::Failure;
use crate::load::worker::answer::{Answer, Question};
use crate::load::worker::dial::Stream;
use crate::load::worker::local::Local;
use crate::load::worker::message::Message;
use crate::load::worker::watch::Watch;
use crate::load::worker::wire::{Lost, Times, failure};
use crate::unit::Span;
use conn::Conn;
use hpack::Keep;

/// How much a server may send of an answer before we have read it.
const WINDOW: u32 = 8 * 1024 * 1024;

/// The same for all answers of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// A connection that a thread's users share.
#[derive(Debug)]
pub struct Link {
    /// The number of the site it leads to.
    pub site: usize,
    n_seats: Cell<u32>,
    conn: RefCell<Conn>,
    /// Whoever comes first connects, the others wait for it.
    opened: tokio::sync::OnceCell<()>,
}

/// A thread's connections with seats.
#[derive(Debug, Default)]
pub struct Links(RefCell<Vec<Rc<Link>>>);

impl Links {
    /// Takes a seat in a connection to the site that has a free one, or in a new one.
    pub fn seat(&self, site: usize, most: u32) -> Seat {
        let mut links = self.0.borrow_mut();
        links.retain(|link| link.n_seats.get() > 0 && !link.is_over());
        let free = |link: &&Rc<Link>| link.site == site && link.n_seats.get() < most;
        let link = links.iter().find(free).cloned().unwrap_or_else(|| {
            let link = Rc::new(Link {
                site,
                n_seats: Cell::new(0),
                conn: RefCell::new(Conn::new()),
                opened: tokio::sync::OnceCell::new(),
            });
            if most > 1 {
                links.push(Rc::clone(&link));
            }
            link
        });
        link.n_seats.set(link.n_seats.get() + 1);
        Seat { link, is_used: false }
    }
}

/// A user's place in a connection.
#[derive(Debug)]
pub struct Seat {
    link: Rc<Link>,
    /// True when a request of this user was answered over it.
    pub is_used: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let link = &self.link;
        link.n_seats.set(link.n_seats.get().saturating_sub(1));
        if link.n_seats.get() == 0 {
            link.conn.borrow_mut().is_closing = true;
            link.stir();
        }
    }
}

impl Seat {
    /// The number of the site it leads to.
    pub fn site(&self) -> usize {
        self.link.site
    }

    /// True when its connection takes requests, now or once it is made.
    pub fn is_good(&self) -> bool {
        !self.link.is_over()
    }

    /// Makes the connection, unless somebody made it already. `dial` gives a stream that was
    /// agreed to speak HTTP/2.
    pub async fn open(
        &self,
        local: &Local,
        dial: impl AsyncFnOnce() -> Result<Stream, Failure>,
    ) -> Result<(), Failure> {
        let link = &self.link;
        let open = async || -> Result<(), Failure> {
            let stream = dial().await?;
            let buffer = Rc::clone(&local.buffer);
            tokio::task::spawn_local(drive(Rc::clone(link), stream, buffer));
            Ok(())
        };
        link.opened.get_or_try_init(open).await?;
        Ok(())
    }

    /// Asks and waits for the answer; fails at the watch's deadline.
    #[expect(clippy::too_many_lines, reason = "one exchange from its stream to its answer")]
    pub async fn exchange(
        &mut self,
        (local, watch): (&Local, &Watch),
        (message, wire): (&Message<'_>, &str),
        question: Question,
        times: &mut Times,
    ) -> Result<Answer, Lost> {
        let lost = |failure: Failure| Lost { failure, is_unsent: true, is_unanswered: true };
        let link = &self.link;
        poll_fn(|cx| {
            let mut conn = link.conn.borrow_mut();
            if let Some(failure) = &conn.over {
                return Poll::Ready(Err(failure.clone()));
            }
            if watch.is_over() {
                return Poll::Ready(Err(Failure::Timeout(Span(watch.timeout()))));
            }
            if conn.is_over() {
                return Poll::Ready(Err(Failure::Closed));
            }
            if conn.has_room() {
                return Poll::Ready(Ok(()));
            }
            conn.wait(cx);
            watch.wait(cx);
            Poll::Pending
        })
        .await
        .map_err(lost)?;
        times.written = Some(Instant::now());
        let scheme = local.crew.sites.get(link.site).map_or("http", |site| site.scheme());
        let (id, before) = {
            let mut conn = link.conn.borrow_mut();
            let place = if question.wants_body { local.bodies.take() } else { Vec::new() };
            let block = pack(&mut conn, message, wire, scheme);
            let (first, rest) = message.body();
            let body = (first, Outgoing::new(rest.to_vec()));
            let id = conn.begin(question, place, &block.bytes, body);
            conn.kept_block = block.key.is_some().then_some(block);
            (id, conn.n_reads)
        };
        link.stir();
        let mut asked = Asked { link, id: Some(id) };
        let is_late = poll_fn(|cx| {
            let mut conn = link.conn.borrow_mut();
            let Some(stream) = conn.stream(id) else { return Poll::Ready(false) };
            if stream.end.is_some() {
                return Poll::Ready(false);
            }
            if watch.is_over() {
                return Poll::Ready(true);
            }
            if !stream.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                stream.waker = Some(cx.waker().clone());
            }
            watch.wait(cx);
            Poll::Pending
        })
        .await;
        asked.id = None;
        let mut conn = link.conn.borrow_mut();
        let Some(stream) = conn.take(id) else { return Err(lost(Failure::Closed)) };
        if is_late {
            // Nothing came for so long: the connection itself is gone, and nobody waits for it.
            conn.is_closing |= conn.n_reads == before;
        }
        drop(conn);
        if is_late {
            link.stir();
        }
        times.first_byte = stream.first_byte;
        times.ended = stream.ended;
        times.received = stream.answer.received;
        match stream.end {
            Some(Ok(())) => {
                self.is_used = true;
                Ok(stream.answer)
            }
            Some(Err(failure)) => {
                let has_ended = matches!(failure, Failure::Closed | Failure::Reset);
                let is_unanswered = stream.is_untouched || (has_ended && stream.answer.status == 0);
                Err(Lost { failure, is_unsent: stream.is_untouched, is_unanswered })
            }
            None => {
                let failure = Failure::Timeout(Span(watch.timeout()));
                Err(Lost { failure, is_unsent: false, is_unanswered: false })
            }
        }
    }
}

/// An exchange that is given up when its user is.
struct Asked<'a> {
    link: &'a Rc<Link>,
    id: Option<u32>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            drop(self.link.conn.borrow_mut().take(id));
            self.link.stir();
        }
    }
}

/// A request's head as it was packed.
#[derive(Debug)]
struct Block {
    /// The number of the request that is the same each time, when it is packed the same, too.
    key: Option<usize>,
    /// The state of the tables that it was packed for.
    generation: u32,
    bytes: Vec<u8>,
}

/// Packs a request's head; what nothing has changed for is taken as it was.
fn pack(conn: &mut Conn, message: &Message<'_>, wire: &str, scheme: &str) -> Block {
    // With cookies in it, it is another one.
    let key = message.key().filter(|_| message.is_wire(wire));
    let encoder = &mut conn.encoder;
    if let Some(kept) = conn.kept_block.take()
        && key.is_some()
        && (kept.key, kept.generation) == (key, encoder.generation)
    {
        return kept;
    }
    let mut block = Vec::new();
    let keep = if key.is_some() { Keep::Yes } else { Keep::No };
    let before = encoder.generation;
    encoder.begin(&mut block);
    encoder.field(":method", message.method.name(), Keep::No, &mut block);
    encoder.field(":scheme", scheme, Keep::No, &mut block);
    let mut is_first = true;
    for (name, value) in Message::fields(wire) {
        if is_first {
            // The host comes first, and is the authority here; then the path.
            is_first = false;
            encoder.field(":authority", value, Keep::Yes, &mut block);
            encoder.field(":path", message.path(), keep, &mut block);
            continue;
        }
        let keep = match name {
            "authorization" | "proxy-authorization" => Keep::Never,
            "cookie" | "content-length" => Keep::No,
            "accept" | "content-type" | "user-agent" | "te" => Keep::Yes,
            _ => keep,
        };
        encoder.field(name, value, keep, &mut block);
    }
    // What went into the table is told by its place there the next time.
    let is_settled = encoder.generation == before;
    Block { key: key.filter(|_| is_settled), generation: before, bytes: block }
}

impl Link {
    fn is_over(&self) -> bool {
        self.conn.borrow().is_over()
    }

    /// Has what is to be written written.
    fn stir(&self) {
        let waker = self.conn.borrow_mut().driver.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

const REFUSED: &str = "the server closed the connection instead of speaking HTTP/2";

/// What of the connection's output went out.
#[derive(Debug, Default)]
struct Progress {
    sent: usize,
    is_dirty: bool,
}

/// Writes and reads for all users of a connection until it ends.
async fn drive(link: Rc<Link>, mut stream: Stream, buffer: Rc<RefCell<Box<[u8]>>>) {
    let mut progress = Progress::default();
    let ended = poll_fn(|cx| poll(&link, &mut stream, (&buffer, &mut progress), cx)).await;
    if let Err(failure) = ended {
        let mut conn = link.conn.borrow_mut();
        let is_refused = !conn.is_open && matches!(failure, Failure::Closed | Failure::Reset);
        conn.fail(if is_refused { Failure::Connect(REFUSED.to_owned()) } else { failure });
    }
    // A farewell of TLS; who is gone does not need it.
    drop(poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await);
}

fn poll(
    link: &Link,
    stream: &mut Stream,
    (buffer, progress): (&RefCell<Box<[u8]>>, &mut Progress),
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    let mut conn = link.conn.borrow_mut();
    let mut buffer = buffer.borrow_mut();
    loop {
        let written = write(&mut conn, stream, progress, cx)?;
        let mut to = ReadBuf::new(&mut buffer);
        let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(cx, &mut to) else {
            if conn.is_closing && conn.is_idle() && written.is_ready() {
                return Poll::Ready(Err(Failure::Closed));
            }
            break;
        };
        read.map_err(|error| failure(&error))?;
        if to.filled().is_empty() {
            return Poll::Ready(Err(Failure::Closed));
        }
        if let Err(failure) = conn.read(to.filled(), Instant::now()) {
            // Whoever waits is told at once; the peer may hear why.
            frame::push_numbers(&mut conn.out, frame::GOAWAY, 0, &[0, frame::PROTOCOL_ERROR]);
            let _ = write(&mut conn, stream, progress, cx)?;
            return Poll::Ready(Err(failure));
        }
    }
    conn.driver = Some(cx.waker().clone());
    Poll::Pending
}

/// Writes all that there is to write.
fn write(
    conn: &mut Conn,
    stream: &mut Stream,
    progress: &mut Progress,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    loop {
        while progress.sent < conn.out.len() {
            let rest = &conn.out[progress.sent..];
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest));
            match written.map_err(|error| failure(&error))? {
                0 => return Poll::Ready(Err(Failure::Closed)),
                n => progress.sent += n,
            }
            progress.is_dirty = true;
        }
        if progress.sent > 0 {
            conn.out.clear();
            conn.out.shrink_to(128 * 1024);
            progress.sent = 0;
        }
        if conn.has_more() {
            conn.fill();
            continue;
        }
        if progress.is_dirty {
            ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|error| failure(&error))?;
            progress.is_dirty = false;
        }
        return Poll::Ready(Ok(()));
    }
}
