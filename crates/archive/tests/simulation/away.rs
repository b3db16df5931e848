//! A bucket that is away for six hours while twenty channels record: what is lost, and how long the rest takes.
//!
//! Everything is simulated: disk, clock, bucket, and the uplink, which is the archive's own bandwidth cap on timers that
//! the test moves. What is measured is the archive's order of work, not a network.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use catalog::{Catalog, NewChannel, SegmentState, Source};
use media::{
    EndCause, Sample, SessionConfig, TrackKind,
    fragmenter::{FragmentEvent, Fragmenter},
    timeline::TimelineEvent,
};
use tokio::runtime::Builder;
use turepe_archive::{
    Archive, ArchiveConfig, Recorder, RecorderTarget, UploadConfig,
    bucket::{BucketOperation, MemoryBucket},
};
use uuid::Uuid;
use world::{Clock, SimulatedClock, SimulatedDisk};

use crate::support::{NOON_US, S, config};

/// A camera of one keyframe every ten seconds.
const FRAME_US: i64 = 10 * S;

/// How far the world moves at once while the bucket is away.
const STEP_US: i64 = 10 * S;

/// And afterwards: a small part of what a part takes on the simulated uplink, as what is done in time is done at steps.
const FINE_STEP_US: i64 = S / 5;

/// Fine steps between two looks whether all is done.
const STEPS_PER_LOOK: u32 = 20;

pub(crate) struct Away {
    pub(crate) channels: usize,
    pub(crate) away_us: i64,
    /// How many times faster than the recording the uplink is.
    pub(crate) uplink: u64,
}

#[derive(Debug)]
#[expect(dead_code, reason = "most of it is only printed")]
pub(crate) struct Report {
    pub(crate) segments_waiting: u64,
    pub(crate) bytes_waiting: u64,
    pub(crate) recorded_bytes_per_s: u64,
    pub(crate) calls_while_away: u64,
    pub(crate) catch_up_us: i64,
    /// What it would take if every second of the uplink were used.
    pub(crate) ideal_us: i64,
    pub(crate) calls: u64,
    pub(crate) parts: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) segments: u64,
    pub(crate) segments_lost: u64,
}

struct SlowCamera {
    fragmenter: Fragmenter,
    start_us: i64,
    frame: i64,
}

impl SlowCamera {
    fn start(start_us: i64) -> (Self, Vec<FragmentEvent>) {
        let mut fragmenter = Fragmenter::new();
        let video = SessionConfig { audio: None, ..(*config()).clone() };
        fragmenter.push(TimelineEvent::SessionStart { config: Arc::new(video), start_us });
        let events = std::iter::from_fn(|| fragmenter.poll()).collect();
        (Self { fragmenter, start_us, frame: 0 }, events)
    }

    fn film_until(&mut self, until_us: i64, frame_bytes: usize) -> Vec<FragmentEvent> {
        let mut events = Vec::new();
        while self.start_us + self.frame * FRAME_US < until_us {
            let wall_us = self.start_us + self.frame * FRAME_US;
            let mut data = u32::try_from(frame_bytes - 4).unwrap().to_be_bytes().to_vec();
            data.push(0x65);
            data.resize(frame_bytes, 0xAB);
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: self.frame * FRAME_US / 100 * 9,
                duration: u32::try_from(FRAME_US / 100 * 9).unwrap(),
                composition_offset: 0,
                is_sync: true,
                data: Bytes::from(data),
            };
            self.fragmenter.push(TimelineEvent::Sample { sample, wall_us });
            self.frame += 1;
            events.extend(std::iter::from_fn(|| self.fragmenter.poll()));
        }
        events
    }

    fn stop(mut self) -> Vec<FragmentEvent> {
        let end_us = self.start_us + self.frame * FRAME_US;
        self.fragmenter.push(TimelineEvent::SessionEnd { end_us, cause: EndCause::Camera });
        std::iter::from_fn(|| self.fragmenter.poll()).collect()
    }
}

/// Bytes of each frame: 90 of them make a segment.
const FRAME_BYTES: usize = 2_000;

pub(crate) fn run(away: &Away) -> Report {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (hold, held) = mpsc::sync_channel::<()>(0);
    runtime.spawn_blocking(move || held.recv());
    let report = runtime.block_on(record_through(away));
    drop(hold);
    runtime.shutdown_timeout(Duration::from_secs(5));
    report
}

async fn pump() {
    let turn = tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_micros(100)));
    let _ = turn.await;
}

async fn record_through(away: &Away) -> Report {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let clock = Arc::new(SimulatedClock::new(NOON_US));
    let url = format!("sqlite:{}", folder.path().join("turepe.db").display());
    let catalog = Catalog::open_with_clock(&url, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
    let bucket = MemoryBucket::new(Arc::clone(&clock) as Arc<dyn Clock>).with_min_part_bytes(1);
    let rate = (away.channels * FRAME_BYTES) as u64 * 1_000_000 / FRAME_US.cast_unsigned();
    let upload = UploadConfig {
        // A segment has about six parts, as one of 4 Mbit/s has at the default length of a part twelve.
        part_bytes: 32_768,
        bytes_per_s: Some(rate * away.uplink),
        ..UploadConfig::default()
    };
    let mut archive_config = ArchiveConfig { upload, ..ArchiveConfig::new("/data/spool", "/data/store") };
    archive_config.retention.min_free_bytes = 0;
    let archive = Archive::open_with_bucket(
        archive_config,
        Arc::new(SimulatedDisk::new()),
        Arc::clone(&clock) as Arc<dyn Clock>,
        catalog.clone(),
        Some(Arc::new(bucket.clone())),
    )
    .unwrap();
    archive.wait_repaired().await;
    let mut streams = Vec::new();
    for number in 0..away.channels {
        let channel = NewChannel { court_id: None, name: format!("camera {number}"), source: Source::Push };
        let channel_id = catalog.create_channel(channel).await.unwrap().0.id;
        let recorder = archive.recorder(RecorderTarget { channel_id, prefix: "club/court".into() });
        let (camera, events) = SlowCamera::start(NOON_US);
        events.into_iter().for_each(|event| recorder.push(event).unwrap());
        streams.push((channel_id, recorder, camera));
    }
    bucket.set_away(true);
    let step = async |streams: &mut Vec<(Uuid, Recorder, SlowCamera)>, step_us: i64| {
        let now_us = clock.advance(step_us);
        for (_, recorder, camera) in streams.iter_mut() {
            for event in camera.film_until(now_us, FRAME_BYTES) {
                recorder.push_wait(event).await;
            }
        }
        tokio::time::advance(Duration::from_micros(step_us.cast_unsigned())).await;
        pump().await;
        now_us
    };
    while step(&mut streams, STEP_US).await < NOON_US + away.away_us {}
    archive.flush().await;
    let waiting = archive.ledger().await.unwrap();
    let calls_while_away = bucket.all_calls();
    bucket.set_away(false);
    let back_us = clock.now_us();
    // Caught up: the bucket has all that was sealed a step ago.
    let caught_up_us = loop {
        let mut now_us = 0;
        for _ in 0..STEPS_PER_LOOK {
            now_us = step(&mut streams, FINE_STEP_US).await;
        }
        let ledger = archive.ledger().await.unwrap();
        assert!(now_us - back_us < 20 * away.away_us, "it never catches up: {ledger:?}");
        if ledger.unstored_segments == 0 {
            break now_us;
        }
    };
    let status = archive.ledger().await.unwrap().upload;
    let (calls, parts) = (bucket.all_calls() - calls_while_away, bucket.calls(BucketOperation::PutPart));
    let mut channels = Vec::new();
    for (channel_id, recorder, camera) in streams {
        for event in camera.stop() {
            recorder.push_wait(event).await;
        }
        channels.push(channel_id);
        recorder.flush().await;
    }
    archive.settle().await;
    for _ in 0..20_000 {
        if archive.ledger().await.unwrap().unstored_segments == 0 {
            break;
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        pump().await;
    }
    // Nothing is missing: each channel is one span, and the bucket has every byte of it.
    let rows = catalog.whole_segments(None, 100_000).await.unwrap();
    let is_there = |row: &&catalog::SegmentRow| {
        row.state == SegmentState::Stored
            && bucket.bytes(&row.object_name).is_some_and(|bytes| bytes.len() as u64 == row.size_bytes)
    };
    let stored = rows.iter().filter(is_there).count() as u64;
    for channel_id in channels {
        let spans = archive.spans(channel_id, NOON_US, clock.now_us()).await.unwrap();
        assert!(
            spans.len() == 1 && spans[0].0 == NOON_US && spans[0].1 > caught_up_us - 2 * FRAME_US,
            "{spans:?}"
        );
    }
    let bytes_waiting = waiting.unsafe_bytes - waiting.growing_bytes;
    Report {
        segments_waiting: waiting.unstored_segments,
        bytes_waiting,
        recorded_bytes_per_s: rate,
        calls_while_away,
        catch_up_us: caught_up_us - back_us,
        ideal_us: i64::try_from(bytes_waiting * 1_000_000 / (rate * (away.uplink - 1))).unwrap(),
        calls,
        parts,
        sent_bytes: status.sent_bytes,
        segments: rows.len() as u64,
        segments_lost: rows.len() as u64 - stored,
    }
}
