//! The HTTP side of a node over real rooms: SQLite, folders, a listener and a client; only the clock is simulated.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod clubs;
mod media;
mod monitor;
mod node;
mod server;
mod srs;
