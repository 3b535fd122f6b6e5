//! Deploying: `kubectl` as pipelines use it, and what it stands on. Unaware of GitLab and of dyno's
//! other tools.

pub mod manifest;
pub mod jsonpath;
pub mod gotemplate;
pub mod merge;
pub mod security;
pub mod cluster;
pub mod kubectl;
pub mod release;
