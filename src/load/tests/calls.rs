//! WebSocket, gRPC, DNS and TCP against servers on loopback: good ones, and some that lie.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hickory_proto::op::{Message as Dns, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::grpc_server;
use super::support::{Ran, Server, plan, run};

const LOAD: &str =
    "load: { users: 2, spawn-rate: 1000, duration: 300ms, think: 10ms, timeout: 400ms }\n";

async fn drive(target: &str, steps: &str, port: u16) -> Ran {
    let yaml = format!("target: {target}\n{LOAD}journeys: [{{ steps: [{steps}] }}]");
    run(&plan(&yaml, port)).await
}

#[track_caller]
fn good(ran: &Ran, endpoints: &[&str]) {
    let errors = &ran.summary.errors;
    assert!(ran.summary.requests.count > 0 && errors.is_empty(), "{errors:?}");
    let names: Vec<&str> = ran.summary.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, endpoints);
    let checks = &ran.summary.checks;
    assert!(checks.iter().all(|check| check.fails == 0 && check.passes > 0), "{checks:?}");
}

#[track_caller]
fn bad(ran: &Ran, says: &str) {
    let errors = &ran.summary.errors;
    assert!(errors.iter().any(|error| error.text.contains(says)), "{errors:?}, not {says}");
}

/// Says its greeting, then answers each message: `noise` first, then the message in capitals.
async fn chat(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    drop(socket.send(Message::text("welcome")).await);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) if text.as_str() == "die" => return,
            Message::Text(text) if text.starts_with("flood") => {
                let n: usize = text.as_str()[5..].trim().parse().unwrap_or(9 * 1024 * 1024);
                drop(socket.send(Message::text("x".repeat(n))).await);
            }
            Message::Text(text) => {
                drop(socket.send(Message::text("noise")).await);
                drop(socket.send(Message::text(text.as_str().to_uppercase())).await);
            }
            Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Close(_)
            | Message::Frame(_) => {}
        }
    }
}

#[tokio::test]
async fn messages_go_round_over_a_websocket() {
    let server = Server::raw(chat).await;
    let steps = "{ websocket: { connect: '/chat?room={{ vu() }}' } },\
        { websocket: { expect: welcome } },\
        { websocket: { send: '{\"a\":{{ vu() }}}', expect: '\"A\"' }, name: ask,\
          save: { a: $.A }, check: { json: { $.A: '{{ vu() }}' }, time: 300ms } },\
        { websocket: { send: 'x{{ a }}' } },\
        { websocket: { close: 1000 } }";
    let ran = drive("http://127.0.0.1:$PORT", steps, server.port).await;
    good(&ran, &["WS /chat?room={vu()}", "WS receive", "WS ask", "WS send", "WS close"]);
    assert!(ran.summary.endpoints[2].bytes.received > ran.summary.endpoints[2].bytes.sent);
    assert!(ran.summary.endpoints[0].connections.count > 0);
}

#[tokio::test]
async fn what_goes_wrong_with_a_websocket_is_told() {
    let server = Server::raw(chat).await;
    let at = "ws://127.0.0.1:$PORT";
    let open = "{ websocket: { connect: /chat } }";
    for (steps, says) in [
        ("{ websocket: { send: x } }".to_owned(), "no WebSocket is open"),
        (format!("{open}, {{ websocket: {{ expect: never }} }}"), "no answer within 400ms"),
        (format!("{open}, {{ websocket: {{ send: die, expect: x }} }}"), "connection"),
        (format!("{open}, {{ websocket: {{ send: flood, expect: y }} }}"), "larger than the 8 MiB"),
    ] {
        bad(&drive(at, &steps, server.port).await, says);
    }
    // A megabyte is fine for one user, and not for each of two hundred.
    let steps =
        format!("{open}, {{ websocket: {{ send: flood 1000000, expect: xx }}, name: ask }}");
    let errors = drive(at, &steps, server.port).await.summary.errors;
    assert!(!errors.iter().any(|error| error.text.contains("larger")), "{errors:?}");
    let many =
        LOAD.replace("users: 2", "users: 200").replace("300ms, think: 10ms", "3s, think: 1m");
    let yaml = format!("target: {at}\n{many}journeys: [{{ steps: [{{ steps: [{steps}] }}] }}]");
    bad(&run(&plan(&yaml, server.port)).await, "larger than");
    let plain = Server::http(|_| super::support::text(404, "")).await;
    bad(&drive(at, open, plain.port).await, "status 404");
    // A frame that never ends: its length is told, its bytes trickle.
    let slow = Server::raw(|stream: TcpStream| async move {
        let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
        let mut stream = socket.into_inner();
        drop(stream.write_all(&[0x81, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0]).await);
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let steps = format!("{open}, {{ websocket: {{ expect: x }} }}");
    bad(&drive(at, &steps, slow.port).await, "no answer within 400ms");
}

/// Answers over UDP and TCP at one port: `cut.` is cut over UDP, `lie.` is answered by another
/// question's answer first, `junk.` by no DNS at all, `no.` is not there.
async fn name_server() -> (u16, JoinSet<()>) {
    fn answer(bytes: &[u8], is_udp: bool) -> Option<Vec<Vec<u8>>> {
        let asked = Dns::from_vec(bytes).ok()?;
        let query = asked.queries.first()?.clone();
        let name = query.name().to_string();
        let mut answer = Dns::response(asked.metadata.id, asked.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        let data = if query.query_type() == RecordType::TXT {
            RData::TXT(TXT::new(vec!["hello".to_owned()]))
        } else {
            RData::A(A::new(10, 0, 0, 7))
        };
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        answer.add_query(query);
        let mut all = Vec::new();
        match name.split('.').next()? {
            "cut" if is_udp => answer.metadata.truncation = true,
            "lie" => {
                let mut other = answer.clone();
                other.metadata.id = answer.metadata.id.wrapping_add(1);
                all.push(other.to_vec().ok()?);
            }
            "junk" => return Some(vec![vec![0xff; 50]; 200]),
            "no" => answer.metadata.response_code = ResponseCode::NXDomain,
            _ => {}
        }
        all.push(answer.to_vec().ok()?);
        Some(all)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut place = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut place).await {
            for bytes in answer(&place[..n], true).unwrap_or_default() {
                drop(socket.send_to(&bytes, from).await);
            }
        }
    });
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(length) = stream.read_u16().await else { continue };
            let mut place = vec![0; usize::from(length)];
            drop(stream.read_exact(&mut place).await);
            for bytes in answer(&place, false).unwrap_or_default() {
                drop(stream.write_u16(u16::try_from(bytes.len()).unwrap()).await);
                drop(stream.write_all(&bytes).await);
            }
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn names_are_asked_for() {
    let (port, _tasks) = name_server().await;
    let steps = "{ dns: { name: 'www.shop.example' }, check: { status: NOERROR,\
          json: { '$.answers[0].data': 10.0.0.7 } }, save: { ip: '$.answers[0].data' } },\
        { dns: { name: 'lie.{{ ip }}', type: txt }, check: { contains: [hello] } },\
        { dns: { name: cut.example }, check: { json: { $.rcode: NOERROR } } },\
        { dns: { name: www.example, tcp: true } },\
        { dns: { name: no.example }, check: { status: [NXDOMAIN, SERVFAIL] } }";
    let ran = drive("dns://127.0.0.1:$PORT", steps, port).await;
    let names = ["DNS A www.shop.example", "DNS TXT lie.{ip}", "DNS A cut.example"];
    good(&ran, &[&names[..], &["DNS A www.example", "DNS A no.example"]].concat());
    let steps = format!(
        "{{ dns: {{ name: no.example, server: '127.0.0.1:{port}' }} }},\
         {{ dns: {{ name: junk.example, server: 'dns://127.0.0.1:{port}' }} }}"
    );
    let ran = drive("http://127.0.0.1:1", &steps, port).await;
    bad(&ran, "status NXDOMAIN");
    bad(&ran, "answers to other questions, or none at all");
}

#[tokio::test]
async fn bytes_go_over_tcp() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        let mut place = [0; 100];
        while let Ok(n @ 1..) = stream.read(&mut place).await {
            if place.starts_with(b"QUIT") {
                return;
            }
            for byte in [b"+".as_slice(), &place[..n], b"\r\n"].concat() {
                drop(stream.write_all(&[byte]).await);
            }
        }
    })
    .await;
    let at = format!("127.0.0.1:{}", server.port);
    let steps = "{ tcp: {} }, { tcp: { send: \"PING {{ vu() }}\", expect: \"+PING {{ vu() }}\\r\\n\", keep: true },\
         name: ping, check: { matches: 'PING \\d' }, save: { n: 'regex (\\d)' } },\
         { tcp: { send: \"{{ n }}\", expect: \"\\r\\n\" }, name: more }";
    let ran = drive("tcp://127.0.0.1:$PORT", steps, server.port).await;
    good(&ran, &[&format!("TCP {at}"), "TCP ping", "TCP more"]);
    assert_eq!(ran.summary.endpoints[2].connections.count, 0);
    let steps = format!("{{ tcp: {{ connect: '{at}', send: QUIT, expect: never }} }}");
    bad(&drive("http://127.0.0.1:1", &steps, server.port).await, "connection closed");
    let steps = format!("{{ tcp: {{ connect: 'tcp://{at}', send: x, expect: never }} }}");
    bad(&drive("http://127.0.0.1:1", &steps, server.port).await, "no answer within 400ms");
}

#[tokio::test]
async fn grpc_is_called_by_a_proto_file_and_by_what_the_server_says() {
    for version in ["v1", "v1alpha", "none"] {
        let server = grpc_server::start(version).await;
        let proto = "proto: cart.proto, imports: [shared/money.proto]";
        let proto = if version == "none" { proto } else { "" };
        let steps = format!(
            "{{ grpc: {{ call: shop.Cart/Add, {proto} }}, json: {{ name: mat, count: '{{{{ vu() }}}}' }},\
               headers: {{ x-user: '{{{{ vu() }}}}' }}, save: {{ n: $.items }},\
               check: {{ status: OK, json: {{ $.items: '{{{{ vu() }}}}', $.price.cents: '42' }} }} }},\
             {{ grpc: {{ call: shop.Cart/Add, {proto} }}, name: none, json: {{ count: '-1' }},\
               check: {{ status: [NOT_FOUND] }} }}"
        );
        let ran = drive("grpc://127.0.0.1:$PORT", &steps, server.port).await;
        good(&ran, &["GRPC shop.Cart/Add", "GRPC none"]);
        assert!(ran.summary.endpoints[0].bytes.received > 0);
    }
}

#[tokio::test]
async fn what_goes_wrong_with_grpc_is_told() {
    let server = grpc_server::start("v1").await;
    let at = "grpc://127.0.0.1:$PORT";
    for (json, says) in [
        ("{ count: -1 }", "status NOT_FOUND: no such thing"),
        ("{ nmae: x }", "the message is no `shop.Item`: unrecognized field name 'nmae'"),
        ("{ name: lie }", "a message of another length than told"),
        ("{ name: packed }", "a packed message"),
        ("{ name: cut }", "an answer without a status"),
        ("{ name: many }", "more than one message"),
        ("{ name: bomb }", "larger than the 8 MiB"),
        ("{ name: html }", "status 502"),
    ] {
        let steps =
            format!("{{ grpc: {{ call: shop.Cart/Add }}, json: {json}, save: {{ a: $.items }} }}");
        bad(&drive(at, &steps, server.port).await, says);
    }
    for (call, says) in [
        ("shop.Cart/Ad", "`shop.Cart` has no method `Ad`: did you mean `Add`?"),
        ("shop.Cart/Watch", "only unary methods can be called"),
        ("shop.Other/Add", "gRPC reflection at 127.0.0.1"),
    ] {
        let ran = drive(at, &format!("{{ grpc: {{ call: {call} }} }}"), server.port).await;
        let reasons = &ran.summary.reasons;
        assert!(reasons.iter().any(|why| why.contains(says)), "{reasons:?}");
    }
}
