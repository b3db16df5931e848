//! What a player gets of a match, seen with ffmpeg: exact to the frame, across segment borders and gaps, for every kind
//! of material.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::time::Duration;

use serde_json::Value;
use turepe_e2e::{
    Clip, Court, Node, NodeOptions, Publisher, counters, decode_warnings, holes, now_us, packets, probe,
    wait_until,
};

const PATIENCE: Duration = Duration::from_secs(90);

fn us(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("an instant, not {value}"));
    text.parse::<jiff::Timestamp>().expect("RFC 3339").as_microsecond()
}

/// The replay of everything up to now, once at least `seconds` of it are recorded in sealed segments.
fn recorded(node: &Node, court: &Court, from_us: i64, seconds: i64) -> Value {
    wait_until(&format!("{seconds} s of footage"), PATIENCE, || {
        let replay = node.replay(court, from_us, now_us());
        let fragments = replay["fragments"].as_array().expect("fragments");
        let total: i64 = fragments.iter().map(|f| us(&f["end"]) - us(&f["start"])).sum();
        (total > seconds * 1_000_000).then_some(replay)
    })
}

fn save(node: &Node, url: &str, folder: &tempfile::TempDir, name: &str) -> String {
    let (status, _, body) = node.get(url, &[]);
    assert_eq!(status, 200, "GET {url}: {}", String::from_utf8_lossy(&body[..body.len().min(500)]));
    let path = folder.path().join(name);
    std::fs::File::options()
        .create_new(true)
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &body))
        .expect("the file is written");
    path.to_str().expect("a plain path").to_owned()
}

fn assert_increasing(file: &str, stream: &str) {
    let times = packets(file, stream, &[]);
    assert!(times.len() > 10, "{file} has {} packets of {stream}", times.len());
    for pair in times.windows(2) {
        assert!(pair[1].dts_s > pair[0].dts_s, "decode times of {stream} in {file}: {pair:?}");
    }
}

/// Records a clip over several segment borders and checks ranges of it, the playlist and the sealed objects.
///
/// MediaMTX #4354: asked for five minutes, got three seconds or twenty minutes.
fn replay_is_exact(kind: Clip, publish: fn(Clip, &str) -> Publisher) {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let mut publisher = publish(kind, &node.rtmp_url(&court.key));
    let replay = recorded(&node, &court, begin, 17);
    assert!(publisher.is_running(), "the publisher ended by itself");
    publisher.stop();
    let folder = tempfile::tempdir().expect("a folder");
    let segments = node.ended(&court, begin)["fragments"].as_array().expect("fragments").clone();
    assert!(segments.len() >= 4, "a border every 5 s: {replay}");

    let (numerator, denominator) = kind.rate();
    let frame_us = 1e6 * denominator as f64 / numerator as f64;
    let mut shown = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        // A sealed segment is a plain MP4 …
        let file = save(&node, segment["url"].as_str().expect("url"), &folder, &format!("segment{i}.mp4"));
        assert_eq!(decode_warnings(&file, &[]), "", "segment {i}");
        let frames = counters(&file, &[]);
        let told = probe(&file);
        assert_eq!(told.frames as usize, frames.len(), "the moov of segment {i} is complete");
        assert!(told.b_frames > 0, "B-frames survive: {told:?}");
        assert_increasing(&file, "v");
        assert_increasing(&file, "a");
        // … that can be sought,
        if frames.len() > 70 {
            assert!(counters(&file, &["-ss", "2"])[0] != frames[0], "segment {i} seeks");
        }
        shown.push((us(&segment["start"]), us(&segment["end"]), frames));
    }
    // Borders lie on the grid, at the first keyframe after it, and nothing is lost between two segments.
    for pair in shown.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "segments join");
        let (last, first) = (pair[0].2.last().expect("frames"), pair[1].2[0]);
        assert_eq!((last + 1) % kind.frames(), first, "no frame is missing at a border");
        assert!(pair[1].0.rem_euclid(5_000_000) < 2_100_000, "the cut follows the wall clock's grid");
    }
    let average = probe(folder.path().join("segment1.mp4").to_str().expect("path")).average_frame_rate;
    let (n, d) = average.split_once('/').expect("a fraction");
    let rate = n.parse::<f64>().expect("number") / d.parse::<f64>().expect("number");
    assert!((rate * frame_us / 1e6 - 1.0).abs() < 1e-4, "{kind:?} keeps its frame rate: {average}");

    // Any range: the asked frame first, exact to the frame, clean. A publisher that stops leaves out the B-frames that
    // it did not come to send: what is asked ends before that.
    let (start, end) = (shown[0].0, shown.last().expect("segments").1);
    let whole = end - (10.0 * frame_us) as i64;
    let number_at = |at_us: i64| {
        let (from, _, frames) = shown.iter().rev().find(|segment| segment.0 <= at_us).expect("inside");
        frames[((at_us - from) as f64 / frame_us) as usize]
    };
    // In frames from the beginning and length in frames; the middle of a frame is asked, so that rounding decides nothing.
    let total_frames = ((whole - start) as f64 / frame_us) as i64;
    let ranges = [(0, total_frames), (1, 30), (37, 1), (49, 2), (50, 175), (124, 130), (133, 251), (201, 90)];
    for (index, (first, length)) in ranges.into_iter().enumerate() {
        let from = start + ((first as f64 + 0.5) * frame_us) as i64;
        let to = (from + (length as f64 * frame_us) as i64).min(whole);
        let replay = node.replay(&court, from, to);
        let file = save(
            &node,
            replay["downloadUrl"].as_str().expect("downloadUrl"),
            &folder,
            &format!("range{index}.mp4"),
        );
        assert_eq!(decode_warnings(&file, &[]), "", "range {first}+{length}");
        let frames = counters(&file, &[]);
        assert_eq!(frames[0], number_at(from), "the first shown frame of {first}+{length}");
        for pair in frames.windows(2) {
            assert_eq!(
                (pair[0] + 1) % kind.frames(),
                pair[1],
                "frames follow each other in {first}+{length}"
            );
        }
        let expected = (to - from) as f64 / frame_us;
        assert!((frames.len() as f64 - expected).abs() <= 1.01, "{} frames of {expected}", frames.len());
        let told = probe(&file);
        let length_s = (to - from) as f64 / 1e6;
        assert!(
            (told.video_duration_s - length_s).abs() <= frame_us / 1e6 + 0.001,
            "{told:?} for {length_s} s"
        );
        assert!((told.duration_s - length_s).abs() <= 0.045, "{told:?} for {length_s} s");
        if length > 20 {
            assert_increasing(&file, "v");
            assert_increasing(&file, "a");
        }
        assert!((replay["coverage"].as_f64().expect("coverage") - 1.0).abs() < 0.01, "{replay}");
        assert_eq!(replay["gaps"].as_array().expect("gaps").len(), 0, "{replay}");
    }

    // The playlist: the same footage in fragments, seamless.
    let playlist = node.url(node.replay(&court, start, end)["playlistUrl"].as_str().expect("playlistUrl"));
    assert_eq!(decode_warnings(&playlist, &[]), "", "playlist");
    assert_increasing(&playlist, "v");
    assert_increasing(&playlist, "a");
    let all: Vec<u64> = shown.iter().flat_map(|segment| segment.2.iter().copied()).collect();
    let (_, _, text) = node.get(&playlist, &[]);
    let text = String::from_utf8_lossy(&text);
    assert_eq!(counters(&playlist, &[]), all, "the playlist shows every frame: {text}");
    assert!(!text.contains("DISCONTINUITY\n"), "one session is one continuity: {text}");
    assert!(!node.log().contains(&court.key), "the key is in the log");
}

#[test]
fn h264_from_ffmpeg_is_exact() {
    replay_is_exact(Clip::H264, Publisher::ffmpeg);
}

#[test]
fn h264_at_29_97_from_our_publisher_is_exact() {
    replay_is_exact(Clip::H264Ntsc, Publisher::turepe);
}

#[test]
fn hevc_by_enhanced_rtmp_from_ffmpeg_is_exact() {
    replay_is_exact(Clip::Hevc, Publisher::ffmpeg);
}

#[test]
fn hevc_by_enhanced_rtmp_from_our_publisher_is_exact() {
    replay_is_exact(Clip::Hevc, Publisher::turepe);
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
    assert!((told.duration_s - existing_s).abs() < 0.1, "{told:?} for {existing_s} s of footage");
    assert_eq!(holes(&counters(&file, &[]), 600), 1, "one hole in the frames");

    let playlist = node.url(replay["playlistUrl"].as_str().expect("playlistUrl"));
    let (_, _, text) = node.get(&playlist, &[]);
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    // Of a publisher that stopped, the last frame may be shown after the end of what is recorded, as the B-frames before it
    // never came: the download ends exactly, the playlist with the fragment.
    let (listed, frames) = (counters(&playlist, &[]), counters(&file, &[]));
    assert!(listed.starts_with(&frames), "the playlist shows every frame: {text}{listed:?}\n{frames:?}");
    assert!(listed.len() <= frames.len() + 1, "and no other: {listed:?}\n{frames:?}");
}
