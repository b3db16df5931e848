//! What stands around every request: headers, limits, the interface's files, health, and the end.

use crate::node::{Node, SECOND, path, problem};
use archive::{Alarm, AlarmKind};
use reqwest::header;
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use world::{Disk as _, Fault, FaultRule, Operation};

const NOW: &str = "2026-11-21T11:30:00Z";

#[tokio::test]
async fn every_answer_is_guarded() {
    let node = Node::at(NOW).await;
    for address in
        ["/", "/api/clubs", "/api/nothing", "/healthz", "/replay/x.mp4", "/init/x.mp4", "/logo.png"]
    {
        let response = node.get(address).send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
    }
}

#[tokio::test]
async fn the_interface_answers_for_its_routes() {
    let node = Node::at(NOW).await;
    for address in ["/", "/index.html", "/padel-sur", "/padel-sur/central/2026-11-21/10:00?offset=%2B01:00"] {
        let response = node.get(address).header(header::ACCEPT, "text/html,*/*;q=0.8").send().await.unwrap();
        assert_eq!(response.status(), 200, "{address}");
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("script-src 'self'; style-src 'self'"), "{policy}");
        let etag = response.headers()["etag"].clone();
        assert!(response.text().await.unwrap().contains("<html"));
        let again = node.get(address).header(header::IF_NONE_MATCH, etag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{address}");
    }
    let response = node.get("/a/b/c/d/e/f").header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "text/html");
    for address in ["/assets/gone-12345678.js", "/favicon.png", "/padel-sur/x.json"] {
        problem(node.get(address).send().await.unwrap(), 404, "not_found").await;
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let node = Node::at(NOW).await;
    let response = node.get("/openapi.json").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), turepe_serve::openapi_json().unwrap());
}

#[tokio::test]
async fn health_and_readiness() {
    let node = Node::at(NOW).await;
    assert_eq!(node.json("/healthz").await["ok"], true);
    // It is ready once it has looked at what the last run left.
    node.archive.wait_repaired().await;
    let ready = node.json("/readyz").await;
    assert_eq!(ready["ok"], true, "{ready}");
    let names: Vec<_> =
        ready["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, ["catalog", "disk", "archive", "recording"]);
    assert_eq!(ready["alarms"], serde_json::json!([]));
    // A data folder that is gone.
    let gone = Node::with(NOW, |config| config.data = "/dev/null/data".into()).await;
    let response = gone.get("/readyz").send().await.unwrap();
    assert_eq!(response.status(), 503);
    let ready: serde_json::Value = response.json().await.unwrap();
    assert_eq!((&ready["ok"], &ready["checks"][1]["ok"]), (&false.into(), &false.into()));
    assert_eq!(gone.json("/healthz").await["ok"], true);
}

/// What looks at a node gives up after a few seconds: it has to hear what is wrong by then.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_told_while_the_disk_hangs() {
    let disk = world::SimulatedDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    let disk_of_node = disk.clone();
    let node = Node::with(NOW, move |config| {
        (config.disk, config.data) = (Arc::new(disk_of_node), "/data".into());
    })
    .await;
    node.archive.wait_repaired().await;
    assert_eq!(node.json("/readyz").await["ok"], true);
    for operation in [Operation::Create, Operation::Append, Operation::Remove, Operation::FreeBytes] {
        disk.inject(FaultRule::on(operation, Fault::Held));
        node.clock.advance(2 * SECOND);
        let asks = (0..8).map(|_| async { node.get("/readyz").send().await.unwrap() });
        for response in futures_util::future::join_all(asks).await {
            assert_eq!(response.status(), 503, "{operation:?}");
            let ready: serde_json::Value = response.json().await.unwrap();
            let failed: Vec<_> =
                ready["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
            assert!(failed.len() == 1 && failed[0]["name"] == "disk", "{operation:?}: {ready}");
        }
        assert_eq!(node.json("/healthz").await["ok"], true);
        disk.heal();
        // What was looked at meanwhile comes back, and then it is well again.
        loop {
            node.clock.advance(2 * SECOND);
            if node.get("/readyz").send().await.unwrap().status() == 200 {
                break;
            }
        }
    }
}

/// Alarms of others than the archive stand beside its own, wherever those are told.
#[tokio::test]
async fn whoever_watches_is_heard() {
    struct Says(Mutex<Vec<Alarm>>);
    impl turepe_serve::Watch for Says {
        fn alarms(&self) -> Vec<Alarm> {
            self.0.lock().unwrap().clone()
        }
    }
    let says = Arc::new(Says(Mutex::default()));
    let watch: Arc<dyn turepe_serve::Watch> = says.clone();
    let node = Node::with(NOW, move |config| config.watch = Some(watch)).await;
    node.archive.wait_repaired().await;
    let told = async || {
        node.clock.advance(2 * SECOND);
        let response = node.get("/readyz").send().await.unwrap();
        let status = response.status().as_u16();
        let ready: serde_json::Value = response.json().await.unwrap();
        (status, ready["alarms"].clone(), ready["checks"][3]["ok"].clone())
    };
    assert_eq!(told().await, (200, serde_json::json!([]), true.into()));
    let alarm = |kind, channel: u128| Alarm {
        kind,
        channel_id: Some(uuid::Uuid::from_u128(channel)),
        since_us: Some(0),
        message: format!("channel {channel}"),
    };
    *says.0.lock().unwrap() = vec![alarm(AlarmKind::CameraSilent, 1), alarm(AlarmKind::CameraSilent, 2)];
    assert_eq!(
        told().await,
        (200, serde_json::json!(["cameraSilent"]), true.into()),
        "a camera is not the node"
    );
    *says.0.lock().unwrap() = vec![alarm(AlarmKind::ChannelNotRecorded, 3)];
    assert_eq!(told().await, (503, serde_json::json!(["channelNotRecorded"]), false.into()));

    let operator = |path: &str| node.get(path).bearer_auth(crate::node::TOKEN);
    let ledger: serde_json::Value = operator("/api/node/ledger").send().await.unwrap().json().await.unwrap();
    assert_eq!(ledger["alarms"][0]["channelId"], uuid::Uuid::from_u128(3).to_string());
    // The catalog is away, and alarms are told all the same.
    node.catalog.close().await.unwrap();
    let metrics = operator("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "turepe_alarm{alarm=\"channelNotRecorded\"} 1",
        "turepe_alarm{alarm=\"cameraSilent\"} 0",
        "turepe_channel_alarm{alarm=\"channelNotRecorded\",channel=\"00000000-0000-0000-0000-000000000003\"} 1",
        "turepe_catalog_up 0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_name() {
    let node = Node::at(NOW).await;
    let long = "x".repeat(turepe_serve::limits::MAX_URI_BYTES);
    for address in [format!("/{long}"), format!("/api/clubs?q={long}"), format!("/replay/{long}/index.m3u8")]
    {
        let detail = problem(node.get(&address).send().await.unwrap(), 414, "uri_too_long").await;
        assert!(detail.contains("4096"), "{detail}");
    }
    let body = vec![b'x'; usize::try_from(turepe_serve::limits::MAX_BODY_BYTES).unwrap() + 1];
    for request in [node.client.post(node.url("/api/clubs")), node.get("/api/clubs")] {
        let response = request.body(body.clone()).send().await.unwrap();
        problem(response, 413, "body_too_large").await;
    }
    // A small body on a GET is nobody's business.
    let response = node.get("/api/clubs").body("hello").send().await.unwrap();
    assert_eq!(response.status(), 200);
    // A head without end is cut off by the connection.
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: ").await.unwrap();
    let filler = vec![b'y'; 8 * 1024];
    let mut answer = Vec::new();
    for _ in 0..64 {
        if stream.write_all(&filler).await.is_err() {
            break;
        }
    }
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn rubbish_on_the_socket_harms_nobody() {
    let node = Node::at(NOW).await;
    for rubbish in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\x03\x00\x00\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(node.json("/healthz").await["ok"], true);
}

#[tokio::test]
async fn the_end_comes_within_three_seconds_of_open_downloads() {
    let mut node = Node::at(NOW).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z").await;
    let replay = node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00").await;
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", path(&replay["downloadUrl"]));
    // Readers that take one byte and then nothing: more is under way than the sockets hold.
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        readers.push(stream);
    }
    // A connection kept alive without a request ends at once, and a new one is not taken.
    let asked = Instant::now();
    node.stop().await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(TcpStream::connect(node.address).await.is_err());
}
