//! Servers that speak something else than HTTP/1.1, for steps of every protocol: each on a thread of
//! its own, gone when it is dropped.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hickory_proto::op::{Message as Dns, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::cart::{self, Reflection};

/// A running server.
#[derive(Debug)]
pub struct Speaker {
    address: SocketAddr,
    n_connections: Arc<AtomicUsize>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

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

    /// gRPC: a cart, which says what it is by `reflection`.
    pub fn cart(reflection: Reflection) -> Self {
        Self::start(move |stream| cart::serve(stream, reflection))
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

    /// Says `first` to whoever asks something, then `again` for ever with a pause between; closes
    /// when there is nothing to say again, by a reset where it has not read all.
    pub fn liar(first: Vec<u8>, again: Vec<u8>, pause: Duration) -> Self {
        let (first, again): (Bytes, Bytes) = (first.into(), again.into());
        Self::start(move |mut stream| {
            let (first, again) = (first.clone(), again.clone());
            async move {
                let mut place = [0; 64];
                if !stream.read(&mut place).await.is_ok_and(|n| n > 0) {
                    return;
                }
                if stream.write_all(&first).await.is_err() || again.is_empty() {
                    return;
                }
                while stream.write_all(&again).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            }
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
