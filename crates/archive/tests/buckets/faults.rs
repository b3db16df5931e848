//! What the S3 bucket makes of a service, and of a line, that fail. Each of them was met in the field: B2's 503 "no
//! tomes available", lost answers at the end of an upload, errors inside a 200, uploads that stand still.

use std::time::{Duration, Instant};

use turepe_archive::bucket::{Bucket, BucketError, S3Bucket, TimeOuts, multipart_etag};

use crate::{
    fault_proxy::{FaultProxy, S3Call, WireFault},
    s3::{TestS3, bucket_at},
    suite::bytes,
};

struct Line {
    _service: TestS3,
    proxy: FaultProxy,
    bucket: S3Bucket,
}

impl Line {
    async fn new() -> Self {
        Self::with("", TimeOuts::default()).await
    }

    async fn with(settings: &str, time_outs: TimeOuts) -> Self {
        let service = TestS3::start().await;
        let proxy = FaultProxy::start(service.address).await;
        let bucket = bucket_at(proxy.address, "p", settings, time_outs);
        Self { _service: service, proxy, bucket }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_told_for_what_it_is_and_heals() {
    let line = Line::new().await;
    let (bucket, proxy) = (&line.bucket, &line.proxy);
    let put = async || bucket.put("x", bytes(100, 1)).await.map(|_| ());
    let read = async || bucket.read("x", 10..60).await.map(|_| ());
    let head = async || bucket.head("x").await.map(|_| ());
    put().await.unwrap();

    proxy.inject(S3Call::Put, WireFault::SlowDown(7), 1);
    let error = put().await.unwrap_err();
    let wait = Some(Duration::from_secs(7));
    assert!(
        matches!(&error, BucketError::Busy { status: 503, retry_after, .. } if *retry_after == wait),
        "{error}"
    );
    assert!(error.to_string().contains("no tomes available"), "{error}");
    put().await.unwrap();

    proxy.inject(S3Call::Head, WireFault::InternalError, 1);
    let error = head().await.unwrap_err();
    assert!(matches!(error, BucketError::Busy { status: 500, .. }), "{error}");
    head().await.unwrap();

    proxy.inject(S3Call::Put, WireFault::CapExceeded, 1);
    let error = put().await.unwrap_err();
    assert!(matches!(error, BucketError::Refused { status: 403, .. }) && !error.is_transient());
    assert!(error.to_string().contains("storage cap exceeded"), "{error}");

    for fault in [WireFault::Reset, WireFault::AnswerLost] {
        proxy.inject(S3Call::Put, fault, 1);
        let tries = proxy.calls(S3Call::Put);
        let error = put().await.unwrap_err();
        assert!(matches!(error, BucketError::Unreachable { .. }) && error.is_transient(), "{error}");
        assert_eq!(proxy.calls(S3Call::Put), tries + 1);
    }
    put().await.unwrap();

    proxy.inject(S3Call::Get, WireFault::TruncatedBody, 1);
    let error = read().await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    read().await.unwrap();

    proxy.inject(S3Call::Get, WireFault::Redirect, 1);
    let error = read().await.unwrap_err();
    assert!(error.to_string().contains("eu-central-003") && !error.is_transient(), "{error}");

    proxy.set_away(true);
    let error = head().await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    proxy.set_away(false);
    head().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_listening() {
    let line = Line::new().await;
    let address = line.proxy.address;
    let Line { proxy, bucket, _service } = line;
    drop(proxy);
    // The listener closes with its task.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = bucket.head("x").await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

/// What came of an answer that broke off is not asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_read_as_far_as_it_comes() {
    let line = Line::new().await;
    let (bucket, proxy, all) = (&line.bucket, &line.proxy, bytes(100, 1));
    bucket.put("x", all.clone()).await.unwrap();
    for fault in [WireFault::TruncatedBody, WireFault::ShortRange] {
        proxy.inject(S3Call::Get, fault, 2);
        assert_eq!(bucket.read_some("x", 10..60).await.unwrap(), all[10..35], "{fault:?}");
        assert!(bucket.read("x", 10..60).await.is_err(), "{fault:?}: all or an error");
        assert_eq!(bucket.read_some("x", 35..60).await.unwrap(), all[35..60]);
    }
    for status in [200, 206, 403, 404, 503] {
        proxy.inject(S3Call::Get, WireFault::Page(status), 1);
        let error = bucket.read_some("x", 10..60).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("HTML page"), "{status}: {error}");
    }
    for call in [S3Call::Put, S3Call::Head] {
        proxy.inject(call, WireFault::Page(200), 1);
        let error = match call {
            S3Call::Put => bucket.put("x", all.clone()).await.map(drop).unwrap_err(),
            _ => bucket.head("x").await.map(drop).unwrap_err(),
        };
        assert!(error.is_transient(), "{call:?}: {error}");
    }
    assert_eq!(bucket.read_some("x", 5..5).await.unwrap(), "");
}

/// A whole object with 200 in answer to a Range is garbage in the middle of a film.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ignores_ranges_is_found_out() {
    let service = TestS3::start().await;
    // The service itself would notice the missing header: it is signed. One that checks no signatures would not.
    let stub = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stub.local_addr().unwrap();
    drop(service);
    let served = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let answers = [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"x\"\r\n\r\nwhole",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\ncontent-range: bytes 0-1/5\r\n\r\nwh",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\ncontent-range: bytes 1-2/5\r\n\r\nwhole",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\ncontent-range: bytes 1-2/5\r\n\r\nh",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\ncontent-range: bytes 1-2/5\r\n\r\nho",
        ];
        for answer in answers {
            let (mut socket, _) = stub.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut head).await.unwrap(), 0);
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    let bucket = bucket_at(address, "p", "", TimeOuts::default());
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(bucket.read("x", 1..3).await);
    }
    served.await.unwrap();
    for (number, answer) in answers[..3].iter().enumerate() {
        assert!(matches!(answer, Err(BucketError::Invalid { .. })), "{number}: {answer:?}");
    }
    assert!(matches!(&answers[3], Err(BucketError::Unreachable { .. })), "{:?}", answers[3]);
    assert_eq!(answers[4].as_ref().unwrap(), "ho");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_ends_when_its_time_is_over() {
    let time_outs =
        TimeOuts { call: Duration::from_millis(300), min_bytes_per_second: 1 << 20, ..TimeOuts::default() };
    let line = Line::with("", time_outs).await;
    line.proxy.inject(None, WireFault::Stall, 2);
    let start = Instant::now();
    let error = line.bucket.head("x").await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    // A body has its own time on top: half a MiB at 1 MiB/s.
    let start = Instant::now();
    line.bucket.put("x", bytes(1 << 19, 1)).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    let patient = bucket_at(line.proxy.address, "p", "", TimeOuts::default());
    patient.put("x", bytes(1 << 19, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_503_the_next_try_comes_on_a_new_connection() {
    let line = Line::new().await;
    // The proxy keeps the connection open after these.
    line.proxy.inject(S3Call::Put, WireFault::SlowDown(0), 3);
    for _ in 0..3 {
        line.bucket.put("x", bytes(9, 1)).await.unwrap_err();
    }
    line.bucket.put("x", bytes(9, 1)).await.unwrap();
    let connections: Vec<usize> = line.proxy.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bodies_are_noticed_unless_etags_are_opaque() {
    let line = Line::new().await;
    let upload = line.bucket.begin_upload("x").await.unwrap();
    line.proxy.inject(S3Call::Put, WireFault::WrongEtag, 1);
    line.proxy.inject(S3Call::UploadPart, WireFault::WrongEtag, 1);
    let put = line.bucket.put("x", bytes(9, 1)).await.map(|_| ()).unwrap_err();
    let part = line.bucket.put_part("x", &upload, 1, bytes(9, 1)).await.map(|_| ()).unwrap_err();
    for error in [put, part] {
        assert!(matches!(error, BucketError::Checksum { .. }) && error.is_transient(), "{error}");
    }
    // Every body has its MD5 with it, so that the service too can notice.
    let seen = line.proxy.seen();
    let bodies = seen.iter().filter(|seen| matches!(seen.call, S3Call::Put | S3Call::UploadPart));
    assert!(bodies.into_iter().all(|seen| seen.headers.iter().any(|(name, _)| name == "content-md5")));

    let opaque = Line::with("&etag=opaque", TimeOuts::default()).await;
    opaque.proxy.inject(S3Call::Put, WireFault::WrongEtag, 1);
    opaque.bucket.put("x", bytes(9, 1)).await.unwrap();
    let seen = opaque.proxy.seen();
    let sha256 = seen[0].headers.iter().find(|(name, _)| name == "x-amz-content-sha256").unwrap();
    assert_eq!(sha256.1.len(), 64, "the payload is not signed: {sha256:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_upload_is_certain_in_the_end() {
    let line = Line::new().await;
    let (bucket, proxy) = (&line.bucket, &line.proxy);
    let upload = bucket.begin_upload("x").await.unwrap();
    let etag = bucket.put_part("x", &upload, 1, bytes(100, 1)).await.unwrap();
    let parts = [(1, etag.clone())];
    let complete = async || bucket.complete_upload("x", &upload, &parts).await;

    proxy.inject(S3Call::Complete, WireFault::ErrorInside200, 1);
    let error = complete().await.unwrap_err();
    assert!(matches!(error, BucketError::Busy { .. }), "{error}");
    assert_eq!(bucket.head("x").await.unwrap(), None);
    assert_eq!(bucket.parts("x", &upload).await.unwrap().len(), 1);

    proxy.inject(S3Call::Complete, WireFault::AnswerLost, 1);
    let error = complete().await.unwrap_err();
    assert!(matches!(error, BucketError::Unreachable { .. }), "{error}");
    // As documented: ask before doing anything again.
    let head = bucket.head("x").await.unwrap().unwrap();
    assert_eq!(head.size_bytes, 100);
    assert_eq!(Some(head.etag), multipart_etag([etag.as_str()]));
    assert_eq!(complete().await.unwrap_err(), BucketError::NoSuchUpload);

    // The answer itself names the tag: nothing is asked that could then only be compared with itself.
    let upload = bucket.begin_upload("y").await.unwrap();
    let etag = bucket.put_part("y", &upload, 1, bytes(100, 1)).await.unwrap();
    let heads = proxy.calls(S3Call::Head);
    let told = bucket.complete_upload("y", &upload, &[(1, etag.clone())]).await.unwrap();
    assert_eq!(told, multipart_etag([etag.as_str()]));
    assert_eq!(proxy.calls(S3Call::Head), heads);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_twice_behind_our_back() {
    let line = Line::new().await;
    line.proxy.inject(None, WireFault::InternalError, 100);
    let bucket = &line.bucket;
    bucket.put("x", bytes(1, 1)).await.unwrap_err();
    bucket.read("x", 0..1).await.unwrap_err();
    bucket.head("x").await.unwrap_err();
    bucket.list("", None, 1).await.unwrap_err();
    bucket.begin_upload("x").await.unwrap_err();
    bucket.uploads("").await.unwrap_err();
    bucket.delete("x").await.unwrap_err();
    assert_eq!(line.proxy.seen().len(), 7);
}
