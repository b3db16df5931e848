//! Readers that take nothing, and ranges that strangers choose: what they may hold of the node.

use crate::node::{Node, TOKEN, path, problem};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

const NOW: &str = "2026-11-21T11:30:00Z";
const COURT: &str = "/api/clubs/padel-sur/courts/central/replay";

/// A node with footage of 80 minutes, in segments of five.
async fn recorded(set: impl FnOnce(&mut turepe_serve::ServeConfig)) -> Node {
    let node = Node::with(NOW, set).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T08:50:00Z", "2026-11-21T10:10:00Z").await;
    node
}

async fn download_url(node: &Node) -> String {
    path(&node.json(&format!("{COURT}?date=2026-11-21&time=10:00")).await["downloadUrl"])
}

/// Asks for something, reads the first byte of the answer, and nothing more. Gives the status.
async fn stalled(node: &Node, address: &str) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(node.address).await.unwrap();
    stream.write_all(format!("GET {address} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    (stream, String::from_utf8_lossy(&line[9..]).into_owned())
}

/// Files of footage that this process has open.
fn open_footage(node: &Node) -> usize {
    let store = node.folder.path().join("store");
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|file| file.starts_with(&store))
        .count()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), so).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Bytes that answers hold, as operators are told.
async fn held_bytes(node: &Node) -> u64 {
    let text = node.get("/metrics").send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("turepe_http_held_bytes "));
    line.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap()
}

/// 206 stalled downloads of a day took 20,000 descriptors; recording had none left.
#[tokio::test(flavor = "multi_thread")]
async fn stalled_downloads_hold_no_footage_open() {
    let node = recorded(|_| {}).await;
    let address = download_url(&node).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let (stream, status) = stalled(&node, &address).await;
        assert_eq!(status, "200");
        readers.push(stream);
    }
    until("no file is open", async || open_footage(&node) == 0).await;
    // Of each there is more to come than the sockets hold, and it comes.
    let mut rest = Vec::new();
    let mut first = readers.swap_remove(0);
    while rest.len() < 5_000_000 {
        assert!(first.read_buf(&mut rest).await.unwrap() > 0, "after {} bytes", rest.len());
    }
}

/// 300 stalled readers held 2.3 GB, which stayed after they had left.
#[tokio::test(flavor = "multi_thread")]
async fn what_answers_hold_is_bounded_and_comes_back_when_their_bodies_end() {
    let limit = 4 * 1024 * 1024;
    let node = recorded(|config| config.memory_bytes = limit).await;
    let address = download_url(&node).await;
    let mut readers = Vec::new();
    loop {
        let (stream, status) = stalled(&node, &address).await;
        if status != "200" {
            assert_eq!(status, "503");
            break;
        }
        readers.push(stream);
        assert!(readers.len() < 20, "each holds its pieces");
        let held = held_bytes(&node).await;
        assert!((1..=limit).contains(&held), "{held}");
    }
    assert!(readers.len() >= 2, "{}", readers.len());
    let refused = node.get(&address).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, 503, "busy").await;
    // Who watches over the node is answered, and so is whoever needs little.
    assert_eq!(node.json("/healthz").await["ok"], true);

    // One leaves: the next one gets in.
    readers.pop();
    until("there is room again", async || node.get(&address).send().await.unwrap().status() == 200).await;
    drop(readers);
    until("everything came back", async || held_bytes(&node).await == 0).await;
}

/// The replay as somebody from outside is told it.
async fn strangers(node: &Node, from: &str, to: &str) -> reqwest::Response {
    let address = format!("{COURT}?from={from}&to={to}");
    node.get(&address).header("x-forwarded-for", "192.0.2.7").send().await.unwrap()
}

#[tokio::test]
async fn strangers_choose_ranges_of_hours_and_whole_seconds() {
    let node = recorded(|_| {}).await;
    let answer =
        async |from: &str, to: &str| -> Value { strangers(&node, from, to).await.json().await.unwrap() };
    let one = answer("2026-11-21T09:00:00.001Z", "2026-11-21T09:30:00.002Z").await;
    let other = answer("2026-11-21T09:00:00.999Z", "2026-11-21T09:30:00.001Z").await;
    // All that was asked for is in it.
    assert_eq!(
        (&one["start"], &one["end"]),
        (&"2026-11-21T09:00:00.000Z".into(), &"2026-11-21T09:30:01.000Z".into())
    );
    assert_eq!(one, other, "ranges that hardly differ are the same answer");
    let exact = answer("2026-11-21T09:00:00Z", "2026-11-21T09:30:00Z").await;
    assert_eq!(exact["end"], "2026-11-21T09:30:00.000Z");

    assert_eq!(strangers(&node, "2026-11-21T06:00:00Z", "2026-11-21T10:00:00Z").await.status(), 200);
    let longer = strangers(&node, "2026-11-21T06:00:00Z", "2026-11-21T10:00:01Z").await;
    let detail = problem(longer, 400, "range_too_long").await;
    assert!(detail.contains("be 4h long") && detail.contains("24 hours for operators"), "{detail}");
    // Operators may have a day, to the instant.
    let address = format!("{COURT}?from=2026-11-20T11:00:00.001Z&to=2026-11-21T11:00:00Z");
    let day: Value = node.get(&address).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
    assert_eq!(day["start"], "2026-11-20T11:00:00.001Z");
    let token = "a-token-of-some-length";
    let node = recorded(|config| {
        config.operators = turepe_serve::Operators::with_token(token);
        config.free_range_us = 60 * 1_000_000;
    })
    .await;
    let longer = strangers(&node, "2026-11-21T09:00:00Z", "2026-11-21T09:02:00Z").await;
    assert!(problem(longer, 400, "range_too_long").await.contains("be 1m long"));
    let address = format!("{COURT}?from=2026-11-21T09:00:00Z&to=2026-11-21T10:02:00Z");
    let request = node.get(&address).header("x-forwarded-for", "192.0.2.7").bearer_auth(token);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// A slot is as long as the club has it, whoever asks.
#[tokio::test]
async fn a_slot_is_nobodys_own_choice() {
    let node = recorded(|config| config.free_range_us = 60 * 1_000_000).await;
    let address = format!("{COURT}?date=2026-11-21&time=10:00");
    let answer = node.get(&address).header("x-forwarded-for", "192.0.2.7").send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["end"], "2026-11-21T10:00:00.000Z");
}
