//! The hub: one muxing for all, nobody slowed by anybody, and who is live.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use media::{
    AudioConfig, EndCause, Sample, SessionConfig, TrackKind, fragmenter::FragmentEvent,
    timeline::TimelineEvent,
};
use turepe_live::{Live, Missed, Outlet, Publisher, Received, SUBSCRIBER_FRAGMENTS, Subscription};
use uuid::Uuid;

const CHANNEL: Uuid = Uuid::from_u128(7);

/// Sound alone: the smallest stream there is. Each fragment of it is a key fragment.
fn start(publisher: &mut Publisher, start_us: i64) {
    let audio = AudioConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
    let config = Arc::new(SessionConfig { video: None, audio: Some(audio) });
    publisher.push(TimelineEvent::SessionStart { config, start_us });
}

fn play(publisher: &mut Publisher, frames: std::ops::Range<i64>) {
    for frame in frames {
        let sample = Sample {
            track: TrackKind::Audio,
            decode_time: frame * 1024,
            duration: 1024,
            composition_offset: 0,
            is_sync: true,
            data: Bytes::from_static(&[0x21; 100]),
        };
        publisher.push(TimelineEvent::Sample { sample, wall_us: frame * 21_333 });
    }
}

fn stop(publisher: &mut Publisher) {
    publisher.push(TimelineEvent::SessionEnd { end_us: 0, cause: EndCause::Camera });
}

/// Keeps what it gets, or refuses everything.
struct Keeper {
    kept: Arc<Mutex<Vec<FragmentEvent>>>,
    is_full: bool,
}

impl Outlet for Keeper {
    fn push(&mut self, event: &FragmentEvent) -> Result<(), Missed> {
        if self.is_full {
            return Err(Missed);
        }
        self.kept.lock().unwrap().push(event.clone());
        Ok(())
    }
}

fn keeper(is_full: bool) -> (Box<dyn Outlet>, Arc<Mutex<Vec<FragmentEvent>>>) {
    let kept = Arc::default();
    (Box::new(Keeper { kept: Arc::clone(&kept), is_full }), kept)
}

async fn take(subscription: &mut Subscription, count: usize) -> Vec<Received> {
    let mut received = Vec::new();
    for _ in 0..count {
        received.push(subscription.recv().await.unwrap());
    }
    received
}

#[tokio::test]
async fn everybody_gets_the_same_bytes() {
    let live = Live::new();
    let (outlet, kept) = keeper(false);
    let mut publisher = live.publish(CHANNEL, vec![outlet]);
    let mut early = live.subscribe(CHANNEL);
    start(&mut publisher, 5);
    play(&mut publisher, 0..100);
    let mut late = live.subscribe(CHANNEL);
    play(&mut publisher, 100..200);
    stop(&mut publisher);
    let kept = kept.lock().unwrap().clone();
    assert!(kept.len() >= 8);
    let events = |received: Vec<Received>| -> Vec<FragmentEvent> {
        received
            .into_iter()
            .map(|received| match received {
                Received::Event(event) => event,
                Received::Missed { .. } => panic!("nothing is missed"),
            })
            .collect()
    };
    assert_eq!(events(take(&mut early, kept.len()).await), kept);
    // Who comes in the middle begins with the session and a key fragment.
    let got = events(take(&mut late, 5).await);
    assert_eq!(got[0], kept[0]);
    let FragmentEvent::Fragment(first) = &got[1] else { panic!("{:?}", got[1]) };
    assert!(first.is_key);
    let is_same =
        |event: &FragmentEvent| matches!(event, FragmentEvent::Fragment(kept) if Arc::ptr_eq(kept, first));
    assert!(kept.iter().any(is_same), "muxed once");
}

#[tokio::test]
async fn a_slow_subscriber_is_told_and_slows_nobody() {
    let live = Live::new();
    let (full, _) = keeper(true);
    let mut publisher = live.publish(CHANNEL, vec![full]);
    let mut slow = live.subscribe(CHANNEL);
    start(&mut publisher, 0);
    play(&mut publisher, 0..4000);
    let fragments = live.channel(CHANNEL).unwrap().fragments;
    assert!(fragments > 2 * SUBSCRIBER_FRAGMENTS as u64);
    let got = take(&mut slow, SUBSCRIBER_FRAGMENTS).await;
    assert!(got.iter().all(|received| matches!(received, Received::Event(_))));
    // There is room again: the next event comes after a word on what is missing.
    play(&mut publisher, 4000..4030);
    stop(&mut publisher);
    let Some(Received::Missed { fragments: missed }) = slow.recv().await else { panic!("not told") };
    assert!(missed > 0);
    let total = live.channel(CHANNEL).unwrap().fragments;
    let mut came = SUBSCRIBER_FRAGMENTS as u64 - 1;
    while let Some(Received::Event(FragmentEvent::Fragment(_))) = slow.recv().await {
        came += 1;
    }
    assert_eq!(came + missed, total);
    // The outlet missed everything, the subscriber some, and both are counted.
    assert_eq!(live.channel(CHANNEL).unwrap().missed, missed + total + 2);
}

#[tokio::test]
async fn who_is_live_is_known() {
    let live = Live::new();
    assert!(!live.is_live(CHANNEL));
    let mut first = live.publish(CHANNEL, Vec::new());
    assert!(!live.is_live(CHANNEL), "connected is not live");
    start(&mut first, 1_000);
    play(&mut first, 0..50);
    assert!(live.is_live(CHANNEL));
    let status = live.channel(CHANNEL).unwrap();
    assert_eq!((status.since_us, status.bytes), (Some(1_000), 5_000));
    // A takeover: the first one's end does not take the second one down.
    let mut second = live.publish(CHANNEL, Vec::new());
    start(&mut second, 2_000);
    stop(&mut first);
    drop(first);
    assert!(live.is_live(CHANNEL));
    assert_eq!(live.channel(CHANNEL).unwrap().since_us, Some(2_000));
    stop(&mut second);
    assert!(!live.is_live(CHANNEL));
    drop(second);
    assert_eq!(live.channels(), []);
}

#[tokio::test]
async fn a_subscription_outlives_publishers() {
    let live = Live::new();
    let mut subscription = live.subscribe(CHANNEL);
    for start_us in [0, 10_000_000] {
        let mut publisher = live.publish(CHANNEL, Vec::new());
        start(&mut publisher, start_us);
        play(&mut publisher, 0..60);
        stop(&mut publisher);
        drop(publisher);
        let Some(Received::Event(FragmentEvent::SessionStart(session))) = subscription.recv().await else {
            panic!("no session")
        };
        assert_eq!(session.start_us, start_us);
        while !matches!(subscription.recv().await, Some(Received::Event(FragmentEvent::SessionEnd { .. }))) {}
    }
    drop(subscription);
    // The next one who listens clears away what nobody uses.
    let other = live.subscribe(Uuid::from_u128(8));
    assert_eq!(live.channels().len(), 1);
    drop(other);
    drop(live);
}

#[tokio::test]
async fn a_subscription_ends_with_the_registry() {
    let live = Live::new();
    let mut subscription = live.subscribe(CHANNEL);
    drop(live);
    assert!(subscription.recv().await.is_none());
}
