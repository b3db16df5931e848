//! A segment file, while it grows and when it is sealed.

use bytes::Bytes;
use turepe_media::TrackKind;
use turepe_media::mp4::reader::{TailScanner, Want, read_moov, sealed_moov_offset};
use turepe_media::mp4::{cut, init};

use super::peer::{Clip, assert_increasing, assert_silent, clip, duration, file, packets, pictures};
use super::recording::{START_US, Segment, fragments, record, samples};

const CLIPS: [Clip; 4] = [Clip::H264, Clip::Ntsc, Clip::Hevc, Clip::Small];

fn md5s(path: &std::path::Path) -> Vec<String> {
    pictures(path).into_iter().map(|picture| picture.md5).collect()
}

#[test]
fn growing_and_sealed_files_decode_to_the_same_pictures() {
    for source in CLIPS {
        let segment = record(source, START_US, i64::MAX).remove(0);
        let wanted = md5s(&clip(source));
        for (state, bytes) in [("growing", &segment.growing), ("sealed", &segment.sealed)] {
            let path = file(&format!("{state}-{source:?}"), bytes);
            assert_eq!(md5s(&path), wanted, "{state} {source:?}");
            let video = packets(&path, "v");
            assert_eq!(video.len(), segment.table.sample_count(TrackKind::Video));
            assert_increasing(&video);
            // Of fragments ffmpeg shows pictures with signed offsets late by the reordering delay.
            let first = if state == "sealed" { video[0].pts } else { video[0].dts };
            assert_eq!(first, 0, "{state} {source:?}");
            let audio = packets(&path, "a");
            assert_eq!(audio.len(), segment.table.sample_count(TrackKind::Audio));
            assert_increasing(&audio);
            assert_eq!(audio[0].pts, segment.table.decode_range(TrackKind::Audio).unwrap().0);
        }
    }
}

#[test]
fn a_later_segment_starts_at_zero_with_its_sound_in_place() {
    for source in CLIPS {
        let (config, samples) = samples(&clip(source));
        let fragments = fragments(&config, &samples, START_US);
        let segments = super::recording::segments(&config, &fragments, 3_000_000);
        assert!(segments.len() >= 2);
        for (position, segment) in segments.iter().enumerate() {
            let path = file(&format!("later-{source:?}-{position}"), &segment.sealed);
            assert_silent(&path);
            let video = packets(&path, "v");
            assert_increasing(&video);
            let first = video.iter().filter(|packet| !packet.is_discarded).map(|packet| packet.pts).min();
            assert_eq!(first, Some(0));
            // Where the sound stands beside the picture is what the session says.
            let (decode_base, video_end) = segment.table.decode_range(TrackKind::Video).unwrap();
            let key = samples
                .iter()
                .find(|sample| sample.track == TrackKind::Video && sample.decode_time == decode_base)
                .unwrap();
            let video_base = decode_base + i64::from(key.composition_offset);
            let (audio_base, _) = segment.table.decode_range(TrackKind::Audio).unwrap();
            let rate = i64::from(config.timescale(TrackKind::Audio));
            let wanted = audio_base as f64 - video_base as f64 / 90_000.0 * rate as f64;
            let audio = packets(&path, "a");
            assert!((audio[0].pts as f64 - wanted).abs() <= 2.0, "{source:?}: {} and {wanted}", audio[0].pts);
            let length = (video_end - video_base) as f64 / 90_000.0;
            assert!((duration(&path) - length).abs() < 0.05, "{} and {length}", duration(&path));
        }
    }
}

#[test]
fn a_run_of_fragments_plays_behind_the_init_segment() {
    for source in [Clip::H264, Clip::Hevc] {
        let segments = record(source, START_US, 3_000_000);
        let segment = &segments[1];
        let first = segment.table.index().first_fragment_offset as usize;
        let mut bytes = init::init_segment(segment.table.config()).to_vec();
        bytes.extend_from_slice(&segment.growing[first..]);
        let path = file(&format!("hls-{source:?}"), &bytes);
        assert_silent(&path);
        let start = segment.table.decode_range(TrackKind::Video).unwrap().0;
        let video = packets(&path, "v");
        assert_increasing(&video);
        assert_eq!(video[0].dts, start);
    }
}

#[test]
fn the_moov_in_init_and_file_is_the_same() {
    let segment = record(Clip::H264, START_US, i64::MAX).remove(0);
    let init = init::init_segment(segment.table.config());
    let header = init::file_header(segment.table.config());
    assert_eq!(&header[..28], &init[..28]);
    assert_eq!(&header[28..36], b"\0\0\0\x10free");
    assert_eq!(&header[44..], &init[28..]);
}

#[test]
fn a_sealed_segment_is_read_back() {
    for source in CLIPS {
        for segment in record(source, START_US, 3_000_000) {
            let moov_offset = sealed_moov_offset(&segment.sealed[..44]).unwrap();
            assert_eq!(moov_offset, segment.growing.len() as u64);
            assert_eq!(sealed_moov_offset(&segment.growing[..44]), None);
            let moov = Bytes::copy_from_slice(&segment.sealed[moov_offset as usize..]);
            assert_eq!(read_moov(&moov).unwrap(), segment.table, "{source:?}");
        }
    }
}

fn scan(bytes: &[u8]) -> Option<turepe_media::mp4::reader::Scan> {
    let mut read = 0;
    let scan = TailScanner::run(bytes.len() as u64, |want: Want| {
        read += 1;
        assert!(read < 10_000 && want.offset + want.len <= bytes.len() as u64);
        Ok::<_, ()>(bytes[want.offset as usize..(want.offset + want.len) as usize].to_vec())
    });
    scan.unwrap().ok()
}

fn same_samples(segment: &Segment, scan: &turepe_media::mp4::reader::Scan) -> bool {
    let mut table = scan.table.clone();
    table.set_start_us(segment.start_us);
    table == segment.table
}

#[test]
fn a_whole_file_is_scanned_back_in_every_state() {
    for source in CLIPS {
        let segment = record(source, START_US, i64::MAX).remove(0);
        let whole = segment.growing.len() as u64;
        let growing = scan(&segment.growing).unwrap();
        assert!(same_samples(&segment, &growing) && growing.valid_len == whole && !growing.is_sealed);
        let sealed = scan(&segment.sealed).unwrap();
        assert!(same_samples(&segment, &sealed) && sealed.valid_len == whole && sealed.is_sealed);
        // Crashed between writing the moov and patching the header.
        let mut between = segment.growing.clone();
        between.extend_from_slice(&segment.table.moov());
        let between = scan(&between).unwrap();
        assert!(same_samples(&segment, &between) && between.valid_len == whole && !between.is_sealed);
    }
}

#[test]
fn a_torn_file_keeps_its_whole_fragments() {
    let segment = record(Clip::H264, START_US, i64::MAX).remove(0);
    let index = segment.table.index();
    let first = u64::from(index.first_fragment_offset);
    let mut ends = vec![first];
    ends.extend(index.fragments.iter().scan(first, |end, fragment| {
        *end += u64::from(fragment.size_bytes);
        Some(*end)
    }));
    for len in (0..segment.growing.len()).step_by(97).chain(ends.iter().map(|end| *end as usize)) {
        let scan = scan(&segment.growing[..len]);
        let wanted = ends.iter().copied().filter(|end| *end <= len as u64).max();
        assert_eq!(scan.map(|scan| scan.valid_len), wanted, "cut at {len}");
    }
}

#[test]
fn a_tail_of_zeros_is_cut_off() {
    let segment = record(Clip::H264, START_US, i64::MAX).remove(0);
    let mut bytes = segment.growing.clone();
    let len = bytes.len();
    bytes[len - 3000..].fill(0);
    let scan = scan(&bytes).unwrap();
    let (last, kept) = segment.table.index().fragments.split_last().unwrap();
    assert_eq!(scan.table.index().fragments, kept);
    assert_eq!(scan.valid_len, segment.table.end_offset() - u64::from(last.size_bytes));
}

#[test]
fn a_scanned_segment_seals_and_cuts_like_the_one_that_grew() {
    let segment = record(Clip::Ntsc, START_US, i64::MAX).remove(0);
    let mut scanned = scan(&segment.growing).unwrap().table;
    scanned.set_start_us(segment.start_us);
    assert_eq!(scanned.moov(), segment.table.moov());
    let source =
        |table| cut::Source { table, start_us: segment.start_us, end_us: segment.end_us, shown_us: i64::MIN };
    let range = (START_US + 1_234_567, START_US + 5_000_000);
    let from_scan = cut::cut(&[source(&scanned)], range.0, range.1).unwrap();
    assert_eq!(from_scan, cut::cut(&[source(&segment.table)], range.0, range.1).unwrap());
}
