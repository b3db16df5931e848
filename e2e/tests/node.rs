//! The node among hostile and unlucky peers.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::process::{Command, Stdio};
use std::time::Duration;

use turepe_e2e::{
    Clip, Node, NodeOptions, Publisher, clip, counters, decode_warnings, holes, now_us, tool, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Wide enough for any test run.
const ANY_TIME: (i64, i64) = (0, 3_600_000_000);

fn around_now() -> (i64, i64) {
    (now_us() - ANY_TIME.1, now_us())
}

#[test]
fn an_unknown_key_is_refused_and_nothing_is_recorded() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let secret = "not-a-key-that-anybody-gave-out";
    let output = Command::new(tool("ffmpeg"))
        .args(["-hide_banner", "-nostdin", "-re", "-i"])
        .arg(clip(Clip::H264))
        .args(["-c", "copy", "-f", "flv", &node.rtmp_url(secret)])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg starts");
    assert!(!output.status.success(), "ffmpeg notices that it was refused");
    wait_until("the refusal in the log", PATIENCE, || node.log().contains("refused").then_some(()));
    assert!(!node.log().contains(secret), "the key is in the log");
    let (from, to) = around_now();
    assert_eq!(node.replay(&court, from, to)["fragments"].as_array().expect("fragments").len(), 0);
}

#[test]
fn the_same_key_again_takes_over_at_once() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let fragments = |node: &Node| {
        let (from, to) = around_now();
        node.replay(&court, from, to)["fragments"].as_array().expect("fragments").clone()
    };
    let mut first = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    wait_until("footage of the first", PATIENCE, || (!fragments(&node).is_empty()).then_some(()));
    let second = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    wait_until("the first publisher to be dropped", PATIENCE, || (!first.is_running()).then_some(()));
    wait_until("footage of the second", PATIENCE, || (fragments(&node).len() >= 2).then_some(()));
    second.stop();
    node.ended(&court, around_now().0);
    let folder = tempfile::tempdir().expect("a folder");
    for (i, fragment) in fragments(&node).iter().enumerate() {
        let (status, _, body) = node.get(fragment["url"].as_str().expect("url"), &[]);
        assert_eq!(status, 200);
        let path = folder.path().join(format!("{i}.mp4"));
        std::io::Write::write_all(
            &mut std::fs::File::options().create_new(true).write(true).open(&path).expect("file"),
            &body,
        )
        .expect("written");
        assert_eq!(decode_warnings(path.to_str().expect("path"), &[]), "", "segment {i} stands");
    }
}

#[test]
fn after_kill_9_everything_written_stands_and_recording_goes_on() {
    let mut node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    // Our own publisher comes back by itself.
    let publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let seconds = |node: &Node| {
        let replay = node.replay(&court, begin, now_us());
        replay["coverage"].as_f64().expect("coverage") * (now_us() - begin) as f64 / 1e6
    };
    wait_until("eight seconds of footage", PATIENCE, || (seconds(&node) > 8.0).then_some(()));
    let before = seconds(&node);
    node.kill();
    node.resume();
    let after = wait_until("the torn segment to be repaired", PATIENCE, || {
        let after = seconds(&node);
        (after > before - 1.5).then_some(after)
    });
    wait_until("new footage", PATIENCE, || (seconds(&node) > after + 4.0).then_some(()));
    publisher.stop();
    let replay = node.ended(&court, begin);
    let gaps = replay["gaps"].as_array().expect("gaps").clone();
    assert!(gaps.iter().any(|gap| gap["cause"] == "process"), "the gap has its cause: {replay}");
    let playlist = node.url(replay["playlistUrl"].as_str().expect("playlistUrl"));
    let frames = counters(&playlist, &[]);
    assert_eq!(holes(&frames, 600), 1, "one hole, at the crash: {frames:?}");
}

#[test]
fn ctrl_c_seals_everything_within_three_seconds() {
    let mut node = Node::start(NodeOptions { segment: "15m", ..NodeOptions::default() });
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let _publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    wait_until("footage", PATIENCE, || {
        let (from, to) = around_now();
        (!node.replay(&court, from, to)["fragments"].as_array().expect("fragments").is_empty()).then_some(())
    });
    let took = node.stop();
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    let unfinished = walk(&node.data.join("spool"));
    assert!(unfinished.is_empty(), "left in the spool: {unfinished:?}");
    assert!(!walk(&node.data.join("store")).is_empty(), "the segment is in the store");
    assert!(!node.log().contains(&court.key), "the key is in the log");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}
