//! Players: tags from a keyframe on, the live window, and what happens when publishers come, go and change.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use media::{
    EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig,
    flv::{FlvTag, TagRole, TagRun, VideoTag},
    timeline::TimelineEvent,
};
use turepe_live::{
    Live, Next, Publisher, TagReader,
    limits::{GRACE, TAG_CACHE_BYTES, WINDOW_MAX_BYTES, WINDOW_MAX_SEGMENTS},
};
use uuid::Uuid;

const CHANNEL: Uuid = Uuid::from_u128(7);
const SECOND: i64 = 1_000_000;

/// Frames a second.
const RATE: i64 = 25;

fn config(width: u16) -> Arc<SessionConfig> {
    let video = VideoConfig {
        codec: VideoCodec::H264,
        record: Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]),
        width,
        height: 16,
        codec_string: "avc1.64001f".to_owned(),
        frame_rate: None,
        pixel_aspect_ratio: None,
    };
    Arc::new(SessionConfig { video: Some(video), audio: None })
}

/// A camera with a keyframe every `gop` frames.
struct Camera {
    publisher: Publisher,
    gop: i64,
    frame: i64,
    size: usize,
    start_us: i64,
}

impl Camera {
    fn new(live: &Live, gop: i64, start_us: i64) -> Self {
        let mut publisher = live.publish(CHANNEL, Vec::new());
        publisher.push(TimelineEvent::SessionStart { config: config(16), start_us });
        Self { publisher, gop, frame: 0, size: 100, start_us }
    }

    fn frames(&mut self, count: i64) {
        for _ in 0..count {
            let frame = self.frame;
            self.frame += 1;
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: frame * 90_000 / RATE,
                duration: (90_000 / RATE) as u32,
                composition_offset: 0,
                is_sync: frame % self.gop == 0,
                data: Bytes::from(vec![frame as u8; self.size]),
            };
            let wall_us = self.start_us + frame * SECOND / RATE;
            self.publisher.push(TimelineEvent::Sample { sample, wall_us });
        }
    }

    fn end(&mut self) {
        let end_us = self.start_us + self.frame * SECOND / RATE;
        self.publisher.push(TimelineEvent::SessionEnd { end_us, cause: EndCause::Camera });
    }
}

/// Everything that is there for a reader.
fn drain(reader: &mut TagReader) -> Vec<FlvTag> {
    let mut tags = Vec::new();
    while let Next::Tags(run) = reader.try_next() {
        tags.extend_from_slice(run.tags());
    }
    tags
}

fn key(timestamp_ms: u32, size: usize) -> FlvTag {
    let tag = VideoTag::Frame { is_key: true, composition_time_ms: 0, data: Bytes::new() };
    FlvTag::video(timestamp_ms, Bytes::from(vec![0x17; size]), &tag)
}

fn inter(timestamp_ms: u32, size: usize) -> FlvTag {
    FlvTag::video(timestamp_ms, Bytes::from(vec![0x27; size]), &VideoTag::Ignored("a picture"))
}

fn header(record: &'static [u8]) -> FlvTag {
    let tag = VideoTag::SequenceHeader { codec: VideoCodec::H264, record: Bytes::from_static(record) };
    FlvTag::video(0, Bytes::from_static(record), &tag)
}

fn times(tags: &[FlvTag]) -> Vec<u32> {
    tags.iter().map(|tag| tag.timestamp_ms).collect()
}

#[test]
fn a_newcomer_begins_at_the_newest_keyframe_with_headers_before_it() {
    let live = Live::new();
    let mut publisher = live.publish(CHANNEL, Vec::new()).with_own_tags();
    let meta = Bytes::from_static(b"\x02\x00\x0aonMetaData");
    let mut tags = vec![FlvTag::metadata(0, meta.clone()), header(b"one"), key(0, 10), inter(40, 10)];
    publisher.push_tags(&mut tags);
    assert!(tags.is_empty());
    let mut early = live.tags(CHANNEL).unwrap();
    assert_eq!(times(&drain(&mut early)), [0, 0, 0, 40]);
    publisher.push_tags(&mut vec![inter(80, 10), header(b"two"), key(120, 10), inter(160, 10)]);
    let mut late = live.tags(CHANNEL).unwrap();
    publisher.push_tags(&mut vec![inter(200, 10)]);

    let got = drain(&mut early);
    assert_eq!(times(&got), [80, 0, 120, 160, 200]);
    let got = drain(&mut late);
    let roles: Vec<_> = got.iter().map(|tag| tag.role).collect();
    assert_eq!(
        roles,
        [TagRole::Metadata, TagRole::VideoHeader, TagRole::KeyFrame, TagRole::Video, TagRole::Video]
    );
    // Headers stand on the time of the keyframe, so that no player sees a jump; the newest ones count.
    assert_eq!(times(&got), [120, 120, 120, 160, 200]);
    assert_eq!((&got[0].payload, &got[1].payload[..]), (&meta, &b"two"[..]));
    assert_eq!(live.channel(CHANNEL).unwrap().readers, 2);
    drop((early, late));
    assert_eq!(live.channel(CHANNEL).unwrap().readers, 0);
}

#[test]
fn everybody_shares_the_same_run() {
    let live = Live::new();
    let mut camera = Camera::new(&live, 50, 0);
    let mut readers: Vec<_> = (0..3).map(|_| live.tags(CHANNEL).unwrap()).collect();
    camera.frames(10);
    let runs: Vec<Vec<Arc<TagRun>>> = readers
        .iter_mut()
        .map(|reader| {
            std::iter::from_fn(|| match reader.try_next() {
                Next::Tags(run) => Some(run),
                _ => None,
            })
            .collect()
        })
        .collect();
    assert!(runs[0].len() > 5);
    for other in &runs[1..] {
        assert!(other.iter().zip(&runs[0]).skip(1).all(|(one, other)| Arc::ptr_eq(one, other)));
    }
}

#[test]
fn who_is_too_slow_goes_on_at_the_newest_keyframe_and_is_counted() {
    let live = Live::new();
    let mut camera = Camera::new(&live, 50, 0);
    camera.frames(5);
    let mut slow = live.tags(CHANNEL).unwrap();
    let mut quick = live.tags(CHANNEL).unwrap();
    assert!(drain(&mut slow).len() >= 5);
    let mut seen = drain(&mut quick).len();
    for _ in 0..40 {
        camera.frames(25);
        seen += drain(&mut quick).len();
    }
    assert_eq!((quick.skipped(), seen), (0, 1005 + 2));
    let got = drain(&mut slow);
    assert_eq!(slow.skipped(), 1);
    assert_eq!((got[1].role, got[2].role), (TagRole::VideoHeader, TagRole::KeyFrame));
    assert_eq!(got[2].timestamp_ms, 1000 * 40);
    assert_eq!(live.channel(CHANNEL).unwrap().skipped, 1);
}

#[test]
fn a_channel_costs_what_is_named() {
    let live = Live::new();
    let mut camera = Camera::new(&live, 50, 0);
    camera.size = 40_000;
    // Twenty minutes at 8 Mbit/s, and then a camera that never sends a keyframe again.
    for _ in 0..1200 {
        camera.frames(RATE);
        assert!(live.channel(CHANNEL).unwrap().kept_bytes <= TAG_CACHE_BYTES + camera.size);
    }
    let window = live.window(CHANNEL).unwrap();
    let bytes = |window: &turepe_live::WindowReader| -> usize {
        window.snapshot().unwrap().segments.iter().map(|segment| segment.size_bytes()).sum()
    };
    // The configured 16 s, and the segment that is being filled.
    assert!(bytes(&window) < 21 * 25 * 41_000, "{}", bytes(&window));
    camera.gop = i64::MAX;
    for _ in 0..1200 {
        camera.frames(RATE);
        assert!(live.channel(CHANNEL).unwrap().kept_bytes <= TAG_CACHE_BYTES + camera.size);
    }
    assert!(bytes(&window) <= WINDOW_MAX_BYTES);
    assert!(window.snapshot().unwrap().segments.len() <= WINDOW_MAX_SEGMENTS);
}

#[test]
fn asking_for_channels_that_nobody_publishes_makes_nothing() {
    let live = Live::new();
    for number in 0..500 {
        assert!(live.tags(Uuid::from_u128(number)).is_none());
        assert!(live.window(Uuid::from_u128(number)).is_none());
    }
    assert_eq!(live.channels(), []);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_goes_on_for_players_and_the_end_comes_after_a_grace() {
    let live = Live::new();
    let mut changes = live.changes();
    let mut first = live.publish(CHANNEL, Vec::new()).with_own_tags();
    first.push_tags(&mut vec![header(b"one"), key(5_000, 10), inter(5_040, 10)]);
    let mut reader = live.tags(CHANNEL).unwrap();
    assert_eq!(times(&drain(&mut reader)), [5_000, 5_000, 5_040]);
    let mut second = live.publish(CHANNEL, Vec::new()).with_own_tags();
    // What the stale one still brings goes nowhere.
    first.push_tags(&mut vec![inter(5_080, 10)]);
    second.push_tags(&mut vec![header(b"two"), key(0, 10), inter(40, 10)]);
    let got = drain(&mut reader);
    assert_eq!(times(&got), [5_080, 5_080, 5_120]);
    assert_eq!(&got[0].payload[..], b"two");
    drop(first);
    assert!(live.tags(CHANNEL).is_some());
    drop(second);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();

    // Within the grace a publisher that comes back finds its players.
    tokio::time::sleep(GRACE / 2).await;
    assert!(matches!(reader.try_next(), Next::Nothing));
    let mut third = live.publish(CHANNEL, Vec::new()).with_own_tags();
    third.push_tags(&mut vec![header(b"three"), key(70, 10)]);
    assert_eq!(times(&drain(&mut reader)), [5_160, 5_230]);
    tokio::time::sleep(GRACE).await;
    assert!(live.tags(CHANNEL).is_some(), "the first one's end is not the third one's");
    drop(third);
    let waited = tokio::time::Instant::now();
    assert!(reader.next().await.is_none());
    assert!(waited.elapsed() >= GRACE - Duration::from_millis(10));
    assert!(live.tags(CHANNEL).is_none() && live.window(CHANNEL).is_none());
    assert_eq!(live.channels(), []);
}

#[tokio::test(start_paused = true)]
async fn the_window_is_segments_of_whole_groups_of_pictures() {
    let live = Live::with_window(8 * SECOND);
    let start_us = 1_795_212_000_500_000;
    let mut camera = Camera::new(&live, 25, start_us);
    let window = live.window(CHANNEL).unwrap();
    assert!(window.snapshot().is_none());
    camera.frames(25 * 5 + 1);
    let snapshot = window.snapshot().unwrap();
    let first = &snapshot.segments[0];
    assert_eq!((first.number, first.start_us()), (1_795_212_000, start_us));
    assert_eq!(first.duration_us(), 2 * SECOND, "two groups of a second");
    assert!(first.is_closed && !first.is_discontinuous && first.parts[0].is_key);
    assert_eq!(snapshot.segments.len(), 3);
    assert!(!snapshot.segments[2].is_closed);
    let (number, parts) = snapshot.newest();
    assert!(snapshot.has(number, Some(parts - 1)) && !snapshot.has(number, Some(parts)));
    assert!(snapshot.has(number - 1, None) && !snapshot.has(number, None));

    // A blocking reload is woken by its part.
    let waiting = window.wait(|now| now.is_some_and(|now| now.has(number, Some(parts))));
    let (got, ()) = tokio::join!(waiting, async { camera.frames(25) });
    assert!(got.unwrap().has(number, Some(parts)));

    // Another session: the numbers go on, and the discontinuity is counted when it leaves the window.
    camera.end();
    let mut camera =
        Camera { publisher: camera.publisher, frame: 0, start_us: start_us + 60 * SECOND, ..camera };
    let config = config(32);
    camera.publisher.push(TimelineEvent::SessionStart { config, start_us: camera.start_us });
    camera.frames(26);
    let now = window.snapshot().unwrap();
    let last = now.segments.last().unwrap();
    assert!(last.is_discontinuous);
    assert_eq!(last.number, now.segments[now.segments.len() - 2].number + 1);
    assert!(now.segments[now.segments.len() - 2].is_closed);
    assert_ne!(last.session.init_hash, now.segments[0].session.init_hash);
    let before = now.discontinuity_sequence;
    camera.frames(25 * 12);
    let now = window.snapshot().unwrap();
    assert!(now.segments.iter().all(|segment| !segment.is_discontinuous));
    assert_eq!(now.discontinuity_sequence, before + 1);
    let closed: i64 = now.segments.iter().filter(|s| s.is_closed).map(|s| s.duration_us()).sum();
    assert!((8 * SECOND..=10 * SECOND).contains(&closed), "{closed}");
    drop(camera);
    assert!(window.wait(|now| now.is_none()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_watches_plays_on_where_no_keyframe_comes() {
    let live = Live::with_window(90 * SECOND);
    let mut camera = Camera::new(&live, 25 * 3600, 1_795_212_000_000_000);
    let window = live.window(CHANNEL).unwrap();
    camera.frames(25 * 70);
    let snapshot = window.snapshot().unwrap();
    let lengths: Vec<_> =
        snapshot.segments.iter().map(|segment| segment.duration_us().div_euclid(SECOND)).collect();
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert!(snapshot.segments.iter().all(|segment| !segment.is_discontinuous), "nothing is missing");
    let all: i64 = snapshot.segments.iter().map(|segment| segment.duration_us()).sum();
    assert!(all > 69 * SECOND, "{lengths:?}");
    assert!(
        snapshot.segments[..2]
            .iter()
            .all(|segment| segment.is_closed && segment.duration_us() <= 31 * SECOND)
    );
}
