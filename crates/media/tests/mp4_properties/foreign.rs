//! Bytes of anybody's, and files torn anywhere.

use std::convert::Infallible;

use bytes::Bytes;
use proptest::prelude::*;
use turepe_media::TrackKind;
use turepe_media::mp4::check::{Fault, SegmentCheck};
use turepe_media::mp4::demux::{Mp4File, locate_moov};
use turepe_media::mp4::init;
use turepe_media::mp4::reader::{Scan, TailScanner, read_moov, sealed_moov_offset};
use turepe_media::mp4::seal::{Label, SampleTable};

use super::synthetic::{Segment, config, fragments, record, samples, shape};

/// Scans bytes; every read lies in the file, and there are not more reads than a file of that length can need.
fn scan(bytes: &[u8]) -> Option<Scan> {
    let mut reads = 0;
    let Ok(scan) = TailScanner::run(bytes.len() as u64, |want| {
        reads += 1;
        assert!(want.offset + want.len <= bytes.len() as u64 && want.len > 0);
        assert!(reads <= 64 + bytes.len() / 50);
        Ok::<_, Infallible>(bytes[want.offset as usize..(want.offset + want.len) as usize].to_vec())
    });
    let scan = scan.ok();
    assert!(
        scan.iter()
            .all(|scan| scan.valid_len <= bytes.len() as u64 && scan.valid_len == scan.table.end_offset())
    );
    scan
}

fn read_everything(bytes: &[u8]) {
    let _ = scan(bytes);
    let shared = Bytes::copy_from_slice(bytes);
    let _ = read_moov(&shared);
    let _ = Mp4File::from_moov(bytes);
    let _ = sealed_moov_offset(bytes);
    let Ok(found) = locate_moov(bytes.len() as u64, |offset, len| {
        let start = (offset as usize).min(bytes.len());
        Ok::<_, Infallible>(shared.slice(start..start.saturating_add(len).min(bytes.len())))
    });
    if let Ok(moov) = found {
        let _ = Mp4File::from_moov(&moov);
    }
}

fn sealed(segment: &Segment) -> Vec<u8> {
    let mut bytes = segment.growing.clone();
    bytes.extend_from_slice(&segment.table.moov());
    let (offset, patch) = segment.table.mdat_patch(segment.growing.len() as u64);
    bytes[offset as usize..offset as usize + 16].copy_from_slice(&patch);
    bytes
}

/// Checks a file against a segment's index, its bytes in pieces of `piece`.
fn check(segment: &Segment, bytes: &[u8], len: usize, piece: usize) -> Result<(), Fault> {
    let index = segment.table.index().clone();
    let mut check = SegmentCheck::new(index, segment.table.end_offset(), len as u64)?;
    bytes.chunks(piece).try_for_each(|piece| check.push(piece))?;
    check.finish()
}

proptest! {
    #[test]
    fn a_sealed_file_is_found_whole_and_a_damaged_one_never_more(
        shape in shape(),
        piece in 1..5000_usize,
        at in any::<prop::sample::Index>(),
        by in 1..=255_u8,
    ) {
        let segment = record(&shape, 0).remove(0);
        let bytes = sealed(&segment);
        prop_assert_eq!(check(&segment, &bytes, bytes.len(), piece), Ok(()));
        prop_assert!(check(&segment, &bytes[..at.index(bytes.len())], bytes.len(), piece).is_err());
        let longer = [&bytes[..], b"x"].concat();
        prop_assert_eq!(check(&segment, &longer, bytes.len(), piece), Err(Fault::Long));
        // Inside a sample any byte is as good as another, elsewhere damage is found or means nothing: it ends in any case.
        let mut damaged = bytes.clone();
        *at.get_mut(&mut damaged) ^= by;
        let _ = check(&segment, &damaged, damaged.len(), piece);
        // A fragment that never reached the disk.
        let mut torn = bytes.clone();
        let run = segment.table.index().positions().nth(at.index(segment.table.index().fragments.len())).unwrap();
        torn[run.offset_bytes as usize + 8..run.end_bytes() as usize].fill(0);
        let found = check(&segment, &torn, torn.len(), piece);
        prop_assert_eq!(found, Err(Fault::Fragment { number: run.number, offset: run.offset_bytes }));
    }

    #[test]
    fn an_index_that_says_something_else_is_noticed(shape in shape(), at in any::<prop::sample::Index>()) {
        let mut segment = record(&shape, 0).remove(0);
        let bytes = sealed(&segment);
        let moov_offset = segment.table.end_offset();
        let mut index = segment.table.index().clone();
        at.get_mut(&mut index.fragments).duration_90k += 3;
        let mut check = SegmentCheck::new(index, moov_offset, bytes.len() as u64).unwrap();
        let is_noticed = matches!(check.push(&bytes), Err(Fault::Index { .. }));
        prop_assert!(is_noticed);
        // Tables of another file of the same length.
        let other = fragments(&config(true, shape.sample_rate), &samples(&shape).1, 0);
        prop_assume!(other.len() > 1);
        segment.table.push(&other[1]);
        let index = segment.table.index().clone();
        prop_assert_eq!(SegmentCheck::new(index, moov_offset, bytes.len() as u64).err(), Some(Fault::Contradiction));
    }

    #[test]
    fn a_label_is_read_back(shape in shape(), session_id in any::<[u8; 16]>(), end_us in any::<i64>(), crc32 in any::<Option<u32>>()) {
        let mut segment = record(&shape, 0).remove(0);
        let unlabelled = segment.table.moov();
        prop_assert_eq!(read_moov(&unlabelled).unwrap().label(), None, "as files were before there were labels");
        let label = Label { session_id, end_us, crc32 };
        segment.table.set_label(label);
        let moov = segment.table.moov();
        prop_assert_eq!(read_moov(&moov).unwrap(), segment.table.clone());
        prop_assert_eq!(moov.len(), unlabelled.len() + 37);
        let bytes = sealed(&segment);
        prop_assert_eq!(check(&segment, &bytes, bytes.len(), 4096), Ok(()));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_everything(&bytes);
        let with_header = [&init::file_header(&config(true, Some(48_000)))[..], &bytes].concat();
        read_everything(&with_header);
    }

    #[test]
    fn damaged_files_are_survived(
        shape in shape(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        in_tables in any::<bool>(),
    ) {
        let segment = record(&shape, 0).remove(0);
        let mut bytes = if in_tables { segment.table.moov().to_vec() } else { sealed(&segment) };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_everything(&bytes);
        // Whatever table came out of it can be used.
        let tables = [scan(&bytes).map(|scan| scan.table), read_moov(&Bytes::from(bytes)).ok()];
        for table in tables.into_iter().flatten() {
            let _ = table.moov();
            let source = turepe_media::mp4::cut::Source { table: &table, start_us: 0, end_us: 10_000_000, shown_us: i64::MIN };
            let _ = turepe_media::mp4::cut::cut(&[source, source], 123_456, 5_000_000);
        }
    }

    #[test]
    fn a_torn_file_gives_back_every_whole_fragment(shape in shape(), at in any::<prop::sample::Index>()) {
        let segment = record(&shape, 0).remove(0);
        let len = at.index(segment.growing.len() + 1);
        let header = u64::from(segment.table.index().first_fragment_offset);
        let Some(scan) = scan(&segment.growing[..len]) else {
            prop_assert!((len as u64) < header);
            return Ok(());
        };
        let mut end = header;
        let whole = segment.table.index().fragments.iter().take_while(|fragment| {
            end += u64::from(fragment.size_bytes);
            end <= len as u64
        });
        let whole: Vec<_> = whole.copied().collect();
        prop_assert_eq!(&scan.table.index().fragments, &whole);
        prop_assert_eq!(scan.valid_len, header + whole.iter().map(|fragment| u64::from(fragment.size_bytes)).sum::<u64>());
    }

    #[test]
    fn tables_are_read_back_as_they_were(shape in shape(), start_us in any::<i64>()) {
        for segment in record(&shape, 0) {
            let mut table = segment.table.clone();
            table.set_start_us(start_us.max(i64::MIN + 1));
            prop_assert_eq!(read_moov(&table.moov()).unwrap(), table.clone());
            let mut scanned = scan(&segment.growing).unwrap().table;
            scanned.set_start_us(start_us.max(i64::MIN + 1));
            prop_assert_eq!(scanned, table);
        }
    }

    #[test]
    fn sound_alone_is_a_session_too(shape in shape()) {
        let (_, mut samples) = samples(&shape);
        samples.retain(|sample| sample.track == TrackKind::Audio);
        prop_assume!(!samples.is_empty());
        let config = config(false, shape.sample_rate);
        let mut table = SampleTable::new(config.clone(), init::file_header(&config).len() as u32);
        for group in samples.chunks(20) {
            let fragment = turepe_media::mp4::fragment::write_fragment(1, &config, 0, &mut Vec::new(), &mut group.to_vec(), true);
            table.push(&fragment);
        }
        prop_assert_eq!(read_moov(&table.moov()).unwrap(), table.clone());
        let source = turepe_media::mp4::cut::Source { table: &table, start_us: 0, end_us: 0, shown_us: i64::MIN };
        let cut = turepe_media::mp4::cut::cut(&[source], 10_000, 60_000_000).unwrap();
        let file = Mp4File::from_moov(&cut.header).unwrap();
        prop_assert!(file.video.is_none());
        let length = (table.decode_range(TrackKind::Audio).unwrap().1 - i64::from(shape.audio_start)) * 1_000_000 / i64::from(file.audio_timescale) - 10_000;
        prop_assert!((cut.duration_us - length).abs() < 50, "{} {}", cut.duration_us, length);
    }
}

#[test]
fn beyond_four_gigabytes_offsets_are_wide() {
    let shape = super::synthetic::Shape {
        frame: 3600,
        gops: vec![50, 50],
        b_frames: 2,
        jitter: Vec::new(),
        sample_rate: Some(48_000),
        audio_start: 0,
        gops_per_segment: 9,
        seed: 1,
    };
    let (config, samples) = samples(&shape);
    let mut table = SampleTable::new(config.clone(), u32::MAX - 1000);
    for fragment in fragments(&config, &samples, 0) {
        table.push(&fragment);
    }
    assert!(table.end_offset() > u64::from(u32::MAX));
    let moov = table.moov();
    assert!(moov.windows(4).any(|word| word == b"co64"));
    assert_eq!(read_moov(&moov).unwrap(), table);
}
