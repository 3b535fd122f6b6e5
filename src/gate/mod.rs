//! The metric gate: asks metric sources what the infrastructure did, and judges it.
