//! From `http:` and `tls:` as written, and the command line, to how connections are made.

use crate::job::Vars;
use crate::load::connection_file::{HttpFile, TlsFile, is_inline};
use crate::load::error::Mistakes;
use crate::load::plan::{Http, Overrides, Tls, Version, Written};
use crate::load::proxy::Proxy;
use crate::load::worker::tls_mistakes;
use crate::secret::Secret;

/// More users do not share a connection.
const STREAMS: u32 = 256;

/// Returns how HTTP is spoken.
pub fn http(
    file: Option<&HttpFile>,
    overrides: &Overrides,
    vars: &dyn Vars,
    mistakes: &mut Mistakes,
) -> Http {
    let file = file.cloned().unwrap_or_default();
    let version = overrides.http.or(file.version).unwrap_or_default();
    let streams = overrides.streams.or(file.streams);
    let key = if overrides.streams.is_some() { "--streams" } else { "http.streams" };
    if streams.is_some_and(|n| n == 0 || n > STREAMS) {
        mistakes.add(key, format!("use 1 to {STREAMS} streams"));
    }
    if streams.is_some_and(|n| n > 1) && version == Version::One {
        mistakes.add(key, "it belongs to HTTP/2: `http: { version: 2, streams: 10 }`");
    }
    let proxy = Proxy::build(&file, overrides, vars, mistakes);
    Http { version, streams: streams.unwrap_or(1).clamp(1, STREAMS), proxy }
}

/// Returns how TLS is spoken; files are among those that the plan was read with.
pub fn tls(written: &Written, overrides: &Overrides, mistakes: &mut Mistakes) -> Tls {
    let file = written.tls.clone().unwrap_or_default();
    let own = |text: Option<String>, over: &Option<String>| {
        // The command line gives texts, the file names of files.
        over.clone().or_else(|| {
            let text = text?;
            Some(if is_inline(&text) { text } else { written.files.get(&text).cloned()? })
        })
    };
    let over = &overrides.tls;
    let tls = Tls {
        ca: own(file.ca, &over.ca),
        certificate: own(file.certificate, &over.certificate),
        key: own(file.key, &over.key).map(Secret::new),
        server_name: over.server_name.clone().or(file.server_name),
        is_insecure: over.insecure.or(file.insecure).unwrap_or(false),
    };
    for (key, text) in tls_mistakes(&tls) {
        mistakes.add(place(over, key), text);
    }
    tls
}

/// Where a key of `tls:` was written.
fn place(over: &TlsFile, key: &str) -> String {
    let (flag, is_there) = match key {
        "ca" => ("--ca-file", over.ca.is_some()),
        "certificate" => ("--cert-file", over.certificate.is_some()),
        "key" => ("--key-file", over.key.is_some()),
        "server-name" => ("--server-name", over.server_name.is_some()),
        _ => ("--insecure", over.insecure.is_some()),
    };
    if is_there { flag.to_owned() } else { format!("tls.{key}") }
}
