//! `dyno try`: a pipeline file run on this machine through the driver's own verbs.
