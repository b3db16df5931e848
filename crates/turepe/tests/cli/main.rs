//! The real binary, as people and scripts run it.

#![expect(clippy::disallowed_methods, reason = "a test works on real files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod config;
mod demo;
mod publish;
mod serve;
mod srs;
mod tool;
