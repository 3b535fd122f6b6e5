//! From calls as written to calls as meant.

use std::collections::BTreeMap;

use crate::load::call::{Call, DNS_CODES, Deed, GRPC_CODES};
use crate::load::check;
use crate::load::error::suggest;
use crate::load::file::StepFile;
use crate::load::plan::{Action, LONGEST_TIMEOUT, Origin, Scheme, Status};
use crate::load::steps::{Steps, TIMEOUTS};
use crate::load::template::squeeze;
use crate::load::url;

/// The types of records that can be asked for.
const KINDS: [&str; 14] = [
    "A", "AAAA", "ANY", "CAA", "CNAME", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB",
    "TXT",
];

/// How many calls a step makes: one at most is right.
pub fn n_calls(file: &StepFile) -> usize {
    let are_there =
        [file.websocket.is_some(), file.grpc.is_some(), file.dns.is_some(), file.tcp.is_some()];
    are_there.into_iter().filter(|is_there| *is_there).count()
}

/// What a kind of call may have beside it.
#[derive(Debug, Clone, Copy)]
struct Takes {
    kind: &'static str,
    json: bool,
    headers: bool,
    codes: &'static [&'static str],
}

impl Steps<'_> {
    /// Builds the step's call.
    pub fn call(&mut self, key: &str, file: &StepFile) -> Action {
        let built = if file.websocket.is_some() {
            self.websocket(key, file)
        } else if file.grpc.is_some() {
            self.grpc(key, file)
        } else if file.dns.is_some() {
            self.dns(key, file)
        } else {
            self.tcp(key, file)
        };
        let Some((origin, name, deed, takes)) = built else { return Action::Group(Vec::new()) };
        self.foreign(key, file, takes);
        let name = match &file.name {
            Some(name) => {
                let verb = name_of(takes.kind);
                format!("{verb} {}", name.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            None => name,
        };
        if file.timeout.is_some_and(|span| span.0.is_zero() || span.0 > LONGEST_TIMEOUT) {
            self.mistakes.add(format!("{key}.timeout"), TIMEOUTS);
        }
        for name in file.save.keys() {
            self.variable(&format!("{key}.save"), name);
        }
        let headers = if takes.headers { self.all_headers(file) } else { BTreeMap::default() };
        let own = [
            file.websocket.as_ref().and_then(|own| own.connect.as_ref()),
            file.grpc.as_ref().and_then(|own| own.at.as_ref()),
            file.dns.as_ref().and_then(|own| own.server.as_ref()),
            file.tcp.as_ref().and_then(|own| own.connect.as_ref()),
        ];
        let mut written = own.into_iter().flatten();
        Action::Call(Box::new(Call {
            origin,
            is_at_target: written.all(|text| is_path(text)),
            endpoint: name,
            tags: self.tags.clone(),
            auth: file.auth.as_ref().or(self.auth).filter(|_| takes.headers).cloned(),
            headers,
            save: file.save.clone(),
            checks: file.check.as_ref().map(check::checks).unwrap_or_default(),
            status: self.codes(key, file, takes.codes),
            timeout: file.timeout,
            deed,
        }))
    }

    /// Tells what belongs to other kinds of steps.
    fn foreign(&mut self, key: &str, file: &StepFile, takes: Takes) {
        let check = file.check.as_ref();
        for (name, is_there) in [
            ("json", file.json.is_some() && !takes.json),
            ("form", !file.form.is_empty()),
            ("body", file.body.is_some()),
            ("upload", file.upload.is_some()),
            ("multipart", !file.multipart.is_empty()),
            ("headers", !file.headers.is_empty() && !takes.headers),
            ("auth", file.auth.is_some() && !takes.headers),
            ("check.header", check.is_some_and(|check| !check.header.is_empty()) && !takes.headers),
            (
                "check.status",
                check.is_some_and(|check| check.status.is_some()) && takes.codes.is_empty(),
            ),
        ] {
            if is_there {
                self.mistakes.add(
                    format!("{key}.{name}"),
                    format!("a step of `{}` has no such thing: leave it out", takes.kind),
                );
            }
        }
    }

    fn codes(&mut self, key: &str, file: &StepFile, names: &[&str]) -> Vec<Status> {
        let written = file.check.as_ref().and_then(|check| check.status.as_ref());
        let mut codes = Vec::new();
        for text in written.iter().flat_map(|list| &list.0).filter(|_| !names.is_empty()) {
            let upper = text.to_uppercase();
            let at = names.iter().position(|name| *name == upper);
            let at = at.and_then(|at| u16::try_from(at).ok()).or_else(|| text.parse().ok());
            match at {
                Some(code) => codes.push(Status { lo: code, hi: code }),
                None => self.mistakes.add(
                    format!("{key}.check.status"),
                    format!("`{text}` is no status here: {}", suggest(&upper, names)),
                ),
            }
        }
        codes
    }

    fn websocket(
        &mut self,
        key: &str,
        file: &StepFile,
    ) -> Option<(Option<Origin>, String, Deed, Takes)> {
        let own = file.websocket.as_ref()?;
        let is_open = own.connect.is_some();
        let takes = Takes { kind: "websocket", json: false, headers: is_open, codes: &[] };
        let key = format!("{key}.websocket");
        let says = own.send.is_some() || own.expect.is_some();
        let deeds = [is_open, says, own.close.is_some()];
        if deeds.iter().filter(|is_there| **is_there).count() != 1 {
            let text =
                "it needs one of `connect`, `send` and `expect`, or `close`: make more steps";
            self.mistakes.add(key, text);
            return None;
        }
        if own.protocol.is_some() && !is_open {
            self.mistakes.add(format!("{key}.protocol"), "it belongs to `connect`");
        }
        if let Some(path) = &own.connect {
            let (origin, rest) = self.place(&format!("{key}.connect"), path, Scheme::Ws)?;
            let name = format!("WS {}", squeeze(path));
            let deed = Deed::Open { path: rest, protocol: own.protocol.clone() };
            return Some((Some(origin), name, deed, takes));
        }
        if let Some(code) = own.close {
            if !(1000..5000).contains(&code) {
                self.mistakes.add(format!("{key}.close"), "use a code such as 1000");
            }
            return Some((None, "WS close".to_owned(), Deed::Close(code), takes));
        }
        let name = if own.send.is_some() { "WS send" } else { "WS receive" };
        let deed = Deed::Say { send: own.send.clone(), expect: own.expect.clone() };
        Some((None, name.to_owned(), deed, takes))
    }

    fn grpc(
        &mut self,
        key: &str,
        file: &StepFile,
    ) -> Option<(Option<Origin>, String, Deed, Takes)> {
        let own = file.grpc.as_ref()?;
        let takes = Takes { kind: "grpc", json: true, headers: true, codes: &GRPC_CODES };
        let at = own.at.as_deref().unwrap_or_default();
        let (origin, rest) = self.place(&format!("{key}.grpc.at"), at, Scheme::Grpc)?;
        if !rest.is_empty() && rest != "/" {
            self.mistakes.add(format!("{key}.grpc.at"), "gRPC has no path: name host and port");
        }
        let call = own.call.trim_start_matches('/');
        let Some((service, method)) =
            call.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty())
        else {
            let text = format!("`{call}` is no method: use `package.Service/Method`");
            self.mistakes.add(format!("{key}.grpc.call"), text);
            return None;
        };
        if own.proto.is_none() && !own.imports.is_empty() {
            self.mistakes.add(format!("{key}.grpc.imports"), "it belongs to `proto`");
        }
        if let Some(proto) = &own.proto {
            let added = self.protos.add(proto, &own.imports, self.files);
            let known = added.and_then(|()| self.protos.check(service, method));
            if let Err((part, text)) = known {
                self.mistakes.add(format!("{key}.grpc.{part}"), text);
            }
        }
        let deed = Deed::Grpc {
            service: service.to_owned(),
            method: method.to_owned(),
            message: file.json.clone().unwrap_or_else(|| serde_json::json!({})),
            is_reflected: own.proto.is_none(),
        };
        Some((Some(origin), format!("GRPC {call}"), deed, takes))
    }

    fn dns(&mut self, key: &str, file: &StepFile) -> Option<(Option<Origin>, String, Deed, Takes)> {
        let own = file.dns.as_ref()?;
        let takes = Takes { kind: "dns", json: false, headers: false, codes: &DNS_CODES };
        let server = own.server.as_deref().unwrap_or_default();
        let (origin, _) = self.place(&format!("{key}.dns.server"), server, Scheme::Dns)?;
        if own.name.is_empty() {
            self.mistakes.add(format!("{key}.dns.name"), "it is missing: which name is asked for?");
        }
        let kind = own.kind.as_deref().unwrap_or("A").to_uppercase();
        if !KINDS.contains(&kind.as_str()) {
            let text = format!("`{kind}` is no type of records: {}", suggest(&kind, &KINDS));
            self.mistakes.add(format!("{key}.dns.type"), text);
        }
        let name = format!("DNS {kind} {}", squeeze(&own.name));
        let deed = Deed::Dns { name: own.name.clone(), kind, is_tcp: own.tcp };
        Some((Some(origin), name, deed, takes))
    }

    fn tcp(&mut self, key: &str, file: &StepFile) -> Option<(Option<Origin>, String, Deed, Takes)> {
        let own = file.tcp.as_ref()?;
        let takes = Takes { kind: "tcp", json: false, headers: false, codes: &[] };
        let at = own.connect.as_deref().unwrap_or_default();
        let (origin, _) = self.place(&format!("{key}.tcp.connect"), at, Scheme::Tcp)?;
        let name = format!("TCP {origin}");
        let (send, expect) = (own.send.clone(), own.expect.clone());
        let deed = Deed::Tcp { send, expect, is_kept: own.keep };
        Some((Some(origin), name, deed, takes))
    }

    /// Returns where a call goes, and the path after it: at a URL or host of its own, or at the
    /// target; `scheme` is the kind's without TLS.
    fn place(&mut self, key: &str, text: &str, scheme: Scheme) -> Option<(Origin, String)> {
        let secure = scheme.secured();
        if is_path(text) {
            let own = self.target.origin.clone();
            let fits = match (own.scheme, scheme) {
                (Scheme::Dns, Scheme::Dns) | (Scheme::Tcp | Scheme::Tls, Scheme::Tcp) => true,
                (Scheme::Dns | Scheme::Tcp | Scheme::Tls, _) | (_, Scheme::Dns | Scheme::Tcp) => {
                    false
                }
                _ => true,
            };
            if !fits {
                let text =
                    format!("the target is no such server: say where, `{scheme}://host:port`");
                self.mistakes.add(key, text);
                return None;
            }
            let plain = Origin { scheme, ..own.clone() };
            return Some((plain.moved_to(&own), text.to_owned()));
        }
        let url = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        match url::split_by(&url, &[scheme, secure]) {
            Ok((origin, _)) if origin.port == 0 => {
                self.mistakes.add(key, format!("`{text}` needs its port"));
                None
            }
            Ok((origin, rest)) => Some((origin, rest.to_owned())),
            Err(error) => {
                self.mistakes.add(key, error.to_string());
                None
            }
        }
    }
}

/// True for what belongs to the target.
fn is_path(text: &str) -> bool {
    text.is_empty() || text.starts_with(['/', '?']) || text.starts_with("{{")
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "websocket" => "WS",
        "grpc" => "GRPC",
        "dns" => "DNS",
        _ => "TCP",
    }
}
