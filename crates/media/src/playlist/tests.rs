use m3u8_rs::{MediaPlaylist, MediaPlaylistType};
use proptest::prelude::*;

use super::{PREFERRED_RUN_US, Playlist, VodSegment, rewind, vod};
use crate::{FragmentIndexEntry, SegmentIndex, index::ticks_to_us};

/// 2026-11-20T22:00:00Z
const NINE: i64 = 1_795_212_000_000_000;
const SECOND: i64 = 1_000_000;

/// Fragments of about half a second with a keyframe every `gop` of them, until `seconds` are full.
fn index(seconds: u32, gop: usize) -> SegmentIndex {
    let fragments = (0..seconds * 2)
        .map(|number| FragmentIndexEntry {
            size_bytes: 1000 + number,
            duration_90k: 45_045,
            is_key: (number as usize).is_multiple_of(gop),
        })
        .collect();
    SegmentIndex { first_fragment_offset: 1234, recovery_90k: 0, fragments }
}

fn segment<'a>(uri: &'a str, session: &'a str, start_us: i64, index: &'a SegmentIndex) -> VodSegment<'a> {
    VodSegment { uri, init_uri: "init.mp4", session, start_us, end_us: start_us + index.duration_us(), index }
}

fn parse(playlist: &Playlist) -> MediaPlaylist {
    m3u8_rs::parse_media_playlist_res(playlist.text.as_bytes()).expect("a valid media playlist")
}

#[test]
fn a_finished_range_over_two_segments_is_one_continuous_vod() {
    let index = index(20, 4);
    let first = segment("a.mp4", "s", NINE, &index);
    let second = segment("b.mp4", "s", first.end_us, &index);
    let from = NINE + 5 * SECOND;
    let playlist = vod(&[first, second], from, NINE + 30 * SECOND, true);
    let parsed = parse(&playlist);

    assert_eq!(parsed.version, Some(7));
    assert!(parsed.independent_segments && parsed.end_list);
    assert_eq!(parsed.playlist_type, Some(MediaPlaylistType::Vod));
    assert_eq!(parsed.media_sequence, 0);
    assert!(!playlist.text.contains("#EXT-X-DISCONTINUITY\n"));
    assert_eq!(parsed.segments.iter().filter(|segment| segment.map.is_some()).count(), 1);
    assert_eq!(parsed.segments[0].map.as_ref().unwrap().uri, "init.mp4");

    // The keyframe before 5 s lies at 4 × 1.001 s.
    assert_eq!(playlist.media_start_us, Some(NINE + 4 * 1_001_000));
    assert_eq!(playlist.start_offset_us, 5 * SECOND - 4_004_000);
    assert!(playlist.text.contains("#EXT-X-START:TIME-OFFSET=0.996000,PRECISE=YES\n"));
    let date = parsed.segments[0].program_date_time.unwrap();
    assert_eq!(date.timestamp_micros(), NINE + 4_004_000);
    assert_eq!(playlist.media_end_us, Some(second.start_us + ticks_to_us(20 * 45_045)));

    let first_range = parsed.segments[0].byte_range.as_ref().unwrap();
    assert_eq!(first_range.offset, Some(1234 + (1000..1008).sum::<u64>()));
    assert_eq!(first_range.length, (1008..1016).sum::<u64>());
    assert_eq!(parsed.segments[0].duration, 4.004);
}

#[test]
fn a_gap_and_a_new_session_are_discontinuities_with_a_date() {
    let index = index(10, 4);
    let first = segment("a.mp4", "s", NINE, &index);
    let after_gap = segment("b.mp4", "s", first.end_us + 3 * SECOND, &index);
    let mut other = segment("c.mp4", "t", after_gap.end_us, &index);
    other.init_uri = "other.mp4";
    let playlist = vod(&[first, after_gap, other], NINE, NINE + 60 * SECOND, true);
    let parsed = parse(&playlist);
    let marks: Vec<_> = parsed
        .segments
        .iter()
        .filter(|segment| segment.discontinuity)
        .map(|segment| {
            let date = segment.program_date_time.unwrap().timestamp_micros();
            (segment.uri.as_str(), segment.map.as_ref().unwrap().uri.as_str(), date / 1000 * 1000)
        })
        .collect();
    assert_eq!(
        marks,
        [
            ("b.mp4", "init.mp4", after_gap.start_us / 1000 * 1000),
            ("c.mp4", "other.mp4", other.start_us / 1000 * 1000)
        ]
    );
    assert_eq!(playlist.duration_us, 3 * index.duration_us());
}

#[test]
fn footage_that_begins_late_starts_at_its_first_instant() {
    let index = index(10, 4);
    let only = segment("a.mp4", "s", NINE + 20 * SECOND, &index);
    let playlist = vod(&[only], NINE, NINE + 3600 * SECOND, true);
    assert_eq!(playlist.start_offset_us, 0);
    assert_eq!(playlist.media_start_us, Some(only.start_us));
    assert!(playlist.text.contains("TIME-OFFSET=0.000000,PRECISE=YES"));
}

#[test]
fn no_footage_is_an_empty_playlist_that_has_ended() {
    for finished in [true, false] {
        let playlist = vod(&[], NINE, NINE + SECOND, finished);
        let parsed = parse(&playlist);
        assert!(parsed.segments.is_empty());
        assert_eq!(parsed.end_list, finished);
        assert_eq!((playlist.media_start_us, playlist.duration_us), (None, 0));
    }
}

#[test]
fn the_last_media_segment_is_trimmed_to_the_fragment_that_covers_the_end() {
    let index = index(60, 4);
    let only = segment("a.mp4", "s", NINE, &index);
    let playlist = vod(&[only], NINE, NINE + 10 * SECOND, true);
    // 20 fragments of 0.5005 s reach 10.01 s.
    assert_eq!(playlist.media_end_us, Some(NINE + 10_010_000));
}

#[test]
fn a_long_group_of_pictures_is_one_media_segment() {
    let index = index(50, 25);
    let playlist = vod(&[segment("a.mp4", "s", NINE, &index)], NINE, NINE + 60 * SECOND, true);
    let parsed = parse(&playlist);
    assert_eq!(parsed.segments.len(), 4);
    assert!(parsed.segments.iter().all(|segment| (f64::from(segment.duration) - 12.5125).abs() < 1e-5));
    assert_eq!(parsed.target_duration, 13);
}

#[test]
fn a_match_in_play_is_listed_also_where_no_keyframe_comes() {
    // A key at the start, and none for three minutes.
    let whole = index(180, 10_000);
    let to = NINE + 3600 * SECOND;
    let all = segment("a.mp4", "s", NINE, &whole);
    let playlist = vod(&[all], NINE, to, false);
    let parsed = parse(&playlist);
    assert_eq!(parsed.segments.len(), 5, "{}", playlist.text);
    assert!(parsed.segments.iter().all(|media| (30.0..31.0).contains(&media.duration)));
    assert!(!playlist.text.contains("INDEPENDENT"), "it would not be true");
    // The window of the same recording is cut at the same places.
    let rewound = rewind(&[all], true);
    let lengths: Vec<_> =
        rewound.iter().filter(|media| media.whole.is_some()).map(|media| media.duration_us).collect();
    assert_eq!(lengths.iter().sum::<i64>(), playlist.duration_us);
    assert_eq!(lengths.len(), 5);
}

#[test]
fn a_segment_that_had_to_begin_without_a_keyframe_goes_on_where_the_one_before_ended() {
    let (first, mut second) = (index(60, 4), index(60, 4));
    for fragment in second.fragments.iter_mut().take(10) {
        fragment.is_key = false;
    }
    let one = segment("a.mp4", "s", NINE, &first);
    let two = segment("b.mp4", "s", one.end_us, &second);
    let playlist = vod(&[one, two], NINE, two.end_us, true);
    assert!(!playlist.text.contains("DISCONTINUITY"), "{}", playlist.text);
    assert_eq!(playlist.media_end_us, Some(NINE + first.duration_us() + second.duration_us()));
    assert_eq!(playlist.duration_us, first.duration_us() + second.duration_us());
    let rewound: i64 = rewind(&[one, two], false).iter().map(|media| media.duration_us).sum();
    assert!((rewound - playlist.duration_us).abs() <= 2);
}

#[test]
fn a_growing_match_only_ever_grows() {
    for gop in [3, 200] {
        grows(gop);
    }
}

fn grows(gop: usize) {
    let whole = index(100, gop);
    let to = NINE + 50 * SECOND;
    let mut before: Option<Playlist> = None;
    for length in 0..=whole.fragments.len() {
        let mut index = whole.clone();
        index.fragments.truncate(length);
        let playlist = vod(&[segment("a.mp4", "s", NINE, &index)], NINE + 7 * SECOND, to, false);
        let parsed = parse(&playlist);
        assert_eq!(parsed.playlist_type, Some(MediaPlaylistType::Event));
        assert!(!parsed.end_list);
        if let Some(before) = before.filter(|before| before.segments > 0) {
            // What is listed stays; the line about independent segments goes once there is one that is not.
            let lines = |playlist: &Playlist| playlist.text.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", "");
            assert!(
                lines(&playlist).starts_with(&lines(&before)),
                "{length}:\n{}\n{}",
                before.text,
                playlist.text
            );
            assert!(gop > 100 || playlist.text.starts_with(&before.text));
        }
        before = Some(playlist);
    }
    // With everything there, the growing playlist lists the same media as the finished one.
    let all = segment("a.mp4", "s", NINE, &whole);
    assert_eq!(before.unwrap().duration_us, vod(&[all], NINE + 7 * SECOND, to, true).duration_us);
}

#[test]
fn a_new_segment_closes_the_last_run_of_the_one_before() {
    let index = index(9, 4);
    let first = segment("a.mp4", "s", NINE, &index);
    let alone = vod(&[first], NINE, NINE + 60 * SECOND, false);
    let second = segment("b.mp4", "s", first.end_us, &index);
    let both = vod(&[first, second], NINE, NINE + 60 * SECOND, false);
    assert!(both.text.starts_with(&alone.text));
    assert_eq!((alone.segments, both.segments), (2, 5));
}

proptest! {
    #[test]
    fn any_range_is_covered_exactly(
        gop in 1usize..12,
        counts in prop::collection::vec((1u32..40, prop::bool::ANY), 1..5),
        from in -5_000_000i64..60_000_000,
        length in 1i64..60_000_000,
    ) {
        let indexes: Vec<_> = counts.iter().map(|(seconds, _)| index(*seconds, gop)).collect();
        let mut start = NINE;
        let mut segments = Vec::new();
        for (index, (_, gap)) in indexes.iter().zip(&counts) {
            if *gap {
                start += 2 * SECOND;
            }
            let next = segment("a.mp4", "s", start, index);
            start = next.end_us;
            segments.push(next);
        }
        let (from, to) = (NINE + from, NINE + from + length);
        let playlist = vod(&segments, from, to, true);
        let parsed = parse(&playlist);
        prop_assert_eq!(parsed.segments.len(), playlist.segments);
        // The sum of all EXTINF is exact to the microsecond they are written with.
        let sum: f64 = playlist.text.lines()
            .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok())
            .sum();
        prop_assert!((sum * 1e6 - playlist.duration_us as f64).abs() < 0.5);
        for media in &parsed.segments {
            let length_us = (f64::from(media.duration) * 1e6) as i64;
            prop_assert!(length_us <= PREFERRED_RUN_US + gop as i64 * 500_500 + 10);
            prop_assert!(media.duration.round() as u64 <= parsed.target_duration);
        }
        // All recorded time of the range is listed.
        let recorded: i64 = segments.iter()
            .map(|segment| (segment.end_us.min(to) - segment.start_us.max(from)).max(0))
            .sum();
        prop_assert!(playlist.duration_us >= recorded);
        prop_assert_eq!(playlist.segments == 0, recorded == 0);
        let ranges = segments.iter().filter(|segment| segment.end_us > from && segment.start_us < to).count();
        let slack = ranges as i64 * 501_000 + gop as i64 * 500_500;
        prop_assert!(playlist.duration_us <= recorded + slack);
    }
}
