//! Tasks over the socket: the guest asks, the driver acts.
