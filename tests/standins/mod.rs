//! What tests and the demo cannot have, as servers on loopback: used by the `standins` program,
//! and in-process by the integration tests.

#![allow(dead_code, unused_imports, reason = "the program and the tests each use a part of it")]

pub mod cart;
pub mod server;
pub mod shop;
pub mod speakers;
pub mod wavefront;
pub mod backends;
pub mod gitlab;
pub mod runner;
