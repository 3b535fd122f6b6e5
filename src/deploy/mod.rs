//! Deploy: kubectl's operations on a cluster.
