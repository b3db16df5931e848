//! A real folder, a real clock, and footage that ffmpeg made: what players and ffprobe say of the result.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

mod support;

use std::{path::Path, process::Command, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use media::{
    EndCause, Sample, SessionConfig, TrackKind,
    fragmenter::{FragmentEvent, Fragmenter},
    mp4::demux::{Mp4File, locate_moov},
    timeline::TimelineEvent,
};
use support::{House, NOON_US, S, collect, push_all};
use turepe_archive::{
    ArchiveConfig,
    bucket::{StoreUrl, parse_store_url},
};
use world::SystemDisk;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    assert_eq!(said, "", "{program} {arguments:?} warns");
    String::from_utf8(output.stdout).unwrap()
}

/// Thirteen seconds of 25 frames a second with B-frames and sound, two seconds between keyframes.
fn film(path: &Path) -> Vec<FragmentEvent> {
    let path = path.to_str().unwrap();
    #[rustfmt::skip]
    run("ffmpeg", &[
        "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000",
        "-t", "13", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "2", "-video_track_timescale", "90000", "-c:a", "aac", path,
    ]);
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let slice = |offset: u64, len: usize| {
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        bytes.slice(start..(start + len).min(bytes.len()))
    };
    let moov =
        locate_moov(bytes.len() as u64, |offset, len| Ok::<_, ()>(slice(offset, len))).unwrap().unwrap();
    let file = Mp4File::from_moov(&moov).unwrap();
    let config = Arc::new(SessionConfig { video: file.video.clone(), audio: file.audio.clone() });
    let mut fragmenter = Fragmenter::new();
    fragmenter.push(TimelineEvent::SessionStart { config, start_us: NOON_US });
    assert_eq!(file.video_timescale, 90_000);
    let mut starts = [None, None];
    for sample in &file.samples {
        // The first picture is decoded and shown at the session's start.
        let is_video = sample.track == TrackKind::Video;
        let start = *starts[usize::from(is_video)].get_or_insert(*sample);
        let decode_time = sample.decode_time - start.decode_time;
        let offset = sample.composition_offset - start.composition_offset;
        let rate = i64::from(file.timescale(sample.track));
        fragmenter.push(TimelineEvent::Sample {
            wall_us: NOON_US + (decode_time + i64::from(offset)) * S / rate,
            sample: Sample {
                track: sample.track,
                decode_time,
                duration: if is_video { 3600 } else { 1024 },
                composition_offset: offset,
                is_sync: sample.is_sync,
                data: slice(sample.offset, sample.size as usize),
            },
        });
    }
    fragmenter.push(TimelineEvent::SessionEnd { end_us: NOON_US + 13 * S, cause: EndCause::Camera });
    std::iter::from_fn(|| fragmenter.poll()).collect()
}

/// Files below a folder that this process has open.
fn open_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    // One that is closed meanwhile has no name any more.
    all.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|file| file.starts_with(folder))
        .collect()
}

async fn until_closed(folder: &Path) {
    let closed = async {
        while !open_below(folder).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, closed)
        .await
        .unwrap_or_else(|_| panic!("still open: {:?}", open_below(folder)));
}

/// Number of video frames, and the length of the file in milliseconds.
fn probe(path: &Path) -> (u64, i64) {
    let path = path.to_str().unwrap();
    run("ffmpeg", &["-v", "warning", "-xerror", "-i", path, "-f", "null", "-"]);
    #[rustfmt::skip]
    let said = run("ffprobe", &[
        "-v", "warning", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames:format=duration",
        "-of", "default=noprint_wrappers=1:nokey=1", path,
    ]);
    let mut lines = said.lines();
    let frames = lines.next().unwrap().parse().unwrap();
    let seconds: f64 = lines.next().unwrap().parse().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a short film")]
    (frames, (seconds * 1000.0).round() as i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_plays_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new().await;
    let url = format!("file:{}", folder.path().join("store").display());
    let Ok(StoreUrl::Folder(root)) = parse_store_url(&url) else { panic!("{url}") };
    house.config =
        ArchiveConfig { segment_us: 5 * S, ..ArchiveConfig::new(folder.path().join("spool"), root) };
    let archive = house.open_on(Arc::new(SystemDisk));
    let recorder = house.recorder(&archive);
    push_all(&recorder, film(&folder.path().join("film.mp4"))).await;
    archive.settle().await;

    // Keyframes every two seconds: segments at 0, 6 and 10 s.
    let rows = house.rows().await;
    assert_eq!(rows.len(), 3);
    for (row, (frames, ms)) in rows.iter().zip([(150, 6000), (100, 4000), (75, 3000)]) {
        let (seen, length_ms) = probe(&house.config.store.join(&row.object_name));
        assert_eq!(seen, frames);
        assert!((length_ms - ms).abs() <= 100, "{length_ms} {ms}");
    }

    let download = archive.cut(house.channel_id, NOON_US + 3_400_000, NOON_US + 11_400_000).await.unwrap();
    let path = folder.path().join("cut.mp4");
    std::fs::write(&path, collect(download.stream(0..download.len())).await).unwrap();
    let (frames, length_ms) = probe(&path);
    assert_eq!(frames, 200);
    assert!((length_ms - 8000).abs() <= 40, "{length_ms}");

    let picture = archive.keyframe(house.channel_id, NOON_US + 7 * S).await.unwrap().unwrap();
    assert_eq!(picture.start_us, NOON_US + 6 * S);
    let path = folder.path().join("picture.mp4");
    std::fs::write(&path, [picture.init, picture.fragment].concat()).unwrap();
    let path = path.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-i", path, "-frames:v", "1", "-f", "null", "-"]);

    archive.shutdown().await;
    let left: Vec<_> =
        std::fs::read_dir(house.config.spool.join(house.channel_id.to_string())).unwrap().collect();
    assert_eq!(left.len(), 0);
}

/// Readers that take nothing: 206 of them held 20,000 files once, and cameras were refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_holds_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new().await;
    let root = folder.path().join("store");
    house.config =
        ArchiveConfig { segment_us: 5 * S, ..ArchiveConfig::new(folder.path().join("spool"), root) };
    let archive = house.open_on(Arc::new(SystemDisk));
    let recorder = house.recorder(&archive);
    push_all(&recorder, film(&folder.path().join("film.mp4"))).await;
    archive.settle().await;
    let download = archive.cut(house.channel_id, NOON_US, NOON_US + 13 * S).await.unwrap();
    let whole = collect(download.stream(0..download.len())).await;
    let header = download.cut.header.len() as u64;
    // Whoever wrote them lets them go.
    drop(recorder);
    until_closed(&house.config.store).await;

    let mut readers = Vec::new();
    for _ in 0..20 {
        let download = archive.cut(house.channel_id, NOON_US, NOON_US + 13 * S).await.unwrap();
        let mut stream = download.stream(header..download.len());
        let piece = stream.next().await.unwrap().unwrap();
        readers.push((download, stream, piece));
    }
    // What is read ahead is read and done with at some moment.
    until_closed(&house.config.store).await;
    for (_, stream, piece) in readers {
        let rest = collect(stream).await;
        assert_eq!([&whole[..header as usize], &piece, &rest].concat(), whole);
    }
}
