//! GitLab's custom executor protocol: config, prepare, run, cleanup.
