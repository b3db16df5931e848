//! SRS's shapes, pages and errors, and who gets to see them.

use crate::node::{Node, SECOND, TOKEN, at, problem};
use bytes::Bytes;
use media::{AudioConfig, SessionConfig, VideoCodec, VideoConfig};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use turepe_serve::{ClientFacts, ClientKind, Monitor, MonitorDoor, MonitorSource, Operators, StreamFacts};
use uuid::Uuid;
use world::SimulatedClock;

const NOW: &str = "2026-11-21T11:30:00Z";

/// Facts as a test says.
#[derive(Default)]
struct Said {
    clients: Mutex<Vec<ClientFacts>>,
    streams: Mutex<Vec<StreamFacts>>,
}

impl MonitorSource for Said {
    fn clients(&self) -> Vec<ClientFacts> {
        self.clients.lock().unwrap().clone()
    }

    fn streams(&self) -> Vec<StreamFacts> {
        self.streams.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        7
    }

    fn drop_client(&self, id: u64) -> bool {
        let mut clients = self.clients.lock().unwrap();
        let before = clients.len();
        clients.retain(|client| client.id != id);
        clients.len() < before
    }
}

/// Operators are who has the token and who is on this machine.
fn near() -> MonitorDoor {
    MonitorDoor::new(Operators::with_token(TOKEN).and_loopback())
}

/// A monitoring on a port of its own.
struct Watched {
    said: Arc<Said>,
    clock: Arc<SimulatedClock>,
    address: SocketAddr,
    client: Client,
}

impl Watched {
    async fn start(door: MonitorDoor) -> Self {
        let said = Arc::new(Said::default());
        said.streams.lock().unwrap().push(stream(1));
        said.clients.lock().unwrap().push(publisher(3, 1));
        let clock = Arc::new(SimulatedClock::new(at(NOW)));
        let monitor =
            Monitor::new(door, Uuid::from_u128(u128::MAX), Arc::clone(&said) as _, Arc::clone(&clock) as _);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(monitor.run(Some(listener), std::future::pending()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { said, clock, address, client: Client::new() }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        response.json().await.unwrap()
    }
}

fn publisher(id: u64, channel: u128) -> ClientFacts {
    ClientFacts {
        id,
        peer: "192.168.1.10:40000".parse().unwrap(),
        channel_id: Uuid::from_u128(channel),
        kind: ClientKind::Publisher,
        since_us: at(NOW),
        received_bytes: 1_000_000,
        sent_bytes: 3500,
    }
}

fn stream(channel: u128) -> StreamFacts {
    let video = VideoConfig {
        codec: VideoCodec::H264,
        record: Bytes::from_static(&[1, 100, 0, 40]),
        width: 1920,
        height: 1080,
        codec_string: "avc1.640028".to_owned(),
        frame_rate: None,
        pixel_aspect_ratio: None,
    };
    let audio = AudioConfig {
        record: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codec_string: "mp4a.40.2".to_owned(),
    };
    StreamFacts {
        channel_id: Uuid::from_u128(channel),
        is_live: true,
        frames: 300,
        bytes: 1_000_000,
        config: Some(Arc::new(SessionConfig { video: Some(video), audio: Some(audio) })),
    }
}

#[tokio::test]
async fn streams_and_clients_have_the_shapes_of_srs() {
    let watched = Watched::start(near()).await;
    watched.clock.advance(10 * SECOND);
    watched.said.streams.lock().unwrap()[0].frames += 250;
    watched.said.streams.lock().unwrap()[0].bytes += 5_000_000;
    watched.said.clients.lock().unwrap()[0].received_bytes += 5_000_000;
    let id = Uuid::from_u128(1).to_string();
    let row = json!({
        "id": id, "name": id, "vhost": "vid-default", "app": "live", "tcUrl": "rtmp://localhost/live",
        "url": format!("/live/{id}"), "live_ms": at(NOW) / 1000 + 10_000, "clients": 1, "frames": 550,
        "send_bytes": 3500, "recv_bytes": 6_000_000, "kbps": { "recv_30s": 4000, "send_30s": 0 },
        "publish": { "active": true, "cid": "3" },
        "video": { "codec": "H264", "profile": "High", "level": "4", "width": 1920, "height": 1080, "fps": 25.0 },
        "audio": { "codec": "AAC", "sample_rate": 44100, "channel": 2, "profile": "LC" },
    });
    let listed = watched.json("/api/v1/streams?start=0&count=1000").await;
    let pid = std::process::id().to_string();
    assert_eq!(listed["streams"], json!([row]));
    assert_eq!(
        (&listed["code"], &listed["pid"], &listed["server"]),
        (&0.into(), &pid.into(), &"vid-fffffff".into())
    );
    assert!(listed["service"].is_string());
    let one = watched.json(&format!("/api/v1/streams/{id}")).await;
    assert_eq!((&one["code"], &one["stream"]), (&0.into(), &row));
    let client = json!({
        "id": "3", "vhost": "vid-default", "stream": id, "ip": "192.168.1.10", "pageUrl": "", "swfUrl": "",
        "tcUrl": "rtmp://localhost/live", "url": format!("/live/{id}"), "name": id, "type": "fmle-publish",
        "publish": true, "alive": 10.0, "send_bytes": 3500, "recv_bytes": 6_000_000,
        "kbps": { "recv_30s": 4000, "send_30s": 0 },
    });
    assert_eq!(watched.json("/api/v1/clients/").await["clients"], json!([client]));
    assert_eq!(watched.json("/api/v1/clients/3").await["client"], client);
    // Without a session its tracks are not known.
    watched.said.streams.lock().unwrap()[0].config = None;
    let listed = watched.json("/api/v1/streams").await;
    assert_eq!(
        (&listed["streams"][0]["video"], &listed["streams"][0]["audio"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn versions_and_summaries_have_what_tools_read() {
    let watched = Watched::start(near()).await;
    watched.clock.advance(5 * SECOND);
    let version = &watched.json("/api/v1/versions").await["data"];
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(["major", "minor", "revision"].iter().all(|part| version[part].is_u64()), "{version}");
    let summary = &watched.json("/api/v1/summaries").await["data"];
    assert_eq!((&summary["ok"], &summary["now_ms"]), (&true.into(), &(at(NOW) / 1000 + 5000).into()));
    assert_eq!((&summary["self"]["srs_uptime"], &summary["system"]["conn_srs"]), (&5.into(), &7.into()));
    let names = |part: &Value| part.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut own = vec![
        "version",
        "pid",
        "ppid",
        "argv",
        "cwd",
        "mem_kbyte",
        "mem_percent",
        "cpu_percent",
        "srs_uptime",
    ];
    own.sort_unstable();
    assert_eq!(names(&summary["self"]), own);
    let mut system = vec![
        "cpu_percent",
        "disk_read_KBps",
        "disk_write_KBps",
        "disk_busy_percent",
        "mem_ram_kbyte",
        "mem_ram_percent",
        "mem_swap_kbyte",
        "mem_swap_percent",
        "cpus",
        "cpus_online",
        "uptime",
        "ilde_time",
        "load_1m",
        "load_5m",
        "load_15m",
        "net_sample_time",
        "net_recv_bytes",
        "net_send_bytes",
        "net_recvi_bytes",
        "net_sendi_bytes",
        "srs_sample_time",
        "srs_recv_bytes",
        "srs_send_bytes",
        "conn_sys",
        "conn_sys_et",
        "conn_sys_tw",
        "conn_sys_udp",
        "conn_srs",
    ];
    system.sort_unstable();
    assert_eq!(names(&summary["system"]), system);
    assert!(summary["self"]["mem_kbyte"].as_u64() > Some(1000));
}

#[tokio::test]
async fn pages_errors_and_the_end_of_a_client() {
    let watched = Watched::start(near()).await;
    for number in 4..40 {
        watched.said.clients.lock().unwrap().push(publisher(number, number.into()));
        watched.said.streams.lock().unwrap().push(stream(number.into()));
    }
    for what in ["clients", "streams"] {
        for (query, rows) in
            [("", 10), ("?count=3", 10), ("?start=30", 7), ("?start=0&count=1000", 37), ("?start=99", 0)]
        {
            let listed = watched.json(&format!("/api/v1/{what}{query}")).await;
            assert_eq!(listed[what].as_array().unwrap().len(), rows, "{what}{query}");
        }
    }
    for (path, answer) in [
        ("/api/v1/streams/nothing", json!({ "code": 2048 })),
        ("/api/v1/streams/00000000-0000-0000-0000-0000000000ff", json!({ "code": 2048 })),
        ("/api/v1/clients/99", json!({ "code": 2049 })),
        ("/api/v1/clients/-1", json!({ "code": 2049 })),
    ] {
        assert_eq!(watched.json(path).await, answer, "{path}");
    }
    let drop_client = |id: &str| {
        watched
            .client
            .delete(format!("http://{}/api/v1/clients/{id}", watched.address))
            .bearer_auth(TOKEN)
            .send()
    };
    let dropped: Value = drop_client("3").await.unwrap().json().await.unwrap();
    let mut names: Vec<_> = dropped.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(
        (&dropped["code"], names),
        (&0.into(), vec!["code".into(), "pid".into(), "server".into(), "service".into()])
    );
    assert_eq!(drop_client("3").await.unwrap().json::<Value>().await.unwrap(), json!({ "code": 2049 }));
    assert_eq!(watched.get("/api/v1/nothing").send().await.unwrap().status(), 404);
    let response = watched
        .client
        .post(format!("http://{}/api/v1/clients", watched.address))
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
}

#[tokio::test]
async fn only_operators_or_whoever_has_the_password() {
    let open = Watched::start(near()).await;
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9"),
        ("host", "rebound.example"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let response = open.get("/api/v1/clients").header(name, value).send().await.unwrap();
        let detail = problem(response, 403, "operators_only").await;
        assert!(detail.contains("not asked on the machine itself"), "{name}: {detail}");
    }
    let strict = Watched::start(MonitorDoor::new(Operators::with_token(TOKEN))).await;
    for path in ["/api/v1/clients", "/api/v1/summaries", "/nothing"] {
        let detail = problem(strict.get(path).send().await.unwrap(), 403, "operators_only").await;
        assert!(detail.contains("operators.token"), "{detail}");
    }
    assert_eq!(strict.get("/api/v1/clients").bearer_auth(TOKEN).send().await.unwrap().status(), 200);
    let locked = Watched::start(near().with_password("admin", "correct horse")).await;
    for path in ["/api/v1/clients", "/api/v1/summaries", "/nothing"] {
        let response = locked.get(path).send().await.unwrap();
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
        assert!(problem(response, 401, "password_needed").await.contains("srs_api.password"), "{path}");
        let wrong = locked.get(path).basic_auth("admin", Some("correct")).send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
    }
    let right = locked.get("/api/v1/clients").basic_auth("admin", Some("correct horse"));
    assert_eq!(right.header("x-forwarded-for", "203.0.113.9").send().await.unwrap().status(), 200);
}

/// Any user of the machine may be on loopback: that ends nobody's recording.
#[tokio::test]
async fn ending_a_client_takes_the_token_or_the_password() {
    let open = Watched::start(near()).await;
    let end =
        |watched: &Watched| watched.client.delete(format!("http://{}/api/v1/clients/3", watched.address));
    assert_eq!(open.get("/api/v1/clients").send().await.unwrap().status(), 200);
    problem(end(&open).send().await.unwrap(), 403, "operators_only").await;
    problem(end(&open).bearer_auth("guess").send().await.unwrap(), 403, "operators_only").await;
    assert_eq!(open.said.clients.lock().unwrap().len(), 1, "it goes on");
    assert_eq!(end(&open).bearer_auth(TOKEN).send().await.unwrap().json::<Value>().await.unwrap()["code"], 0);
    let locked = Watched::start(near().with_password("admin", "correct horse")).await;
    problem(end(&locked).send().await.unwrap(), 401, "password_needed").await;
    let answer = end(&locked).basic_auth("admin", Some("correct horse")).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], 0);
}

#[tokio::test]
async fn the_main_port_answers_the_summaries_and_nothing_else_of_it() {
    let node = Node::built(
        NOW,
        |_| {},
        |server, _, clock| {
            let said: Arc<Said> = Arc::default();
            server.with_monitor(Monitor::new(near(), Uuid::nil(), said, clock))
        },
    )
    .await;
    assert_eq!(node.json("/api/v1/summaries").await["data"]["ok"], true);
    let far = node.get("/api/v1/summaries").header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert_eq!(far.status(), 403);
    for path in ["/api/v1/clients", "/api/v1/streams"] {
        assert_eq!(node.get(path).send().await.unwrap().status(), 404, "{path}");
    }
}
