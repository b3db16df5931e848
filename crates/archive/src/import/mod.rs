//! Files that another recorder has made become segments, where nothing was recorded here.
//!
//! Belongs here: which part of a file is missing, and its way through timeline and fragmenter to a recorder. Not here: which
//! files there are, and whose (`serve::srs::dvr`).
//!
//! A file is read as a stream, however long it is, and as slowly as the disk takes it. It tells nothing about gaps: those that
//! are noted are the live recording's.

mod error;
mod frames;

use std::sync::Arc;

use catalog::{CatalogError, Kind};
use media::{
    EndCause, TrackKind,
    flv::VideoTag,
    fragmenter::{FragmentEvent, Fragmenter},
    timeline::{Timeline, TimelineConfig},
};
use tokio::runtime::Handle;
use uuid::Uuid;
use world::DiskFile;

pub use error::ImportError;

use self::frames::{Frame, Frames, Tag, measure};
use crate::{
    Archive, Recorder, RecorderTarget, gaps,
    limits::{IMPORT_KEYLESS_US, MAX_IMPORT_US, SHORTEST_IMPORT_US},
};

/// What is known of a file's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// UTC microseconds of its first frame.
    Start(i64),
    /// UTC microseconds of its end.
    End(i64),
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Imported {
    /// UTC microseconds of its first frame.
    pub start_us: i64,
    /// UTC microseconds of its end.
    pub end_us: i64,
    /// How much of it was missing and is recorded now.
    pub recorded_us: i64,
}

impl Archive {
    /// Records of a file, FLV or MP4, what is missing of its time. Returns when that is durable and in the catalog. One call at
    /// a time per channel.
    ///
    /// # Errors
    /// The file cannot be read or understood, its channel is gone, the catalog does not answer. What came before the error
    /// is recorded.
    pub async fn import(
        &self,
        channel_id: Uuid,
        file: Arc<dyn DiskFile>,
        anchor: Anchor,
    ) -> Result<Imported, ImportError> {
        let route = self.inner.core.catalog.channel_route(channel_id).await?;
        let prefix = route.ok_or(CatalogError::NotFound(Kind::Channel))?.object_prefix();
        let target = RecorderTarget { channel_id, prefix };
        let measured = {
            let file = Arc::clone(&file);
            blocking(move || measure(&file)).await?
        };
        let length_us = measured.length_us;
        if length_us > MAX_IMPORT_US {
            return Err(ImportError::TooLong { length_us });
        }
        let start_us = match anchor {
            Anchor::Start(start_us) => start_us,
            Anchor::End(end_us) => end_us.saturating_sub(length_us),
        };
        let end_us = start_us.saturating_add(length_us);
        let spans = self.spans(channel_id, start_us, end_us).await?;
        let mut recorded_us = 0;
        for (from_us, to_us) in gaps::missing(&spans, start_us, end_us) {
            if to_us - from_us < SHORTEST_IMPORT_US {
                continue;
            }
            let recorder = self.backfill_recorder(&target);
            let (file, runtime) = (Arc::clone(&file), Handle::current());
            let hole = Hole { file_start_us: start_us, from_us, to_us, has_video: measured.has_video };
            let (recorder, recorded) = blocking(move || {
                let recorded = record(&file, &hole, &recorder, &runtime);
                Ok((recorder, recorded))
            })
            .await?;
            recorder.flush().await;
            recorder.close();
            recorded_us += recorded?;
        }
        if recorded_us > 0 {
            self.settle().await;
        }
        Ok(Imported { start_us, end_us, recorded_us })
    }
}

/// A part of a file that is to be recorded.
struct Hole {
    file_start_us: i64,
    from_us: i64,
    to_us: i64,
    has_video: bool,
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ImportError::Interrupted)?
}

/// Records the frames of a hole, from its first keyframe; how much that was.
fn record(
    file: &Arc<dyn DiskFile>,
    hole: &Hole,
    recorder: &Recorder,
    runtime: &Handle,
) -> Result<i64, ImportError> {
    let mut frames = Frames::open(file)?;
    let mut pipeline = Pipeline {
        timeline: Timeline::new(TimelineConfig { earliest_start_us: hole.from_us }),
        fragmenter: Fragmenter::new(),
        session_start_us: None,
        recorded_us: 0,
    };
    let mut has_begun = false;
    let mut wall_us = hole.from_us;
    let read = loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            // What came before it is good.
            Err(error) => break Err(error),
        };
        let at_us = hole.file_start_us.saturating_add(frame.at_us);
        if frame.tag.is_frame() {
            if at_us >= hole.to_us {
                break Ok(());
            }
            has_begun |= at_us >= hole.from_us && frame.tag.can_begin(hole.has_video);
            // No keyframe: the timeline finds the best place there is.
            has_begun |= at_us >= hole.from_us.saturating_add(IMPORT_KEYLESS_US);
            if !has_begun {
                continue;
            }
        }
        wall_us = at_us.max(wall_us);
        if let Err(error) = pipeline.push(frame, wall_us) {
            break Err(error);
        }
        pipeline.record(recorder, runtime);
    };
    pipeline.timeline.end(wall_us, EndCause::Camera);
    pipeline.record(recorder, runtime);
    read.map(|()| pipeline.recorded_us)
}

struct Pipeline {
    timeline: Timeline,
    fragmenter: Fragmenter,
    session_start_us: Option<i64>,
    recorded_us: i64,
}

impl Pipeline {
    fn push(&mut self, frame: Frame, wall_us: i64) -> Result<(), ImportError> {
        // Files are shorter than the 49 days after which stamps roll over.
        let timestamp_ms = u32::try_from((frame.at_us + 500) / 1000).unwrap_or(0);
        match frame.tag {
            Tag::Video(tag) => self.timeline.video(timestamp_ms, tag, wall_us)?,
            Tag::Audio(tag) => self.timeline.audio(timestamp_ms, tag, wall_us)?,
            Tag::MoreOfPicture(data) => {
                self.timeline.more_of_picture(&data);
            }
        }
        Ok(())
    }

    fn record(&mut self, recorder: &Recorder, runtime: &Handle) {
        while let Some(event) = self.timeline.poll() {
            self.fragmenter.push(event);
            while let Some(event) = self.fragmenter.poll() {
                match &event {
                    FragmentEvent::SessionStart(session) => self.session_start_us = Some(session.start_us),
                    FragmentEvent::SessionEnd { end_us, .. } => {
                        let start_us = self.session_start_us.take();
                        self.recorded_us += start_us.map_or(0, |start_us| end_us - start_us);
                    }
                    FragmentEvent::Fragment(_) => {}
                }
                runtime.block_on(recorder.push_wait(event));
            }
        }
    }
}

impl Tag {
    /// Whether a recording can begin with it.
    fn can_begin(&self, has_video: bool) -> bool {
        match self {
            Self::Video(VideoTag::Frame { is_key, .. }) => *is_key,
            Self::Video(_) => false,
            Self::Audio(_) => !has_video,
            Self::MoreOfPicture(_) => false,
        }
    }

    /// The track it belongs to.
    fn track(&self) -> TrackKind {
        match self {
            Self::Video(_) | Self::MoreOfPicture(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }
}
