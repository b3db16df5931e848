//! What a player gets of a match is exact to the frame: the checks, for footage wherever it lies.

use std::time::Duration;

use serde_json::Value;

use crate::clip::Clip;
use crate::media::{SEVERAL_HOSTS, counters, decode_warnings, packets, probe};
use crate::node::{Court, Node, now_us, wait_until};
use crate::publisher::Publisher;

const PATIENCE: Duration = Duration::from_secs(90);

/// An instant of an answer, in UTC microseconds.
pub fn us(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("an instant, not {value}"));
    text.parse::<jiff::Timestamp>().expect("RFC 3339").as_microsecond()
}

/// The replay of everything up to now, once at least `seconds` of it are recorded in sealed segments.
pub fn recorded(node: &Node, court: &Court, from_us: i64, seconds: i64) -> Value {
    wait_until(&format!("{seconds} s of footage"), PATIENCE, || {
        let replay = node.replay(court, from_us, now_us());
        let fragments = replay["fragments"].as_array().expect("fragments");
        let total: i64 = fragments.iter().map(|f| us(&f["end"]) - us(&f["start"])).sum();
        (total > seconds * 1_000_000).then_some(replay)
    })
}

/// Saves what is at an address of the node, or anywhere.
pub fn save(node: &Node, url: &str, folder: &tempfile::TempDir, name: &str) -> String {
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

/// Decode times only grow.
pub fn assert_increasing(file: &str, stream: &str) {
    let times = packets(file, stream, &[]);
    assert!(times.len() > 10, "{file} has {} packets of {stream}", times.len());
    for pair in times.windows(2) {
        assert!(pair[1].dts_s > pair[0].dts_s, "decode times of {stream} in {file}: {pair:?}");
    }
}

/// Records a clip over several segment borders and checks ranges of it, the playlist and the sealed objects, after the node
/// had time to do with them what `settle` waits for.
pub fn replay_is_exact(
    node: &Node,
    kind: Clip,
    publish: fn(Clip, &str) -> Publisher,
    settle: impl FnOnce(&Node),
) {
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let mut publisher = publish(kind, &node.rtmp_url(&court.key));
    let replay = recorded(node, &court, begin, 17);
    assert!(publisher.is_running(), "the publisher ended by itself");
    publisher.stop();
    let folder = tempfile::tempdir().expect("a folder");
    node.ended(&court, begin);
    settle(node);
    let segments = node.ended(&court, begin)["fragments"].as_array().expect("fragments").clone();
    assert!(segments.len() >= 4, "a border every 5 s: {replay}");

    let (numerator, denominator) = kind.rate();
    let frame_us = 1e6 * denominator as f64 / numerator as f64;
    let mut shown = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        // A sealed segment is a plain MP4 …
        let file = save(node, segment["url"].as_str().expect("url"), &folder, &format!("segment{i}.mp4"));
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
            node,
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
    assert_eq!(decode_warnings(&playlist, &SEVERAL_HOSTS), "", "playlist");
    assert_increasing(&playlist, "v");
    assert_increasing(&playlist, "a");
    let all: Vec<u64> = shown.iter().flat_map(|segment| segment.2.iter().copied()).collect();
    let (_, _, text) = node.get(&playlist, &[]);
    let text = String::from_utf8_lossy(&text);
    assert_eq!(counters(&playlist, &[]), all, "the playlist shows every frame: {text}");
    assert!(!text.contains("DISCONTINUITY\n"), "one session is one continuity: {text}");
    assert!(!node.log().contains(&court.key), "the key is in the log");
}
