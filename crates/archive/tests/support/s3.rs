//! Our client on the S3 service that stands beside the tests.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses another part of it")]

use std::net::SocketAddr;

use testing::s3::{KEY_ID, SECRET_KEY};
use turepe_archive::bucket::{S3Bucket, S3Credentials, StoreUrl, TimeOuts, parse_store_url};

pub(crate) use testing::s3::{BUCKET, TestS3};

pub(crate) fn credentials() -> S3Credentials {
    S3Credentials { key_id: KEY_ID.into(), secret: SECRET_KEY.into(), session_token: None }
}

/// The bucket below `prefix` at an address, which is the service's or a proxy's. `settings` begin with `&` or are empty.
pub(crate) fn bucket_at(address: SocketAddr, prefix: &str, settings: &str, time_outs: TimeOuts) -> S3Bucket {
    let url = format!("s3://{BUCKET}/{prefix}?endpoint=http://{address}&region=us-east-005{settings}");
    let Ok(StoreUrl::S3(location)) = parse_store_url(&url) else { panic!("{url}") };
    S3Bucket::with_time_outs(location, &credentials(), time_outs).unwrap()
}
