//! The whole program, through its binary: against an emulated runner, real servers and a real
//! Kubernetes control plane.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests stop at the first surprise"
)]

#[path = "../standins/mod.rs"]
mod standins;
#[macro_use]
mod support;

mod protocol;
mod stops;
mod leftovers;
mod artifacts;
mod scripts;
mod caches;
mod tools;
mod hardships;
mod docker;
mod registry;
mod containers;
mod kills;
mod crowd;
mod pipes;
mod policy;
mod guest;
mod forwards;
mod gate;
mod gate_sources;
mod baselines;
mod pod_metrics;
mod project_variables;
mod bad_input;
mod plans;
mod load_protocols;
mod load_presets;
mod load_hostile;
mod doctor;
mod kubectl;
mod kubectl_asked;
mod kubectl_pods;
mod deploy;
mod deploy_pods;
mod deploy_ready;
mod deploy_verified;
mod deploy_hardships;
mod line;
mod tried;
