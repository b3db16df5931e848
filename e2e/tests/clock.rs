//! The wall clock of a running node is set by Debian's `faketime`, its monotonic clock goes on: what the node records then.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use turepe_e2e::{
    Clip, Court, Node, NodeOptions, Publisher, assert_increasing, counters, decode_warnings, now_us, probe,
    save, us, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(90);
const S: i64 = 1_000_000;

/// The library below `/usr/lib`, whatever the machine's architecture is called.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib");
    folders
        .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.is_file())
        .expect("faketime is installed by `cargo xtask test`")
}

/// A node whose clock is off by what stands in a file.
struct Clocked {
    node: Node,
    offset: PathBuf,
    _folder: tempfile::TempDir,
}

impl Clocked {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let offset = folder.path().join("offset");
        std::fs::write(&offset, "+0\n").expect("the offset");
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let settings = vec![
            ("LD_PRELOAD".to_owned(), text(&library())),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), text(&offset)),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ];
        let node = Node::start(NodeOptions { settings, ..NodeOptions::default() });
        Self { node, offset, _folder: folder }
    }

    fn set(&self, offset_s: i64) {
        // Renamed into its place, so that it is never read half written.
        let fresh = self.offset.with_extension("fresh");
        std::fs::write(&fresh, format!("{offset_s:+}\n")).expect("the offset");
        std::fs::rename(&fresh, &self.offset).expect("the offset");
    }

    /// Everything that is recorded, in order of its dates.
    fn fragments(&self, court: &Court) -> Vec<(i64, i64, String)> {
        let replay = self.node.replay(court, now_us() - 7_200 * S, now_us() + 7_200 * S);
        let fragments = replay["fragments"].as_array().expect("fragments").iter();
        fragments
            .map(|one| (us(&one["start"]), us(&one["end"]), one["url"].as_str().expect("url").to_owned()))
            .collect()
    }

    fn recorded_us(&self, court: &Court) -> i64 {
        self.fragments(court).iter().map(|(start, end, _)| end - start).sum()
    }
}

/// One node, whose clock is set again and again while one camera publishes.
#[test]
fn a_clock_that_is_set_while_a_camera_publishes_loses_no_frame() {
    let clocked = Clocked::start();
    let node = &clocked.node;
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let camera = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    let mut offset_s = 0;
    for step_s in [0i64, -8, -30, -3_600, 3_600] {
        offset_s += step_s;
        clocked.set(offset_s);
        let before_us = clocked.recorded_us(&court);
        wait_until(&format!("footage after a step of {step_s} s"), PATIENCE, || {
            (clocked.recorded_us(&court) > before_us + 7 * S).then_some(())
        });
    }
    let alarms = node.get_json("/readyz")["alarms"].clone();
    camera.stop();
    wait_until("everything to be sealed", PATIENCE, || {
        let club = node.get_json("/api/clubs/club");
        let is_live = club["courts"].as_array().expect("courts").iter().any(|one| one["isLive"] == true);
        let is_sealed = |url: &str| {
            let (_, headers, _) = node.get(url, &[("range", "bytes=0-15")]);
            headers.iter().any(|(name, value)| name == "cache-control" && value.contains("immutable"))
        };
        (!is_live && clocked.fragments(&court).iter().all(|(_, _, url)| is_sealed(url))).then_some(())
    });
    assert!(alarms.to_string().contains("clockSet"), "{alarms}");
    let log = node.log();
    assert_eq!(log.matches("the wall clock was set back").count(), 3, "{log}");
    assert_eq!(log.matches("the wall clock was set forwards").count(), 1, "{log}");

    // Every frame is in one of the segments, whatever they are dated. The clip is played over and over.
    let folder = tempfile::tempdir().expect("a folder");
    let fragments = clocked.fragments(&court);
    let mut left: Vec<u64> = Vec::new();
    for (number, (_, _, url)) in fragments.iter().enumerate() {
        let file = save(node, url, &folder, &format!("{number}.mp4"));
        assert_eq!(decode_warnings(&file, &[]), "");
        left.extend(counters(&file, &[]));
    }
    let count = left.len() as u64;
    let mut missing = Vec::new();
    for frame in 0..count {
        match left.iter().position(|shown| *shown == frame % Clip::H264.frames()) {
            Some(position) => drop(left.swap_remove(position)),
            None => missing.push(frame),
        }
    }
    // Who is stopped may have sent a P-frame and not the B-frames before it.
    assert!(missing.len() <= 3 && missing.iter().all(|frame| frame + 8 > count), "{missing:?} of {count}");

    // A replay over all of it plays once, forwards. Where one session takes over from another, it does at a keyframe.
    let replay = node.replay(&court, now_us() - 7_200 * S, now_us() + 7_200 * S);
    let file = save(node, replay["downloadUrl"].as_str().expect("downloadUrl"), &folder, "all.mp4");
    assert_eq!(decode_warnings(&file, &[]), "");
    assert_increasing(&file, "v");
    assert_increasing(&file, "a");
    let (mut covered_us, mut covered_to_us) = (0, i64::MIN);
    for (start_us, end_us, _) in &fragments {
        covered_us += (end_us - (*start_us).max(covered_to_us)).max(0);
        covered_to_us = covered_to_us.max(*end_us);
    }
    let played_us = (probe(&file).duration_s * 1e6) as i64;
    assert!((covered_us - 8 * S..=covered_us + S / 5).contains(&played_us), "{played_us} of {covered_us}");
}
