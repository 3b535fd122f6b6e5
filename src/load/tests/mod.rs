//! The engine against servers on loopback, worker and coordinator in one process.

pub mod support;
mod plans;
mod journeys;
mod hostile;
pub mod mutants;
mod models;
mod presets;
mod http2;
mod tls;
mod calls;
mod course;
mod grpc_server;
mod bodies;
mod proxies;
mod honesty;
mod soak;
