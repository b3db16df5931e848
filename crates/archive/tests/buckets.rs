//! What every bucket keeps to, whichever it is; what each of them does besides; and what an S3 bucket makes of a
//! service that fails. The suite also runs against a service outside: `cargo xtask bucket-test`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use testing::fault_proxy;

#[path = "support/s3.rs"]
mod s3;

#[path = "buckets/admin.rs"]
mod admin;
#[path = "buckets/faults.rs"]
mod faults;
#[path = "buckets/folder.rs"]
mod folder;
#[path = "buckets/https.rs"]
mod https;
#[path = "buckets/memory.rs"]
mod memory;
#[path = "buckets/outside.rs"]
mod outside;
#[path = "buckets/service.rs"]
mod service;
#[path = "buckets/suite.rs"]
mod suite;
