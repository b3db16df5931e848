//! A key's holder who begins recordings faster than any encoder needs is read more slowly; nothing of it is dropped, and nobody else
//! notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use common::{Camera, Clip, Server, channel};
use media::TrackKind;
use media::flv::VideoTag;
use media::timeline::TimelineEvent;
use turepe_ingest::limits::{SESSION_BURST, SESSION_REFILL_US};
use world::{Clock, Now, SystemClock};

/// Time passes when the test says so.
struct HeldClock(AtomicI64);

impl HeldClock {
    fn start() -> (Arc<Self>, Server) {
        let clock = Arc::new(Self(AtomicI64::new(SystemClock.now_us())));
        let server = Server::start_by(|_| {}, None, clock.clone());
        (clock, server)
    }

    fn pass(&self, by_us: i64) {
        self.0.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for HeldClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> i64 {
        self.now_us()
    }

    fn now(&self) -> Now {
        Now { wall_us: self.now_us(), monotonic_us: self.now_us() }
    }
}

fn starts(events: &[TimelineEvent]) -> u32 {
    events.iter().filter(|event| matches!(event, TimelineEvent::SessionStart { .. })).count() as u32
}

fn pictures(events: &[TimelineEvent]) -> usize {
    let is_picture = |event: &&TimelineEvent| matches!(event, TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video);
    events.iter().filter(is_picture).count()
}

/// Somebody else publishes as ever: by then the server has long taken whatever it would take of others.
async fn bystander(server: &Server) {
    for number in 100..103 {
        let mut camera = Camera::connect(server, &format!("camera-{number}")).await.unwrap();
        camera.send(&Clip::demo(), 0, 1500).await.unwrap();
        let is_whole = |events: &[TimelineEvent]| pictures(events) > 20;
        drop(camera);
        server.told.end(channel(number)).await;
        assert!(is_whole(&server.told.of(channel(number))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_with_every_keyframe_is_slowed_down_and_nothing_is_lost() {
    const SENT: u32 = SESSION_BURST + 12;
    let (clock, server) = HeldClock::start();
    let clip = Clip::demo();
    let (header, frames) = clip.video();
    let VideoTag::SequenceHeader { codec, record } = header else { panic!("{header:?}") };
    let key = frames.iter().find(|(_, tag)| matches!(tag, VideoTag::Frame { is_key: true, .. })).unwrap();
    let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
    // A hundred a second: an hour's worth of segments in a few seconds.
    for number in 0..SENT {
        let mut record = record.to_vec();
        // The level, in the configuration and in the parameter set that it holds (ISO/IEC 14496-15 §5.3.3.1).
        let level = if number % 2 == 0 { 0x28 } else { 0x29 };
        (record[3], record[11]) = (level, level);
        let header = VideoTag::SequenceHeader { codec: *codec, record: Bytes::from(record) };
        camera.client.send_video_tag(number * 10, *codec, &header).unwrap();
        camera.client.send_video_tag(number * 10, *codec, key.1).unwrap();
        camera.flush().await.unwrap();
    }
    server.told.until(channel(1), "the burst", |events| starts(events) >= SESSION_BURST).await;
    bystander(&server).await;
    assert_eq!(starts(&server.told.of(channel(1))), SESSION_BURST);
    // One more each time.
    clock.pass(SESSION_REFILL_US);
    server.told.until(channel(1), "the next one", |events| starts(events) > SESSION_BURST).await;
    bystander(&server).await;
    assert_eq!(starts(&server.told.of(channel(1))), SESSION_BURST + 1);
    // All of it is there in the end.
    let mut stream = camera.stream;
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    for number in 2..SENT {
        clock.pass(SESSION_REFILL_US);
        if SESSION_BURST + number < SENT {
            let least = SESSION_BURST + number;
            server.told.until(channel(1), "one more", |events| starts(events) >= least).await;
        }
    }
    server.told.until(channel(1), "the last picture", |events| pictures(events) == SENT as usize).await;
    assert_eq!(starts(&server.told.of(channel(1))), SENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_in_a_loop_begins_no_more() {
    let (clock, server) = HeldClock::start();
    let clip = Clip::demo();
    let ends = |events: &[TimelineEvent]| {
        events.iter().filter(|event| matches!(event, TimelineEvent::SessionEnd { .. })).count() as u32
    };
    for number in 0..SESSION_BURST {
        let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
        camera.send(&clip, 0, 200).await.unwrap();
        drop(camera);
        server.told.until(channel(1), "its session", |events| ends(events) > number).await;
    }
    let mut last = None;
    for _ in 0..10 {
        let mut camera = Camera::connect(&server, "camera-1").await.unwrap();
        camera.send(&clip, 0, 3000).await.unwrap();
        last = Some(camera);
    }
    bystander(&server).await;
    assert_eq!(starts(&server.told.of(channel(1))), SESSION_BURST);
    // Who stays is recorded from where it waited.
    clock.pass(SESSION_REFILL_US);
    server
        .told
        .until(channel(1), "the session of who stayed", |events| starts(events) == SESSION_BURST + 1)
        .await;
    drop(last);
}
