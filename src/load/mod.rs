//! Load generation: drives virtual users at a target and measures what they saw.
