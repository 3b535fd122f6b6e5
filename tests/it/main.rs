//! The whole program, through its binary.
