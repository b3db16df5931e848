//! Relays with real peers: ffmpeg publishes, nginx-rtmp takes and gives, and targets misbehave.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use testing::certificates::Authority;
use tokio_rustls::TlsAcceptor;
use turepe_e2e::{
    Clip, Court, Nginx, Node, NodeOptions, Publisher, clip, counters, decode_warnings, get, holes, is_cut_of,
    now_us, packets, payloads, recorded, tool, us, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of some seven seconds of the demo clip, which has 140 kbit/s.
const SECONDS_OF_CLIP: u64 = 120_000;

fn node(settings: &[(&str, &str)]) -> Node {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let node = Node::start(NodeOptions { settings, ..NodeOptions::default() });
    node.add_club("club", 60);
    node
}

/// Adds a target to a channel; gives its id.
fn add_target(node: &Node, court: &Court, url: &str) -> String {
    let target = node.admin(&["relay", "add", "--channel", &court.channel, "--url", url]);
    assert!(!target.to_string().contains(url), "{target}");
    target["id"].as_str().expect("an id").to_owned()
}

/// What the node says of a target of a channel.
fn relay(node: &Node, court: &Court, target: &str) -> Option<Value> {
    let relays = node.get_json("/api/node/relays");
    let relays = relays["relays"].as_array().expect("relays");
    let is_it = |relay: &&Value| relay["channelId"] == court.channel.as_str() && relay["targetId"] == target;
    relays.iter().find(is_it).cloned()
}

fn wait_for_state(node: &Node, court: &Court, target: &str, state: &str) -> Value {
    wait_until(&format!("target {target} to be {state}"), PATIENCE, || {
        relay(node, court, target).filter(|relay| relay["state"] == state)
    })
}

/// What arrived is what the clip holds, byte by byte, from a keyframe on, and nothing of it is missing.
fn assert_untouched(file: &str, kind: Clip) {
    let source = clip(kind);
    let source = source.to_str().expect("a plain path");
    for stream in ["v", "a"] {
        let arrived = payloads(file, stream);
        assert!(arrived.len() > 50, "{} packets of {stream} in {file}", arrived.len());
        assert!(is_cut_of(&arrived, &payloads(source, stream)), "{stream} of {file} is not the clip's");
    }
    assert!(packets(file, "v", &[])[0].is_key, "{file} begins with a keyframe");
    assert_eq!(decode_warnings(file, &[]), "", "{file}");
}

#[test]
fn what_arrives_is_what_was_published_and_no_key_is_told() {
    let target = Nginx::recording("");
    let node = node(&[("TARGET_FORWARD_URL", &format!("{}?token=topsecret", target.url()))]);
    let court = node.add_court("club", "uno");
    let publisher = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    let told = wait_for_state(&node, &court, "all-1", "live");
    assert_eq!(told["address"], format!("{}/***", target.url()));
    // Of a channel that is live already, and with a key of the target's own.
    let own = add_target(&node, &court, &format!("{}/big-screen?pass=hunter22", target.url()));
    wait_for_state(&node, &court, &own, "live");
    let all = target.recorded(&court.key, SECONDS_OF_CLIP);
    let one = target.recorded("big-screen", SECONDS_OF_CLIP);
    // The publisher's metadata is the target's.
    let play = format!("{}/{}", target.url(), court.key);
    let seen = std::process::Command::new(tool("ffprobe"))
        .args(["-v", "error", "-show_entries", "format_tags", "-of", "json", &play])
        .output()
        .expect("ffprobe starts");
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.contains("Lavf"), "the encoder of the metadata: {seen}");
    // A target that is removed is left at once, and the other one goes on.
    node.admin(&["relay", "remove", &own]);
    wait_until("the target to be forgotten", PATIENCE, || relay(&node, &court, &own).is_none().then_some(()));
    let metrics = String::from_utf8(node.get("/metrics", &[]).2).expect("text");
    assert!(metrics.contains("turepe_relays{state=\"live\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("turepe_relay_sent_bytes_total 0\n"), "{metrics}");
    publisher.stop();
    wait_until("the relay to end", PATIENCE, || relay(&node, &court, "all-1").is_none().then_some(()));
    assert_untouched(&all, Clip::H264);
    assert_untouched(&one, Clip::H264);
    let relays = node.get_json("/api/node/relays").to_string();
    let targets = node.admin(&["relay", "list"]).to_string();
    for text in [node.log(), relays, targets, metrics, told.to_string()] {
        for secret in ["topsecret", "big-screen", "hunter22", court.key.as_str()] {
            assert!(!text.contains(secret), "`{secret}` is in {text}");
        }
    }
}

#[test]
fn nginx_pushes_to_us_and_what_it_pushes_goes_on() {
    let target = Nginx::recording("");
    let node = node(&[("TUREPE_RELAY_TARGETS", &target.url())]);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let source = Nginx::start(&format!("push {};", node.rtmp_url(&court.key)));
    let publisher = Publisher::ffmpeg(Clip::H264, &format!("{}/camera", source.url()));
    let arrived = target.recorded(&court.key, SECONDS_OF_CLIP);
    recorded(&node, &court, begin, 4);
    publisher.stop();
    wait_until("the relay to end", PATIENCE, || relay(&node, &court, "all-1").is_none().then_some(()));
    assert_untouched(&arrived, Clip::H264);
}

#[test]
fn a_target_that_comes_back_is_served_again_from_a_keyframe() {
    let mut target = Nginx::recording("");
    let node = node(&[("TUREPE_RELAY_TARGETS", &target.url())]);
    let court = node.add_court("club", "uno");
    let _publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    target.recorded(&court.key, SECONDS_OF_CLIP / 2);
    target.kill();
    let told = wait_for_state(&node, &court, "all-1", "backingOff");
    assert!(told["reason"].is_string() && told["nextTryAt"].is_string(), "{told}");
    target.resume();
    let told = wait_for_state(&node, &court, "all-1", "live");
    assert!(told["reconnects"].as_u64() >= Some(1), "{told}");
    wait_until("a second recording", PATIENCE, || (target.recordings(&court.key).len() == 2).then_some(()));
    let second = target.recorded(&court.key, SECONDS_OF_CLIP);
    target.kill();
    let source = clip(Clip::H264);
    let arrived = payloads(&second, "v");
    // What was being written when it was killed is torn.
    let whole = &arrived[..arrived.len() - 1];
    assert!(is_cut_of(whole, &payloads(source.to_str().expect("a path"), "v")));
    assert!(packets(&second, "v", &[])[0].is_key);
}

/// Stands before a server and treats each connection by how many bytes came and how long it lasts.
fn proxy(server: u16, treat: impl Fn(TcpStream, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let treat = Arc::new(treat);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let treat = Arc::clone(&treat);
            std::thread::spawn(move || {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    treat(client, server);
                }
            });
        }
    });
    address
}

/// Copies until either side ends, or for so many bytes.
fn copy(mut from: TcpStream, mut to: TcpStream, most: u64) {
    let mut buffer = [0; 16 * 1024];
    let mut left = most;
    while left > 0 {
        match from.read(&mut buffer) {
            Ok(count) if count > 0 => {
                left = left.saturating_sub(count as u64);
                if to.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            _ => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }
}

/// Accepts the publication and then reads nothing any more.
fn never_reads(client: TcpStream, server: TcpStream) {
    let back = (server.try_clone().expect("twice"), client.try_clone().expect("twice"));
    std::thread::spawn(move || copy(back.0, back.1, u64::MAX));
    let held = client.try_clone().expect("twice");
    copy(client, server, 200_000);
    // Held open, longer than any test lasts.
    std::thread::sleep(Duration::from_secs(600));
    drop(held);
}

/// Closes each connection a second after it was made.
fn closes_each_second(client: TcpStream, server: TcpStream) {
    let back = (server.try_clone().expect("twice"), client.try_clone().expect("twice"));
    let forth = (client.try_clone().expect("twice"), server.try_clone().expect("twice"));
    std::thread::spawn(move || copy(back.0, back.1, u64::MAX));
    std::thread::spawn(move || copy(forth.0, forth.1, u64::MAX));
    std::thread::sleep(Duration::from_secs(1));
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn a_bad_target_is_alone_with_its_trouble() {
    let good = Nginx::recording("");
    let bad = Nginx::start("");
    let node = node(&[("TUREPE_RELAY_TARGETS", &good.url())]);
    let court = node.add_court("club", "uno");
    let stalled = add_target(&node, &court, &format!("rtmp://{}/live/stalled", proxy(bad.port, never_reads)));
    let flapping =
        add_target(&node, &court, &format!("rtmp://{}/live/flapping", proxy(bad.port, closes_each_second)));
    // Nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let away = add_target(&node, &court, &format!("rtmp://{nobody}/live/away"));
    let begin = now_us();
    let mut publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    let start = Instant::now();
    let told = wait_for_state(&node, &court, &away, "backingOff");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("onnect")), "{told}");
    let told = wait_for_state(&node, &court, &flapping, "backingOff");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("clos")), "{told}");
    let told = wait_for_state(&node, &court, &stalled, "backingOff");
    assert_eq!(told["reason"], "the target took nothing within 10 s", "{told}");
    wait_until("the flapping one to be tried often", PATIENCE, || {
        let told = relay(&node, &court, &flapping)?;
        (told["reconnects"].as_u64() >= Some(3)).then_some(())
    });
    let told = relay(&node, &court, "all-1").expect("the good one");
    assert_eq!(
        (&told["state"], &told["reconnects"], &told["skipped"]),
        (&"live".into(), &0.into(), &0.into())
    );
    assert!(publisher.is_running());
    let lasted = start.elapsed().as_secs() as i64;
    // The publisher is as fast as its clip: all of the time is recorded, but for what is on its way.
    let replay = recorded(&node, &court, begin, lasted - 12);
    let fragments = replay["fragments"].as_array().expect("fragments");
    let (first, last) = (fragments.first().expect("one"), fragments.last().expect("one"));
    let replay = node.replay(&court, us(&first["start"]), us(&last["end"]));
    assert_eq!(replay["gaps"].as_array().map(Vec::len), Some(0), "{replay}");
    publisher.stop();
    wait_until("the relay to end", PATIENCE, || {
        relay(&node, &court, &stalled).is_none_or(|relay| relay["state"] == "waiting").then_some(())
    });
    assert_eq!(good.recordings(&court.key).len(), 1, "the good one was never left");
    let file = good.recorded(&court.key, 1);
    let shown = payloads(&file, "v");
    let source = clip(Clip::Heavy);
    assert!(shown.len() as i64 > (lasted - 5) * 25, "{} frames in {lasted} s", shown.len());
    assert!(
        is_cut_of(&shown, &payloads(source.to_str().expect("a path"), "v")),
        "the good one lost something"
    );
    let log = node.log();
    for secret in ["live/stalled", "live/flapping", "live/away", court.key.as_str()] {
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
}

/// Puts TLS before a server, with a certificate of nobody's but this test. Gives its address; the certificate is written to a
/// file.
fn tls_before(server: SocketAddr, certificate: &Path) -> SocketAddr {
    let authority = Authority::new();
    std::fs::File::create_new(certificate)
        .and_then(|mut file| file.write_all(authority.pem().as_bytes()))
        .expect("the certificate is written");
    let config = authority.issue().server(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    listener.set_nonblocking(true).expect("for tokio");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let tls = TlsAcceptor::from(config);
            while let Ok((socket, _)) = listener.accept().await {
                let tls = tls.clone();
                tokio::spawn(async move {
                    // A client that does not trust us goes away: that is the other half of the test.
                    let Ok(mut client) = tls.accept(socket).await else { return };
                    let Ok(mut server) = tokio::net::TcpStream::connect(server).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    address
}

/// From node to node, HEVC by Enhanced RTMP, over TLS: with a certificate that the machine trusts, and with one that it does not.
#[test]
fn rtmps_carries_hevc_to_who_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, other) = (folder.path().join("trusted.pem"), folder.path().join("other.pem"));
    let far = node(&[]);
    let there = far.add_court("club", "there");
    let (good, bad) = (tls_before(far.rtmp, &trusted), tls_before(far.rtmp, &other));
    let near = node(&[("SSL_CERT_FILE", trusted.to_str().expect("a plain path"))]);
    let court = near.add_court("club", "uno");
    let to_good = add_target(&near, &court, &format!("rtmps://{good}/live/{}", there.key));
    let to_bad = add_target(&near, &court, &format!("rtmps://{bad}/live/{}", there.key));
    let begin = now_us();
    let publisher = Publisher::ffmpeg(Clip::Hevc, &near.rtmp_url(&court.key));
    let told = wait_for_state(&near, &court, &to_bad, "backingOff");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.starts_with("TLS: ")), "{told}");
    wait_for_state(&near, &court, &to_good, "live");
    let replay = recorded(&far, &there, begin, 6);
    publisher.stop();
    let playlist = far.url(replay["playlistUrl"].as_str().expect("playlistUrl"));
    let shown = counters(&playlist, &[]);
    assert!(shown.len() > 100, "{shown:?}");
    assert_eq!(holes(&shown, Clip::Hevc.frames()), 0, "{shown:?}");
    assert!(!near.log().contains(&there.key), "the target's key is in the log");
}

/// SRS, which asks where a stream is to be forwarded, does what it was told; this node does not do it again.
#[test]
fn what_srs_was_told_to_forward_is_not_relayed_twice() {
    let target = Nginx::recording("");
    let node = node(&[("TUREPE_RELAY_TARGETS", &target.url()), ("TUREPE_SRS_TRUSTED", "127.0.0.1/32")]);
    let court = node.add_court("club", "uno");
    let own = add_target(&node, &court, "rtmps://127.0.0.1:9/live/own");
    wait_until("the target to be known", PATIENCE, || relay(&node, &court, &own));
    let call = serde_json::json!({
        "action": "on_forward", "server_id": "vid-1", "service_id": "s", "client_id": "c", "ip": "127.0.0.1",
        "vhost": "__defaultVhost__", "app": "live", "tcUrl": "rtmp://srs/live", "stream": court.key, "param": "",
    });
    let answer = post(&node.url("/srs/forward"), &call.to_string());
    let urls: Vec<&str> =
        answer["data"]["urls"].as_array().expect("urls").iter().filter_map(Value::as_str).collect();
    assert_eq!(urls.len(), 2, "{answer}");
    assert_eq!(urls[1], format!("{}/{}", target.url(), court.key));
    // As SRS forwards it.
    let _srs = Publisher::ffmpeg(Clip::H264, urls[0]);
    wait_for_state(&node, &court, "all-1", "bySrs");
    // What SRS cannot do is done here.
    wait_for_state(&node, &court, &own, "backingOff");
    assert_eq!(target.recordings(&court.key).len(), 0, "{}", target.log());
}

fn post(url: &str, body: &str) -> Value {
    // The library's cryptography is chosen by the first request.
    drop(get(url, &[]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await
            .expect("an answer");
        answer.json().await.expect("JSON")
    })
}
