//! A server on loopback for tests: it answers what it is told, well or badly.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes and closes the connection.
    Send(Vec<u8>),
    /// Sends these bytes, then nothing more, and keeps the connection open.
    Hang(Vec<u8>),
    /// Sends these bytes one at a time, a few a second.
    Drip(Vec<u8>),
}

impl Act {
    /// A whole answer of JSON.
    pub fn json(status: &str, body: &str) -> Self {
        Self::answer(status, "Content-Type: application/json", body)
    }

    /// A whole answer with further headers.
    pub fn answer(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Send(
            format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }
}

/// A running server; it ends when dropped.
pub struct Standin {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Standin {
    /// Starts; each request takes the next act, the last one stays.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut acts: VecDeque<Act> = acts.into_iter().collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let act = match acts.len() {
                    0 | 1 => acts.front().cloned(),
                    _ => acts.pop_front(),
                };
                connections.spawn(serve(stream, act, Arc::clone(&seen)));
            }
        });
        Self { url, requests, tasks }
    }

    /// Returns the requests so far: head and body as text.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Stops listening: later connections are refused.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(mut stream: TcpStream, act: Option<Act>, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0_u8; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match act {
        None => {}
        Some(Act::Send(bytes)) => {
            // A client that went away is what some tests want.
            stream.write_all(&bytes).await.ok();
            stream.shutdown().await.ok();
        }
        Some(Act::Hang(bytes)) => {
            stream.write_all(&bytes).await.ok();
            std::future::pending::<()>().await;
        }
        Some(Act::Drip(bytes)) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
        })
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    body.len() >= length
}
