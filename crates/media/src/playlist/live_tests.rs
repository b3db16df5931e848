use super::{LiveMedia, LivePart, LivePlaylist, Place, VodSegment, rewind, vod};
use crate::{FragmentIndexEntry, SegmentIndex};

const SECOND: i64 = 1_000_000;
const NINE: i64 = 1_795_212_000_000_000;

fn media(number: u64, init_uri: &'static str, is_open: bool) -> LiveMedia<'static> {
    let parts = (0..4).map(|part| LivePart {
        duration_us: SECOND / 2,
        is_key: part == 0,
        place: Place::Part(number, part),
    });
    LiveMedia {
        start_us: NINE + number as i64 * 2 * SECOND,
        duration_us: 2 * SECOND,
        is_discontinuous: false,
        init_uri,
        whole: (!is_open).then_some(Place::Segment(number)),
        parts: parts.collect(),
    }
}

fn playlist<'a>(media: &'a [LiveMedia<'a>]) -> LivePlaylist<'a> {
    LivePlaylist {
        media_sequence: 10,
        discontinuity_sequence: 3,
        longest_segment_us: 2 * SECOND,
        longest_part_us: 520_000,
        media,
        hint: Some(Place::Part(12, 4)),
        is_event: false,
    }
}

#[test]
fn a_live_playlist_is_as_the_standard_writes_it() {
    let mut all = [media(10, "a.mp4", false), media(11, "b.mp4", false), media(12, "b.mp4", true)];
    all[1].is_discontinuous = true;
    let text = playlist(&all).text(true);
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.000000,HOLD-BACK=12.000000,PART-HOLD-BACK=1.560000\n\
        #EXT-X-PART-INF:PART-TARGET=0.520000\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n\
        #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"a.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-20T22:00:20.000Z\n";
    assert!(text.starts_with(expected), "{text}");
    let middle = "#EXTINF:2.000000,\n10.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b.mp4\"\n";
    assert!(text.contains(middle), "{text}");
    assert!(text.contains("#EXT-X-PART:DURATION=0.500000,URI=\"11.0.m4s\",INDEPENDENT=YES\n"));
    assert!(text.ends_with("12.3.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.4.m4s\"\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 2);
    // What a player without parts reads.
    let parsed = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
    assert_eq!((parsed.media_sequence, parsed.segments.len()), (10, 2));
    assert_eq!(parsed.discontinuity_sequence, 3);
    assert!(parsed.segments[1].discontinuity && !parsed.end_list);
}

#[test]
fn a_delta_leaves_out_what_is_far_from_the_end() {
    let all: Vec<_> = (10..60).map(|number| media(number, "a.mp4", number == 59)).collect();
    let playlist = playlist(&all);
    let whole = playlist.text(false);
    assert_eq!(whole.matches("#EXTINF").count(), 49);
    assert!(!whole.contains("SKIP:") && whole.contains("VERSION:7"));
    // Parts for three target durations: 12 s.
    assert_eq!(whole.matches("INDEPENDENT=YES").count(), 6);
    let delta = playlist.text(true);
    assert!(delta.contains("#EXT-X-VERSION:9\n") && delta.contains("#EXT-X-MEDIA-SEQUENCE:10\n"));
    // 24 s from the end: twelve segments, and the open one.
    let listed = delta.matches("#EXTINF").count();
    assert!(delta.contains(&format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={}\n", 49 - listed)), "{delta}");
    assert!((11..=12).contains(&listed), "{listed}");
    assert!(delta.len() * 2 < whole.len());
    // From the first listed segment on both are the same.
    let at = |text: &str| text.find("#EXT-X-PROGRAM-DATE-TIME").unwrap();
    assert!(whole.ends_with(&delta[at(&delta)..]));
}

#[test]
fn odd_lengths_raise_the_targets() {
    let all = [media(10, "a.mp4", true)];
    let mut odd = playlist(&all);
    assert_eq!((odd.target_s(), odd.advance_part_limit()), (4, 6));
    (odd.longest_segment_us, odd.longest_part_us) = (8_500_000, 1_000_000);
    assert_eq!((odd.target_s(), odd.advance_part_limit()), (9, 3));
    assert!(odd.text(false).contains("PART-HOLD-BACK=3.000000\n#EXT-X-PART-INF:PART-TARGET=1.000000"));
    odd.is_event = true;
    assert!(odd.text(false).contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"));
}

fn of<'a>(uri: &'a str, index: &'a SegmentIndex, start_us: i64) -> VodSegment<'a> {
    let end_us = start_us + index.duration_us();
    VodSegment { uri, init_uri: "init.mp4", session: "s", start_us, end_us, index }
}

#[test]
fn the_rewind_window_is_the_match_that_is_being_played_with_parts_after_it() {
    let index = |fragments: u32| SegmentIndex {
        first_fragment_offset: 1234,
        recovery_90k: 0,
        fragments: (0..fragments)
            .map(|number| FragmentIndexEntry {
                size_bytes: 1000 + number,
                duration_90k: 45_045,
                is_key: number % 4 == 0,
            })
            .collect(),
    };
    let (first, second) = (index(121), index(30));
    let one = of("a.mp4", &first, NINE);
    let two = of("b.mp4", &second, one.end_us);
    let all = rewind(&[one, two], true);
    let listed = vod(&[one, two], NINE, NINE + 3600 * SECOND, false);
    let closed: Vec<_> = all.iter().filter(|media| media.whole.is_some()).collect();
    assert_eq!(closed.len(), listed.segments);
    let ranges: Vec<_> =
        listed.text.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:")).collect();
    for (media, range) in closed.iter().zip(ranges) {
        let Some(Place::Range(_, offset, length)) = media.whole else { panic!() };
        assert_eq!(format!("{length}@{offset}"), range);
        let parts: u64 = media
            .parts
            .iter()
            .map(|part| match part.place {
                Place::Range(_, _, length) => length,
                _ => panic!(),
            })
            .sum();
        assert_eq!(parts, length);
        assert_eq!(media.parts.iter().map(|part| part.duration_us).sum::<i64>(), media.duration_us);
    }
    let open = all.last().unwrap();
    assert!(open.whole.is_none() && open.parts[0].is_key && !open.is_discontinuous);
    assert_eq!(open.parts.len(), 30 % 12);
    // Whatever grows, what has a number keeps it.
    for length in 0..30 {
        let shorter = index(length);
        let before = rewind(&[one, of("b.mp4", &shorter, one.end_us)], true);
        let closed = before.iter().filter(|media| media.whole.is_some());
        assert!(closed.zip(&all).all(|(before, after)| before == after), "{length}");
    }
    let after_gap = of("c.mp4", &second, two.end_us + 3 * SECOND);
    let all = rewind(&[one, two, after_gap], false);
    assert_eq!(all.iter().filter(|media| media.is_discontinuous).count(), 1);
    assert!(all.iter().all(|media| media.whole.is_some()));
}
