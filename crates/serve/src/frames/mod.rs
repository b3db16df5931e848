//! Pictures: one keyframe through one ffmpeg, kept on disk within bounds.
//!
//! Here belong the turn-taking, the cache and the process. Not here: which moment is shown, and who may see it.

mod cache;
mod ffmpeg;
mod turns;

use crate::{
    app::ServeConfig,
    limits::{FRAME_RETRY, MAX_FAILED_FRAMES},
};
use archive::{Archive, ArchiveError};
use bytes::Bytes;
use cache::Cache;
use ffmpeg::FfmpegError;
use live::sandbox::{Needs, Sandbox, limits::PROBE_RETRY};
use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    sync::{Mutex as AsyncMutex, OnceCell},
    time::Instant,
};
use turns::Turns;
use uuid::Uuid;

/// Makes and keeps pictures.
pub(crate) struct Frames {
    ffmpeg: PathBuf,
    needs: Needs,
    /// Held while ffmpeg is looked for, so that it is looked for once.
    sandbox: AsyncMutex<Found>,
    cache: Cache,
    turns: Turns,
    /// The pictures that are being made: who wants the same one waits for it. No more than there are requests.
    making: Mutex<HashMap<String, Arc<OnceCell<Option<Bytes>>>>>,
    /// Those that could not be made, and until when nobody tries again.
    failed: Mutex<HashMap<String, Instant>>,
    /// Whether it was said that pictures cannot be made: once is enough until one can be made again.
    is_reported: AtomicBool,
}

/// What is known of ffmpeg.
enum Found {
    /// Not looked for yet, or gone.
    Unknown,
    Usable(Arc<Sandbox>),
    /// Not before this time again.
    Missing(Instant),
}

impl Frames {
    /// Opens the cache below the data folder. A cache that cannot be read is an empty one.
    pub(crate) async fn open(config: &ServeConfig) -> Self {
        let cache = Cache::open(Arc::clone(&config.disk), config.data.join("covers").join("frames")).await;
        let mut private = config.private.clone();
        private.push(config.data.clone());
        Self {
            ffmpeg: config.ffmpeg.clone(),
            // Pipes are enough.
            needs: Needs { folder: None, private },
            sandbox: AsyncMutex::new(Found::Unknown),
            cache,
            turns: Turns::new(),
            making: Mutex::default(),
            failed: Mutex::default(),
            is_reported: AtomicBool::new(false),
        }
    }

    /// The picture of a channel at a moment, or nothing where none can be made in time.
    pub(crate) async fn picture(
        &self,
        archive: &Archive,
        channel: Uuid,
        at_us: i64,
        client: IpAddr,
    ) -> Option<Bytes> {
        let name = format!("{}-{at_us}.jpg", channel.simple());
        if let Some(jpeg) = self.cache.get(&name).await {
            return Some(jpeg);
        }
        if self.failed().get(&name).is_some_and(|until| Instant::now() < *until) {
            return None;
        }
        // Before the cell: who makes a picture that others want as well lets none of them wait in his line.
        let turn = self.turns.take(client).await?;
        let cell = Arc::clone(self.making().entry(name.clone()).or_default());
        let picture = cell.get_or_init(|| self.make(archive, channel, at_us, &name)).await.clone();
        drop(turn);
        let mut making = self.making();
        // Who waits holds the cell itself; who comes later finds the file.
        if making.get(&name).is_some_and(|other| Arc::ptr_eq(other, &cell)) {
            making.remove(&name);
        }
        picture
    }

    async fn make(&self, archive: &Archive, channel: Uuid, at_us: i64, name: &str) -> Option<Bytes> {
        // Others may have made it while this one waited.
        if let Some(jpeg) = self.cache.get(name).await {
            return Some(jpeg);
        }
        let keyframe = match archive.keyframe(channel, at_us).await {
            Ok(Some(keyframe)) => keyframe,
            // Nothing is wrong with pictures: this one is made there.
            Ok(None) | Err(ArchiveError::Elsewhere { .. }) => return None,
            Err(error) => {
                self.report(&error.to_string());
                return None;
            }
        };
        let Some(sandbox) = self.sandbox().await else {
            self.report("ffmpeg cannot be run");
            return None;
        };
        let made = ffmpeg::jpeg(&sandbox, [keyframe.init, keyframe.fragment], keyframe.skip_us).await;
        match made {
            Ok(jpeg) => {
                if self.is_reported.swap(false, Ordering::Relaxed) {
                    tracing::info!("pictures can be made again");
                }
                self.cache.put(name.to_owned(), jpeg.clone()).await;
                Some(jpeg)
            }
            Err(error) => {
                if matches!(error, FfmpegError::Run(_)) {
                    *self.sandbox.lock().await = Found::Unknown;
                }
                self.report(&error.to_string());
                self.remember_failure(name);
                None
            }
        }
    }

    /// How to run ffmpeg, where it can be run.
    async fn sandbox(&self) -> Option<Arc<Sandbox>> {
        let mut found = self.sandbox.lock().await;
        match &*found {
            Found::Usable(sandbox) => return Some(Arc::clone(sandbox)),
            Found::Missing(until) if Instant::now() < *until => return None,
            Found::Missing(_) | Found::Unknown => {}
        }
        let probed = Sandbox::probe(&self.ffmpeg, &self.needs).await.map(Arc::new);
        *found = match &probed {
            Some(sandbox) => Found::Usable(Arc::clone(sandbox)),
            None => Found::Missing(Instant::now() + PROBE_RETRY),
        };
        probed
    }

    fn remember_failure(&self, name: &str) {
        let (mut failed, now) = (self.failed(), Instant::now());
        if failed.len() >= MAX_FAILED_FRAMES {
            failed.retain(|_, until| now < *until);
        }
        // As many as that fail of themselves, not for want of memory here.
        if failed.len() < MAX_FAILED_FRAMES {
            failed.insert(name.to_owned(), now + FRAME_RETRY);
        }
    }

    fn making(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Option<Bytes>>>>> {
        // Nothing under this lock can panic half-way through a change.
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        // As above.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, reason: &str) {
        if !self.is_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(ffmpeg = %self.ffmpeg.display(), reason, "pictures cannot be made; neutral ones are shown");
        }
    }
}
