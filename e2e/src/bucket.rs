//! A bucket beside the node: an S3 service with a proxy before it that makes it fail.

use std::net::SocketAddr;

use testing::fault_proxy::FaultProxy;
use testing::s3::{BUCKET, KEY_ID, SECRET_KEY, TestS3};
use tokio::runtime::Runtime;

/// A running service and its proxy. The node and its players know only the proxy.
pub struct BucketService {
    /// What is in the bucket.
    pub service: TestS3,
    /// What comes in between.
    pub proxy: FaultProxy,
    _runtime: Runtime,
}

impl BucketService {
    /// Starts both.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (service, proxy) = runtime.block_on(async {
            let service = TestS3::start().await;
            let proxy = FaultProxy::start(service.address).await;
            (service, proxy)
        });
        Self { service, proxy, _runtime: runtime }
    }

    /// What a node needs to know of it, and settings that suit a test: the smallest parts, and as many as there are.
    pub fn settings(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let url = format!("s3://{BUCKET}/tu-repe?endpoint=http://{}&region=us-east-005", self.proxy.address);
        let own = [
            ("TUREPE_STORE_URL", url.as_str()),
            ("TUREPE_STORE_KEY_ID", KEY_ID),
            ("TUREPE_STORE_SECRET_KEY", SECRET_KEY),
            ("TUREPE_STORE_PART_SIZE", "5MiB"),
            // A small machine is no full one.
            ("TUREPE_RETENTION_MIN_FREE", "0"),
        ];
        own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Scheme, host and port that players connect to.
    pub fn origin(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// Lets pages of these nodes read, as `turepe doctor --fix` sets a bucket up.
    pub fn allow_pages_of(&self, nodes: &[SocketAddr]) {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        self.service.allow_pages(
            nodes.iter().map(|node| format!("http://{node}")).collect(),
            words(&["GET", "HEAD"]),
            words(&["range"]),
            words(&["content-range", "content-length", "etag"]),
        );
    }
}
