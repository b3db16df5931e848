use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::timeline::{Timeline, TimelineConfig, TimelineEvent};
use crate::{EndCause, TrackKind, VideoCodec, VideoConfig};

/// x264, main profile, 320×180.
const AVCC: &[u8] = &[
    0x01, 0x4d, 0x40, 0x0c, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x4d, 0x40, 0x0c, 0xec, 0xa0, 0xa0, 0xcf, 0xcf,
    0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78, 0xa1, 0x4c, 0xb0, 0x01,
    0x00, 0x05, 0x68, 0xeb, 0xe3, 0xcb, 0x20,
];
/// x264, main profile, 640×360.
const AVCC_LARGE: &[u8] = &[
    0x01, 0x4d, 0x40, 0x1e, 0xff, 0xe1, 0x00, 0x18, 0x67, 0x4d, 0x40, 0x1e, 0xec, 0xa0, 0x50, 0x17, 0xfc,
    0xb8, 0x08, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x19, 0x07, 0x8b, 0x16, 0xcb, 0x01, 0x00,
    0x05, 0x68, 0xeb, 0xe3, 0xcb, 0x20,
];
/// x264, high profile, interlaced, 320×180.
const AVCC_INTERLACED: &[u8] = &[
    0x01, 0x64, 0x00, 0x15, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x15, 0xac, 0xd9, 0x41, 0x43, 0x3f,
    0x26, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x06, 0x43, 0xe2, 0x85, 0x32, 0xc0, 0x01,
    0x00, 0x06, 0x68, 0xfb, 0xa3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];
/// x265, main profile, 320×180; its SEI has been left out.
const HVCC: &[u8] = &[
    0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3c, 0xf0, 0x00, 0xfc, 0xfd,
    0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x03, 0xa0, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff,
    0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x98,
    0x09, 0xa1, 0x00, 0x01, 0x00, 0x2b, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
    0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0b, 0x9f, 0x79, 0x65, 0x66, 0x92, 0x4c,
    0xaf, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x40, 0xa2, 0x00,
    0x01, 0x00, 0x07, 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40,
];
const AUD: &[u8] = &[0x09, 0xf0];
const SEI: &[u8] = &[0x06, 0x05, 0x01, 0x7f, 0x80];
/// First and further slices of an IDR picture and of another one.
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x21];
const IDR_SLICE: &[u8] = &[0x65, 0x0a, 0x22];
const P: &[u8] = &[0x41, 0x9a, 0x33];
const P_SLICE: &[u8] = &[0x41, 0x1b, 0x44];

fn sets(codec: VideoCodec, record: &'static [u8]) -> Vec<Vec<u8>> {
    let config = VideoConfig::from_record(codec, Bytes::from_static(record)).unwrap();
    let sets = config.parameter_sets();
    let mut rest = &sets[..];
    let mut units = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        units.push(unit.to_vec());
        rest = after;
    }
    units
}

fn prefixed<U: AsRef<[u8]>>(units: &[U]) -> Vec<u8> {
    let unit = |unit: &U| [&(unit.as_ref().len() as u32).to_be_bytes(), unit.as_ref()].concat();
    units.iter().flat_map(unit).collect()
}

fn annex_b<U: AsRef<[u8]>>(units: &[U]) -> Vec<u8> {
    let code = |number: usize| if number == 0 { &[0, 0, 0, 1][..] } else { &[0, 0, 1] };
    units.iter().enumerate().flat_map(|(number, unit)| [code(number), unit.as_ref()].concat()).collect()
}

/// Video message of the old form.
fn tag(codec: u8, is_key: bool, packet_type: u8, data: &[u8]) -> Bytes {
    Bytes::from([&[if is_key { 0x10 } else { 0x20 } | codec, packet_type, 0, 0, 0], data].concat())
}

fn frame(is_key: bool, data: &[u8]) -> Bytes {
    tag(7, is_key, 1, data)
}

fn header(record: &[u8]) -> Bytes {
    tag(7, true, 0, record)
}

/// What a framer gave.
#[derive(Debug, Default)]
struct Given {
    framer: Framer,
    roles: Vec<TagRole>,
    configs: Vec<VideoConfig>,
    /// Stamp and bytes of whole pictures.
    pictures: Vec<(u32, Vec<u8>)>,
    audio: Vec<(u32, AudioTag)>,
    messages: usize,
}

impl Given {
    fn video_at(&mut self, timestamp_ms: u32, body: Bytes, now_us: i64) -> Result<(), FramingError> {
        let mut out = Vec::new();
        let role = self.framer.video(timestamp_ms, body, now_us, &mut out)?;
        self.roles.push(role);
        for framed in out {
            match framed {
                Framed::Video { tag: VideoTag::SequenceHeader { codec, record }, .. } => {
                    self.configs.push(VideoConfig::from_record(codec, record).unwrap());
                }
                Framed::Video { timestamp_ms, tag: VideoTag::Frame { data, .. } } => {
                    self.pictures.push((timestamp_ms, data.to_vec()));
                }
                Framed::MoreOfPicture { data } => {
                    self.pictures.last_mut().expect("a picture before more of it").1.extend(data);
                }
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    /// Messages come as they are stamped.
    fn video(&mut self, timestamp_ms: u32, body: Bytes) {
        self.messages += 1;
        self.video_at(timestamp_ms, body, i64::from(timestamp_ms) * 1000).unwrap();
    }

    fn audio(&mut self, timestamp_ms: u32, body: &[u8]) {
        let mut out = Vec::new();
        self.framer.audio(timestamp_ms, Bytes::copy_from_slice(body), &mut out);
        self.audio.extend(out.into_iter().map(|framed| match framed {
            Framed::Audio { timestamp_ms, tag } => (timestamp_ms, tag),
            other => panic!("{other:?}"),
        }));
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.framer.poll_notice()).collect()
    }
}

fn of(messages: impl IntoIterator<Item = (u32, Bytes)>) -> Given {
    let mut given = Given::default();
    for (timestamp_ms, body) in messages {
        given.video(timestamp_ms, body);
    }
    given
}

#[test]
fn a_whole_picture_is_passed_on_as_it_came_and_at_once() {
    let mut framer = Framer::new();
    let mut out = Vec::new();
    framer.video(0, header(AVCC), 0, &mut out).unwrap();
    let body = frame(true, &prefixed(&[SEI, IDR, IDR_SLICE]));
    out.clear();
    assert_eq!(framer.video(0, body.clone(), 0, &mut out), Ok(TagRole::KeyFrame));
    let [Framed::Video { tag: VideoTag::Frame { data, .. }, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(data.as_ptr(), body[5..].as_ptr(), "not copied");
    assert_eq!(framer.stats(), FramerStats::default());
    assert_eq!(framer.poll_notice(), None);
}

#[test]
fn slices_of_one_picture_are_joined_and_pictures_of_one_millisecond_are_not() {
    let one = |unit: &[u8]| prefixed(&[unit]);
    let mut given = of([
        (0, header(AVCC)),
        (0, frame(true, &one(IDR))),
        (0, frame(true, &one(IDR_SLICE))),
        (0, frame(true, &one(IDR_SLICE))),
        (40, frame(false, &one(P))),
        (40, frame(false, &one(P_SLICE))),
        // Rounded to the same millisecond.
        (40, frame(false, &one(P))),
        (40, frame(false, &one(P_SLICE))),
        // Stamped by a clock.
        (80, frame(false, &one(P))),
        (81, frame(false, &one(P_SLICE))),
        // Its first slice was lost.
        (120, frame(false, &one(P_SLICE))),
    ]);
    let expected = [
        (0, prefixed(&[IDR, IDR_SLICE, IDR_SLICE])),
        (40, prefixed(&[P, P_SLICE])),
        (40, prefixed(&[P, P_SLICE])),
        (80, prefixed(&[P, P_SLICE])),
        (120, prefixed(&[P_SLICE])),
    ];
    assert_eq!(given.pictures, expected);
    // A player begins at the first slice of a keyframe, not at its last.
    use TagRole::{KeyFrame, Video, VideoHeader};
    assert_eq!(given.roles[..5], [VideoHeader, KeyFrame, Video, Video, Video]);
    assert_eq!(given.framer.stats().joined, 5);
    assert_eq!(given.notices(), [Notice::Joined]);
}

#[test]
fn what_comes_before_a_picture_by_itself_is_part_of_it() {
    let [sps, pps] = &sets(VideoCodec::H264, AVCC)[..] else { panic!() };
    let messages = [AUD, sps, pps, SEI, IDR, IDR_SLICE, AUD, SEI, P];
    let mut given = of([(0, header(AVCC))]);
    for (number, unit) in messages.iter().enumerate() {
        let is_key = number < 6;
        given.video(if is_key { 0 } else { 40 }, frame(is_key, &prefixed(&[unit])));
    }
    let expected = [(0, prefixed(&[AUD, sps, pps, SEI, IDR, IDR_SLICE])), (40, prefixed(&[AUD, SEI, P]))];
    assert_eq!(given.pictures, expected);
    assert_eq!(given.configs.len(), 1);
    let entries = given.roles.iter().filter(|role| **role == TagRole::KeyFrame);
    assert_eq!(entries.count(), 1);
    // The end of a sequence belongs to the picture before it.
    given.video(40, frame(false, &prefixed(&[[0x0a]])));
    assert_eq!(given.pictures[1].1, prefixed(&[AUD, SEI, P, &[0x0a]]));
}

#[test]
fn hevc_slices_are_joined_by_their_own_flag() {
    let (idr, more, trail) = (&[0x26, 1, 0xaf, 9][..], &[0x26, 1, 0x2f, 9][..], &[0x02, 1, 0xd0, 1][..]);
    let suffix_sei = &[0x50, 1, 0x84, 1, 0x80][..];
    let body = |is_key, unit: &[u8]| tag(12, is_key, 1, &prefixed(&[unit]));
    let given = of([
        (0, tag(12, true, 0, HVCC)),
        (0, body(true, &[0x46, 1, 0x50])),
        (0, body(true, idr)),
        (0, body(true, more)),
        (0, body(true, suffix_sei)),
        (40, body(false, trail)),
    ]);
    let first = prefixed(&[&[0x46, 1, 0x50][..], idr, more, suffix_sei]);
    assert_eq!(given.pictures, [(0, first), (40, prefixed(&[trail]))]);
}

#[test]
fn two_fields_of_a_frame_are_one_picture() {
    // first_mb 0, slice_type 7 and 5, pps 0, frame_num (4 bits), field_pic_flag 1, bottom_field_flag 0 and 1.
    let field = |nal: u8, frame_num: u8, is_bottom: bool| {
        let bits =
            0b100_010_001_u32 << 23 | u32::from(frame_num) << 19 | 1 << 18 | u32::from(is_bottom) << 17;
        let mut unit = vec![nal];
        unit.extend((bits | 1 << 10).to_be_bytes());
        unit
    };
    let (top, bottom) = (field(0x65, 0, false), field(0x41, 0, true));
    let mut given = of([
        (0, header(AVCC_INTERLACED)),
        (0, frame(true, &prefixed(&[&top]))),
        (0, frame(false, &prefixed(&[&bottom]))),
    ]);
    assert_eq!(given.pictures, [(0, prefixed(&[&top, &bottom]))]);
    // The same field of another frame in the same millisecond is another picture.
    given.video(0, frame(false, &prefixed(&[field(0x41, 1, false)])));
    given.video(0, frame(false, &prefixed(&[field(0x41, 2, true)])));
    assert_eq!(given.pictures.len(), 3);
}

#[test]
fn start_codes_become_lengths() {
    let [sps, pps] = &sets(VideoCodec::H264, AVCC)[..] else { panic!() };
    // With a sequence header of its own, with one in annex B, and without any.
    for first in [Some(AVCC.to_vec()), Some(annex_b(&[sps, pps])), None] {
        let mut given = Given::default();
        if let Some(record) = first {
            given.video(0, header(&record));
        }
        given.video(0, frame(true, &annex_b(&[sps, pps, &SEI.to_vec(), &IDR.to_vec()])));
        given.video(40, frame(false, &annex_b(&[P, P_SLICE])));
        let expected = [(0, prefixed(&[&sps[..], pps, SEI, IDR])), (40, prefixed(&[P, P_SLICE]))];
        assert_eq!(given.pictures, expected);
        assert_eq!(given.configs.len(), 1);
        assert_eq!(given.configs[0].record, AVCC);
        assert!(given.notices().contains(&Notice::AnnexB));
    }
}

#[test]
fn annex_b_under_short_lengths_gets_long_ones() {
    let mut record = AVCC.to_vec();
    record[4] = 0xfd; // two bytes
    let given = of([(0, header(&record)), (0, frame(true, &annex_b(&[IDR])))]);
    assert_eq!(given.configs.last().unwrap().nal_length_size(), 4);
    assert_eq!(given.pictures, [(0, prefixed(&[IDR]))]);
    // Without start codes they stay as they are.
    let short = [&[0, 4][..], IDR].concat();
    let given = of([(0, header(&record)), (0, frame(true, &short))]);
    assert_eq!((given.configs.len(), &given.pictures[0].1), (1, &short));
}

#[test]
fn a_record_without_sets_waits_for_those_between_the_pictures() {
    for (codec, id, whole, empty, picture) in [
        (VideoCodec::H264, 7, AVCC, &[1, 0x4d, 0x40, 0x0c, 0xff, 0xe0, 0][..], IDR),
        (VideoCodec::Hevc, 12, HVCC, &[&HVCC[..22], &[0]].concat(), &[0x26, 1, 0xaf, 9]),
    ] {
        let units = sets(codec, whole);
        let mut given = of([(0, tag(id, true, 0, empty))]);
        assert!(given.configs.is_empty());
        let mut all: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
        all.push(picture);
        given.video(0, tag(id, true, 1, &prefixed(&all)));
        let expected = VideoConfig::from_record(codec, Bytes::from_static(whole)).unwrap();
        assert_eq!(given.configs.len(), 1);
        let made = &given.configs[0];
        assert_eq!((made.width, made.height), (expected.width, expected.height));
        assert_eq!(made.codec_string, expected.codec_string);
        assert_eq!(made.parameter_sets(), expected.parameter_sets());
        assert!(given.notices().contains(&Notice::InBandConfig));
    }
}

#[test]
fn hevc_under_the_number_of_avc_is_read_as_hevc() {
    let units = sets(VideoCodec::Hevc, HVCC);
    let mut all: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
    // A record of AVC around the sets of HEVC.
    let mut avcc_around = vec![1, 0x42, 1, 1, 0xff, 0xe2];
    for unit in &units[..2] {
        avcc_around.extend((unit.len() as u16).to_be_bytes());
        avcc_around.extend(unit);
    }
    avcc_around.push(1);
    avcc_around.extend((units[2].len() as u16).to_be_bytes());
    avcc_around.extend(&units[2]);
    let headers = [HVCC.to_vec(), avcc_around, annex_b(&all)];
    all.push(&[0x26, 1, 0xaf, 9]);
    let picture = prefixed(&all);
    for first in headers.into_iter().map(Some).chain([None]) {
        let mut given = Given::default();
        if let Some(record) = first {
            given.video(0, header(&record));
        }
        given.video(0, frame(true, &picture));
        given.video(40, frame(false, &prefixed(&[&[0x02, 1, 0xd0, 1]])));
        assert_eq!(given.pictures.len(), 2);
        let [config] = &given.configs[..] else { panic!("{:?}", given.configs) };
        assert_eq!((config.codec, config.width, config.height), (VideoCodec::Hevc, 320, 180));
        assert!(given.notices().contains(&Notice::OtherCodec { holds: VideoCodec::Hevc }));
    }
    // And the other way round.
    let given = of([(0, tag(12, true, 0, AVCC)), (0, tag(12, true, 1, &prefixed(&[IDR])))]);
    assert_eq!(given.configs[0].codec, VideoCodec::H264);
}

#[test]
fn sets_that_change_between_the_pictures_are_a_new_configuration_where_players_need_one() {
    let [sps, pps] = &sets(VideoCodec::H264, AVCC)[..] else { panic!() };
    let [large, large_pps] = &sets(VideoCodec::H264, AVCC_LARGE)[..] else { panic!() };
    let other_pps: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    let key = |sps: &[u8], pps: &[u8]| frame(true, &prefixed(&[sps, pps, IDR]));
    let mut given = of([(0, header(AVCC)), (0, key(sps, pps)), (1000, key(sps, pps))]);
    assert_eq!(given.configs.len(), 1, "the same sets again are no news");
    given.video(2000, key(sps, other_pps));
    assert_eq!(given.configs.len(), 1, "every keyframe brings its own");
    given.video(3000, key(large, large_pps));
    assert_eq!((given.configs.len(), given.configs.last().unwrap().width), (2, 640));
    // The header that was sent at the start, again: no news either.
    given.video(3000, header(AVCC));
    assert_eq!(given.configs.len(), 2);
    // Sets that come once have to be kept.
    let mut given = of([(0, header(AVCC)), (0, frame(true, &prefixed(&[IDR])))]);
    given.video(1000, key(sps, other_pps));
    let kept = given.configs.last().unwrap().parameter_sets();
    assert_eq!(kept, prefixed(&[&sps[..], other_pps]));
}

#[test]
fn one_odd_tag_ends_nothing() {
    let mut given = of([(0, header(AVCC)), (0, frame(true, &prefixed(&[IDR])))]);
    let odd: [&[u8]; 9] = [
        b"\x29\x01\x00\x00\x00abc",
        b"\x17\x09\x00\x00\x00",
        b"\x17\x01\x00",
        b"\x99hvc1",
        b"\x91av01abc",
        b"\x96\x33avc1\x00",
        b"\x17\x00\x00\x00\x00damaged",
        b"\x1c\x01\x00\x00\x00\x00\x00\x00\x03\x02\x01\xd0",
        b"",
    ];
    // Spread over a minute, with good pictures between them.
    for (second, body) in odd.iter().cycle().take(60).enumerate() {
        let at_ms = second as u32 * 1000;
        given.video(at_ms, Bytes::from_static(body));
        given.video(at_ms + 40, frame(false, &prefixed(&[P])));
        given.audio(at_ms, b"\xaf");
        given.audio(at_ms, b"\xaf\x09x");
    }
    assert_eq!(given.pictures.len(), 61);
    let stats = given.framer.stats();
    assert_eq!((stats.skipped_video, stats.skipped_audio), (54, 120));
    let notices = given.notices();
    assert!(matches!(&notices[..], [Notice::SkippedVideo(_), Notice::SkippedAudio(_)]), "{notices:?}");
}

#[test]
fn nothing_but_video_that_cannot_be_read_is_refused_within_seconds_by_its_name() {
    for (body, name) in [
        (&b"\x24\x00abc"[..], "VP6"),
        (b"\x22abc", "H.263"),
        (b"\x90av01abc", "AV1"),
        (b"\xa1vp09abc", "VP9"),
        (b"\xa1zzzzabc", "zzzz"),
        (b"\x96\x01vp08\x00abc", "VP8"),
        (b"\x2babc", "number 11"),
        (b"\x17\x01\x00", "ends inside"),
    ] {
        // Alone, and when a good stream turns into it.
        for is_turning in [false, true] {
            let mut given = Given::default();
            if is_turning {
                given.video(0, header(AVCC));
                given.video(0, frame(true, &prefixed(&[IDR])));
            }
            let refused = (1..=250).find_map(|number| {
                let at_ms = 40 * number;
                given.audio(at_ms, b"\xaf\x01aac");
                let result = given.video_at(at_ms, Bytes::from_static(body), i64::from(at_ms) * 1000);
                result.err().map(|error| (at_ms, error))
            });
            let (at_ms, error) = refused.unwrap();
            assert!(at_ms < 5000, "{at_ms}");
            let told = error.to_string();
            assert!(told.contains(name) && !told.contains("unknown"), "{told}");
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_by_its_problem_unless_sets_follow() {
    let damaged = [1, 0x4d, 0x40, 0x0c, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 1, 0x68];
    let run = |picture: &[u8]| {
        let mut given = of([(0, header(&damaged))]);
        (0..300_u32).find_map(|number| {
            let at_ms = number * 40;
            given.video_at(at_ms, frame(true, picture), i64::from(at_ms) * 1000).err()
        })
    };
    let told = run(&prefixed(&[IDR])).unwrap().to_string();
    assert!(told.contains("avcC: its sequence parameter set is damaged"), "{told}");
    let [sps, pps] = &sets(VideoCodec::H264, AVCC)[..] else { panic!() };
    assert_eq!(run(&prefixed(&[&sps[..], pps, IDR])), None);
}

#[test]
fn the_first_track_is_taken_and_the_others_are_counted() {
    let track =
        |id: u8, packet: u8, rest: &[u8]| Bytes::from([&[0x96, packet][..], b"avc1", &[id], rest].concat());
    let picture = prefixed(&[IDR]);
    let mut given = of([
        (0, track(1, 0, AVCC_LARGE)),
        (0, track(1, 3, &picture)),
        // The true first track comes late, and is taken from then on.
        (0, track(0, 0, AVCC)),
        (40, track(0, 3, &picture)),
        (40, track(1, 3, &picture)),
        (40, track(2, 3, &picture)),
    ]);
    let widths: Vec<_> = given.configs.iter().map(|config| config.width).collect();
    assert_eq!(widths, [640, 320]);
    assert_eq!(given.pictures.len(), 2);
    use TagRole::{KeyFrame, Video, VideoHeader};
    assert_eq!(given.roles, [VideoHeader, KeyFrame, VideoHeader, KeyFrame, Video, Video]);
    given.audio(0, b"\x95\x00mp4a\x00\x11\x90");
    given.audio(0, b"\x95\x01mp4a\x00aac");
    given.audio(0, b"\x95\x01mp4a\x01aac");
    assert_eq!(given.audio.len(), 2);
    assert_eq!(given.framer.stats().other_tracks, 3);
    assert_eq!(given.notices(), [Notice::OtherTracks]);
}

#[test]
fn adts_headers_are_taken_off_and_configure() {
    // 48 kHz, stereo, AAC-LC: two frames of five bytes in a message.
    let one: &[u8] = &[0xff, 0xf1, 0x4c, 0x80, 0x01, 0x9f, 0xfc, 0x21, 0x10, 0x05, 0x00, 0x80];
    let body = [&[0xaf, 1][..], one, one].concat();
    let sound =
        |at_ms| (at_ms, AudioTag::Frame { data: Bytes::from_static(&[0x21, 0x10, 0x05, 0x00, 0x80]) });
    let config = |asc: &'static [u8]| AudioTag::SequenceHeader { record: Bytes::from_static(asc) };
    let mut given = Given::default();
    given.audio(100, &body);
    given.audio(143, &body);
    assert_eq!(given.audio, [(100, config(&[0x11, 0x90])), sound(100), sound(121), sound(143), sound(164)]);
    // A header of its own counts before what ADTS says; one in ADTS is one as well.
    let mut given = Given::default();
    given.audio(0, &[0xaf, 0, 0x13, 0x90, 0x56, 0xe5, 0xa0]);
    given.audio(0, &body);
    assert_eq!(given.audio, [(0, config(&[0x13, 0x90, 0x56, 0xe5, 0xa0])), sound(0), sound(21)]);
    let mut given = Given::default();
    given.audio(0, &[&[0xaf, 0][..], &one[..7]].concat());
    assert_eq!(given.audio, [(0, config(&[0x11, 0x90]))]);
    // Plain AAC stays what it is.
    given.audio(0, &[0xaf, 1, 0xff, 0x01]);
    assert_eq!(given.audio[1].1, AudioTag::Frame { data: Bytes::from_static(&[0xff, 0x01]) });
}

#[test]
fn what_is_held_and_joined_is_bounded() {
    let mut given = of([(0, header(AVCC))]);
    let sei = [&[0x06][..], &[0x55; 60_000]].concat();
    for _ in 0..200 {
        given.video(0, frame(false, &prefixed(&[&sei[..]])));
    }
    given.video(0, frame(true, &prefixed(&[IDR])));
    assert!(given.pictures[0].1.len() < limits::BEFORE_BYTES + 100);
    let slice = [&[0x65, 0x0a][..], &[0x55; 200_000]].concat();
    for _ in 0..200 {
        given.video(0, frame(true, &prefixed(&[&slice[..]])));
    }
    let longest = given.pictures.iter().map(|(_, data)| data.len()).max().unwrap();
    assert!(longest <= limits::PICTURE_BYTES, "{longest}");
    assert_eq!(given.pictures.len(), 3, "what is too much for a picture begins another one");
}

/// Everything that a timeline makes of messages: decode time, duration and bytes of its pictures.
fn samples(messages: &[(u32, Bytes)]) -> Vec<(i64, u32, Vec<u8>)> {
    let mut framer = Framer::new();
    let mut timeline = Timeline::new(TimelineConfig::default());
    let mut out = Vec::new();
    for (timestamp_ms, body) in messages {
        let now_us = 1_795_212_000_000_000 + i64::from(*timestamp_ms) * 1000;
        framer.video(*timestamp_ms, body.clone(), now_us, &mut out).unwrap();
        for framed in out.drain(..) {
            match framed {
                Framed::Video { timestamp_ms, tag } => timeline.video(timestamp_ms, tag, now_us).unwrap(),
                Framed::MoreOfPicture { data } => {
                    timeline.more_of_picture(&data);
                }
                Framed::Audio { .. } => {}
            }
        }
    }
    timeline.end(1_795_212_100_000_000, EndCause::Camera);
    std::iter::from_fn(|| timeline.poll())
        .filter_map(|event| match event {
            TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video => {
                Some((sample.decode_time, sample.duration, sample.data.to_vec()))
            }
            _ => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_a_picture_is_split_into_messages_its_sample_is_the_same(
        pictures in prop::collection::vec((1..5_usize, any::<bool>(), any::<bool>()), 2..60),
        cuts in prop::collection::vec(any::<bool>(), 64),
        is_annex_b in any::<bool>(),
        stray in prop::option::of(0..60_usize),
    ) {
        let mut whole = vec![(0, header(AVCC))];
        let mut split = whole.clone();
        let mut cut = cuts.iter().cycle();
        for (number, (slices, has_aud, has_sei)) in pictures.iter().enumerate() {
            let is_key = number % 12 == 0;
            let mut units: Vec<Vec<u8>> = Vec::new();
            if *has_aud { units.push(AUD.to_vec()); }
            if *has_sei { units.push(SEI.to_vec()); }
            for slice in 0..*slices {
                let unit = match (is_key, slice) { (true, 0) => IDR, (true, _) => IDR_SLICE, (_, 0) => P, _ => P_SLICE };
                units.push([unit, &[number as u8 | 0x80, slice as u8 | 0x40]].concat());
            }
            // A stamp that is far off, for one picture: it is doubted, and more of it comes meanwhile.
            let at_ms = if stray == Some(number) && number > 0 { 900_000 } else { number as u32 * 40 };
            whole.push((at_ms, frame(is_key, &prefixed(&units))));
            let form = |units: &[Vec<u8>]| if is_annex_b { annex_b(units) } else { prefixed(units) };
            let mut from = 0;
            for at in 1..units.len() {
                if *cut.next().unwrap() {
                    split.push((at_ms, frame(is_key, &form(&units[from..at]))));
                    from = at;
                }
            }
            split.push((at_ms, frame(is_key, &form(&units[from..]))));
        }
        prop_assert_eq!(samples(&split), samples(&whole));
    }

    #[test]
    fn any_messages_are_survived(
        messages in prop::collection::vec((0..3_u8, any::<u32>(), prop::collection::vec(any::<u8>(), 0..80)), 0..40)
    ) {
        let mut framer = Framer::new();
        let mut out = Vec::new();
        for (kind, timestamp_ms, bytes) in messages {
            let body = match kind {
                0 => frame(timestamp_ms % 2 == 0, &bytes),
                1 => header(&bytes),
                _ => Bytes::from(bytes.clone()),
            };
            if framer.video(timestamp_ms, body, 0, &mut out).is_err() {
                break;
            }
            framer.audio(timestamp_ms, Bytes::from(bytes), &mut out);
        }
    }
}
