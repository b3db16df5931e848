//! The suite against the service that the environment names (`cargo xtask bucket-test`, see `docs/buckets.md`), or against
//! the one inside the test when it names none.

use turepe_archive::bucket::{Bucket, S3Bucket, S3Credentials, StoreUrl, TimeOuts, Verdict, parse_store_url};

use crate::{
    s3::{TestS3, bucket_at},
    suite::{self, Profile},
};

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("TUREPE_TEST_S3_{name}")).ok().filter(|value| !value.is_empty())
}

/// The bucket that the environment names. Half of the settings is an error.
fn outside() -> Option<S3Bucket> {
    let names = ["ENDPOINT", "BUCKET", "REGION", "KEY_ID", "SECRET_KEY"];
    if names.iter().all(|name| variable(name).is_none()) {
        return None;
    }
    let need = |name: &str| variable(name).unwrap_or_else(|| panic!("TUREPE_TEST_S3_{name} is not set"));
    let (endpoint, bucket, region) = (need("ENDPOINT"), need("BUCKET"), need("REGION"));
    let url = format!("s3://{bucket}/turepe-bucket-test?endpoint={endpoint}&region={region}");
    let location = match parse_store_url(&url) {
        Ok(StoreUrl::S3(location)) => location,
        Ok(other) => panic!("{other:?}"),
        Err(reason) => panic!("{reason}"),
    };
    let credentials = S3Credentials {
        key_id: need("KEY_ID"),
        secret: need("SECRET_KEY"),
        session_token: variable("SESSION_TOKEN"),
    };
    Some(S3Bucket::new(location, &credentials).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_to_the_suite_on_the_service_that_the_environment_names() {
    let inside = TestS3::start().await;
    let bucket = outside().unwrap_or_else(|| bucket_at(inside.address, "outside", "", TimeOuts::default()));
    println!("{}", bucket.describe());
    // Services differ in how they refuse small parts, and not everywhere is an ETag an MD5.
    let profile = Profile { refuses_small_parts: false, has_md5_etags: false, ..Profile::S3 };
    suite::run(&bucket, profile).await;
    for finding in bucket.check(&[]).await {
        println!("{finding}");
        assert_ne!(finding.verdict, Verdict::Bad, "{finding}");
    }
}
