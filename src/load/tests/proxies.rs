//! Proxies on the way, and tokens that servers give: right ones, wrong ones, renewed in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::TcpStream;

use super::support::{Asked, Server, plan, run, text};

/// Connects where it is asked to; wants a name and a password. Tells how often it was asked.
async fn proxy() -> (Server, Arc<AtomicUsize>) {
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_asked);
    let server = Server::raw(move |stream: TcpStream| {
        let counter = Arc::clone(&counter);
        async move {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).await.is_err() {
                    return;
                }
            }
            if !head.contains("proxy-authorization: Basic bWU6cHc=\r\n") {
                let no = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(no).await);
                return;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            let Some(to) = to else { return };
            let Ok(mut target) = TcpStream::connect(to).await else {
                drop(stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await);
                return;
            };
            drop(stream.write_all(b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n").await);
            drop(copy_bidirectional(&mut stream, &mut target).await);
        }
    })
    .await;
    (server, n_asked)
}

const LOAD: &str =
    "load: { users: 2, spawn-rate: 1000, duration: 300ms, think: 20ms, timeout: 2s }\n";

#[tokio::test]
async fn requests_go_through_a_tunnel_unless_the_host_is_excepted() {
    let server = Server::http(|_| text(200, "")).await;
    let (proxy, n_asked) = proxy().await;
    let drive = async |http: &str, target: u16| {
        let yaml = format!(
            "target: http://localhost:{target}\nhttp: {{ {http} }}\n{LOAD}\
             journeys: [{{ steps: [{{ get: / }}] }}]"
        );
        run(&plan(&yaml, proxy.port)).await.summary
    };
    let own = format!("proxy: 'http://me:pw@127.0.0.1:{}'", proxy.port);
    let summary = drive(&own, server.port).await;
    assert!(summary.requests.count > 0 && summary.errors.is_empty(), "{:?}", summary.errors);
    assert_eq!(n_asked.swap(0, Ordering::SeqCst), 2);
    assert_eq!(server.asked.lock().unwrap()[0].line, "GET /");
    let summary = drive(&format!("{own}, no-proxy: [localhost]"), server.port).await;
    assert_eq!((summary.errors.len(), n_asked.load(Ordering::SeqCst)), (0, 0));
    let nobody = format!("proxy: 'http://127.0.0.1:{}'", proxy.port);
    let summary = drive(&nobody, server.port).await;
    assert!(summary.errors[0].text.contains("it wants a name and a password"), "{summary:?}");
    let summary = drive(&own, 1).await;
    assert!(summary.errors[0].text.contains("status 502 for 127.0.0.1:1"), "{summary:?}");
    assert!(summary.unreachable);
}

#[tokio::test]
async fn plain_http_is_forwarded_where_the_plan_says_so() {
    let proxy = Server::http(|asked: &Asked| {
        let is_right = asked.line == "GET http://shop.example:81/x"
            && asked.headers["host"] == "shop.example:81"
            && asked.headers["proxy-authorization"] == "Basic bWU6cHc=";
        text(if is_right { 200 } else { 400 }, "")
    })
    .await;
    let yaml = format!(
        "target: http://shop.example:81\n\
         http: {{ proxy: 'http://me:pw@127.0.0.1:$PORT', forward: true }}\n{LOAD}\
         journeys: [{{ steps: [{{ get: /x }}] }}]"
    );
    let summary = run(&plan(&yaml, proxy.port)).await.summary;
    assert!(summary.requests.count > 0 && summary.errors.is_empty(), "{:?}", summary.errors);
}

const OAUTH: &str = "target: http://127.0.0.1:$PORT\n\
    load: { users: 2, spawn-rate: 1000, duration: 2500ms, think: 20ms, timeout: 2s }\n\
    journeys: [{ auth: { oauth: { token-url: 'http://127.0.0.1:$PORT/token', client-id: dyno,\n\
      client-secret: '{{ env.API_TOKEN }}', scope: a b } }, steps: [{ get: /x }] }]";

#[tokio::test]
async fn a_token_is_fetched_once_shared_and_renewed_before_it_ends() {
    let n_tokens = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_tokens);
    let server = Server::http(move |asked| {
        if asked.line == "POST /token" {
            let form =
                "grant_type=client_credentials&client_id=dyno&client_secret=s3cret%20t&scope=a%20b";
            assert_eq!(asked.body, form);
            let n = counter.fetch_add(1, Ordering::SeqCst);
            return text(200, &format!("{{\"access_token\":\"t{n}\",\"expires_in\":2}}"));
        }
        let shown = asked.headers["authorization"].to_str().unwrap();
        let now = format!("Bearer t{}", counter.load(Ordering::SeqCst) - 1);
        let before = format!("Bearer t{}", counter.load(Ordering::SeqCst).saturating_sub(2));
        text(if shown == now || shown == before { 200 } else { 401 }, "")
    })
    .await;
    let yaml = OAUTH.replace("$PORT/token", &format!("{}/token", server.port));
    let summary = run(&plan(&yaml, server.port)).await.summary;
    assert!(summary.requests.count > 0 && summary.errors.is_empty(), "{:?}", summary.errors);
    assert_eq!((summary.endpoints.len(), summary.endpoints[0].name.as_str()), (1, "GET /x"));
    assert_eq!(n_tokens.load(Ordering::SeqCst), 2, "after 1.6 of 2 s it is renewed, once");
}

#[tokio::test]
async fn a_refused_token_is_told_and_no_secret_with_it() {
    let refusal = "{\"error\":\"invalid_client\",\"error_description\":\"no client s3cret t\"}";
    let server = Server::http(|_| text(401, refusal)).await;
    let yaml = OAUTH.replace("$PORT/token", &format!("{}/token", server.port));
    let summary = run(&plan(&yaml, server.port)).await.summary;
    let told = format!("{:?}", summary.reasons);
    assert!(told.contains("no OAuth token from 127.0.0.1"), "{told}");
    assert!(told.contains("status 401 no client [MASKED]") && !told.contains("s3cret"), "{told}");
    assert_eq!(summary.requests.count, 0);
}
