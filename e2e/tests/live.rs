//! Live viewing with real publishers and players: every way of watching, who may, and what players live through.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use turepe_e2e::{Clip, Court, Node, NodeOptions, Publisher, browser_live, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

/// The court page in Chromium with hls.js: close behind the clock, back in time, to the edge again.
#[test]
fn a_court_is_watched_live_in_the_browser() {
    let node = Node::start(NodeOptions { segment: "15m", ..NodeOptions::default() });
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    browser_live(&[
        ("TUREPE_URL", &node.url("")),
        ("TUREPE_CLUB", &court.club),
        ("TUREPE_COURT", &court.court),
        ("TUREPE_LIVE_RTMP", &node.rtmp_url(&court.key)),
    ]);
}

/// What the club's page says of the court, once it is live.
fn live_url(node: &Node, court: &Court) -> String {
    wait_until("the court to be live", PATIENCE, || {
        let club = node.get_json(&format!("/api/clubs/{}", court.club));
        Some(club["courts"].as_array()?.first()?["liveUrl"].as_str()?.to_owned())
    })
}

/// Plays some seconds with ffmpeg, decoding everything, and gives its complaints.
fn play(url: &str, seconds: &str) -> Output {
    Command::new("ffmpeg")
        .args([
            "-v",
            "warning",
            "-nostdin",
            "-rw_timeout",
            "15000000",
            "-i",
            url,
            "-t",
            seconds,
            "-f",
            "null",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg starts")
}

fn plays(url: &str) {
    let output = play(url, "3");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {said}");
    assert!(!said.contains("rror"), "{url}: {said}");
}

fn stem(live_url: &str) -> &str {
    live_url.strip_suffix("/index.m3u8").expect("a live address").trim_start_matches("/live/")
}

#[test]
fn every_kind_of_player_watches_and_nobody_by_a_key() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let camera = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let open = live_url(&node, &court);
    assert_eq!(stem(&open), court.channel);
    let rtmp = |name: &str| format!("rtmp://{}/live/{name}", node.rtmp);
    let flv = |name: &str| node.url(&format!("/live/{name}.flv"));
    plays(&rtmp(&court.channel));
    plays(&flv(&court.channel));
    plays(&node.url(&open));
    plays(&node.url(&format!("{open}?window=600")));
    // A key is no name, and is refused like what does not exist.
    for name in [court.key.as_str(), "01a21668-2039-7f0e-b44a-d12b596b999d", "x"] {
        assert!(!play(&rtmp(name), "1").status.success(), "{name}");
        let (status, _, body) = node.get(&format!("/live/{name}.flv"), &[]);
        assert_eq!(status, 404);
        let problem: Value = serde_json::from_slice(&body).expect("a problem");
        assert_eq!(problem["code"], "not_live");
    }
    // Signed: the id opens nothing any more, what the page gives opens everything.
    node.admin(&["club", "set", "--club", "club", "--live", "signed"]);
    wait_until("the new policy", PATIENCE, || (node.get(&open, &[]).0 == 404).then_some(()));
    assert!(!play(&rtmp(&court.channel), "1").status.success());
    let signed = live_url(&node, &court);
    assert_ne!(signed, open);
    plays(&rtmp(stem(&signed)));
    plays(&flv(stem(&signed)));
    plays(&node.url(&signed));
    camera.stop();
    let log = node.log();
    assert!(!log.contains(&court.key) && !log.contains(stem(&signed)), "a secret is in the log");
}

/// Shows a link as the page does, and gives the cookie that the browser carries from then on.
fn shown(node: &Node, link: &str) -> String {
    let secret = link.split_once("#link=").expect("a link").1;
    let body = format!("{{\"link\":\"{secret}\"}}");
    let mut socket = TcpStream::connect(node.http).expect("the node listens");
    let head = "POST /api/clubs/club/access HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
    write!(socket, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    set.split(';').next().expect("its value").to_owned()
}

/// Over RTMP as over HTTP: nothing by the channel's id, what a link gave, and only until it is taken back.
#[test]
fn players_of_a_club_with_links_go_when_their_link_does() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    node.admin(&["club", "set", "--club", "club", "--access", "link"]);
    let camera = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let link = node.admin(&["link", "create", "--club", "club", "--court", "uno", "--live"]);
    let cookie = shown(&node, link["url"].as_str().expect("an address"));
    let url = wait_until("the court to be live", PATIENCE, || {
        let (_, _, body) = node.get("/api/clubs/club", &[("cookie", &cookie)]);
        let club: Value = serde_json::from_slice(&body).ok()?;
        Some(club["courts"][0]["liveUrl"].as_str()?.to_owned())
    });
    let stranger = node.get_json("/api/clubs/club");
    assert_eq!(
        (&stranger["courts"][0]["isLive"], &stranger["courts"][0]["liveUrl"]),
        (&Value::Bool(true), &Value::Null)
    );
    let rtmp = |name: &str| format!("rtmp://{}/live/{name}", node.rtmp);
    assert!(!play(&rtmp(&court.channel), "1").status.success());
    plays(&rtmp(stem(&url)));
    let watch = |url: &str| {
        Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i", url, "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ffmpeg starts")
    };
    let mut players = [watch(&rtmp(stem(&url))), watch(&node.url(&format!("/live/{}.flv", stem(&url))))];
    node.admin(&["link", "revoke", link["id"].as_str().expect("an id")]);
    for player in &mut players {
        wait_until("the player to be sent away", PATIENCE, || player.try_wait().expect("a child"));
    }
    assert!(!play(&rtmp(stem(&url)), "1").status.success());
    wait_until("the refusal", PATIENCE, || (node.get(&url, &[]).0 == 410).then_some(()));
    // Nobody else noticed.
    assert_eq!(node.get_json("/api/clubs/club")["courts"][0]["isLive"], true);
    camera.stop();
    let log = node.log();
    let secret = link["url"].as_str().and_then(|url| url.split_once("#link=")).expect("a link").1;
    for text in [secret, &cookie, stem(&url)] {
        assert!(!log.contains(text), "a secret is in the log");
    }
}

/// Another camera with another codec takes the channel over while somebody watches: the playlist says so, numbers go on.
#[test]
fn a_takeover_with_another_codec_is_a_discontinuity() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let first = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let url = live_url(&node, &court);
    let mut player = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", &node.url(&format!("/live/{}.flv", court.channel))])
        .args(["-map", "0:v", "-c", "copy", "-f", "null", "-"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ffmpeg starts");
    let playlist = || String::from_utf8(node.get(&url, &[]).2).expect("text");
    wait_until("two segments", PATIENCE, || (playlist().matches("#EXTINF").count() >= 2).then_some(()));
    let second = Publisher::turepe(Clip::Hevc, &node.rtmp_url(&court.key));
    let text = wait_until("the other codec", PATIENCE, || {
        Some(playlist()).filter(|text| text.contains("#EXT-X-DISCONTINUITY\n"))
    });
    assert_eq!(text.matches("#EXT-X-MAP").count(), 2, "{text}");
    assert_eq!(player.try_wait().expect("a child"), None, "the player lives through it");
    // The discontinuity leaves the window and is counted.
    wait_until("the window to go on", PATIENCE * 2, || {
        playlist().contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n").then_some(())
    });
    first.kill();
    second.stop();
    // Nobody comes back: players are sent away.
    wait_until("the end of the player", PATIENCE, || player.try_wait().expect("a child"));
    assert_eq!(node.get(&url, &[]).0, 404);
}
