//! Covers as a website sees them.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use live::covers::CoverId;
use media::mp4::demux::{Mp4File, locate_moov};
use media::{TrackKind, VideoCodec};
use turepe_e2e::{Clip, Court, Node, NodeOptions, Publisher, clip, wait_until};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

/// From the connection to the first cover: a keyframe, its fragment, a batch; and the load of the other tests.
const FIRST_COVER: Duration = Duration::from_secs(15);

fn address(court: &Court) -> String {
    let channel = Uuid::parse_str(&court.channel).expect("a UUID");
    format!("/thumbs/{}", CoverId::of(channel).file_name())
}

/// A channel's cover, or the slate; `None` while the channel is not known.
fn cover(node: &Node, court: &Court) -> Option<Vec<u8>> {
    let (status, headers, body) = node.get(&address(court), &[]);
    if status == 404 {
        return None;
    }
    let header =
        |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(status, 200);
    assert_eq!(header("content-type"), Some("image/jpeg"));
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("access-control-allow-origin"), Some("*"));
    assert!(body.starts_with(&[0xff, 0xd8]) && body.ends_with(&[0xff, 0xd9]), "half a picture");
    Some(body)
}

/// The demo clip with rubbish in the place of every slice.
fn poisonous_clip(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(clip(Clip::H264)).expect("the demo clip");
    let at = |offset: u64| usize::try_from(offset).expect("a short file");
    let whole = Bytes::from(bytes.clone());
    let read = |offset: u64, len: usize| -> Result<Bytes, ()> {
        Ok(whole.slice(at(offset)..(at(offset) + len).min(whole.len())))
    };
    let moov = locate_moov(whole.len() as u64, read).expect("it is in memory").expect("a moov");
    let movie = Mp4File::from_moov(&moov).expect("an MP4 file");
    assert_eq!(movie.video.as_ref().expect("video").codec, VideoCodec::H264);
    for sample in movie.samples.iter().filter(|sample| sample.track == TrackKind::Video) {
        let mut rest = &mut bytes[at(sample.offset)..at(sample.offset) + sample.size as usize];
        while let Some((length, after)) = rest.split_first_chunk_mut::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let (unit, after) = after.split_at_mut(length);
            // NAL unit types 1 and 5 are slices (ITU-T H.264 §7.4.1).
            if matches!(unit[0] & 31, 1 | 5) {
                unit[1..].fill(0xff);
            }
            rest = after;
        }
    }
    let file = folder.join("poisonous.mp4");
    std::fs::write(&file, bytes).expect("a clip");
    file
}

/// Every name below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        names.push(entry.path().to_string_lossy().into_owned());
        names.extend(names_below(&entry.path()));
    }
    names
}

fn names_below(path: &Path) -> Vec<String> {
    if path.is_dir() { names(path) } else { Vec::new() }
}

#[test]
fn covers_appear_change_and_give_way_to_the_slate() {
    let slate_after = ("TUREPE_COVERS_SLATE_AFTER".to_owned(), "3s".to_owned());
    let node = Node::start(NodeOptions { settings: vec![slate_after], ..NodeOptions::default() });
    node.add_club("club", 60);
    let courts = ["uno", "dos", "tres", "cuatro"].map(|court| node.add_court("club", court));
    let [uno, dos, poisonous, never] = &courts;
    let slate = wait_until("the slate of a new channel", PATIENCE, || cover(&node, never));
    let start = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let bad = Publisher::turepe_file(&poisonous_clip(folder.path()), &node.rtmp_url(&poisonous.key));
    let publishers = [
        Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&uno.key)),
        Publisher::ffmpeg(Clip::Hevc, &node.rtmp_url(&dos.key)),
    ];
    let first = [uno, dos].map(|court| {
        let is_there = || cover(&node, court).filter(|jpeg| *jpeg != slate);
        wait_until("a first cover", FIRST_COVER, is_there)
    });
    println!("first covers after {:?}", start.elapsed());
    for (court, first) in [uno, dos].into_iter().zip(&first) {
        let is_new = || cover(&node, court).filter(|jpeg| jpeg != first && *jpeg != slate);
        wait_until("another cover", PATIENCE, is_new);
    }
    wait_until("word of the poisonous stream", PATIENCE, || {
        node.log().contains("no cover can be made of this channel").then_some(())
    });
    assert_eq!(cover(&node, poisonous).as_ref(), Some(&slate));
    assert_eq!(cover(&node, never).as_ref(), Some(&slate));
    for address in ["/thumbs/00000000000000000000000000000000.jpg", "/thumbs/..%2f..%2fetc%2fpasswd"] {
        assert_eq!(node.get(address, &[]).0, 404);
    }
    // Offline: first the last picture, then the slate.
    let last = cover(&node, uno).expect("a cover");
    assert_ne!(last, slate);
    publishers.into_iter().chain([bad]).for_each(Publisher::stop);
    for court in [uno, dos] {
        wait_until("the slate", PATIENCE, || (cover(&node, court)? == slate).then_some(()));
    }
    let (said, found) = (node.log(), names(&node.data));
    for court in &courts {
        assert!(!said.contains(&court.key), "a key is in the log");
        assert!(!found.iter().any(|name| name.contains(&court.key)), "a key is in a file name");
    }
}

#[test]
fn no_ffmpeg_outlives_a_node_that_is_killed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("hangs");
    // It can write to its working folder and nowhere else.
    let script =
        "#!/bin/sh\n[ \"$2\" = -version ] && exit 0\necho $$ > new; mv new started\nexec sleep 600\n";
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let ffmpeg = ("TUREPE_NODE_FFMPEG".to_owned(), program.display().to_string());
    let mut node = Node::start(NodeOptions { settings: vec![ffmpeg], ..NodeOptions::default() });
    let started = node.data.join("covers/.work/started");
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let pid = wait_until("an ffmpeg that hangs", PATIENCE, || std::fs::read_to_string(&started).ok());
    let name = || std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    wait_until("it to hang", PATIENCE, || (name().trim() == "sleep").then_some(()));
    node.kill();
    wait_until("it to be gone", PATIENCE, || (name().trim() != "sleep").then_some(()));
    drop(publisher);
}
