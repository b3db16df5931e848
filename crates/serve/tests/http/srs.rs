//! An SRS node's callbacks in their exact wire form over a real socket, and a stand-in for its HTTP API.

use crate::node::{Node, problem};
use axum::{Json, Router, extract::RawQuery, http::HeaderMap, routing::get};
use catalog::{Catalog, NewChannel, Source};
use media::rtmp::StreamKey;
use serde_json::{Value, json};
use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use turepe_serve::{
    Dvr, DvrConfig, DvrFiles, ForwardTarget, ForwardTargets, KeyFrom, Keys, KeysAway, OnUnknownKey, Srs,
    SrsConfig, SrsPublication, SrsServer, Trust,
};
use uuid::Uuid;

const NOW: &str = "2026-11-21T11:30:00Z";
const INGEST: &str = "rtmp://127.0.0.1:19350/live";
const RELAY: &str = "rtmp://relay.example/app/elsewhere";

/// The catalog as the program asks it, until it hangs.
struct CatalogKeys {
    catalog: Catalog,
    hangs: Arc<AtomicBool>,
}

impl Keys for CatalogKeys {
    fn channel_of<'a>(
        &'a self,
        key: &'a StreamKey,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Uuid>, KeysAway>> + Send + 'a>> {
        Box::pin(async move {
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let found = self.catalog.channel_by_key(key.expose()).await.map_err(|_| KeysAway)?;
            Ok(found.map(|route| route.channel.id))
        })
    }
}

struct OneTarget;

impl ForwardTargets for OneTarget {
    fn targets(&self, _channel: Uuid, _key: &StreamKey) -> Vec<ForwardTarget> {
        vec![ForwardTarget { id: "all-1".to_owned(), url: RELAY.to_owned() }]
    }
}

/// A node behind an SRS, with one channel.
struct Behind {
    node: Node,
    srs: Srs,
    hangs: Arc<AtomicBool>,
    channel: Uuid,
    key: String,
}

impl Behind {
    async fn new(set: impl FnOnce(&mut SrsConfig)) -> Self {
        Self::with_files(set, None).await
    }

    async fn with_files(set: impl FnOnce(&mut SrsConfig), files: Option<Arc<dyn DvrFiles>>) -> Self {
        let mut config = SrsConfig {
            trust: Trust::new(vec!["127.0.0.1/32".parse().unwrap()], Some("a-shared-secret")),
            key: KeyFrom::Stream,
            on_unknown_key: OnUnknownKey::Deny,
            ingest: INGEST.to_owned(),
            server: None,
        };
        set(&mut config);
        let (made, hangs) = (OnceLock::new(), Arc::new(AtomicBool::new(false)));
        let node = Node::built(
            NOW,
            |_| {},
            |server, catalog, clock| {
                let keys = CatalogKeys { catalog: catalog.clone(), hangs: Arc::clone(&hangs) };
                let srs =
                    made.get_or_init(|| Srs::new(config, Arc::new(keys), Arc::new(OneTarget), files, clock));
                server.with_srs(srs.clone())
            },
        )
        .await;
        let new = NewChannel { court_id: None, name: "Court".to_owned(), source: Source::Push };
        let (channel, key) = node.catalog.create_channel(new).await.unwrap();
        let srs = made.get().unwrap().clone();
        Self { node, srs, hangs, channel: channel.id, key: key.unwrap() }
    }

    /// One callback; gives status and body.
    async fn call(&self, path: &str, body: &str) -> (u16, String) {
        self.call_with(path, "", body).await
    }

    /// As `SrsHttpClient::post` writes it: a new connection each time.
    async fn call_with(&self, path: &str, fields: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.node.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nConnection: Keep-Alive\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\
             Host: 127.0.0.1\r\nUser-Agent: SRS/6.0.157(Hang)\r\n{fields}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // What is refused early may be closed before all of it is written.
        let _ = stream.write_all(body.as_bytes()).await;
        read_answer(&mut stream).await
    }

    async fn hook(&self, action: &str, client: &str, stream: &str) -> String {
        let (status, body) = self.call("/srs/hooks", &event(action, client, stream, "")).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    fn publishing(&self) -> Vec<String> {
        self.srs.publications().into_iter().map(|publication| publication.client).collect()
    }
}

async fn read_answer(stream: &mut TcpStream) -> (u16, String) {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if body.len() >= length {
                return (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned());
            }
        }
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{text}");
        answer.extend_from_slice(&buffer[..count]);
    }
}

/// What SRS 6 posts, field by field.
fn event(action: &str, client: &str, stream: &str, param: &str) -> String {
    let mut event = json!({
        "server_id": "vid-werty", "service_id": "1k2j3", "action": action, "client_id": client,
        "ip": "192.168.1.10", "vhost": "__defaultVhost__", "app": "live"
    });
    if action == "on_close" {
        event["send_bytes"] = 3000.into();
        event["recv_bytes"] = 500_000.into();
    } else {
        event["tcUrl"] = "rtmp://h/live".into();
        event["stream"] = stream.into();
        event["param"] = param.into();
        event["stream_url"] = format!("/live/{stream}").into();
        event["stream_id"] = "vid-124q9y3".into();
    }
    event.to_string()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_may_publish_is_answered_in_the_words_of_srs() {
    let behind = Behind::new(|_| {}).await;
    let key = behind.key.clone();
    for action in
        ["on_connect", "on_publish", "on_play", "on_stop", "on_hls", "on_unpublish", "on_close", "on_later"]
    {
        assert_eq!(behind.hook(action, "c1", &key).await, r#"{"code":0}"#, "{action}");
    }
    assert_eq!(behind.hook("on_publish", "c2", "guessed").await, r#"{"code":403}"#);
    assert_eq!(behind.hook("on_publish", "c2", "a/../b").await, r#"{"code":403}"#);
    // Nobody who was refused is taken for a publisher.
    assert_eq!(behind.srs.publications(), []);
    // Both addresses take both: a mistake in srs.conf does no harm.
    for path in ["/srs/forward", "/srs/hooks"] {
        let (status, body) = behind.call(path, &event("on_forward", "c3", &key, "?x=1")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["code"]), (200, &0.into()));
        assert_eq!(answer["data"], json!({ "urls": [format!("{INGEST}/{key}?forwarded=all-1"), RELAY] }));
        let (_, body) = behind.call(path, &event("on_forward", "c3", "guessed", "")).await;
        assert_eq!(body, r#"{"code":403}"#);
    }
}

#[tokio::test]
async fn an_unknown_key_is_let_in_where_that_is_wanted_and_sent_nowhere() {
    let behind = Behind::new(|config| {
        config.on_unknown_key = OnUnknownKey::Allow;
        config.key = KeyFrom::Param("key".to_owned());
    })
    .await;
    let call = async |action: &str, param: &str| {
        behind.call("/srs/hooks", &event(action, "c1", "court", param)).await.1
    };
    let own = format!("?user=1&key={}", behind.key);
    assert_eq!(call("on_publish", "?key=guessed").await, r#"{"code":0}"#);
    assert_eq!(behind.srs.publications()[0].channel_id, None);
    assert_eq!(call("on_forward", "?key=guessed").await, r#"{"code":0,"data":{"urls":[]}}"#);
    assert_eq!(call("on_forward", "").await, r#"{"code":0,"data":{"urls":[]}}"#);
    // The same connection begins again with the right one.
    assert_eq!(call("on_publish", &own).await, r#"{"code":0}"#);
    assert_eq!(behind.srs.publications()[0].channel_id, Some(behind.channel));
    assert!(call("on_forward", &own).await.contains(&format!("{INGEST}/{}?", behind.key)));
}

#[tokio::test]
async fn a_second_publisher_and_calls_that_are_lost_or_doubled_disturb_nobody() {
    let behind = Behind::new(|_| {}).await;
    let key = behind.key.clone();
    behind.hook("on_publish", "first", &key).await;
    // SRS asks before it knows that the stream is busy, and says only on_close then.
    for _ in 0..2 {
        behind.hook("on_publish", "second", &key).await;
        assert_eq!(behind.publishing(), ["first", "second"]);
    }
    for _ in 0..2 {
        behind.hook("on_close", "second", "").await;
        assert_eq!(behind.publishing(), ["first"]);
    }
    // Late.
    behind.hook("on_publish", "second", &key).await;
    behind.hook("on_unpublish", "second", &key).await;
    assert_eq!(behind.publishing(), ["first"]);
    // on_unpublish never came.
    behind.hook("on_close", "first", "").await;
    assert_eq!(behind.publishing(), [""; 0]);
    // All at once, in no order.
    let calls = (0..60).map(|number| {
        let (behind, key) = (&behind, &key);
        async move {
            let client = format!("c{}", number / 2);
            behind.hook(if number % 2 == 0 { "on_publish" } else { "on_close" }, &client, key).await
        }
    });
    for call in calls {
        assert_eq!(call.await, r#"{"code":0}"#);
    }
    assert_eq!(behind.publishing(), [""; 0]);
}

#[tokio::test]
async fn strangers_learn_why_and_nothing_else() {
    let refused = |(status, body): (u16, String), why: &str| {
        assert_eq!(status, 403, "{body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["code"], "operators_only");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{body}");
    };
    let behind = Behind::new(|config| config.trust = Trust::new(Vec::new(), Some("a-shared-secret"))).await;
    let body = event("on_forward", "c1", &behind.key, "");
    for path in ["/srs/hooks", "/srs/forward", "/srs/forward?secret=", "/srs/forward?secret=a-shared-secre"] {
        refused(behind.call(path, &body).await, "nor has the call the `srs.secret`");
        refused(behind.call(path, "rubbish").await, "nor has the call the `srs.secret`");
    }
    let (status, answer) = behind.call("/srs/forward?secret=a-shared-secret", &body).await;
    assert!(status == 200 && answer.contains(&behind.key));
    // Behind a proxy everybody has an address that is trusted, and so has a page in a browser on this machine.
    let behind = Behind::new(|_| {}).await;
    let body = event("on_forward", "c1", &behind.key, "");
    for (field, why) in [
        ("X-Forwarded-For: 203.0.113.9\r\n", "`x-forwarded-for`"),
        ("Forwarded: for=203.0.113.9\r\n", "`forwarded`"),
        ("X-Real-IP: 203.0.113.9\r\n", "`x-real-ip`"),
        ("CF-Connecting-IP: 203.0.113.9\r\n", "`cf-connecting-ip`"),
        ("Origin: https://evil.example\r\n", "a web page"),
        ("Origin: null\r\n", "a web page"),
        ("Sec-Fetch-Site: cross-site\r\n", "a web page"),
    ] {
        refused(behind.call_with("/srs/forward", field, &body).await, why);
    }
    let rebound = behind.node.client.post(behind.node.url("/srs/forward")).header("host", "evil.example");
    let rebound = rebound.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
    refused((rebound.status().as_u16(), rebound.text().await.unwrap()), "its Host");
    assert_eq!(behind.call("/srs/forward", &body).await.0, 200);
    // Nobody has opened it.
    let behind = Behind::new(|config| config.trust = Trust::new(Vec::new(), None)).await;
    refused(behind.call("/srs/forward", &body).await, "turepe srs-conf");
}

/// A form of a page sends text, and no browser sends JSON to another site without asking first.
#[tokio::test]
async fn callbacks_are_json() {
    let behind = Behind::new(|_| {}).await;
    let body = event("on_forward", "c1", &behind.key, "");
    let ask = async |kind: Option<&str>| {
        let request = behind.node.client.post(behind.node.url("/srs/forward")).body(body.clone());
        let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        request.send().await.unwrap()
    };
    for kind in ["application/json", "application/JSON; charset=utf-8"] {
        assert_eq!(ask(Some(kind)).await.status(), 200, "{kind}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain; application/json"),
    ] {
        problem(ask(kind).await, 415, "unsupported_media_type").await;
    }
}

#[tokio::test]
async fn what_is_no_callback_is_refused_in_words_and_harms_nobody() {
    let behind = Behind::new(|_| {}).await;
    let huge = "x".repeat(17 * 1024);
    let long = event("on_publish", "c", &"k".repeat(600), "");
    let deep = "[".repeat(10_000);
    for (body, status) in [
        ("", 400),
        ("0", 400),
        ("null", 400),
        (r#"{"action":"on_publish"}"#, 400),
        (r#"{"action":"on_publish","client_id":"c","stream":{"a":[]}}"#, 400),
        (r#"{"action":"on_publish","client_id":"c","stream":"a","stream":"b"}"#, 400),
        (&deep, 400),
        (&long, 400),
        (&huge, 413),
    ] {
        let (got, answer) = behind.call("/srs/hooks", body).await;
        let said: String = body.chars().take(60).collect();
        assert_eq!(got, status, "{said}: {answer}");
        let problem: Value = serde_json::from_str(&answer).unwrap();
        assert_ne!(problem["code"], 0, "SRS would take it for yes");
        assert!(!answer.contains("kkkk"), "{answer}");
    }
    // A body without a length and without an end.
    let mut stream = TcpStream::connect(behind.node.address).await.unwrap();
    let head = "POST /srs/hooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "y".repeat(4096));
    for _ in 0..6 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(read_answer(&mut stream).await.0, 413);
    assert_eq!(behind.node.get("/srs/hooks").send().await.unwrap().status(), 405);
    assert_eq!(behind.srs.publications(), []);
    assert_eq!(behind.hook("on_publish", "c", &behind.key).await, r#"{"code":0}"#);
}

#[tokio::test]
async fn a_database_that_hangs_holds_nobody_up() {
    let behind = Behind::new(|_| {}).await;
    assert_eq!(behind.hook("on_publish", "c1", &behind.key).await, r#"{"code":0}"#);
    behind.hangs.store(true, Ordering::Relaxed);
    let start = Instant::now();
    // Long after the answer was fresh: the clock here is a simulated one.
    behind.node.clock.advance(60 * crate::node::SECOND);
    assert_eq!(behind.hook("on_publish", "c2", &behind.key).await, r#"{"code":0}"#);
    assert_eq!(behind.hook("on_publish", "c3", "never-seen").await, r#"{"code":503}"#);
    assert_eq!(behind.hook("on_unpublish", "c2", &behind.key).await, r#"{"code":0}"#);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // Back, it is asked again; a key that was replaced no longer opens anything.
    behind.hangs.store(false, Ordering::Relaxed);
    let new_key = behind.node.catalog.rotate_key(behind.channel).await.unwrap();
    behind.node.clock.advance(60 * crate::node::SECOND);
    assert_eq!(behind.hook("on_publish", "c4", &behind.key).await, r#"{"code":403}"#);
    assert_eq!(behind.hook("on_publish", "c4", &new_key).await, r#"{"code":0}"#);
}

/// SRS's HTTP API: what it lists, and what it was asked.
#[derive(Clone, Default)]
struct Api {
    server: Arc<Mutex<String>>,
    streams: Arc<Mutex<Vec<Value>>>,
    is_broken: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = self.clone();
        let streams = move |headers: HeaderMap, RawQuery(query): RawQuery| {
            let api = api.clone();
            async move {
                // srs:password
                if headers.get("authorization").is_none_or(|field| field != "Basic c3JzOnBhc3N3b3Jk") {
                    return Err(axum::http::StatusCode::UNAUTHORIZED);
                }
                if api.is_broken.load(Ordering::Relaxed) {
                    return Ok(Json(json!({ "code": 1061 })));
                }
                let query = query.unwrap();
                let start: usize =
                    query.strip_prefix("start=").unwrap().split('&').next().unwrap().parse().unwrap();
                assert!(query.ends_with("&count=1000"), "{query}");
                api.asked.lock().unwrap().push(query);
                let streams: Vec<_> =
                    api.streams.lock().unwrap().iter().skip(start).take(1000).cloned().collect();
                let server = api.server.lock().unwrap().clone();
                Ok(Json(
                    json!({ "code": 0, "server": server, "service": "s", "pid": "1", "streams": streams }),
                ))
            }
        };
        let router = Router::new().route("/api/v1/streams", get(streams));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    fn list(&self, streams: &[(&str, &str)]) {
        let row = |(client, name): &(&str, &str)| {
            json!({ "id": "vid-1", "name": name, "vhost": "vid-v", "app": "live", "url": format!("/live/{name}"),
                    "publish": { "active": true, "cid": client }, "video": null, "audio": null })
        };
        *self.streams.lock().unwrap() = streams.iter().map(row).collect();
    }

    fn rounds(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn the_list_of_srs_mends_what_calls_did_not_tell() {
    let api = Api::default();
    *api.server.lock().unwrap() = "vid-werty".to_owned();
    let authority = api.start().await.to_string();
    let behind = Behind::new(|config| {
        config.server = Some(SrsServer {
            authority,
            basic: Some(("srs".to_owned(), "password".to_owned())),
            every: Duration::from_millis(20),
        });
    })
    .await;
    let key = behind.key.clone();
    // Published before this node was started, and one whose end will be lost.
    api.list(&[("before", &key), ("stranger", "somebodys")]);
    behind.hook("on_publish", "lost", &key).await;
    let reconciling = tokio::spawn(behind.srs.clone().reconcile(std::future::pending()));
    until("the publisher of before", || behind.publishing() == ["before", "lost", "stranger"]).await;
    let channel_of = |client: &str| {
        let found = behind.srs.publications().into_iter().find(|publication| publication.client == client);
        found.map(|publication: SrsPublication| publication.channel_id)
    };
    assert_eq!(channel_of("before"), Some(Some(behind.channel)));
    assert_eq!(channel_of("stranger"), Some(None));
    // It had no time to be listed, then it had.
    let rounds = api.rounds();
    until("two more rounds", || api.rounds() > rounds + 2).await;
    assert!(behind.publishing().contains(&"lost".to_owned()));
    behind.node.clock.advance(60 * crate::node::SECOND);
    until("the lost end", || behind.publishing() == ["before", "stranger"]).await;

    // Away, nothing is forgotten; back with more than a page, all of it is read.
    api.is_broken.store(true, Ordering::Relaxed);
    api.list(&[]);
    behind.node.clock.advance(60 * crate::node::SECOND);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(behind.publishing(), ["before", "stranger"]);
    let many: Vec<(String, String)> =
        (0..1500).map(|n| (format!("m{n:04}"), "somebodys".to_owned())).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(client, name)| (client.as_str(), name.as_str())).collect();
    api.list(&many);
    api.is_broken.store(false, Ordering::Relaxed);
    until("two pages", || behind.publishing().len() == 1500).await;
    assert!(api.asked.lock().unwrap().iter().any(|query| query == "start=1000&count=1000"));

    // Another server in its place has none of the old one's clients.
    *api.server.lock().unwrap() = "vid-other".to_owned();
    api.list(&[]);
    until("the old server's to be over", || behind.publishing().is_empty()).await;
    reconciling.abort();
}

/// What the importer is told once it is there: it needs the archive of the node that tells it.
#[derive(Default)]
struct Later(OnceLock<Dvr>);

impl DvrFiles for Later {
    fn finished(&self, channel_id: Uuid, path: std::path::PathBuf) {
        self.0.get().unwrap().finished(channel_id, path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_srs_are_imported_whether_it_says_so_or_not() {
    let later = Arc::new(Later::default());
    let behind = Behind::with_files(|_| {}, Some(Arc::clone(&later) as _)).await;
    let srs = tempfile::tempdir().unwrap();
    let folder = srs.path().join("objs/dvr");
    // Two minutes apart, named as SRS names them: one is told of, one was made while this node was away.
    let start_ms = crate::node::at(NOW) / 1000 - 600_000;
    let name = |minutes: i64| format!("live/{}/{}.mp4", behind.key, start_ms + minutes * 60_000);
    let clip = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../turepe/assets/demo.mp4");
    std::fs::create_dir_all(folder.join("live").join(&behind.key)).unwrap();
    std::fs::copy(&clip, folder.join(name(0))).unwrap();
    std::fs::copy(&clip, folder.join(format!("live/{}/1.mp4.tmp", behind.key))).unwrap();
    std::os::unix::fs::symlink(&clip, folder.join(name(4))).unwrap();
    // The files are of now, and must be old enough.
    let now_us = world::Clock::now_us(&world::SystemClock);
    behind.node.clock.set(now_us + 60 * crate::node::SECOND);
    let config = DvrConfig {
        folder: folder.clone(),
        pattern: "[app]/[stream]/[timestamp].mp4".parse().unwrap(),
        zone: jiff::tz::TimeZone::UTC,
        key: KeyFrom::Stream,
        ledger: srs.path().join("ledger"),
    };
    let keys = Arc::new(CatalogKeys { catalog: behind.node.catalog.clone(), hangs: Arc::default() });
    let disk: Arc<dyn world::Disk> = Arc::new(world::SystemDisk);
    let clock = Arc::clone(&behind.node.clock) as _;
    let dvr = Dvr::new(config, behind.node.archive.clone(), keys, disk, clock);
    assert!(later.0.set(dvr.clone()).is_ok());
    let importing = tokio::spawn(dvr.run(std::future::pending()));
    let recorded = async |minutes: i64| {
        let start_us = (start_ms + minutes * 60_000) * 1000;
        let spans = behind.node.archive.spans(behind.channel, start_us, start_us + 60 * crate::node::SECOND);
        spans.await.unwrap().iter().map(|(from_us, to_us)| to_us - from_us).sum::<i64>()
    };
    let wait_for = async |minutes: i64| {
        let start = Instant::now();
        while recorded(minutes).await < 5 * crate::node::SECOND {
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for minute {minutes}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    wait_for(0).await;
    std::fs::copy(&clip, folder.join(name(2))).unwrap();
    let told = |file: &str| {
        let mut event: Value = serde_json::from_str(&event("on_dvr", "c1", &behind.key, "")).unwrap();
        event["cwd"] = srs.path().to_str().unwrap().into();
        event["file"] = file.into();
        event.to_string()
    };
    for file in ["/etc/passwd", "./objs/dvr/../../../etc/x.mp4", &format!("./objs/dvr/{}", name(4))] {
        assert_eq!(behind.call("/srs/hooks", &told(file)).await.1, r#"{"code":0}"#);
    }
    for _ in 0..3 {
        let file = format!("./objs/dvr/{}", name(2));
        assert_eq!(behind.call("/srs/hooks", &told(&file)).await.1, r#"{"code":0}"#);
    }
    wait_for(2).await;
    let ledger = || std::fs::read_to_string(srs.path().join("ledger")).unwrap_or_default();
    until("both to be noted", || ledger().lines().count() == 2).await;
    assert!(!ledger().contains(&behind.key));
    assert_eq!(recorded(4).await, 0, "a link is not followed");
    importing.abort();
}
