//! `dyno deploy`: pre-flight, waves of server-side apply, tracking that tells doomed from slow,
//! evidence, rollback, pruning by inventory.

mod plan;
mod event;
mod locate;
mod source;
mod waves;
mod limit;
mod desk;
mod removed;
mod resolve;
mod references;
mod quota;
mod rights;
mod owners;
mod refusal;
mod apply;
mod diff;
mod listed;
mod survey;
mod progress;
mod containers;
mod images;
mod pods;
mod scene;
mod store;
mod follow;
mod evidence;
mod undo;
mod inventory;
mod lease;
mod address;
mod outcome;
mod run;
mod stages;
mod ending;

pub use event::{
    Action, Change, Ended, Event, Evidence, Finding, Log, ObjectSummary, Severity, State, Summary,
    Topic, Undone,
};
pub use locate::Place;
pub use plan::{Conflicts, Mode, OnFailure, Plan, Track, is_name};
pub use run::{Verified, Verify, World, run};
pub use source::Sources;
