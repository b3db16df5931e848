//! A cut holds what it promises, over any sessions and any range. It is read back by our demuxer and by another one.

use std::collections::HashMap;

use proptest::prelude::*;
use turepe_media::mp4::cut::{Cut, CutError, Source, cut};
use turepe_media::mp4::demux::{DemuxSample, Mp4File};
use turepe_media::{Sample, TrackKind};

use super::synthetic::{Segment, Shape, record, samples, shape};

const START_US: i64 = 1_790_000_000_000_000;

fn assembled(cut: &Cut, segments: &[Segment]) -> Vec<u8> {
    let mut bytes = cut.header.to_vec();
    for range in &cut.ranges {
        assert!(range.start < range.end);
        bytes.extend_from_slice(&segments[range.source].growing[range.start as usize..range.end as usize]);
    }
    assert_eq!(bytes.len() as u64, cut.len);
    bytes
}

/// Another reader sees the same samples at the same places.
fn assert_read_by_shiguredo(bytes: &[u8], own: &[DemuxSample]) {
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
    let mut theirs = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        assert_eq!(
            sample.data_offset + sample.data_size as u64,
            (sample.data_offset + sample.data_size as u64).min(bytes.len() as u64)
        );
        theirs.push((
            sample.data_offset,
            sample.data_size,
            sample.keyframe,
            sample.composition_time_offset.unwrap_or(0),
        ));
    }
    let mut own: Vec<_> = own
        .iter()
        .map(|sample| {
            (sample.offset, sample.size as usize, sample.is_sync, i64::from(sample.composition_offset))
        })
        .collect();
    theirs.sort_unstable();
    own.sort_unstable();
    assert_eq!(own, theirs);
}

/// A sample of the sessions: which one, when it is shown there.
struct Known {
    session: usize,
    shown: i64,
    sample: Sample,
}

/// All samples by their bytes.
fn known(shapes: &[Shape]) -> HashMap<Vec<u8>, Known> {
    let mut known = HashMap::new();
    for (session, shape) in shapes.iter().enumerate() {
        for sample in samples(shape).1 {
            let shown = sample.decode_time + i64::from(sample.composition_offset);
            known.insert(sample.data.to_vec(), Known { session, shown, sample });
        }
    }
    known
}

/// Reads the file back and checks everything that holds of every cut; returns its samples with what they are.
fn check<'a>(
    cut: &Cut,
    bytes: &[u8],
    known: &'a HashMap<Vec<u8>, Known>,
) -> (Mp4File, Vec<(DemuxSample, &'a Known)>) {
    let file = Mp4File::from_moov(bytes).unwrap();
    assert_read_by_shiguredo(bytes, &file.samples);
    let mut found = Vec::new();
    for sample in &file.samples {
        let range = sample.offset as usize..sample.offset as usize + sample.size as usize;
        match known.get(&bytes[range.clone()]) {
            Some(original) => {
                assert_eq!(original.sample.is_sync, sample.is_sync);
                assert_eq!(original.sample.track, sample.track);
                found.push((*sample, original));
            }
            // Silence stands in the header.
            None => assert!(sample.track == TrackKind::Audio && range.end <= cut.header.len()),
        }
    }
    for track in [TrackKind::Video, TrackKind::Audio] {
        let times: Vec<_> = file
            .samples
            .iter()
            .filter(|sample| sample.track == track)
            .map(|sample| sample.decode_time)
            .collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{track:?}");
    }
    (file, found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn of_one_session_exactly_the_range_is_shown(
        shape in shape(),
        from in -0.2_f64..1.1,
        length in 0.0_f64..1.3,
    ) {
        let segments = record(&shape, START_US);
        let known = known(std::slice::from_ref(&shape));
        let end = known.values().filter(|known| known.sample.track == TrackKind::Video).map(|known| known.sample.decode_time + i64::from(known.sample.duration)).max().unwrap();
        let whole_us = end * 100 / 9;
        let from_us = (from * whole_us as f64) as i64;
        let to_us = from_us + (length * whole_us as f64) as i64;
        let sources: Vec<_> = segments.iter().map(|segment| Source { table: &segment.table, start_us: segment.start_us, end_us: segment.end_us, shown_us: i64::MIN }).collect();
        let ticks = |us: i64| (us * 9 + 50).div_euclid(100);
        let result = cut(&sources, START_US + from_us, START_US + to_us);
        let pictures: Vec<i64> = {
            let mut shown: Vec<_> = known.values().filter(|known| known.sample.track == TrackKind::Video).map(|known| known.shown).collect();
            shown.sort_unstable();
            shown
        };
        let Ok(cut) = result else {
            prop_assert_eq!(result, Err(CutError::Empty));
            // Segment starts are whole microseconds: a tick here or there.
            prop_assert!(to_us <= 10 || from_us >= whole_us - 20 || to_us <= from_us + 20);
            return Ok(());
        };
        let bytes = assembled(&cut, &segments);
        let (file, found) = check(&cut, &bytes, &known);

        // The pictures: from the one on screen at the start to the last one before the end.
        let origin = found.iter().filter(|(sample, _)| sample.track == TrackKind::Video)
            .map(|(sample, known)| known.shown - sample.decode_time - i64::from(sample.composition_offset)).collect::<Vec<_>>();
        prop_assert!(origin.iter().all(|at| *at == origin[0]), "all pictures are moved by the same time");
        let origin = origin[0];
        let wanted_first = pictures.iter().copied().rfind(|shown| *shown <= ticks(from_us) + 1).unwrap_or(0);
        let alternative = pictures.iter().copied().rfind(|shown| *shown < ticks(from_us)).unwrap_or(0);
        prop_assert!(origin == wanted_first || origin == alternative, "{} is not {}", origin, wanted_first);
        let length_90k = cut.duration_us * 9 / 100;
        for shown in pictures.iter().filter(|shown| (origin..origin + length_90k - 2).contains(*shown)) {
            prop_assert_eq!(found.iter().filter(|(_, known)| known.sample.track == TrackKind::Video && known.shown == *shown).count(), 1);
        }
        let wanted_end = ticks(to_us).min(end);
        prop_assert!((origin + length_90k - wanted_end).abs() <= 3, "{} {} {}", origin, length_90k, wanted_end);
        prop_assert!((cut.start_us - START_US - origin * 100 / 9).abs() <= 12);

        // Nothing in front of the keyframe, nothing behind what is needed.
        let video: Vec<_> = found.iter().filter(|(sample, _)| sample.track == TrackKind::Video).collect();
        prop_assert!(video[0].0.is_sync);
        prop_assert!(video[1..].iter().all(|(sample, known)| !sample.is_sync || known.shown > origin));
        let last = video[video.len() - 1].1;
        prop_assert!(last.shown < wanted_end + 2);
        for word in bytes.windows(9) {
            let is_name = word[..4] == shape.seed.to_be_bytes() && word[8] == TrackKind::Video as u8 + 1;
            if is_name {
                let number = u32::from_be_bytes([word[4], word[5], word[6], word[7]]);
                let named = known.values().find(|known| known.sample.track == TrackKind::Video && known.sample.data[9..13] == number.to_be_bytes());
                if let Some(named) = named {
                    prop_assert!(named.sample.decode_time >= video[0].1.sample.decode_time && named.sample.decode_time <= last.sample.decode_time);
                }
            }
        }

        // The sound is where it was beside the picture.
        let rate = i64::from(file.audio_timescale);
        for (sample, known) in found.iter().filter(|(sample, _)| sample.track == TrackKind::Audio) {
            let wanted = known.sample.decode_time as f64 - origin as f64 * rate as f64 / 90_000.0;
            prop_assert!((sample.decode_time as f64 - wanted).abs() <= 1.5, "{} {}", sample.decode_time, wanted);
            prop_assert!((sample.decode_time as f64) < length_90k as f64 * rate as f64 / 90_000.0 + 1.0);
        }

        // At most one range a segment, and two more at the end: one where its sound ends inside a fragment, one where a
        // picture refers to the next fragment.
        let mut used: Vec<_> = cut.ranges.iter().map(|range| range.source).collect();
        let ranges = used.len();
        used.dedup();
        prop_assert!(ranges <= used.len() + 2);
    }

    #[test]
    fn across_gaps_sound_and_picture_stay_together(
        shapes in prop::collection::vec(shape(), 2..4),
        gaps in prop::collection::vec(0_i64..5_000_000, 3),
        from in 0.0_f64..0.5,
        rate in prop::sample::select(vec![48_000_u32, 44_100]),
    ) {
        let mut shapes = shapes;
        for (number, shape) in shapes.iter_mut().enumerate() {
            shape.seed = shape.seed.wrapping_mul(8).wrapping_add(number as u32);
            shape.sample_rate = shape.sample_rate.map(|_| rate);
        }
        let known = known(&shapes);
        let mut segments = Vec::new();
        let mut at = START_US;
        for (shape, gap) in shapes.iter().zip(&gaps) {
            segments.extend(record(shape, at));
            at = segments.last().unwrap().end_us + gap;
        }
        let sources: Vec<_> = segments.iter().map(|segment| Source { table: &segment.table, start_us: segment.start_us, end_us: segment.end_us, shown_us: i64::MIN }).collect();
        let last = segments.last().unwrap();
        let from_us = START_US + (from * (last.start_us - START_US) as f64) as i64;
        // Sessions with and without sound have different configurations, but the same pictures' one.
        let cut = cut(&sources, from_us, at + 1).unwrap();
        let bytes = assembled(&cut, &segments);
        let (file, found) = check(&cut, &bytes, &known);
        let track_rate = f64::from(file.audio_timescale);

        // Per session one shift of the pictures, and nearly the same of the sound.
        let mut shifts: HashMap<usize, f64> = HashMap::new();
        for (sample, known) in found.iter().filter(|(sample, _)| sample.track == TrackKind::Video) {
            let shown = sample.decode_time + i64::from(sample.composition_offset);
            let shift = (shown - known.shown) as f64 / 90_000.0;
            let first = *shifts.entry(known.session).or_insert(shift);
            prop_assert!((shift - first).abs() < 1e-9);
        }
        for (sample, known) in found.iter().filter(|(sample, _)| sample.track == TrackKind::Audio) {
            let shift = sample.decode_time as f64 / track_rate - known.sample.decode_time as f64 / f64::from(rate);
            prop_assert!((shift - shifts[&known.session]).abs() < 2.0 / track_rate, "{} {}", shift, shifts[&known.session]);
        }
        // Gaps are closed up: whatever is shown, the next picture follows within a frame.
        let mut times: Vec<_> = found.iter().filter(|(sample, _)| sample.track == TrackKind::Video)
            .map(|(sample, _)| sample.decode_time + i64::from(sample.composition_offset)).filter(|time| *time >= 0).collect();
        times.sort_unstable();
        prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 3600 && pair[1] > pair[0]));
        prop_assert_eq!(times[0], 0);
        // A player that counts sounds instead of reading their times is never half a frame off, once there was sound.
        let sounds: Vec<_> = file.samples.iter().filter(|sample| sample.track == TrackKind::Audio).collect();
        if let Some(first) = sounds.first() {
            for (number, sound) in sounds.iter().enumerate() {
                let counted = first.decode_time + 1024 * number as i64;
                prop_assert!((sound.decode_time - counted).abs() <= 514, "{} {}", sound.decode_time, counted);
            }
        }
    }
}
