//! The HTTP side of a node over real rooms: SQLite, folders, a listener and a client; only the clock is simulated.

// The handlers' futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod access;
mod clubs;
mod covers;
mod live;
mod media;
mod monitor;
mod node;
mod nodes;
mod operators;
mod readers;
mod routes;
mod server;
mod srs;
mod tls;
