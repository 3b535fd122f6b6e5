//! `kubectl port-forward`, the guest's part: listeners here, and each connection handed on.

use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::stream::{FuturesUnordered, SelectAll, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::command::Streams;
use crate::command::guest::Guest;
use crate::command::kubectl::{STDERR, STDOUT, put, tell};
use crate::deploy::kubectl::{self, Listen, Operation, Ports, Request, Tunnel};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::shutdown::Signals;

/// Connections at the same time; more have to wait. The driver carries as many for a job.
const MOST_CONNECTIONS: usize = 256;

/// How many connections may wait to be taken.
const WAITING: u32 = 1024;

/// A listener, and the ports that it stands for.
struct Door {
    listener: TcpListener,
    local: u16,
    remote: u16,
}

/// Forwards until a signal comes, or the pod complains. What was connected then ends.
///
/// # Errors
/// When the driver refuses, or cannot be asked.
pub(super) async fn run(
    request: Request,
    vars: &dyn Vars,
    streams: &mut Streams,
) -> Result<Outcome> {
    let guest = Guest::find(None, vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let cancel = signals.cancel();
    let Operation::Forward(forward) = &request.operation else {
        return Err(Error::job("the request is for no ports"));
    };
    let addresses = forward.addresses.clone();
    let found = find(&guest, request.clone(), streams, cancel).await;
    let ports = match found.map_err(|error| error.outcome(Outcome::Code(1)))? {
        Ok(ports) => ports,
        Err(outcome) => return Ok(outcome),
    };
    // The broker has read them too.
    let addresses = kubectl::listens(&addresses).map_err(Error::job)?;
    let doors = open(&ports, &addresses, streams)?;
    let Some(doors) = doors else {
        let pairs: Vec<String> =
            ports.pairs.iter().map(|(local, remote)| format!("{{{local} {remote}}}")).collect();
        let told = format!(
            "error: unable to listen on any of the requested ports: [{}]\n",
            pairs.join(" ")
        );
        put((&mut streams.err, STDERR), &told)?;
        return Ok(Outcome::Code(1));
    };
    serve(&doors, &Pod { guest: &guest, request: &request, name: &ports.pod }, streams, &signals)
        .await
}

/// Where connections lead.
struct Pod<'a> {
    guest: &'a Guest,
    request: &'a Request,
    name: &'a str,
}

impl Pod<'_> {
    /// Leads one connection there; why it is not to be tried again, where that was said.
    async fn lead(
        &self,
        mut stream: TcpStream,
        (local, remote): (u16, u16),
        cancel: &CancellationToken,
    ) -> Option<String> {
        let tunnel = Tunnel { pod: self.name.to_owned(), port: remote };
        let operation = Operation::Tunnel(tunnel);
        let request = Request { notes: Vec::new(), operation, ..self.request.clone() };
        let (mut from, mut to) = stream.split();
        match self.guest.carry(request, (&mut from, &mut to), cancel).await {
            Ok(None) => None,
            Ok(Some(why)) => {
                Some(format!("an error occurred forwarding {local} -> {remote}: {why}"))
            }
            Err(error) => Some(format!(
                "error creating forwarding stream for port {local} -> {remote}: {error}"
            )),
        }
    }
}

/// Asks for the pod and its ports; else how that ended.
async fn find(
    guest: &Guest,
    request: Request,
    streams: &mut Streams,
    cancel: &CancellationToken,
) -> Result<std::result::Result<Ports, Outcome>> {
    let (mut ports, mut told) = (None, Ok(()));
    let outcome = guest
        .perform(
            Task::Kubectl(Box::new(request)),
            &mut |event| match tell(event, streams) {
                Ok(Some(kubectl::Event::Ports(found))) => ports = Some(found),
                Err(error) if told.is_ok() => told = Err(error),
                Ok(_) | Err(_) => {}
            },
            cancel,
        )
        .await?;
    told?;
    Ok(ports.filter(|_| outcome.code() == 0).ok_or(outcome))
}

/// Opens the listeners, and says which; `None` when no port could be listened at as it should.
fn open(ports: &Ports, addresses: &[Listen], streams: &mut Streams) -> Result<Option<Vec<Door>>> {
    let mut doors = Vec::new();
    let mut is_any_open = false;
    for &(mut local, remote) in &ports.pairs {
        let mut troubles = Vec::new();
        let (mut n_local, mut n_local_open, mut is_any_shut) = (0, 0, false);
        for at in addresses {
            n_local += u32::from(at.is_localhost);
            match listen(at.address, local) {
                Ok(listener) => {
                    n_local_open += u32::from(at.is_localhost);
                    // The next address gets the port that was chosen for the first one.
                    local = listener.local_addr().map_err(Error::system)?.port();
                    let place = SocketAddr::new(at.address, local);
                    let told = format!("Forwarding from {place} -> {remote}\n");
                    put((&mut streams.out, STDOUT), &told)?;
                    doors.push(Door { listener, local, remote });
                }
                Err(error) => {
                    is_any_shut |= !at.is_localhost;
                    troubles.push(trouble(SocketAddr::new(at.address, local), &error));
                }
            }
        }
        if (n_local > 0 && n_local_open == 0) || is_any_shut {
            let told = format!(
                "Unable to listen on port {local}: Listeners failed to create with the following \
                 errors: [{}]\n",
                troubles.join(" ")
            );
            put((&mut streams.err, STDERR), &told)?;
        } else {
            is_any_open = true;
        }
    }
    Ok(is_any_open.then_some(doors))
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(WAITING)
}

/// Why there is no listener, in Go's words.
fn trouble(place: SocketAddr, error: &io::Error) -> String {
    let version = if place.is_ipv4() { 4 } else { 6 };
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default().to_lowercase();
    format!("unable to create listener: Error listen tcp{version} {place}: bind: {words}")
}

/// Takes connections and leads them to the pod.
async fn serve(
    doors: &[Door],
    pod: &Pod<'_>,
    streams: &mut Streams,
    signals: &Signals,
) -> Result<Outcome> {
    let mut arrivals: SelectAll<_> = doors.iter().map(Door::arrivals).collect();
    let mut led = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = signals.cancel().cancelled() => return Ok(Outcome::Code(signals.code())),
            Some(arrived) = arrivals.next(), if led.len() < MOST_CONNECTIONS => {
                let (stream, ports) = arrived.map_err(Error::system)?;
                let told = format!("Handling connection for {}\n", ports.0);
                put((&mut streams.out, STDOUT), &told)?;
                led.push(pod.lead(stream, ports, signals.cancel()));
            }
            Some(complaint) = led.next(), if !led.is_empty() => {
                let Some(complaint) = complaint else { continue };
                let text = format!("\"Unhandled Error\" err={complaint:?}");
                let mut told = kubectl::logged('E', "portforward.go:522", &text);
                told.push_str("error: lost connection to pod\n");
                put((&mut streams.err, STDERR), &told)?;
                return Ok(Outcome::Code(1));
            }
        }
    }
}

type Arrived = io::Result<(TcpStream, (u16, u16))>;

impl Door {
    /// The connections that come.
    fn arrivals(&self) -> futures_util::stream::BoxStream<'_, Arrived> {
        let ports = (self.local, self.remote);
        futures_util::stream::unfold(&self.listener, move |listener| async move {
            let arrived = listener.accept().await;
            Some((arrived.map(|(stream, _)| (stream, ports)), listener))
        })
        .boxed()
    }
}
