//! What tests of several crates stand beside the program: an S3 service, a proxy that makes it fail, and certificates.
//!
//! - **In**: what a test wants the service to be like, and which requests fail how.
//! - **Out**: addresses to connect to; what was asked, taken and kept.
//! - **Never**: a crate of ours. Whoever tests brings its own client, so that both ends cannot make the same mistake.

#![expect(clippy::missing_panics_doc, reason = "a test stops at what it did not expect")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod certificates;
mod cors;
pub mod fault_proxy;
pub mod s3;
