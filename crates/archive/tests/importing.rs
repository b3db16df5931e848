//! Files of another recorder, made by ffmpeg, become segments where nothing was recorded.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

mod support;

use std::{path::Path, process::Command, sync::Arc};

use bytes::Bytes;
use media::{
    EndCause, TrackKind,
    mp4::demux::{Mp4File, locate_moov},
};
use support::{Camera, House, NOON_US, S, collect, push_all};
use turepe_archive::{Anchor, Archive, ImportError};
use uuid::Uuid;
use world::{Disk as _, DiskFile, SystemDisk};

/// Twenty seconds with sound, B-frames and a keyframe a second: as MP4, and the same frames as FLV.
struct Films {
    folder: tempfile::TempDir,
}

const LENGTH_US: i64 = 20 * S;

impl Films {
    fn shoot() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ffmpeg = |arguments: &str| {
            let mut command = Command::new("ffmpeg");
            command.args(["-v", "error", "-nostdin"]).args(arguments.split(' ')).current_dir(folder.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        ffmpeg(
            "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=sample_rate=48000 -t 20 -c:v libx264 -preset veryfast \
             -g 25 -bf 2 -c:a aac film.mp4",
        );
        ffmpeg("-i film.mp4 -c copy film.flv");
        let films = Self { folder };
        let film = films.bytes("film.flv");
        let write =
            |name: &str, bytes: Vec<u8>| std::fs::write(films.folder.path().join(name), bytes).unwrap();
        write(
            "units.flv",
            bent(&film, |head, units| units.iter().map(|unit| [head, &prefixed(unit)].concat()).collect()),
        );
        write(
            "start-codes.flv",
            bent(&film, |head, units| {
                let codes = units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat());
                vec![head.iter().copied().chain(codes).collect()]
            }),
        );
        write(
            "odd.flv",
            bent(&film, |head, units| {
                let good = units.iter().flat_map(|unit| prefixed(unit));
                // A packet type that nobody knows, and a header that is cut off.
                vec![vec![0x27, 9, 0, 0, 0, 1], vec![0x27], head.iter().copied().chain(good).collect()]
            }),
        );
        films
    }

    fn open(&self, name: &str) -> Arc<dyn DiskFile> {
        SystemDisk.open_beneath(self.folder.path(), Path::new(name)).unwrap().0
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }
}

fn prefixed(unit: &[u8]) -> Vec<u8> {
    [&(unit.len() as u32).to_be_bytes(), unit].concat()
}

/// An FLV file whose pictures lie in other tags: `bend` is handed the five bytes before a picture and its NAL units, and gives
/// the bodies of the tags to write for it.
fn bent(film: &[u8], bend: impl Fn(&[u8], &[&[u8]]) -> Vec<Vec<u8>>) -> Vec<u8> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    let mut out = film[..13].to_vec();
    let mut rest = &film[13..];
    while rest.len() >= 15 {
        let (head, body) = (&rest[..11], &rest[11..11 + number(&rest[1..4])]);
        rest = &rest[11 + body.len() + 4..];
        let is_picture = head[0] == 9 && body[1] == 1;
        let mut units = Vec::new();
        let mut data = if is_picture { &body[5..] } else { &[] };
        while !data.is_empty() {
            let (unit, after) = data[4..].split_at(number(&data[..4]));
            units.push(unit);
            data = after;
        }
        let bodies = if is_picture { bend(&body[..5], &units) } else { vec![body.to_vec()] };
        for body in bodies {
            out.push(head[0]);
            out.extend(&(body.len() as u32).to_be_bytes()[1..]);
            out.extend(&head[4..]);
            out.extend(&body);
            out.extend((11 + body.len() as u32).to_be_bytes());
        }
    }
    out
}

/// Frames of a track: what they hold, and when they are shown, counted from the first.
fn frames(file: &[u8], track: TrackKind) -> Vec<(i64, Vec<u8>)> {
    let moov = locate_moov(file.len() as u64, |offset, len| {
        let end = file.len().min(offset as usize + len);
        Ok::<_, ()>(Bytes::copy_from_slice(&file[offset as usize..end]))
    });
    let mp4 = Mp4File::from_moov(&moov.unwrap().unwrap()).unwrap();
    let samples: Vec<_> = mp4.samples.iter().filter(|sample| sample.track == track).collect();
    let first_us = samples.iter().map(|sample| mp4.presentation_time_us(sample)).min().unwrap();
    let frame = |sample: &&media::mp4::demux::DemuxSample| {
        let data = &file[sample.offset as usize..(sample.offset + u64::from(sample.size)) as usize];
        (mp4.presentation_time_us(sample) - first_us, data.to_vec())
    };
    samples.iter().map(frame).collect()
}

async fn play(house: &House, archive: &Archive) -> Vec<u8> {
    let download = archive.cut(house.channel_id, NOON_US, NOON_US + LENGTH_US).await.unwrap();
    collect(download.stream(0..download.len())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_plays_back_as_it_was_and_is_imported_once() {
    let films = Films::shoot();
    let source = films.bytes("film.mp4");
    let (pictures, sounds) = (frames(&source, TrackKind::Video), frames(&source, TrackKind::Audio));
    for name in ["film.mp4", "film.flv", "units.flv", "start-codes.flv", "odd.flv"] {
        let house = House::new().await;
        let archive = house.open();
        let imported =
            archive.import(house.channel_id, films.open(name), Anchor::Start(NOON_US)).await.unwrap();
        assert_eq!(imported.start_us, NOON_US, "{name}");
        assert!((imported.end_us - NOON_US - LENGTH_US).abs() < 2 * 40_000, "{name}: {imported:?}");
        assert!((imported.recorded_us - LENGTH_US).abs() < 2 * 40_000, "{name}: {imported:?}");
        let played = play(&house, &archive).await;
        let played_pictures = frames(&played, TrackKind::Video);
        assert_eq!(played_pictures.len(), pictures.len(), "{name}");
        for (played, shot) in played_pictures.iter().zip(&pictures) {
            assert!(played.1 == shot.1, "{name}: a picture is another");
            // FLV counts milliseconds.
            assert!((played.0 - shot.0).abs() <= 1000, "{name}: {} for {}", played.0, shot.0);
        }
        let played_sounds = frames(&played, TrackKind::Audio);
        assert!(
            // A session begins and ends with a picture: what sounds beside it at either end is left out.
            played_sounds.len() + 8 >= sounds.len(),
            "{name}: {} of {}",
            played_sounds.len(),
            sounds.len()
        );
        assert!(
            played_sounds.iter().all(|(_, played)| sounds.iter().any(|(_, shot)| shot == played)),
            "{name}"
        );
        // Quarters of the wall clock, as everything that is recorded.
        let rows = house.rows().await;
        assert_eq!(rows.len(), 4, "{name}");
        assert!(house.spool_files().is_empty());
        let again = archive.import(house.channel_id, films.open(name), Anchor::Start(NOON_US)).await.unwrap();
        assert_eq!((again.recorded_us, house.rows().await.len()), (0, rows.len()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_missing_is_taken_and_no_gap_is_touched() {
    let films = Films::shoot();
    let house = House::new().await;
    let archive = house.open();
    let recorder = house.recorder(&archive);
    let (mut camera, start) = Camera::start(NOON_US + 5 * S);
    push_all(&recorder, start).await;
    push_all(&recorder, camera.film_until(NOON_US + 12 * S)).await;
    push_all(&recorder, camera.stop(EndCause::Network)).await;
    archive.settle().await;
    let gaps = house.catalog.gaps_in_range(house.channel_id, 0, i64::MAX).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].start_us, gaps[0].cause), (1, NOON_US + 12 * S, EndCause::Network));
    // Dated by its end.
    let file = films.open("film.mp4");
    let imported = archive.import(house.channel_id, file, Anchor::End(NOON_US + LENGTH_US)).await.unwrap();
    assert!((11 * S..=13 * S + 100_000).contains(&imported.recorded_us), "{imported:?}");
    assert_eq!(house.catalog.gaps_in_range(house.channel_id, 0, i64::MAX).await.unwrap(), gaps);
    let mut rows: Vec<_> =
        house.rows().await.into_iter().map(|row| (row.start_us, row.end_us.unwrap())).collect();
    rows.sort_unstable();
    for pair in rows.windows(2) {
        assert!(pair[0].1 <= pair[1].0 + 50_000, "recorded twice: {rows:?}");
    }
    let spans = archive.spans(house.channel_id, NOON_US, NOON_US + LENGTH_US).await.unwrap();
    let missing_us = LENGTH_US - spans.iter().map(|(from_us, to_us)| to_us - from_us).sum::<i64>();
    assert!(missing_us < 3 * S, "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_give_what_is_good_and_say_what_is_not() {
    let films = Films::shoot();
    let house = House::new().await;
    let archive = house.open();
    let write = |name: &str, bytes: &[u8]| std::fs::write(films.folder.path().join(name), bytes).unwrap();
    let flv = films.bytes("film.flv");
    write("torn.flv", &flv[..flv.len() / 2]);
    let torn =
        archive.import(house.channel_id, films.open("torn.flv"), Anchor::Start(NOON_US)).await.unwrap();
    assert!((5 * S..15 * S).contains(&torn.recorded_us), "{torn:?}");
    write("rubbish.flv", &[7; 5000]);
    write("empty.mp4", b"");
    write("head.flv", &flv[..13]);
    let mp4 = films.bytes("film.mp4");
    write("torn.mp4", &mp4[..mp4.len() / 2]);
    for name in ["rubbish.flv", "empty.mp4", "head.flv", "torn.mp4"] {
        let error = archive.import(house.channel_id, films.open(name), Anchor::Start(0)).await.unwrap_err();
        assert!(!error.is_passing(), "{name}: {error}");
    }
    let nobody = archive.import(Uuid::nil(), films.open("film.flv"), Anchor::Start(NOON_US)).await;
    assert!(matches!(nobody, Err(ImportError::Catalog(_))));
}
