//! Calls compiled: templates read, the endpoint numbered.

use http::HeaderName;

use crate::load::call::{Call, Deed};
use crate::load::plan::Origin;
use crate::load::script::{CompiledHeader, Compiler, Protocol, Want};
use crate::load::template::{Template, Tree};

/// A call, ready to be made.
#[derive(Debug)]
pub struct CompiledCall {
    /// Where to connect; `None` where something is open already.
    pub origin: Option<Origin>,
    /// True when that is the plan's target.
    pub is_at_target: bool,
    /// What is wanted of the answer, and how it is counted.
    pub want: Want,
    /// Headers, metadata.
    pub headers: Vec<(HeaderName, CompiledHeader)>,
    /// What is done.
    pub deed: CompiledDeed,
}

/// What a call does, ready to be done.
#[derive(Debug)]
pub enum CompiledDeed {
    /// Opens a WebSocket at a path, with a subprotocol.
    Open(Template, Option<String>),
    /// Sends a message over it, waits for one that holds a text, or both.
    Say(Option<Template>, Option<Template>),
    /// Closes it.
    Close(u16),
    /// Calls a method with a message.
    Grpc {
        /// `shop.Cart`.
        service: String,
        /// `AddItem`.
        method: String,
        /// The message.
        message: Tree,
    },
    /// Asks for a name.
    Dns {
        /// The name.
        name: Template,
        /// The type of the records.
        kind: String,
        /// True for TCP.
        is_tcp: bool,
    },
    /// Connects; sends, waits for a text, leaves the connection open.
    Tcp(Option<Template>, Option<Template>, bool),
}

impl Compiler<'_> {
    /// Compiles a call.
    pub fn call(&mut self, key: &str, call: &Call) -> CompiledCall {
        let mut optional =
            |key: String, text: &Option<String>| text.as_ref().map(|text| self.template(key, text));
        let (protocol, deed) = match &call.deed {
            Deed::Open { path, protocol } => {
                let path = self.template(format!("{key}.websocket.connect"), path);
                (Protocol::Stream, CompiledDeed::Open(path, protocol.clone()))
            }
            Deed::Say { send, expect } => {
                let send = optional(format!("{key}.websocket.send"), send);
                let expect = optional(format!("{key}.websocket.expect"), expect);
                (Protocol::Stream, CompiledDeed::Say(send, expect))
            }
            Deed::Close(code) => (Protocol::Stream, CompiledDeed::Close(*code)),
            Deed::Grpc { service, method, message, .. } => {
                let message = self.tree(format!("{key}.json"), message);
                let (service, method) = (service.clone(), method.clone());
                (Protocol::Grpc, CompiledDeed::Grpc { service, method, message })
            }
            Deed::Dns { name, kind, is_tcp } => {
                let name = self.template(format!("{key}.dns.name"), name);
                let (kind, is_tcp) = (kind.clone(), *is_tcp);
                (Protocol::Dns, CompiledDeed::Dns { name, kind, is_tcp })
            }
            Deed::Tcp { send, expect, is_kept } => {
                let send = optional(format!("{key}.tcp.send"), send);
                let expect = optional(format!("{key}.tcp.expect"), expect);
                (Protocol::Stream, CompiledDeed::Tcp(send, expect, *is_kept))
            }
        };
        let headers = self.headers(key, &call.headers, call.auth.as_ref());
        let parts = (&call.save, call.checks.as_slice());
        let mut want = self.want(key, call.endpoint.clone(), &call.tags, parts);
        want.protocol = protocol;
        want.status.clone_from(&call.status);
        want.timeout = self.timeout(call.timeout);
        let (origin, is_at_target) = (call.origin.clone(), call.is_at_target);
        CompiledCall { origin, is_at_target, want, headers, deed }
    }
}
