//! What a player gets of a match, seen with ffmpeg: exact to the frame, across segment borders and gaps, for every kind
//! of material.

use std::time::Duration;

use turepe_e2e::{
    Clip, Node, NodeOptions, Publisher, assert_increasing, counters, decode_warnings, holes,
    missing_before_hole, now_us, probe, recorded, replay_is_exact, save, us, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(90);

/// MediaMTX #4354: asked for five minutes, got three seconds or twenty minutes.
fn is_exact(kind: Clip, publish: fn(Clip, &str) -> Publisher) {
    replay_is_exact(&Node::start(NodeOptions::default()), kind, publish, |_| {});
}

#[test]
fn h264_from_ffmpeg_is_exact() {
    is_exact(Clip::H264, Publisher::ffmpeg);
}

#[test]
fn h264_at_29_97_from_our_publisher_is_exact() {
    is_exact(Clip::H264Ntsc, Publisher::turepe);
}

#[test]
fn hevc_by_enhanced_rtmp_from_ffmpeg_is_exact() {
    is_exact(Clip::Hevc, Publisher::ffmpeg);
}

#[test]
fn hevc_by_enhanced_rtmp_from_our_publisher_is_exact() {
    is_exact(Clip::Hevc, Publisher::turepe);
}

/// MediaMTX #3816, #5411, Moonfire #178: a gap breaks what is joined over it.
#[test]
fn across_a_gap_it_plays_on_and_says_what_is_missing() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let first = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 7);
    first.kill();
    let broken_at = now_us();
    node.ended(&court, begin);
    // The gap is what the test is about: it must have a length that can be seen.
    wait_until("three seconds without a camera", PATIENCE, || {
        (now_us() > broken_at + 3_000_000).then_some(())
    });
    let second = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    wait_until("footage after the gap", PATIENCE, || {
        let replay = node.replay(&court, broken_at + 1_000_000, now_us());
        let last = replay["fragments"].as_array().expect("fragments").last().map(|f| us(&f["end"]))?;
        (last > broken_at + 9_000_000).then_some(())
    });
    second.stop();
    let replay = node.ended(&court, begin);
    let fragments = replay["fragments"].as_array().expect("fragments");
    let (start, end) = (us(&fragments[0]["start"]), us(&fragments.last().expect("fragments")["end"]));
    let replay = node.replay(&court, start, end);
    let gaps = replay["gaps"].as_array().expect("gaps");
    assert_eq!(gaps.len(), 1, "{replay}");
    assert_eq!(gaps[0]["cause"], "network", "{replay}");
    let gap_us = us(&gaps[0]["end"]) - us(&gaps[0]["start"]);
    assert!(gap_us > 2_500_000, "{replay}");
    let coverage = 1.0 - gap_us as f64 / (end - start) as f64;
    assert!((replay["coverage"].as_f64().expect("coverage") - coverage).abs() < 0.01, "{replay}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = save(&node, replay["downloadUrl"].as_str().expect("downloadUrl"), &folder, "gap.mp4");
    assert_eq!(decode_warnings(&file, &[]), "");
    assert_increasing(&file, "v");
    assert_increasing(&file, "a");
    let existing_s = (end - start - gap_us) as f64 / 1e6;
    let told = probe(&file);
    let shown = counters(&file, &[]);
    assert_eq!(holes(&shown, 600), 1, "one hole in the frames");
    // Who is killed may have sent a P-frame and not the B-frames before it: their time passes, too.
    let existing_s = existing_s + missing_before_hole(&shown, 600) as f64 / 25.0;
    assert!((told.duration_s - existing_s).abs() < 0.1, "{told:?} for {existing_s} s of footage");

    let playlist = node.url(replay["playlistUrl"].as_str().expect("playlistUrl"));
    let (_, _, text) = node.get(&playlist, &[]);
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    // Of a publisher that stopped, the last frame may be shown after the end of what is recorded, as the B-frames before it
    // never came: the download ends exactly, the playlist with the fragment.
    let (listed, frames) = (counters(&playlist, &[]), shown);
    assert!(listed.starts_with(&frames), "the playlist shows every frame: {text}{listed:?}\n{frames:?}");
    assert!(listed.len() <= frames.len() + 1, "and no other: {listed:?}\n{frames:?}");
}
