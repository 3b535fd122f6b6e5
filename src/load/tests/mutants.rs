//! Answers that were right until somebody changed a few bytes of them: first each reader by itself,
//! then whole runs against servers that answer nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::support::{Server, plan, run};
use crate::load::Summary;

/// One change: what to do, where, with which byte.
pub type Change = (u8, usize, u8);

/// A few changes.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((0..6_u8, any::<usize>(), any::<u8>()), 1..6)
}

/// Changes some bytes.
pub fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (what, at, with) in changes {
        let at = at % bytes.len().max(1);
        match what {
            _ if bytes.is_empty() => bytes.push(*with),
            0 => bytes[at] = *with,
            1 => bytes[at] ^= 1 << (with % 8),
            2 => bytes.insert(at, *with),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(*with)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

fn by_chance(rng: &mut StdRng) -> Vec<Change> {
    (0..rng.random_range(1..5))
        .map(|_| rng.random())
        .map(|(a, b, c): (u8, u16, u8)| (a % 6, usize::from(b), c))
        .collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut to, body).unwrap();
    to.finish().unwrap()
}

const JSON: &[u8] =
    b"{\"data\":[{\"id\":\"p1\",\"t\":[1,2.5e3,\"\\u00e9\"]},{\"id\":\"p2\"}],\"token\":\"x\"}";
const PAGE: &[u8] = b"<html><form><input name=csrf value='a&amp;b'></form><ul><li class=a>Yoga &#38; Mat<li>Red</ul></html>";

/// The answers over HTTP/1 that are changed.
fn answers() -> Vec<Vec<u8>> {
    let head = |more: &str, length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\n{more}content-length: {length}\r\n\r\n"
        )
    };
    let packed = gzip(JSON);
    let mut chunks =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n".to_vec();
    for part in JSON.chunks(9) {
        chunks.extend(format!("{:x};a=b\r\n", part.len()).bytes());
        chunks.extend([part, b"\r\n"].concat());
    }
    chunks.extend(b"0\r\nx: y\r\n\r\n");
    vec![
        [head("", JSON.len()).as_bytes(), JSON].concat(),
        chunks,
        [head("content-encoding: gzip\r\n", packed.len()).as_bytes(), &packed].concat(),
        [head("content-type: text/html\r\n", PAGE.len()).as_bytes(), PAGE].concat(),
        b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_vec(),
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n".as_slice(), JSON].concat(),
    ]
}

/// A frame of HTTP/2, of the first stream where it belongs to one.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let stream = u8::from(kind <= 1);
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// What an HTTP/2 server says that answers its first stream.
pub fn conversation(body: &[u8], trailers: &[u8]) -> Vec<u8> {
    let [data, headers, settings, ping, window] = [0, 1, 4, 6, 8];
    let [end_stream, ack, whole, padded] = [1, 1, 4, 8];
    let (first, rest) = body.split_at(body.len() / 2);
    let end = if trailers.is_empty() { end_stream } else { 0 };
    let mut all = [
        frame(settings, 0, &[0, 3, 0, 0, 0, 50, 0, 4, 0, 1, 0, 0]),
        frame(window, 0, &[0, 1, 0, 0]),
        frame(settings, ack, &[]),
        frame(ping, 0, b"12345678"),
        frame(headers, whole, b"\x88\x40\x01x\x03yes\x5f\x10application/grpc"),
        frame(data, padded, &[&[2], first, &[0, 0]].concat()),
        frame(data, end, rest),
    ]
    .concat();
    if !trailers.is_empty() {
        all.extend(frame(headers, whole | end_stream, trailers));
    }
    all
}

/// Starts a server that answers each connection by one of the changed texts, some in pieces, and
/// then closes it, resets it or says nothing more.
async fn mutant(greets: bool, texts: Vec<Vec<u8>>) -> (Server, Arc<AtomicU64>) {
    let n: Arc<AtomicU64> = Arc::default();
    let counter = Arc::clone(&n);
    let server = Server::raw(move |mut stream: TcpStream| {
        let mut rng = StdRng::seed_from_u64(counter.fetch_add(1, Ordering::SeqCst));
        let text = texts[rng.random_range(0..texts.len())].clone();
        async move {
            let mut buffer = [0; 4096];
            if greets && !upgraded(&mut stream, &mut rng).await {
                return;
            }
            if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                return;
            }
            // One in four is right: what comes after a good answer is met, too.
            let changes = if rng.random_range(0..4) > 0 { by_chance(&mut rng) } else { Vec::new() };
            let text = changed(&text, &changes);
            let size = if rng.random() { text.len() } else { rng.random_range(1..40) };
            for piece in text.chunks(size.max(1)) {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            match rng.random_range(0..3) {
                0 => drop(stream.shutdown().await),
                // What was never read makes the close a reset.
                1 => {}
                _ => while matches!(stream.read(&mut buffer).await, Ok(1..)) {},
            }
        }
    })
    .await;
    (server, n)
}

/// Says yes to a WebSocket, rarely with a changed word.
async fn upgraded(stream: &mut TcpStream, rng: &mut StdRng) -> bool {
    let mut buffer = vec![0; 4096];
    let Ok(n @ 1..) = stream.read(&mut buffer).await else { return false };
    let asked = String::from_utf8_lossy(&buffer[..n]).into_owned();
    let key = asked.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let key =
        tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.unwrap_or("").as_bytes());
    let yes = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {key}\r\n\r\n"
    );
    let changes = if rng.random_range(0..6) == 0 { by_chance(rng) } else { Vec::new() };
    stream.write_all(&changed(yes.as_bytes(), &changes)).await.is_ok()
}

/// Runs steps against a server of mutants: the run ends when it is meant to, with many requests,
/// good ones among them and so many kinds of bad ones, and nothing of the generator breaks.
async fn survives(target: &str, steps: &str, port: u16, n_kinds: usize) -> Summary {
    let yaml = format!(
        "target: {target}\n\
         load: {{ users: 16, spawn-rate: 1000, duration: 1500ms, timeout: 100ms, threads: 2 }}\n\
         journeys: [{{ steps: [{steps}] }}]"
    );
    let begun = Instant::now();
    let summary = run(&plan(&yaml, port)).await.summary;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let (count, failed) = (summary.requests.count, summary.requests.failed);
    assert!(count > 50 && failed > 10 && failed < count, "{count}, {failed}: {:?}", summary.errors);
    assert!(summary.errors.len() >= n_kinds, "{:?}", summary.errors);
    summary
}

const READ: &str = "save: { a: '$.data[*].id' }, check: { time: 1s }";

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_http1() {
    let (server, _) = mutant(false, answers()).await;
    let steps = format!(
        "{{ get: /a, {READ} }}, {{ get: /b, save: {{ b: 'css input @value', c: 'css li' }} }}, \
         {{ get: /c, save: {{ d: 'regex id\":\"(\\w+)', e: 'header set-cookie', f: 'cookie a' }} }}"
    );
    survives("http://127.0.0.1:$PORT", &steps, server.port, 2).await;
}

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_http2() {
    let (server, _) = mutant(false, vec![conversation(JSON, b"")]).await;
    let target = "http://127.0.0.1:$PORT\nhttp: { version: 2 }";
    survives(target, &format!("{{ get: /a, {READ} }}"), server.port, 2).await;
}

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_grpc() {
    let total = [0, 0, 0, 0, 6, 8, 3, 18, 2, 8, 42];
    let talk = conversation(&total, b"\x40\x0bgrpc-status\x010\x40\x0cgrpc-message\x04%20x");
    let (server, _) = mutant(false, vec![talk]).await;
    let steps = "{ grpc: { call: shop.Cart/Add, proto: cart.proto, imports: [shared/money.proto] }, \
        json: { name: x }, save: { a: $.items } }";
    survives("grpc://127.0.0.1:$PORT", steps, server.port, 2).await;
}

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_a_websocket() {
    let frames =
        [b"\x89\x02hi".as_slice(), b"\x01\x03abc\x80\x04defg", b"\x81\x05hello", b"\x82\x01x"];
    let (server, _) = mutant(true, vec![frames.concat()]).await;
    let steps = "{ websocket: { connect: / } }, { websocket: { send: x, expect: hello }, save: { a: regex (l+) } }";
    survives("ws://127.0.0.1:$PORT", steps, server.port, 2).await;
}

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_tcp() {
    let (server, _) = mutant(false, vec![b"+PONG 42\r\n".to_vec()]).await;
    let steps = "{ tcp: { send: PING, expect: \"\\r\\n\" }, save: { a: regex (\\d+) } }";
    survives("tcp://127.0.0.1:$PORT", steps, server.port, 2).await;
}

#[tokio::test]
async fn answers_with_a_few_wrong_bytes_break_nothing_over_dns() {
    use hickory_proto::op::{Message, MessageType};
    use hickory_proto::rr::{RData, Record, rdata::A};
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut place = [0; 1500];
        let mut rng = StdRng::seed_from_u64(7);
        while let Ok((n, from)) = socket.recv_from(&mut place).await {
            let Ok(asked) = Message::from_vec(&place[..n]) else { continue };
            let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
            answer.metadata.message_type = MessageType::Response;
            let query = asked.queries[0].clone();
            let record =
                Record::from_rdata(query.name().clone(), 60, RData::A(A::new(10, 0, 0, 7)));
            answer.add_answer(record);
            answer.add_query(query);
            let changes = if rng.random() { by_chance(&mut rng) } else { Vec::new() };
            let bytes = changed(&answer.to_vec().unwrap(), &changes);
            drop(socket.send_to(&bytes, from).await);
        }
    });
    let steps = "{ dns: { name: www.shop.example }, save: { ip: '$.answers[0].data' } }";
    // An answer that is none to the question is waited past, as one that somebody forged.
    survives("dns://127.0.0.1:$PORT", steps, port, 1).await;
}
