//! The real binary, as people and scripts run it.

#![expect(clippy::disallowed_methods, reason = "a test works on real files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// The support of the room's own tests knows it by its package's name.
extern crate directory as turepe_directory;

mod access;
mod admin;
mod config;
mod demo;
mod directory;
mod folders;
mod lost;
mod metrics;
mod migrate;
mod nodes;
mod operators;
#[path = "../../../directory/tests/support/mod.rs"]
mod peers;
mod private;
mod publish;
mod relay;
mod retention;
mod serve;
mod srs;
mod tls;
mod tool;
mod upkeep;
mod watching;
