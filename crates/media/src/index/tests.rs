use proptest::prelude::*;

use super::{FragmentPosition, IndexError, ticks_to_us, us_to_ticks};
use crate::{FragmentIndexEntry, SegmentIndex};

fn entry(size_bytes: u32, duration_90k: u32, is_key: bool) -> FragmentIndexEntry {
    FragmentIndexEntry { size_bytes, duration_90k, is_key }
}

/// 25 fps, 2 s between keyframes: fragments of 13, 13, 13 and 11 frames.
fn ordinary(groups: usize) -> SegmentIndex {
    let mut fragments = Vec::new();
    for group in 0..groups {
        for (number, frames) in [13, 13, 13, 11].into_iter().enumerate() {
            fragments.push(entry(250_000 + (group * 31 % 1000) as u32, frames * 3600, number == 0));
        }
    }
    SegmentIndex { first_fragment_offset: 1200, recovery_90k: 0, fragments }
}

#[test]
fn a_quarter_hour_takes_about_three_bytes_a_fragment() {
    let index = ordinary(450);
    let bytes = index.encode();
    assert_eq!(SegmentIndex::decode(&bytes), Ok(index.clone()));
    assert!(bytes.len() < index.fragments.len() * 3 + 40, "{} bytes", bytes.len());
}

#[test]
fn an_unknown_version_is_named() {
    assert_eq!(SegmentIndex::decode(&[3, 0, 0]), Err(IndexError::Version(3)));
    assert_eq!(SegmentIndex::decode(&[]), Err(IndexError::Truncated(0)));
    assert_eq!(SegmentIndex::decode(&[1, 0, 0, 7]), Err(IndexError::Trailing(3)));
}

#[test]
fn the_first_released_form_stays_readable() {
    // Written by version 1: offset 1200, fragments (300, 46800, key), (200, 43200), (310, 46800, key), (210, 43200).
    let bytes =
        [1, 0xb0, 0x09, 4, 0xac, 2, 0xc8, 1, 0xb6, 2, 0xd2, 1, 0, 0xa1, 0xdb, 5, 0, 0x80, 0xa3, 5, 2, 2];
    let index = SegmentIndex {
        first_fragment_offset: 1200,
        recovery_90k: 0,
        fragments: vec![
            entry(300, 46_800, true),
            entry(200, 43_200, false),
            entry(310, 46_800, true),
            entry(210, 43_200, false),
        ],
    };
    assert_eq!(SegmentIndex::decode(&bytes), Ok(index.clone()));
    assert_eq!(index.encode(), bytes);
}

#[test]
fn positions_follow_one_another() {
    let index = ordinary(2);
    let mut positions = index.positions();
    assert_eq!(positions.len(), 8);
    assert_eq!(
        positions.nth(5),
        Some(FragmentPosition {
            number: 5,
            start_90k: 63 * 3600,
            offset_bytes: 1200 + 4 * 250_000 + 250_031,
            entry: entry(250_031, 13 * 3600, false)
        })
    );
    assert_eq!(index.duration_us(), 4_000_000);
    assert_eq!(index.end_bytes(), 1200 + 4 * 250_000 + 4 * 250_031);
}

#[test]
fn a_range_starts_at_the_key_at_or_before_it() {
    let index = ordinary(3);
    let start_us = 1_700_000_000_000_000;
    // (from, to) in ms from the start → fragments
    for (from_ms, to_ms, expected) in [
        (0, 6000, Some(0..12)),
        (-5000, 100_000, Some(0..12)),
        (1999, 2000, Some(0..4)),
        (2000, 2001, Some(4..5)),
        (2600, 2700, Some(4..6)),
        (5999, 9000, Some(8..12)),
        (6000, 9000, None),
        (-10, 0, None),
        (100, 100, None),
        (300, 200, None),
    ] {
        let run = index.run_for_us(start_us, start_us + from_ms * 1000, start_us + to_ms * 1000);
        assert_eq!(run.as_ref().map(|run| run.fragments.clone()), expected, "{from_ms}..{to_ms}");
        if let Some(run) = run {
            let first = index.positions().nth(run.fragments.start).unwrap();
            let last = index.positions().nth(run.fragments.end - 1).unwrap();
            assert_eq!(run.bytes, first.offset_bytes..last.end_bytes());
            assert_eq!(run.time_90k, first.start_90k..last.end_90k());
        }
    }
}

#[test]
fn an_end_between_two_ticks_includes_the_fragment_it_falls_into() {
    let index = ordinary(1);
    // The second fragment starts at 520 ms sharp.
    assert_eq!(index.run_for_us(0, 0, 520_001).unwrap().fragments, 0..2);
    assert_eq!(index.run_for_us(0, 0, 520_000).unwrap().fragments, 0..1);
}

#[test]
fn fragment_and_key_are_found_by_time() {
    let index = ordinary(2);
    assert_eq!(index.fragment_at(0).unwrap().number, 0);
    assert_eq!(index.fragment_at(13 * 3600).unwrap().number, 1);
    assert_eq!(index.fragment_at(100 * 3600), None);
    assert_eq!(index.key_at_or_before(50 * 3600 - 1).unwrap().number, 0);
    assert_eq!(index.key_at_or_before(50 * 3600).unwrap().number, 4);
    assert_eq!(SegmentIndex::default().key_at_or_before(5), None);
}

/// Fragments of half a second; `keys` says which are key fragments.
fn with_keys(seconds: usize, recovery_90k: u32, keys: impl Fn(usize) -> bool) -> SegmentIndex {
    let fragments = (0..2 * seconds).map(|number| entry(1000, 45_000, keys(number))).collect();
    SegmentIndex { first_fragment_offset: 1200, recovery_90k, fragments }
}

#[test]
fn playback_starts_where_pictures_are_whole_in_time() {
    // Keys every 2 s; instants in ms, expected starts in ms.
    let every_2_s = |number: usize| number.is_multiple_of(4);
    type Case = (&'static str, SegmentIndex, &'static [(u64, u64)]);
    let table: [Case; 6] = [
        ("closed groups", with_keys(60, 0, every_2_s), &[(0, 0), (1999, 0), (2000, 2000), (5000, 4000)]),
        (
            "open groups: two pictures lead the keyframe",
            with_keys(60, 7200, every_2_s),
            &[(0, 0), (2000, 0), (2079, 0), (2080, 2000), (5000, 4000)],
        ),
        (
            "gradual refresh of 1.5 s",
            with_keys(60, 135_000, every_2_s),
            &[(0, 0), (1500, 0), (3499, 0), (3500, 2000), (5400, 2000), (5500, 4000)],
        ),
        (
            "gradual refresh longer than the way from one entry to the next",
            with_keys(60, 3 * 90_000, every_2_s),
            &[(2000, 0), (4900, 0), (5000, 2000), (7000, 4000)],
        ),
        (
            "one key at the start, as older versions recorded it",
            with_keys(7200, 0, |number| number == 0),
            &[(80_000, 0), (90_000, 0), (90_600, 80_500), (3_600_000, 3_590_000)],
        ),
        (
            "a segment that had to begin without a key",
            with_keys(60, 0, |number| number == 20),
            &[(0, 0), (5000, 0), (10_000, 10_000), (12_000, 10_000)],
        ),
    ];
    for (what, index, expected) in table {
        for (time_ms, start_ms) in expected {
            let entry = index.entry_for(time_ms * 90).unwrap();
            assert_eq!(entry.start_90k, start_ms * 90, "{what}: {time_ms} ms");
            let run = index.run_for(time_ms * 90, time_ms * 90 + 1).unwrap();
            assert_eq!(run.fragments.start, entry.number, "{what}: {time_ms} ms");
        }
    }
}

#[test]
fn what_was_shown_already_is_no_lead_in() {
    // Keys every 2 s; pictures build up for 3 s.
    let index = with_keys(60, 270_000, |number| number.is_multiple_of(4));
    for (shown_s, from_s, start_s) in [(0, 9, 6), (5, 5, 6), (5, 7, 6), (5, 9, 6), (5, 11, 8)] {
        let run = index.run_from_us(0, shown_s * 1_000_000, from_s * 1_000_000, 30_000_000).unwrap();
        assert_eq!(run.time_90k.start, start_s * 90_000, "shown until {shown_s} s, asked from {from_s} s");
    }
}

proptest! {
    #[test]
    fn lead_ins_are_bounded(
        keys in prop::collection::vec(prop::bool::weighted(0.01), 1..2000),
        recovery_90k in 0..=super::MAX_RECOVERY_90K,
        time_90k in 0_u64..2000 * 45_000,
    ) {
        let index = with_keys(keys.len() / 2 + 1, recovery_90k, |number| keys.get(number) == Some(&true));
        let entry = index.entry_for(time_90k).unwrap();
        prop_assert!(entry.start_90k <= time_90k);
        prop_assert!(time_90k - entry.start_90k <= super::MAX_LEAD_IN_90K || time_90k > index.duration_90k());
    }

    #[test]
    fn any_index_round_trips(
        first_fragment_offset: u32,
        recovery_90k in prop_oneof![Just(0_u32), any::<u32>()],
        fragments in prop::collection::vec((any::<u32>(), prop_oneof![0u32..4, any::<u32>()], any::<bool>()), 0..300),
    ) {
        let fragments = fragments.into_iter().map(|(size, duration, key)| entry(size, duration, key)).collect();
        let index = SegmentIndex { first_fragment_offset, recovery_90k, fragments };
        prop_assert_eq!(SegmentIndex::decode(&index.encode()), Ok(index));
    }

    #[test]
    fn foreign_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), versioned: bool) {
        if versioned && !bytes.is_empty() {
            bytes[0] = 1 + bytes[0] % 2;
        }
        if let Ok(index) = SegmentIndex::decode(&bytes) {
            prop_assert!(index.fragments.len() <= bytes.len());
            prop_assert_eq!(SegmentIndex::decode(&index.encode()), Ok(index));
        }
    }

    #[test]
    fn every_truncation_is_an_error(groups in 1usize..5, cut in any::<prop::sample::Index>()) {
        let bytes = ordinary(groups).encode();
        prop_assert!(SegmentIndex::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_run_covers_what_is_asked(from in 0i64..7_000_000, length in 1i64..7_000_000) {
        let index = ordinary(3);
        let end = index.duration_us();
        match index.run_for_us(0, from, from + length) {
            None => prop_assert!(from >= end),
            Some(run) => {
                prop_assert!(index.fragments[run.fragments.start].is_key);
                prop_assert!(ticks_to_us(run.time_90k.start) <= from);
                prop_assert!(ticks_to_us(run.time_90k.end) >= (from + length).min(end));
                // Nothing needless: no later key would do, and the last fragment begins before the end.
                prop_assert!(index.key_at_or_before(us_to_ticks(from)).unwrap().number == run.fragments.start);
                let last = index.positions().nth(run.fragments.end - 1).unwrap();
                prop_assert!(ticks_to_us(last.start_90k) <= from + length);
            }
        }
    }
}
