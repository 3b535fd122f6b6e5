//! Steps that are no HTTP request, as written: WebSocket, gRPC, DNS, TCP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `websocket:`, one deed with the user's WebSocket: open it, say something and wait for an answer,
/// close it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WebSocketFile {
    /// Opens it at this path of the target, or at a `ws://` or `wss://` URL; one that is open is
    /// closed.
    pub connect: Option<String>,
    /// With `connect`: the subprotocol to ask for.
    pub protocol: Option<String>,
    /// Sends a text message.
    pub send: Option<String>,
    /// Waits for the first message that holds this text; what comes before it is passed over.
    /// Without it, and with something to save or check, the next message is taken.
    pub expect: Option<String>,
    /// Closes it with this code; 1000 is the usual one.
    pub close: Option<u16>,
}

/// `grpc:`, a unary call; its message is the step's `json`, its metadata the step's `headers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GrpcFile {
    /// Service and method: `shop.Cart/AddItem`.
    pub call: String,
    /// Where, in place of the target: `grpc://host:port` or `grpcs://host`.
    pub at: Option<String>,
    /// The file that defines the service, by its path from the plan's file; without it the server
    /// is asked (reflection).
    pub proto: Option<String>,
    /// Files that the proto file imports, by their paths from the plan's file; an import is met by
    /// the one whose path ends with it.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub imports: Vec<String>,
}

/// `dns:`, a query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DnsFile {
    /// The name that is asked for.
    pub name: String,
    /// The type of the records; `A` when left out.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The server, in place of the target: `10.0.0.53`, `dns://ns.example:5353`.
    pub server: Option<String>,
    /// Asks over TCP.
    pub tcp: bool,
}

/// `tcp:`, a connection of plain TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TcpFile {
    /// Where, in place of the target: `host:port`, `tcp://host:port`, or `tls://host:port`.
    pub connect: Option<String>,
    /// What is sent once it is connected.
    pub send: Option<String>,
    /// Reads until this text has come. Without it, and with something to save or check, whatever
    /// comes first is taken.
    pub expect: Option<String>,
    /// Leaves the connection open for the user's next step of the same kind.
    pub keep: bool,
}
