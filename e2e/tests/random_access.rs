//! Streams without IDR pictures, as some encoders and drones send them: they are recorded, cut, listed, and played from any
//! frame, with a short way to it.
#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::time::Duration;

use turepe_e2e::{Clip, Node, NodeOptions, Publisher, counters, now_us, recorded, save, us, wait_until};

const PATIENCE: Duration = Duration::from_secs(90);
/// Time of a frame of the clips.
const FRAME_US: i64 = 40_000;
/// Frames before the counter of the clips starts again.
const FRAMES: u64 = 600;
/// The longest way from where playback starts to the frame that was asked for: two rounds of two seconds, and a fragment.
const LEAD_IN_S: f64 = 4.6;

/// Seconds after `name` in a playlist.
fn seconds(text: &str, name: &str) -> Vec<f64> {
    let values = text.lines().filter_map(|line| line.strip_prefix(name));
    values
        .map(|value| value.split(',').next().and_then(|value| value.parse().ok()).expect("seconds"))
        .collect()
}

fn assert_follow(frames: &[u64], what: &str) {
    for pair in frames.windows(2) {
        assert_eq!((pair[0] + 1) % FRAMES, pair[1], "{what}: {frames:?}");
    }
}

/// `recovery_us` is how long pictures build up: a range that begins so soon after a segment does shows that.
fn plays_from_any_frame(kind: Clip, segment: &'static str, recovery_us: i64) {
    let node = Node::start(NodeOptions { segment, ..NodeOptions::default() });
    let segment_us: i64 = segment.trim_end_matches('s').parse::<i64>().expect("seconds") * 1_000_000;
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let mut publisher = Publisher::ffmpeg(kind, &node.rtmp_url(&court.key));

    // A match that is being played: its playlist has media soon.
    let listed = wait_until("a playlist of the match in play", PATIENCE, || {
        let replay = node.replay(&court, begin, begin + 3_600_000_000);
        let playlist = node.url(replay["playlistUrl"].as_str()?);
        let (status, _, text) = node.get(&playlist, &[]);
        let text = String::from_utf8_lossy(&text).into_owned();
        (status == 200 && text.contains("#EXTINF")).then_some(text)
    });
    assert!(!listed.contains("#EXT-X-ENDLIST"), "{listed}");
    assert!(now_us() - begin < 30_000_000, "it took {} s", (now_us() - begin) / 1_000_000);

    recorded(&node, &court, begin, 3 * segment_us / 1_000_000 + 2);
    assert!(publisher.is_running(), "the publisher ended by itself");
    publisher.stop();
    let replay = node.ended(&court, begin);
    let segments = replay["fragments"].as_array().expect("fragments");
    assert!(segments.len() >= 3, "a border every {segment}: {replay}");
    for pair in segments.windows(2) {
        assert_eq!(us(&pair[0]["end"]), us(&pair[1]["start"]), "segments join");
        assert!(
            us(&pair[1]["start"]).rem_euclid(segment_us) < 2_200_000,
            "the cut follows the wall clock's grid: {replay}"
        );
    }
    assert_eq!(replay["gaps"].as_array().expect("gaps").len(), 0, "{replay}");

    // All of it, over every border.
    let (start, end) = (us(&segments[0]["start"]), us(&segments[segments.len() - 1]["end"]));
    let folder = tempfile::tempdir().expect("a folder");
    let all = node.replay(&court, start, end);
    let file = save(&node, all["downloadUrl"].as_str().expect("downloadUrl"), &folder, "all.mp4");
    let shown = counters(&file, &[]);
    assert_follow(&shown, "everything");
    assert!((shown.len() as i64 - (end - start) / FRAME_US).abs() <= 4, "{} frames", shown.len());

    // Any few seconds: the asked frame first, and a short way to it.
    let mut ranges = 0;
    for (index, first) in [1_usize, 49, 52, 77, 101, 150, 203, 267, 301, 340].into_iter().enumerate() {
        let from = start + first as i64 * FRAME_US + FRAME_US / 2;
        let later = segments.iter().skip(1).map(|segment| us(&segment["start"]));
        if later.into_iter().any(|start| (start..start + recovery_us).contains(&from)) {
            continue;
        }
        ranges += 1;
        let asked = node.replay(&court, from, from + 60 * FRAME_US);
        let name = format!("range{index}.mp4");
        let file = save(&node, asked["downloadUrl"].as_str().expect("downloadUrl"), &folder, &name);
        let frames = counters(&file, &[]);
        assert_eq!(frames[..], shown[first..first + frames.len()], "from frame {first}");
        assert!(frames.len().abs_diff(60) <= 1, "{} frames from frame {first}", frames.len());

        let playlist = node.url(asked["playlistUrl"].as_str().expect("playlistUrl"));
        let (_, _, text) = node.get(&playlist, &[]);
        let text = String::from_utf8_lossy(&text).into_owned();
        let lead_in = seconds(&text, "#EXT-X-START:TIME-OFFSET=")[0];
        assert!(lead_in <= LEAD_IN_S, "a lead-in of {lead_in} s from frame {first}: {text}");
        let length: f64 = seconds(&text, "#EXTINF:").iter().sum();
        assert!(length <= lead_in + 2.4 + 0.6, "{length} s for frame {first}: {text}");
        // What a player shows from there on.
        let played = counters(&playlist, &["-protocol_whitelist", "file,http,tcp"]);
        let asked_frames = &shown[first..first + 58];
        assert!(
            played.windows(asked_frames.len()).any(|window| window == asked_frames),
            "from frame {first}: {played:?} has not {asked_frames:?}"
        );
    }
    assert!(ranges >= 5, "{ranges} ranges");
}

#[test]
fn open_groups_of_pictures_play_from_any_frame() {
    // Pictures that lead the keyframe of a segment refer to the segment before it.
    plays_from_any_frame(Clip::OpenGop, "5s", 3 * FRAME_US);
}

#[test]
fn gradual_refresh_plays_from_any_frame() {
    plays_from_any_frame(Clip::Refresh, "10s", 2_100_000);
}

/// A drone that never sends an IDR picture, a recovery point or a key flag.
#[test]
fn a_stream_without_any_place_to_start_is_recorded_and_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("drone.flv");
    let status = std::process::Command::new(turepe_e2e::tool("ffmpeg"))
        .args(["-v", "error", "-i"])
        .arg(turepe_e2e::clip(Clip::Refresh))
        // Without SEI and IDR NAL units: what is left are P and B slices.
        .args(["-c", "copy", "-bsf:v", "filter_units=remove_types=5-6"])
        .arg(&file)
        .status()
        .expect("ffmpeg starts");
    assert!(status.success());
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let mut publisher = Publisher::turepe_file(&file, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 17);
    assert!(publisher.is_running(), "it was refused: {}", node.log());
    publisher.stop();
    let replay = node.ended(&court, begin);
    let segments = replay["fragments"].as_array().expect("fragments");
    let (start, end) = (us(&segments[0]["start"]), us(&segments[segments.len() - 1]["end"]));
    assert!(start - begin < 9_000_000, "recorded from {} s on", (start - begin) / 1_000_000);
    // The last ten seconds: there are pictures, and the way to them is short.
    let asked = node.replay(&court, end - 10_000_000, end);
    let file = save(&node, asked["downloadUrl"].as_str().expect("downloadUrl"), &folder, "drone.mp4");
    assert!(counters(&file, &["-flags", "output_corrupt"]).len() >= 240, "pictures");
    let (_, _, text) = node.get(&node.url(asked["playlistUrl"].as_str().expect("playlistUrl")), &[]);
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(seconds(&text, "#EXT-X-START:TIME-OFFSET=")[0] <= 21.0, "{text}");
}
