//! One run: the newest keyframes of some channels through one ffmpeg, and again one by one what that left undone.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use super::{
    Counters, CoverId, CoversConfig,
    ffmpeg::{self, Names, RunError},
    folder::Folder,
    limits::{MAX_KEYFRAME_BYTES, MAX_PIXELS},
    schedule::{Outcome, Run},
    slots::{Keyframe, Slots},
};
use crate::sandbox::{Needs, Sandbox, limits::PROBE_RETRY};

/// Where covers are made.
pub(super) struct Workshop {
    folder: Arc<Folder>,
    slots: Arc<Slots>,
    counters: Arc<Counters>,
    program: PathBuf,
    needs: Needs,
    batch_timeout: Duration,
    single_timeout: Duration,
    /// Held while ffmpeg is looked for, so that it is looked for once.
    sandbox: Mutex<Found>,
}

/// What is known of ffmpeg.
enum Found {
    /// Not looked for yet, or gone.
    Unknown,
    Usable(Arc<Sandbox>),
    /// Not before this time again.
    Missing(Instant),
}

/// One keyframe on its way.
struct Piece {
    channel_id: Uuid,
    keyframe: Arc<Keyframe>,
    names: Names,
}

/// The disk does not do it.
struct NoDisk;

impl Workshop {
    pub(super) fn new(
        folder: Arc<Folder>,
        slots: Arc<Slots>,
        counters: Arc<Counters>,
        config: &CoversConfig,
    ) -> Self {
        let needs = Needs { folder: Some(folder.work().to_owned()), private: config.private.clone() };
        Self {
            needs,
            folder,
            slots,
            counters,
            program: config.ffmpeg.clone(),
            batch_timeout: config.batch_timeout,
            single_timeout: config.single_timeout,
            sandbox: Mutex::new(Found::Unknown),
        }
    }

    pub(super) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    /// Makes the covers of a run.
    pub(super) async fn make(&self, run: &Run) -> Vec<(Uuid, Outcome)> {
        let mut outcomes = Vec::with_capacity(run.channels.len());
        let mut pieces = Vec::with_capacity(run.channels.len());
        let number = self.folder.number();
        for (position, channel_id) in run.channels.iter().enumerate() {
            match self.slots.newest(*channel_id) {
                Some(keyframe) if keyframe.is_made.load(Ordering::Relaxed) => {
                    outcomes.push((*channel_id, Outcome::Unchanged));
                }
                // It has just gone offline.
                None => outcomes.push((*channel_id, Outcome::Unchanged)),
                Some(keyframe) => match unfit(&keyframe) {
                    Some(reason) => outcomes.push((*channel_id, Outcome::Failed(reason))),
                    None => {
                        let name = |ending| format!("{number}-{position}.{ending}");
                        let skip_ms = keyframe.skip_ms();
                        let names = Names { input: name("mp4"), output: name("jpg"), skip_ms };
                        pieces.push(Piece { channel_id: *channel_id, keyframe, names });
                    }
                },
            }
        }
        if !pieces.is_empty() {
            let made = self.make_pieces(&pieces).await;
            outcomes.extend(pieces.iter().map(|piece| piece.channel_id).zip(made));
        }
        for (_, outcome) in &outcomes {
            match outcome {
                Outcome::Made => self.counters.made.fetch_add(1, Ordering::Relaxed),
                Outcome::Failed(_) => self.counters.failed.fetch_add(1, Ordering::Relaxed),
                Outcome::Unchanged | Outcome::Unable => 0,
            };
        }
        outcomes
    }

    /// An outcome for each piece.
    async fn make_pieces(&self, pieces: &[Piece]) -> Vec<Outcome> {
        let unable = || vec![Outcome::Unable; pieces.len()];
        let Some(sandbox) = self.sandbox().await else { return unable() };
        let files: Vec<(String, Vec<Bytes>)> =
            pieces.iter().map(|piece| (piece.names.input.clone(), piece.keyframe.file())).collect();
        let written = self.on_disk(move |folder| {
            folder.ensure()?;
            files.iter().try_for_each(|(name, parts)| folder.write(name, parts))
        });
        let outcomes = match written.await {
            Ok(()) => self.run_pieces(&sandbox, pieces).await,
            Err(NoDisk) => unable(),
        };
        let names: Vec<String> =
            pieces.iter().flat_map(|piece| [piece.names.input.clone(), piece.names.output.clone()]).collect();
        // Whether it could is said when the next one is written.
        let _ = self
            .on_disk(move |folder| {
                folder.clear(&names);
                Ok(())
            })
            .await;
        outcomes
    }

    async fn run_pieces(&self, sandbox: &Sandbox, pieces: &[Piece]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Unable; pieces.len()];
        let names: Vec<Names> = pieces.iter().map(|piece| piece.names.clone()).collect();
        let limit = if pieces.len() == 1 { self.single_timeout } else { self.batch_timeout };
        let ran = self.run_ffmpeg(sandbox, &names, limit).await;
        // Whatever became of the process: what is whole is a cover.
        let Ok(published) = self.publish(pieces).await else { return outcomes };
        let mut open = Vec::new();
        for (position, is_published) in published.into_iter().enumerate() {
            if is_published {
                outcomes[position] = Outcome::Made;
            } else {
                open.push(position);
            }
        }
        if open.is_empty() || self.is_gone(&ran).await {
            return outcomes;
        }
        if let [piece] = pieces {
            outcomes[0] = self.verdict(piece, ran).await;
            return outcomes;
        }
        tracing::debug!(
            channels = pieces.len(),
            open = open.len(),
            reason = ran.err().map(|error| error.to_string()),
            "a batch of covers is made again one by one"
        );
        for position in open {
            let piece = &pieces[position];
            let one = std::slice::from_ref(piece);
            let ran = self.run_ffmpeg(sandbox, std::slice::from_ref(&piece.names), self.single_timeout).await;
            match self.publish(one).await {
                Ok(published) if published == [true] => outcomes[position] = Outcome::Made,
                Ok(_) => {
                    if self.is_gone(&ran).await {
                        return outcomes;
                    }
                    outcomes[position] = self.verdict(piece, ran).await;
                }
                Err(NoDisk) => return outcomes,
            }
        }
        outcomes
    }

    async fn run_ffmpeg(&self, sandbox: &Sandbox, names: &[Names], limit: Duration) -> Result<(), RunError> {
        self.counters.processes.fetch_add(1, Ordering::Relaxed);
        // Half of what a process that was killed has written must not stand in the way of the next one.
        let outputs: Vec<String> = names.iter().map(|names| names.output.clone()).collect();
        let cleared = self.on_disk(move |folder| {
            folder.clear(&outputs);
            Ok(())
        });
        drop(cleared.await);
        ffmpeg::pictures(sandbox, self.folder.work(), names, limit).await
    }

    /// Which of the pieces have become covers.
    async fn publish(&self, pieces: &[Piece]) -> Result<Vec<bool>, NoDisk> {
        let outputs: Vec<(String, CoverId)> =
            pieces.iter().map(|piece| (piece.names.output.clone(), CoverId::of(piece.channel_id))).collect();
        let published = self
            .on_disk(move |folder| {
                outputs.iter().map(|(name, id)| folder.publish(name, *id)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        for (piece, is_published) in pieces.iter().zip(&published) {
            if *is_published {
                piece.keyframe.is_made.store(true, Ordering::Relaxed);
            }
        }
        Ok(published)
    }

    /// Alone, this piece gave no picture: its fault, or that of a disk that is full or a folder that is gone.
    async fn verdict(&self, piece: &Piece, ran: Result<(), RunError>) -> Outcome {
        let input = piece.names.input.clone();
        let is_disk_well = self.on_disk(move |folder| {
            folder.ensure()?;
            if folder.has(&input) { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        });
        if is_disk_well.await.is_err() {
            return Outcome::Unable;
        }
        Outcome::Failed(match ran {
            Ok(()) => "no picture came out".to_owned(),
            Err(error) => error.to_string(),
        })
    }

    /// How to run ffmpeg, where it can be run.
    async fn sandbox(&self) -> Option<Arc<Sandbox>> {
        let mut found = self.sandbox.lock().await;
        match &*found {
            Found::Usable(sandbox) => return Some(Arc::clone(sandbox)),
            Found::Missing(until) if Instant::now() < *until => return None,
            Found::Missing(_) | Found::Unknown => {}
        }
        let probed = Sandbox::probe(&self.program, &self.needs).await;
        let was_usable = self.counters.is_ffmpeg_usable.swap(probed.is_some(), Ordering::Relaxed);
        let Some(sandbox) = probed else {
            if was_usable {
                tracing::warn!(
                    ffmpeg = %self.program.display(),
                    "ffmpeg cannot be run: channels have no covers until it can (`node.ffmpeg`)"
                );
            }
            *found = Found::Missing(Instant::now() + PROBE_RETRY);
            return None;
        };
        if !was_usable {
            tracing::info!("ffmpeg can be run: covers are made again");
        }
        if !sandbox.missing().is_empty() {
            tracing::info!(
                without = sandbox.missing().join("; "),
                "this machine does not confine ffmpeg in every way"
            );
        }
        let sandbox = Arc::new(sandbox);
        *found = Found::Usable(Arc::clone(&sandbox));
        Some(sandbox)
    }

    /// Whether there is no ffmpeg any more; then it is looked for anew.
    async fn is_gone(&self, ran: &Result<(), RunError>) -> bool {
        let is_gone = matches!(ran, Err(RunError::Gone | RunError::Start(_)));
        if is_gone {
            *self.sandbox.lock().await = Found::Unknown;
        }
        is_gone
    }

    /// Does something with the folder on a thread that may block. What fails is said once, until it works again.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, NoDisk> {
        let folder = self.folder();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        let done = done.map_err(std::io::Error::other).and_then(|done| done);
        let was_usable = self.counters.is_folder_usable.swap(done.is_ok(), Ordering::Relaxed);
        match done {
            Ok(done) => Ok(done),
            Err(error) => {
                if was_usable {
                    tracing::warn!(%error, "covers cannot be written");
                }
                Err(NoDisk)
            }
        }
    }

    /// Makes the folder, and clears away what a process before this one was making.
    pub(super) async fn open(&self) {
        // Said where it failed; it is tried again with the first cover.
        drop(self.on_disk(Folder::open).await);
    }

    /// Puts the slate in the place of a cover; whether it could.
    pub(super) async fn put_slate(&self, channel_id: Uuid) -> bool {
        self.on_disk(move |folder| folder.put_slate(CoverId::of(channel_id))).await.is_ok()
    }
}

/// Why a keyframe is not even tried.
fn unfit(keyframe: &Keyframe) -> Option<String> {
    let (bytes, pixels) = (keyframe.len(), keyframe.pixels());
    if bytes > MAX_KEYFRAME_BYTES {
        Some(format!("its keyframe has {bytes} bytes; at most {MAX_KEYFRAME_BYTES} are decoded"))
    } else if pixels > MAX_PIXELS {
        Some(format!("its picture has {pixels} pixels; at most {MAX_PIXELS} are decoded"))
    } else {
        None
    }
}
