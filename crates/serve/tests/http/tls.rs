//! HTTPS: the same server with the same limits, by HTTP/2 and HTTP/1.1.

use crate::node::Node;
use serde_json::Value;
use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};
use testing::certificates::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

const NOW: &str = "2026-11-21T11:30:00Z";

async fn node() -> (Node, Authority) {
    let authority = Authority::new();
    let node = Node::secure(NOW, authority.issue().server(&["h2", "http/1.1"])).await;
    (node, authority)
}

/// What curl gets of an address, and by which version.
async fn curl(node: &Node, authority: &Authority, path: &str, more: &[&str]) -> (String, String) {
    let mut trusted = tempfile::NamedTempFile::new().unwrap();
    trusted.write_all(authority.pem().as_bytes()).unwrap();
    let output = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "-w",
            "\n%{http_version} %{http_code}",
            "--cacert",
        ])
        .arg(trusted.path())
        .args(more)
        .arg(format!("https://localhost:{}{path}", node.tls_address.unwrap().port()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (body, version) = said.rsplit_once('\n').unwrap();
    (body.to_owned(), version.to_owned())
}

#[tokio::test]
async fn both_versions_answer_alike() {
    let (node, authority) = node().await;
    for (flag, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let (body, spoken) = curl(&node, &authority, "/api/clubs", &[flag]).await;
        assert_eq!(spoken, version);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["clubs"], serde_json::json!([]));
        assert_eq!(curl(&node, &authority, "/api/nothing", &[flag]).await.1, version.replace("200", "404"));
    }
    let plain = node.json("/api/clubs").await;
    assert_eq!(plain["clubs"], serde_json::json!([]));
}

/// HTTP/2 has no `Host`, which tells the machine itself from a page that had its name point here.
#[tokio::test]
async fn operators_are_told_by_the_name_that_was_asked_for() {
    let (node, authority) = node().await;
    for flag in ["--http2", "--http1.1"] {
        assert!(curl(&node, &authority, "/metrics", &[flag]).await.1.ends_with(" 200"), "{flag}");
        let other = ["-H", "Host: club.example", flag];
        assert!(curl(&node, &authority, "/metrics", &other).await.1.ends_with(" 403"), "{flag}");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_not_taken() {
    let (node, _) = node().await;
    let stranger = Authority::new();
    let stream = TcpStream::connect(node.tls_address.unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    assert!(TlsConnector::from(stranger.client()).connect(name, stream).await.is_err());
}

#[tokio::test]
async fn handshakes_that_do_not_end_hold_up_nobody_and_not_the_end() {
    let (mut node, authority) = node().await;
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(node.tls_address.unwrap()).await.unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        open.push(stream);
    }
    assert_eq!(curl(&node, &authority, "/healthz", &[]).await.1, "2 200");
    // A peer that has finished it and asks nothing.
    let stream = TcpStream::connect(node.tls_address.unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut idle = TlsConnector::from(authority.client()).connect(name, stream).await.unwrap();
    let start = Instant::now();
    node.stop().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let mut rest = Vec::new();
    drop(idle.read_to_end(&mut rest).await);
    for mut stream in open {
        drop(stream.read_to_end(&mut rest).await);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_sent_away() {
    let (node, _) = node().await;
    let mut stream = TcpStream::connect(node.tls_address.unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    drop(read.expect("it is closed"));
    assert!(!answer.starts_with(b"HTTP"), "not in the clear");
}
