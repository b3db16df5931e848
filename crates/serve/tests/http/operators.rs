//! What the node says of itself, and to whom.

use crate::node::{Node, TOKEN, problem};
use std::sync::Arc;
use turepe_serve::{Exposition, Measured, Operators, Relays, api::ChannelRelay};

const NOW: &str = "2026-11-21T11:30:00Z";

/// A room that `serve` does not know.
struct Another;

impl Measured for Another {
    fn measure(&self, out: &mut Exposition) {
        out.gauge("turepe_another", "Of another room.", 7.0);
    }
}

/// One relay that does not run.
struct OneRelay;

impl Relays for OneRelay {
    fn relays(&self) -> Vec<ChannelRelay> {
        vec![ChannelRelay {
            channel_id: uuid::Uuid::nil(),
            target_id: "all-1".into(),
            name: None,
            address: "rtmp://target.example/live/***".into(),
            state: "backingOff".into(),
            live_since: None,
            reason: Some("the target closed the connection".into()),
            next_try_at: None,
            sent_bytes: 7,
            reconnects: 1,
            skipped: 0,
        }]
    }
}

#[tokio::test]
async fn relays_are_told_with_state_and_reason() {
    let told = recorded().await.json("/api/node/relays").await;
    let relay = &told["relays"][0];
    assert_eq!(
        (&relay["state"], &relay["address"]),
        (&"backingOff".into(), &"rtmp://target.example/live/***".into())
    );
    assert_eq!(
        (&relay["reason"], &relay["sentBytes"]),
        (&"the target closed the connection".into(), &7.into())
    );
}

async fn recorded() -> Node {
    let node = Node::with(NOW, |config| {
        config.relays = Some(Arc::new(OneRelay));
        config.measured.push(Arc::new(Another));
    })
    .await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T10:00:00Z", "2026-11-21T10:10:00Z").await;
    node
}

/// The value of a metric, with its labels in the name.
fn metric(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn the_ledger_tells_what_is_safe() {
    let node = recorded().await;
    let ledger = node.json("/api/node/ledger").await;
    // Without a bucket, what is sealed is where it is to be.
    assert_eq!((&ledger["hasBucket"], &ledger["unsafeBytes"]), (&false.into(), &0.into()), "{ledger}");
    assert_eq!(ledger["uploadLagS"], 0.0);
    assert_eq!(ledger["upload"]["trouble"], serde_json::Value::Null);
    assert_eq!(ledger["alarms"], serde_json::json!([]));
    assert_eq!(ledger["keeper"]["isStopped"], false);
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let node = recorded().await;
    node.get("/api/nothing").send().await.unwrap();
    let response = node.get("/metrics").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let text = response.text().await.unwrap();
    assert!(metric(&text, "turepe_recorded_bytes_total") > 1000.0);
    assert_eq!(metric(&text, "turepe_archive_unsafe_bytes"), 0.0);
    assert_eq!(metric(&text, "turepe_upload_failed_calls_total"), 0.0);
    assert_eq!(metric(&text, "turepe_catalog_up"), 1.0);
    assert_eq!(metric(&text, "turepe_archive_repaired"), 1.0);
    assert_eq!(metric(&text, "turepe_alarm{alarm=\"bucketAway\"}"), 0.0);
    assert_eq!(metric(&text, "turepe_http_answers_total{class=\"4xx\"}"), 1.0);
    assert_eq!(metric(&text, "turepe_another"), 7.0);
    // Every sample has its type, and no name comes twice.
    let mut typed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for sample in samples {
        let name = sample.split(['{', ' ']).next().unwrap();
        assert!(typed.iter().any(|line| line.split(' ').next() == Some(name)), "{sample}");
        assert_eq!(name.ends_with("_total"), typed.contains(&format!("{name} counter").as_str()), "{sample}");
    }
    let all = typed.len();
    typed.sort_unstable();
    typed.dedup();
    assert_eq!(typed.len(), all);
    // Numbers of the node, and nothing of its tenants.
    assert!(!text.contains("padel-sur") && !text.contains("central"), "{text}");
}

/// What a request may look like that is made on the machine and not by a program of it.
const NOT_DIRECT: [(&str, &str); 6] = [
    ("x-forwarded-for", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1"),
    ("cf-connecting-ip", "127.0.0.1"),
    ("host", "video.club.example"),
    ("origin", "https://evil.example"),
    ("sec-fetch-site", "cross-site"),
];

#[tokio::test]
async fn strangers_are_told_what_to_do() {
    let node = recorded().await;
    for address in ["/metrics", "/api/node/ledger", "/api/node/relays"] {
        assert_eq!(node.get(address).send().await.unwrap().status(), 200, "where loopback was asked for");
        for (name, value) in NOT_DIRECT {
            let response = node.get(address).header(name, value).send().await.unwrap();
            let detail = problem(response, 403, "operators_only").await;
            assert!(detail.contains("operators.token") && !detail.contains(TOKEN), "{detail}");
            let response = node.get(address).header(name, value).bearer_auth(TOKEN).send().await.unwrap();
            assert_eq!(response.status(), 200, "{address} with {name}");
            let response = node.get(address).header(name, value).bearer_auth("guess").send().await.unwrap();
            problem(response, 403, "operators_only").await;
        }
    }
    // Health is for everybody.
    for address in ["/healthz", "/readyz"] {
        let response = node.get(address).header("x-forwarded-for", "8.8.8.8").send().await.unwrap();
        assert_eq!(response.status(), 200, "{address}");
    }
}

/// Behind nginx's plain `proxy_pass` everybody looks like a program on this machine.
#[tokio::test]
async fn being_on_the_machine_is_not_enough_where_nobody_asked_for_that() {
    let node = Node::with(NOW, |config| config.operators = Operators::with_token(TOKEN)).await;
    for address in ["/metrics", "/api/node/ledger", "/api/node/relays"] {
        let detail = problem(node.get(address).send().await.unwrap(), 403, "operators_only").await;
        assert!(detail.contains("operators.token") && detail.contains("turepe ask"), "{detail}");
        let response = node.get(address).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(response.status(), 200, "{address}");
    }
}
