//! Bodies that are made or read from files, and parts of several.

use super::support::{Server, plan, run, text};

const LOAD: &str = "target: http://127.0.0.1:$PORT\n\
    load: { users: 2, spawn-rate: 1000, duration: 300ms, think: 10ms, timeout: 5s }\n";

#[tokio::test]
async fn bodies_are_made_read_and_put_together() {
    let server = Server::http(|asked| {
        let body = &asked.body;
        let is_right = match asked.line.as_str() {
            "POST /random" => body.len() > 3_000_000,
            "POST /zero" => body == &"\0".repeat(2000),
            "POST /pattern" => body.starts_with("abcdefghijklmnopqrstuvwxyz0123456789a"),
            "POST /file" => asked.headers["content-type"] == "image/x" && body.ends_with("\0x"),
            "POST /parts" => {
                let kind = asked.headers["content-type"].to_str().unwrap();
                let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
                let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
                assert_eq!(parts.len(), 5, "{body}");
                parts[1].contains("name=\"a\"; filename=\"b.bin\"\r\ncontent-type: image/x\r\n\r\n")
                    && parts[2].ends_with("name=\"b\"\r\n\r\nuser 1\r\n")
                        | parts[2].ends_with("name=\"b\"\r\n\r\nuser 2\r\n")
                    && parts[3].contains("filename=\"c.zip\"")
                    && parts[3].len() > 500
                    && parts[4] == "--\r\n"
            }
            _ => false,
        };
        text(if is_right { 200 } else { 400 }, "")
    })
    .await;
    let steps = "{ post: /random, upload: { size: 4MiB } },\
        { post: /zero, upload: { size: 2000B, fill: zero } },\
        { put: /pattern, upload: { size: 1KiB, fill: pattern } },\
        { post: /file, upload: { file: b.bin, type: image/x } },\
        { post: /parts, multipart: { a: { file: b.bin, type: image/x }, b: 'user {{ vu() }}',\
          c: { size: 500B, name: c.zip } } }";
    let steps = steps.replace("put: /pattern", "post: /pattern");
    let yaml = format!("{LOAD}journeys: [{{ steps: [{steps}] }}]");
    let summary = run(&plan(&yaml, server.port)).await.summary;
    assert!(summary.requests.count > 0 && summary.errors.is_empty(), "{:?}", summary.errors);
    let sent = &summary.endpoints[0];
    assert_eq!(sent.bytes.sent, (4 << 20) * sent.requests.count);
}
