//! Tunnels through a proxy (CONNECT): to the address that was looked up and allowed, not to a name
//! that the proxy would look up anew.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::failure::Failure;
use crate::load::worker::site::Via;
use crate::load::worker::wire::failure;

/// The head of a proxy's answer is not read beyond this.
const HEAD: usize = 8 * 1024;

/// Has the proxy connect to an address.
pub async fn dig(stream: &mut TcpStream, via: &Via, to: SocketAddr) -> Result<(), Failure> {
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n");
    if let Some(authorization) = &via.authorization {
        request.extend(["proxy-authorization: ", authorization.reveal(), "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| failure(&error))?;
    let mut head = Vec::new();
    // Not a byte beyond the head: what follows is the target's.
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.map_err(|_| refused(via, "it closed the connection"))?;
        head.push(byte);
        if head.len() > HEAD {
            return Err(refused(via, "its answer is too long"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status: Option<u16> = words.next().and_then(|word| word.parse().ok());
    match status.filter(|_| is_http) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(refused(via, "it wants a name and a password: `http://name:password@…`")),
        Some(status) => Err(refused(via, &format!("status {status} for {to}"))),
        None => Err(refused(via, "it does not speak HTTP")),
    }
}

fn refused(via: &Via, why: &str) -> Failure {
    Failure::Connect(format!("no tunnel through the proxy {}: {why}", via.name))
}
