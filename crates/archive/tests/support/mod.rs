//! What the tests of the archive share: a camera, a house to record in, and ways to look at what was recorded.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses another part of it")]

pub(crate) mod uploading;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use catalog::{Catalog, NewChannel, Source};
use futures_util::StreamExt;
use media::{
    AudioConfig, EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig,
    fragmenter::{FragmentEvent, Fragmenter},
    timeline::TimelineEvent,
};
use turepe_archive::{self as archive, Archive, ArchiveConfig, Recorder, RecorderTarget};
use uuid::Uuid;
use world::{Clock, Disk, SimulatedClock, SimulatedDisk};

/// A Monday at noon: a multiple of every segment length.
pub(crate) const NOON_US: i64 = 1_763_985_600_000_000;
pub(crate) const S: i64 = 1_000_000;

/// `avcC` of a 320x240 High profile stream of x264.
const AVCC: &str =
    "0164000dffe100196764000dacd94141fb011000000300100000030320f142996001000668ebe3cb22c0fdf8f800";

fn unhex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn config() -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        video: Some(VideoConfig::from_record(VideoCodec::H264, unhex(AVCC)).unwrap()),
        audio: Some(AudioConfig::from_asc(unhex("1190")).unwrap()),
    })
}

/// A camera of 25 frames a second with sound, muxed by the real fragmenter.
pub(crate) struct Camera {
    fragmenter: Fragmenter,
    pub(crate) frame_bytes: usize,
    pub(crate) frames_per_gop: i64,
    start_us: i64,
    frame: i64,
    sound: i64,
}

impl Camera {
    /// A camera that begins at an instant, and its first event.
    pub(crate) fn start(start_us: i64) -> (Self, Vec<FragmentEvent>) {
        let mut camera = Self {
            fragmenter: Fragmenter::new(),
            frame_bytes: 200,
            frames_per_gop: 25,
            start_us,
            frame: 0,
            sound: 0,
        };
        camera.fragmenter.push(TimelineEvent::SessionStart { config: config(), start_us });
        let events = camera.drain();
        (camera, events)
    }

    /// The instant of the next frame.
    pub(crate) fn now_us(&self) -> i64 {
        self.start_us + self.frame * 40_000
    }

    /// Films until an instant.
    pub(crate) fn film_until(&mut self, until_us: i64) -> Vec<FragmentEvent> {
        let mut events = Vec::new();
        while self.now_us() < until_us {
            let wall_us = self.now_us();
            let is_sync = self.frame % self.frames_per_gop == 0;
            self.push(
                wall_us,
                Sample {
                    track: TrackKind::Video,
                    decode_time: self.frame * 3600,
                    duration: 3600,
                    composition_offset: 0,
                    is_sync,
                    data: picture(self.frame, is_sync, self.frame_bytes),
                },
            );
            self.frame += 1;
            while self.sound * 1024 * 25 < self.frame * 48_000 {
                let wall_us = self.start_us + self.sound * 1024 * 1_000_000 / 48_000;
                self.push(
                    wall_us,
                    Sample {
                        track: TrackKind::Audio,
                        decode_time: self.sound * 1024,
                        duration: 1024,
                        composition_offset: 0,
                        is_sync: true,
                        data: Bytes::from(vec![0x21; 24]),
                    },
                );
                self.sound += 1;
            }
            events.append(&mut self.drain());
        }
        events
    }

    /// Ends the session.
    pub(crate) fn stop(mut self, cause: EndCause) -> Vec<FragmentEvent> {
        let end_us = self.now_us();
        self.fragmenter.push(TimelineEvent::SessionEnd { end_us, cause });
        self.drain()
    }

    fn push(&mut self, wall_us: i64, sample: Sample) {
        self.fragmenter.push(TimelineEvent::Sample { sample, wall_us });
    }

    fn drain(&mut self) -> Vec<FragmentEvent> {
        std::iter::from_fn(|| self.fragmenter.poll()).collect()
    }
}

/// One NAL unit that tells its frame's number.
fn picture(frame: i64, is_sync: bool, len: usize) -> Bytes {
    let unit = len.max(16) - 4;
    let mut data = u32::try_from(unit).unwrap().to_be_bytes().to_vec();
    data.push(if is_sync { 0x65 } else { 0x41 });
    data.extend(frame.to_be_bytes());
    data.resize(len.max(16), 0xAB);
    data.into()
}

/// A disk, a clock and a catalog that outlive archives.
pub(crate) struct House {
    pub(crate) disk: SimulatedDisk,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) catalog: Catalog,
    pub(crate) channel_id: Uuid,
    pub(crate) config: ArchiveConfig,
    database: tempfile::TempDir,
}

impl House {
    pub(crate) async fn new() -> Self {
        // In memory where there is such a folder: thousands of synced transactions are not what is tested here.
        let memory = Path::new("/dev/shm");
        let database =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let catalog = open_catalog(&database).await;
        let channel = NewChannel { court_id: None, name: "camera".into(), source: Source::Push };
        let (channel, _) = catalog.create_channel(channel).await.unwrap();
        Self {
            disk: SimulatedDisk::new(),
            clock: Arc::new(SimulatedClock::new(NOON_US)),
            catalog,
            channel_id: channel.id,
            config: ArchiveConfig {
                segment_us: 5 * S,
                sync_us: 20_000,
                ..ArchiveConfig::new("/data/spool", "/data/store")
            },
            database,
        }
    }

    /// The same house in another runtime, which the connections of the old one do not outlive.
    pub(crate) async fn move_in(&mut self) {
        self.catalog = open_catalog(&self.database).await;
    }

    pub(crate) fn open(&self) -> Archive {
        self.open_on(Arc::new(self.disk.clone()))
    }

    pub(crate) fn open_on(&self, disk: Arc<dyn Disk>) -> Archive {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Archive::open(self.config.clone(), disk, clock, self.catalog.clone()).unwrap()
    }

    pub(crate) fn recorder(&self, archive: &Archive) -> Recorder {
        archive.recorder(RecorderTarget { channel_id: self.channel_id, prefix: "club/court".into() })
    }

    /// Segments in the catalog around noon, sealed or not.
    pub(crate) async fn rows(&self) -> Vec<catalog::SegmentRow> {
        self.catalog.segments_in_range(self.channel_id, NOON_US - 3600 * S, NOON_US + 3600 * S).await.unwrap()
    }

    /// The spool files there are.
    pub(crate) fn spool_files(&self) -> Vec<PathBuf> {
        let folder = self.config.spool.join(self.channel_id.to_string());
        let files = self.disk.list(&folder).unwrap_or_default();
        files.into_iter().map(|file| folder.join(file.name)).collect()
    }

    /// Everything in a file.
    pub(crate) fn read(&self, path: &Path) -> Vec<u8> {
        let file = self.disk.open(path).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        world::read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
        bytes
    }

    pub(crate) fn object(&self, row: &catalog::SegmentRow) -> Vec<u8> {
        self.read(&self.config.store.join(&row.object_name))
    }
}

async fn open_catalog(folder: &tempfile::TempDir) -> Catalog {
    Catalog::open(&format!("sqlite:{}", folder.path().join("turepe.db").display())).await.unwrap()
}

/// Pushes events as a source that can wait.
pub(crate) async fn push_all(recorder: &Recorder, events: impl IntoIterator<Item = FragmentEvent>) {
    for event in events {
        recorder.push_wait(event).await;
    }
}

/// All bytes of a stream.
pub(crate) async fn collect(stream: archive::ByteStream) -> Vec<u8> {
    let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
    pieces.concat()
}
