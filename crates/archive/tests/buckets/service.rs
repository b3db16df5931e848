//! The S3 bucket on a service inside the test.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use turepe_archive::bucket::{
    Bucket, BucketError, S3Bucket, S3Credentials, StoreUrl, TimeOuts, parse_store_url,
};

use crate::{
    fault_proxy::FaultProxy,
    s3::{BUCKET, TestS3, bucket_at, credentials},
    suite::{self, Profile, bytes},
};

/// All of it through a proxy that refuses what B2 refuses.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_to_the_suite_and_sends_nothing_that_b2_refuses() {
    let service = TestS3::start().await;
    let proxy = FaultProxy::start(service.address).await;
    let bucket = bucket_at(proxy.address, "tu-repe/club", "", TimeOuts::default());
    suite::run(&bucket, Profile::S3).await;
    assert_eq!(proxy.refused(), Vec::<String>::new());
    assert!(proxy.seen().len() > 100);
    assert_eq!(service.pending_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_to_the_suite_where_every_version_is_kept() {
    let service = TestS3::start().await;
    service.keep_versions();
    // Without a prefix, and with payloads that are signed.
    let bucket = bucket_at(service.address, "", "&etag=opaque", TimeOuts::default());
    suite::run(&bucket, Profile::S3).await;
    assert_eq!(service.versions(""), 0, "what was deleted still costs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_takes_all_versions_and_no_others() {
    let service = TestS3::start().await;
    service.keep_versions();
    let bucket = bucket_at(service.address, "p", "", TimeOuts::default());
    for seed in 0..5 {
        bucket.put("film", bytes(10, seed)).await.unwrap();
    }
    // One whose name begins with the other's.
    bucket.put("film.mp4", bytes(10, 1)).await.unwrap();
    assert_eq!(service.versions("film"), 6);
    bucket.delete("film").await.unwrap();
    assert_eq!(service.versions("film"), 1);
    assert_eq!(bucket.head("film").await.unwrap(), None);
    assert_eq!(bucket.read("film.mp4", 0..10).await.unwrap(), bytes(10, 1));
    // What is not there leaves no deletion mark behind.
    bucket.delete("never").await.unwrap();
    assert_eq!(service.versions("never"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_do_not_meet() {
    let service = TestS3::start().await;
    let one = bucket_at(service.address, "club", "", TimeOuts::default());
    let other = bucket_at(service.address, "club-2", "", TimeOuts::default());
    one.put("a", bytes(1, 1)).await.unwrap();
    other.put("a", bytes(2, 1)).await.unwrap();
    other.begin_upload("b").await.unwrap();
    let listed = one.list("", None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|meta| (meta.name.as_str(), meta.size_bytes)).collect::<Vec<_>>(),
        [("a", 1)]
    );
    assert_eq!(one.uploads("").await.unwrap(), []);
    assert_eq!(other.uploads("").await.unwrap().len(), 1);
    assert_eq!(one.describe(), format!("s3://{BUCKET}/club at {}", service.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_what_the_settings_ask_for() {
    let service = TestS3::start().await;
    let settings = "&sse=aws:kms&kms_key=alias/club&storage_class=STANDARD_IA";
    let bucket = bucket_at(service.address, "p", settings, TimeOuts::default());
    bucket.begin_upload("film.mp4").await.unwrap();
    let plain = bucket_at(service.address, "p", "&sse=AES256", TimeOuts::default());
    plain.begin_upload("film").await.unwrap();
    let wishes = service.wishes();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    assert_eq!(text(&wishes[0].content_type), "video/mp4");
    assert_eq!(text(&wishes[0].encryption), "aws:kms");
    assert_eq!(text(&wishes[0].kms_key), "alias/club");
    assert_eq!(text(&wishes[0].storage_class), "STANDARD_IA");
    assert_eq!(text(&wishes[1].encryption), "AES256");
    assert_eq!(wishes[1].storage_class, None);
}

/// GET of a URL as a player does it, without our client.
async fn get(url: &str, range: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).await.unwrap();
    let request =
        format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nrange: {range}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_serves_any_range_of_its_object_and_no_other() {
    let service = TestS3::start().await;
    let bucket = bucket_at(service.address, "p", "", TimeOuts::default());
    bucket.put("club/a b+c.mp4", Bytes::from_static(b"0123456789")).await.unwrap();
    bucket.put("club/other.mp4", Bytes::from_static(b"secret")).await.unwrap();
    let url = bucket.presigned_get("club/a b+c.mp4", Duration::from_secs(60)).await.unwrap().unwrap();
    assert!(!url.contains(&credentials().secret));
    for (range, body) in [("bytes=0-3", "0123"), ("bytes=7-8", "78")] {
        let answer = get(&url, range).await;
        assert!(answer.starts_with("HTTP/1.1 206"), "{answer}");
        assert!(answer.ends_with(body), "{answer}");
    }
    let other = get(&url.replace("a%20b%2Bc.mp4", "other.mp4"), "bytes=0-3").await;
    assert!(other.starts_with("HTTP/1.1 403"), "{other}");
    // Longer than any signature lives is as long as it lives.
    let long = bucket.presigned_get("x", Duration::from_secs(10_000_000)).await.unwrap().unwrap();
    assert!(long.contains("X-Amz-Expires=604800"), "{long}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_wrong_buckets_are_told_apart() {
    let service = TestS3::start().await;
    let at = |bucket: &str, scheme: &str, credentials: S3Credentials| {
        let url = format!("s3://{bucket}/p?endpoint={scheme}://{}&region=us-east-005", service.address);
        let Ok(StoreUrl::S3(location)) = parse_store_url(&url) else { panic!("{url}") };
        S3Bucket::new(location, &credentials)
    };
    let wrong = S3Credentials { secret: "hunter3".into(), ..credentials() };
    let error = at(BUCKET, "http", wrong).unwrap().put("x", Bytes::new()).await.unwrap_err();
    assert!(matches!(error, BucketError::Refused { status: 403, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    let error = at("no-such-bucket", "http", credentials()).unwrap().list("", None, 1).await.unwrap_err();
    assert!(matches!(error, BucketError::Invalid { .. }) && error.to_string().contains("bucket"), "{error}");
    // HTTPS where there is none.
    let error = at(BUCKET, "https", credentials()).unwrap().head("x").await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    let broken = S3Credentials { secret: "hunter2\n".into(), ..credentials() };
    let error = at(BUCKET, "http", broken).err().unwrap();
    assert!(!error.to_string().contains("hunter"), "{error}");
}
