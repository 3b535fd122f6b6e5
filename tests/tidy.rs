//! The architecture as a table: imports point down only.
