//! The way to GitLab of a job without network.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{Bench, Driver, alone, as_both, until};
use crate::environment::{Relay, ScriptEnd, relay};

/// A server on the host that greets once a connection; gone with the process.
fn gitlab() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            std::thread::spawn(move || {
                let mut line = String::new();
                BufReader::new(&connection).read_line(&mut line).unwrap();
                write!(connection, "gitlab heard {line}").unwrap();
            });
        }
    });
    address
}

async fn with_relay(bench: &mut Bench, host: &str, port: u16, script: &str) -> super::Ran {
    let socket = bench.spec.folder.join("relay.sock");
    std::fs::remove_file(&socket).ok();
    let listener = UnixListener::bind(&socket).unwrap();
    bench.relay = Some(Relay { host: host.to_owned(), port, socket });
    let done = CancellationToken::new();
    // The first address answers nothing: the next one is tried.
    let to = vec![SocketAddr::from(([127, 0, 0, 1], 1)), gitlab()];
    let (ran, served) = tokio::join!(
        async {
            let ran = bench.run(script).await;
            done.cancel();
            ran
        },
        relay::serve(listener, to, &done)
    );
    served.unwrap();
    ran
}

#[test]
fn a_job_without_network_reaches_gitlab_and_nothing_else() {
    as_both(|mut bench| async move {
        bench.prepare().await;
        for (host, port) in [
            ("gitlab.example.com", 80),
            ("gitlab.example.com", 443),
            ("gitlab", 8929),
            ("localhost", 8080),
            ("127.0.0.1", 80),
            ("127.0.0.1", 4433),
        ] {
            let other = port + 1;
            let script = format!(
                "exec 5<>/dev/tcp/{host}/{port}; echo hello >&5; head -1 <&5; \
                 (: </dev/tcp/{host}/{other}) 2>/dev/null && echo reached; \
                 grep Cap /proc/self/status | sort -u -k2 | grep -cv 0000000000000000; exit 7"
            );
            let ran = with_relay(&mut bench, host, port, &script).await;
            assert_eq!(ran.said, "gitlab heard hello\n0\n", "{host}:{port}");
            assert_eq!(ran.end, ScriptEnd::Exited(7));
        }
    });
}

#[test]
fn several_connections_are_carried_at_once() {
    as_both(|mut bench| async move {
        bench.prepare().await;
        let script = "for i in 5 6 7; do eval \"exec $i<>/dev/tcp/gitlab/80\"; done; \
            for i in 7 6 5; do echo $i >&$i; head -1 <&$i; done";
        let ran = with_relay(&mut bench, "gitlab", 80, script).await;
        assert_eq!(ran.said, "gitlab heard 7\ngitlab heard 6\ngitlab heard 5\n");
    });
}

#[test]
fn a_cancel_leaves_the_relay_to_the_trap() {
    alone(Driver::Root, |mut bench| async move {
        bench.prepare().await;
        let script = "trap 'exec 5<>/dev/tcp/gitlab/80; echo bye >&5; head -1 <&5; exit 1' TERM; \
            sh -c 'echo ready; exec sleep 1000'";
        let socket = bench.spec.folder.join("relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        bench.relay = Some(Relay { host: "gitlab".to_owned(), port: 80, socket });
        let (cancel, done) = (CancellationToken::new(), CancellationToken::new());
        let (ran, served, ()) = tokio::join!(
            async {
                let ran = bench.run_until(script, &cancel).await;
                done.cancel();
                ran
            },
            relay::serve(listener, vec![gitlab()], &done),
            async {
                bench.heard("ready").await;
                cancel.cancel();
            }
        );
        served.unwrap();
        let ran = ran.unwrap();
        assert_eq!(ran.end, ScriptEnd::Cancelled);
        assert!(ran.said.ends_with("gitlab heard bye\n"), "{}", ran.said);
        until(|| bench.n_inmates() == 0).await;
    });
}

#[test]
fn an_address_that_cannot_be_relayed_is_refused_with_the_way_out() {
    alone(Driver::User, |mut bench| async move {
        bench.prepare().await;
        let socket = bench.spec.folder.join("relay.sock");
        for (host, words) in [
            ("10.1.2.3", "a job without network cannot reach GitLab at the address 10.1.2.3"),
            ("[2001:db8::1]", "at the address 2001:db8::1"),
            ("gitlab\n0.0.0.0 evil", "is not a host name"),
        ] {
            bench.relay = Some(Relay { host: host.to_owned(), port: 80, socket: socket.clone() });
            let error = bench.run_until("true", &CancellationToken::new()).await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint().unwrap().contains("network: host"));
        }
    });
}
