//! Downloads: exact to the picture, whatever they are cut from.

use std::path::Path;

use tempfile::TempPath;

use turepe_media::mp4::cut::{Cut, CutError, Source, cut};

use super::peer::{
    Clip, Packet, Picture, assert_increasing, assert_silent, clip, duration, file, packets, pictures, probe,
};
use super::recording::{START_US, Segment, record};

fn sources(segments: &[Segment]) -> Vec<Source<'_>> {
    segments
        .iter()
        .map(|segment| Source {
            table: &segment.table,
            start_us: segment.start_us,
            end_us: segment.end_us,
            shown_us: i64::MIN,
        })
        .collect()
}

fn bytes(cut: &Cut, segments: &[Segment]) -> Vec<u8> {
    let mut bytes = cut.header.to_vec();
    for range in &cut.ranges {
        assert!(range.start < range.end);
        bytes.extend_from_slice(&segments[range.source].growing[range.start as usize..range.end as usize]);
    }
    assert_eq!(bytes.len() as u64, cut.len);
    bytes
}

fn cut_file(name: &str, segments: &[Segment], from_us: i64, to_us: i64) -> (Cut, TempPath) {
    let cut = cut(&sources(segments), from_us, to_us).unwrap();
    let path = file(name, &bytes(&cut, segments));
    (cut, path)
}

fn md5s(pictures: &[Picture]) -> Vec<&str> {
    pictures.iter().map(|picture| picture.md5.as_str()).collect()
}

/// The pictures on screen in a range of a recording that starts at `START_US`, ticks from its first picture.
fn shown(all: &[Picture], from: i64, to: i64) -> &[Picture] {
    let first = all.iter().rposition(|picture| picture.time_90k <= from).unwrap_or(0);
    let after = all.iter().position(|picture| picture.time_90k >= to).unwrap_or(all.len());
    &all[first..after]
}

fn shown_packets(path: &Path, stream: &str) -> Vec<Packet> {
    let all = packets(path, stream);
    assert_increasing(&all);
    all.into_iter().filter(|packet| !packet.is_discarded).collect()
}

fn ticks(us: i64) -> i64 {
    (us * 9 + 50).div_euclid(100)
}

#[test]
fn any_range_shows_exactly_its_pictures() {
    for (source, segment_us) in
        [(Clip::H264, 3_000_000), (Clip::Ntsc, i64::MAX), (Clip::Ntsc, 2_000_000), (Clip::Hevc, 3_000_000)]
    {
        let all = pictures(&clip(source));
        let segments = record(source, START_US, segment_us);
        let end_90k = all[all.len() - 1].time_90k + all[1].time_90k - all[0].time_90k;
        let whole = end_90k * 100 / 9;
        let ranges = [
            (0, whole),
            (0, 2_000_000),
            (1_000_000, 5_000_000),
            (1_960_000, 2_040_000),
            (2_000_000, 4_000_000),
            (3_333_333, 7_777_777),
            (whole - 700_000, whole + 60_000_000),
            (-5_000_000, 1_500_000),
            (4_100_000, 4_120_000),
            // Around a border of the HEVC segments, where pictures lead the keyframe.
            (1_000_000, 3_200_000),
            (1_000_000, 3_240_000),
            (1_000_000, 3_320_000),
        ];
        for (from, to) in ranges {
            let name = format!("cut-{source:?}-{segment_us}-{from}-{to}");
            let (cut, path) = cut_file(&name, &segments, START_US + from, START_US + to);
            let got = pictures(&path);
            let wanted = shown(&all, ticks(from), ticks(to));
            assert_eq!(md5s(&got), md5s(wanted), "{name}");
            // Every picture at its time, the first one at 0.
            let origin = wanted[0].time_90k;
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got.time_90k - (wanted.time_90k - origin)).abs() <= 1, "{name}: {got:?} {wanted:?}");
            }
            let end = ticks(to).min(end_90k);
            let length = (end - origin) as f64 / 90_000.0;
            assert!((duration(&path) - length).abs() < 0.002, "{name}: {} is not {length}", duration(&path));
            assert!((cut.duration_us as f64 / 1e6 - length).abs() < 0.001, "{name}");
            assert!((cut.start_us - START_US - origin * 100 / 9).abs() <= 1, "{name}");
            shown_packets(&path, "v");
            let sound = shown_packets(&path, "a");
            let rate: f64 = probe(&path, "a", "stream=sample_rate").parse().unwrap();
            let last = sound.last().unwrap();
            assert!(
                sound[0].pts as f64 / rate < 1024.0 / rate + 0.0001,
                "{name}: sound starts at {}",
                sound[0].pts
            );
            let sound_end = (last.pts + last.duration) as f64 / rate;
            assert!(
                sound_end > length - 0.03 && (last.pts as f64) / rate < length,
                "{name}: {sound_end} of {length}"
            );
        }
    }
}

#[test]
fn no_more_ranges_than_needed_and_no_byte_too_many() {
    let segments = record(Clip::H264, START_US, 3_000_000);
    let cut = cut(&sources(&segments), START_US + 2_500_000, START_US + 9_100_000).unwrap();
    let used: Vec<_> = cut.ranges.iter().map(|range| range.source).collect();
    let mut distinct = used.clone();
    distinct.dedup();
    assert!(used.len() <= distinct.len() + 1, "{used:?}");
    // Everything between the ranges of whole segments is there: they follow each other without a hole.
    for range in &cut.ranges[1..cut.ranges.len() - 2] {
        let segment = &segments[range.source];
        assert_eq!(range.end, segment.table.end_offset());
    }
    assert_eq!(
        cut,
        super::cut::cut(&sources(&segments), START_US + 2_500_000, START_US + 9_100_000).unwrap()
    );
}

#[test]
fn gaps_are_closed_up_and_sound_stays_in_place() {
    // Three sessions of the same camera with holes between, as after lost connections.
    let mut segments = record(Clip::H264, START_US, 5_000_000);
    segments.extend(record(Clip::H264, START_US + 20_000_000, i64::MAX));
    segments.extend(record(Clip::H264, START_US + 40_123_456, 3_000_000));
    let all = pictures(&clip(Clip::H264));
    let (from, to) = (START_US + 3_000_000, START_US + 45_000_000);
    let (cut, path) = cut_file("gaps", &segments, from, to);
    let first = shown(&all, ticks(3_000_000), i64::MAX);
    let last = shown(&all, 0, ticks(45_000_000 - 40_123_456));
    let wanted: Vec<_> = first.iter().chain(&all).chain(last).cloned().collect();
    let got = pictures(&path);
    assert_eq!(md5s(&got), md5s(&wanted));
    // 25 frames a second all the way through.
    for (position, picture) in got.iter().enumerate() {
        assert_eq!(picture.time_90k, position as i64 * 3600);
    }
    let length = 9.0 + 12.0 + (45.0 - 40.123456);
    assert!((duration(&path) - length).abs() < 0.002, "{}", duration(&path));
    assert!((cut.duration_us as f64 / 1e6 - length).abs() < 0.001);
    // The sound has no hole, and a player that counts samples is never further off than half a frame at a join.
    let sound = shown_packets(&path, "a");
    let start = sound[0].pts;
    for (position, packet) in sound.iter().enumerate() {
        let counted = start + 1024 * position as i64;
        assert!((packet.pts - counted).abs() <= 512, "frame {position}: {} and {counted}", packet.pts);
    }
}

#[test]
fn another_configuration_gets_its_own_description() {
    let mut segments = record(Clip::H264, START_US, 5_000_000);
    segments.extend(record(Clip::Small, START_US + 15_000_000, i64::MAX));
    segments.extend(record(Clip::H264, START_US + 30_000_000, i64::MAX));
    let (_, path) = cut_file("configurations", &segments, START_US + 9_000_000, START_US + 33_000_000);
    assert_silent(&path);
    let video = packets(&path, "v");
    assert_increasing(&video);
    assert_increasing(&packets(&path, "a"));
    // 3 s, 6 s and 3 s.
    assert!((duration(&path) - 12.0).abs() < 0.05, "{}", duration(&path));
    assert_eq!(video.iter().filter(|packet| !packet.is_discarded).count(), 300);
}

#[test]
fn missing_sound_is_filled_with_silence() {
    let mut segments = record(Clip::H264, START_US, i64::MAX);
    segments.extend(record(Clip::Silent, START_US + 15_000_000, i64::MAX));
    segments.extend(record(Clip::H264, START_US + 30_000_000, i64::MAX));
    let (_, path) = cut_file("silence", &segments, START_US + 10_000_000, START_US + 35_000_000);
    assert_silent(&path);
    let sound = shown_packets(&path, "a");
    let start = sound[0].pts;
    for (position, packet) in sound.iter().enumerate() {
        let counted = start + 1024 * position as i64;
        assert!((packet.pts - counted).abs() <= 512, "frame {position}: {} and {counted}", packet.pts);
    }
    assert!((duration(&path) - 11.0).abs() < 0.05, "{}", duration(&path));
}

#[test]
fn what_cannot_be_cut_is_said() {
    let segments = record(Clip::H264, START_US, i64::MAX);
    let all = sources(&segments);
    assert_eq!(cut(&[], START_US, START_US + 1), Err(CutError::Empty));
    assert_eq!(cut(&all, START_US + 60_000_000, START_US + 61_000_000), Err(CutError::Empty));
    assert_eq!(cut(&all, START_US - 2, START_US - 1), Err(CutError::Empty));
    assert_eq!(cut(&all, START_US + 5, START_US + 5), Err(CutError::Empty));
    let other = record(Clip::Hevc, START_US + 20_000_000, i64::MAX);
    let mixed = [all, sources(&other)].concat();
    assert_eq!(cut(&mixed, START_US, START_US + 60_000_000), Err(CutError::MixedCodecs));
}
