//! Steps that are no HTTP request, as meant.

mod file;
mod build;
mod script;
pub mod proto;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::load::check::Check;
use crate::load::file::AuthFile;
use crate::load::plan::{Origin, Status};
use crate::unit::Span;

pub use build::n_calls;
pub use file::{DnsFile, GrpcFile, TcpFile, WebSocketFile};
pub use script::{CompiledCall, CompiledDeed};

/// A call; its texts are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Where to connect; `None` where something is open already.
    pub origin: Option<Origin>,
    /// True when that is the plan's target.
    pub is_at_target: bool,
    /// The endpoint it is counted under.
    pub endpoint: String,
    /// What limits may name it by.
    pub tags: Vec<String>,
    /// Who calls.
    pub auth: Option<AuthFile>,
    /// Header names in lower case with their value templates.
    pub headers: BTreeMap<String, String>,
    /// Variable → where it is taken from.
    pub save: BTreeMap<String, String>,
    /// What is wanted of the answer.
    pub checks: Vec<Check>,
    /// The statuses that are fine; empty: 0.
    pub status: Vec<Status>,
    /// How long it may take; `None`: the plan's.
    pub timeout: Option<Span>,
    /// What is done.
    pub deed: Deed,
}

/// What a call does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Opens a WebSocket.
    Open {
        /// Path and query; behind the target's base where it goes there.
        path: String,
        /// The subprotocol.
        protocol: Option<String>,
    },
    /// Sends a message over the WebSocket, waits for one, or both.
    Say {
        /// What is sent.
        send: Option<String>,
        /// What the awaited message holds.
        expect: Option<String>,
    },
    /// Closes the WebSocket.
    Close(u16),
    /// A unary call.
    Grpc {
        /// The service, with its package.
        service: String,
        /// The method.
        method: String,
        /// The message.
        message: Value,
        /// True when the server is asked what the method is.
        is_reflected: bool,
    },
    /// A query.
    Dns {
        /// The name.
        name: String,
        /// The type of the records.
        kind: String,
        /// True for TCP.
        is_tcp: bool,
    },
    /// A connection of plain TCP.
    Tcp {
        /// What is sent.
        send: Option<String>,
        /// What must come.
        expect: Option<String>,
        /// True when the connection stays.
        is_kept: bool,
    },
}

/// The codes of gRPC.
pub const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The response codes of DNS that have a name here.
pub const DNS_CODES: [&str; 6] =
    ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// The name of a code.
pub fn code_name(names: &[&str], code: u16) -> String {
    let name = names.get(usize::from(code));
    name.map_or_else(|| code.to_string(), |name| (*name).to_owned())
}
