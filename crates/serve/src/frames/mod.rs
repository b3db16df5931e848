//! Pictures: one keyframe through one ffmpeg, kept on disk within bounds.
//!
//! Here belong the turn-taking, the cache and the process. Not here: which moment is shown, and who may see it.

mod cache;
mod ffmpeg;

use crate::{
    app::ServeConfig,
    limits::{FRAME_TURN_TIMEOUT, MAX_FFMPEG},
};
use archive::{Archive, ArchiveError};
use bytes::Bytes;
use cache::Cache;
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Makes and keeps pictures.
pub(crate) struct Frames {
    ffmpeg: PathBuf,
    cache: Cache,
    turns: Semaphore,
    /// Whether it was said that pictures cannot be made: once is enough until one can be made again.
    is_reported: AtomicBool,
}

impl Frames {
    /// Opens the cache below the data folder. A cache that cannot be read is an empty one.
    pub(crate) async fn open(config: &ServeConfig) -> Self {
        let cache =
            Cache::open(std::sync::Arc::clone(&config.disk), config.data.join("covers").join("frames")).await;
        Self {
            ffmpeg: config.ffmpeg.clone(),
            cache,
            turns: Semaphore::new(MAX_FFMPEG),
            is_reported: AtomicBool::new(false),
        }
    }

    /// The picture of a channel at a moment, or nothing where none can be made in time.
    pub(crate) async fn picture(&self, archive: &Archive, channel: Uuid, at_us: i64) -> Option<Bytes> {
        let name = format!("{}-{at_us}.jpg", channel.simple());
        if let Some(jpeg) = self.cache.get(&name).await {
            return Some(jpeg);
        }
        let turn = tokio::time::timeout(FRAME_TURN_TIMEOUT, self.turns.acquire()).await.ok()?.ok()?;
        // Others may have wanted the same picture and made it while this one waited.
        if let Some(jpeg) = self.cache.get(&name).await {
            return Some(jpeg);
        }
        let keyframe = match archive.keyframe(channel, at_us).await {
            Ok(keyframe) => keyframe?,
            // Nothing is wrong with pictures: this one is made there.
            Err(ArchiveError::Elsewhere { .. }) => return None,
            Err(error) => {
                self.report(&error.to_string());
                return None;
            }
        };
        let made = ffmpeg::jpeg(&self.ffmpeg, [keyframe.init, keyframe.fragment], keyframe.skip_us).await;
        drop(turn);
        match made {
            Ok(jpeg) => {
                if self.is_reported.swap(false, Ordering::Relaxed) {
                    tracing::info!("pictures can be made again");
                }
                self.cache.put(name, jpeg.clone()).await;
                Some(jpeg)
            }
            Err(error) => {
                self.report(&error.to_string());
                None
            }
        }
    }

    fn report(&self, reason: &str) {
        if !self.is_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(ffmpeg = %self.ffmpeg.display(), reason, "pictures cannot be made; neutral ones are shown");
        }
    }
}
