//! Servers that speak something else than HTTP/1.1, for steps of every protocol: each on a thread of
//! its own, gone when it is dropped.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hickory_proto::op::{Message as Dns, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// A running server.
#[derive(Debug)]
pub struct Speaker {
    address: SocketAddr,
    n_connections: Arc<AtomicUsize>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What the file for gRPC's clients says of [`Speaker::cart`].
pub const CART: &str = "syntax = \"proto3\";\npackage shop;\n\
    service Cart { rpc Add(Item) returns (Total); }\n\
    message Item { string name = 1; int32 count = 2; }\nmessage Total { int32 items = 1; }\n";

impl Speaker {
    /// Answers each line with itself behind a `+`.
    pub fn lines() -> Self {
        Self::start(|stream| async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                drop(stream.write_all(format!("+{line}").as_bytes()).await);
                line.clear();
            }
        })
    }

    /// A WebSocket: a greeting, then each message in capitals.
    pub fn chat() -> Self {
        Self::start(|stream| async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            drop(socket.send(Message::text("welcome")).await);
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    drop(socket.send(Message::text(text.as_str().to_uppercase())).await);
                }
            }
        })
    }

    /// HTTP/2, known beforehand: whatever is asked for is `{"hello":"two"}`.
    pub fn http2() -> Self {
        Self::start(|stream| async move {
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                drop(request.into_body().collect().await);
                let body = Full::new(Bytes::from_static(b"{\"hello\":\"two\"}"));
                Ok::<_, Infallible>(hyper::Response::new(body))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        })
    }

    /// gRPC: `shop.Cart/Add` gives the count that it got; a name `nothing` is not found.
    pub fn cart() -> Self {
        Self::start(|stream| async move {
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                Ok::<_, Infallible>(added(&path, &body))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        })
    }

    /// A proxy that digs tunnels for `me` with the password `pw`.
    pub fn proxy() -> Self {
        Self::start(|stream| async move {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if !stream.read_line(&mut head).await.is_ok_and(|n| n > 0) {
                    return;
                }
            }
            if !head.contains("proxy-authorization: Basic bWU6cHc=\r\n") {
                let no = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(no).await);
                return;
            }
            let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            let Some(to) = to else { return };
            let Ok(mut target) = TcpStream::connect(to).await else {
                drop(stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await);
                return;
            };
            drop(stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await);
            drop(copy_bidirectional(&mut stream, &mut target).await);
        })
    }

    /// A name server over UDP: every name is 10.0.0.7, but `no.…`, which is not there.
    pub fn names() -> Self {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        Self::run(address, Arc::default(), async move {
            let socket = UdpSocket::from_std(socket).unwrap();
            let mut place = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut place).await {
                if let Some(answer) = looked_up(&place[..n]) {
                    drop(socket.send_to(&answer, from).await);
                }
            }
        })
    }

    fn start<F, T>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let n_connections: Arc<AtomicUsize> = Arc::default();
        let counter = Arc::clone(&n_connections);
        Self::run(address, n_connections, async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream));
            }
        })
    }

    fn run(
        address: SocketAddr,
        n_connections: Arc<AtomicUsize>,
        served: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = served => (),
                    () = stopped.cancelled() => (),
                }
            });
        });
        Self { address, n_connections, stop, thread: Some(thread) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it got.
    pub fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::SeqCst)
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn looked_up(asked: &[u8]) -> Option<Vec<u8>> {
    let asked = Dns::from_vec(asked).ok()?;
    let query = asked.queries.first()?.clone();
    let mut answer = Dns::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    if query.name().to_string().starts_with("no.") {
        answer.metadata.response_code = ResponseCode::NXDomain;
    } else {
        let data = RData::A(A::new(10, 0, 0, 7));
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    answer.add_query(query);
    answer.to_vec().ok()
}

type Called = hyper::Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

/// The message is small enough to be looked at by hand: the name (1), then the count (2).
fn added(path: &str, body: &[u8]) -> Called {
    let is_known = path == "/shop.Cart/Add" && !body.windows(7).any(|part| part == b"nothing");
    let count = match body {
        [.., 0x10, count] => *count,
        _ => 0,
    };
    let (code, reply) = if is_known { ("0", vec![0, 0, 0, 0, 2, 8, count]) } else { ("5", vec![]) };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(code));
    trailers.insert("grpc-message", http::HeaderValue::from_static("no such thing"));
    let body = Full::new(Bytes::from(reply)).with_trailers(async { Some(Ok(trailers)) });
    hyper::Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())
        .unwrap_or_default()
}
