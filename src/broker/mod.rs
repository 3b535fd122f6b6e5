//! Tasks over the socket: a job's guest asks, the driver decides by the profile and acts.
//!
//! On a laptop, with no socket around, the same code performs a task in-process with the user's
//! own rights: there is one implementation of each tool.

mod protocol;
mod records;
mod rights;
mod guest;
mod serve;
mod perform;
mod tunnel;
mod load;
mod gate;
mod baseline;
mod verdict;
mod watch;
mod kubectl;
mod deploy;
mod variable;

pub use guest::{ask, carried};
pub use perform::perform;
pub use protocol::Event;
pub use rights::{Desk, Own, Rights, own_worker};
pub use serve::Broker;
pub use tunnel::{Ends, carry};

use std::path::Path;

/// Forgets the loads of pipelines that ended long ago.
pub fn forget_old_records(state: &Path) {
    records::Records::forget_old(state);
}
