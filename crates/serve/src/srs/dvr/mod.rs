//! Files of SRS's own recorder: told of by `on_dvr`, found again by looking through their folder, imported one after the
//! other.
//!
//! SRS calls once and never again, and its last call may come long after the stream has ended. So a call only hurries what a look
//! through the folder, at start and now and then, does as well. What was imported is kept by identity in the data folder: what
//! retention has deleted since does not come back from a file that SRS still has.

mod ledger;
mod pattern;

use super::{
    backend::{DvrFiles, Keys},
    call::{KeyFrom, can_be_forwarded},
    hidden::Hidden,
    limits::{DVR_QUEUE, DVR_SCAN_INTERVAL, DVR_SETTLE_US, MAX_DVR_DEPTH, MAX_DVR_FILES, MAX_PATH_BYTES},
};
use archive::{Anchor, Archive};
use jiff::tz::TimeZone;
use ledger::{Identity, Ledger};
use media::rtmp::StreamKey;
use std::{
    collections::HashSet,
    future::Future,
    io,
    path::{Component, Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use uuid::Uuid;
use world::{Clock, Disk};

pub use pattern::DvrPattern;

/// Where SRS's recordings are, and how they are named.
#[derive(Clone, Debug)]
pub struct DvrConfig {
    /// Their folder, absolute.
    pub folder: PathBuf,
    /// The names below it.
    pub pattern: DvrPattern,
    /// Time zone of dates in names.
    pub zone: TimeZone,
    /// Where the key of a stream stands.
    pub key: KeyFrom,
    /// Where is kept what was imported.
    pub ledger: PathBuf,
}

/// A file to be imported. Its name may hold a key.
#[derive(Clone, PartialEq, Eq)]
struct Waiting {
    channel_id: Uuid,
    name: Hidden,
}

/// Imports SRS's recordings. Clones are the same.
#[derive(Clone)]
pub struct Dvr {
    inner: Arc<Inner>,
}

struct Inner {
    config: DvrConfig,
    archive: Archive,
    keys: Arc<dyn Keys>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    waiting: mpsc::Sender<Waiting>,
    /// Taken by [`Dvr::run`].
    incoming: Mutex<Option<mpsc::Receiver<Waiting>>>,
}

impl Dvr {
    /// An importer that does nothing before [`Dvr::run`].
    #[must_use]
    pub fn new(
        config: DvrConfig,
        archive: Archive,
        keys: Arc<dyn Keys>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (waiting, incoming) = mpsc::channel(DVR_QUEUE);
        let incoming = Mutex::new(Some(incoming));
        Self { inner: Arc::new(Inner { config, archive, keys, disk, clock, waiting, incoming }) }
    }

    /// Imports until `shutdown` resolves. What is under way then is begun again at the next start.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let incoming = self.inner.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut incoming) = incoming else { return };
        let work = async {
            let mut ledger = Ledger::open(self.inner.disk.as_ref(), &self.inner.config.ledger);
            loop {
                self.look_through(&mut ledger).await;
                let until = tokio::time::Instant::now() + DVR_SCAN_INTERVAL;
                while let Ok(next) = tokio::time::timeout_at(until, incoming.recv()).await {
                    let Some(waiting) = next else { return };
                    self.import(&waiting, &mut ledger).await;
                }
            }
        };
        let (work, shutdown) = (pin!(work), pin!(shutdown));
        tokio::select! {
            () = shutdown => {}
            () = work => {}
        }
    }

    /// Imports what stands in the folder and was not imported yet. Only where names tell whose it is.
    async fn look_through(&self, ledger: &mut Ledger) {
        let inner = Arc::clone(&self.inner);
        let listed = tokio::task::spawn_blocking(move || {
            let mut names = Vec::new();
            list(inner.disk.as_ref(), &inner.config.folder, Path::new(""), 0, &mut names)?;
            Ok::<_, io::Error>(names)
        });
        let names = match listed.await {
            Ok(Ok(names)) => names,
            Ok(Err(error)) => {
                tracing::warn!(folder = %self.inner.config.folder.display(), %error, "SRS's recordings cannot be listed");
                return;
            }
            // The node stops.
            Err(_) => return,
        };
        let mut there = HashSet::with_capacity(names.len());
        for name in names {
            let Some(identity) = self.identity(&name).await else { continue };
            there.insert(identity);
            if ledger.holds(&identity) || self.inner.config.key != KeyFrom::Stream {
                continue;
            }
            let named = self.inner.config.pattern.read(&name, &self.inner.config.zone);
            let Some(stream) = named.stream.filter(|stream| can_be_forwarded(stream.expose())) else {
                continue;
            };
            if let Ok(Some(channel_id)) = self.inner.keys.channel_of(&StreamKey::new(stream.expose())).await {
                self.import(&Waiting { channel_id, name: Hidden::new(name) }, ledger).await;
            }
        }
        ledger.retain(self.inner.disk.as_ref(), &there);
    }

    async fn identity(&self, name: &str) -> Option<Identity> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let (_, facts) = inner.disk.open_beneath(&inner.config.folder, Path::new(&name))?;
            Ok::<_, io::Error>(Identity::of(&name, &facts))
        });
        opened.await.ok()?.ok()
    }

    async fn import(&self, waiting: &Waiting, ledger: &mut Ledger) {
        let Waiting { channel_id, name } = waiting;
        let inner = Arc::clone(&self.inner);
        let path = name.clone();
        let opened = tokio::task::spawn_blocking(move || {
            inner.disk.open_beneath(&inner.config.folder, Path::new(path.expose()))
        });
        let (file, facts) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                tracing::warn!(channel = %channel_id, %error, "a recording of SRS cannot be opened below `srs.dvr_folder`");
                return;
            }
            Err(_) => return,
        };
        let identity = Identity::of(name.expose(), &facts);
        if ledger.holds(&identity) {
            return;
        }
        // What the forward has brought of it must be written before it is asked what is missing.
        let age_us = self.inner.clock.now_us().saturating_sub(facts.modified_us).max(0);
        let wait_us = DVR_SETTLE_US.saturating_sub(age_us).max(0);
        tokio::time::sleep(Duration::from_micros(wait_us.unsigned_abs())).await;
        let named = self.inner.config.pattern.read(name.expose(), &self.inner.config.zone);
        let anchor = named.start_us.map_or(Anchor::End(facts.modified_us), Anchor::Start);
        match self.inner.archive.import(*channel_id, file, anchor).await {
            Ok(imported) => {
                tracing::info!(
                    channel = %channel_id,
                    start_us = imported.start_us,
                    end_us = imported.end_us,
                    recorded_ms = imported.recorded_us / 1000,
                    "recording of SRS imported"
                );
                ledger.add(self.inner.disk.as_ref(), identity);
            }
            Err(error) => {
                tracing::warn!(channel = %channel_id, %error, "a recording of SRS is not imported");
                if !error.is_passing() {
                    ledger.add(self.inner.disk.as_ref(), identity);
                }
            }
        }
    }
}

impl DvrFiles for Dvr {
    fn finished(&self, channel_id: Uuid, path: PathBuf) {
        let Some(name) = below(&self.inner.config.folder, &path) else {
            tracing::warn!(channel = %channel_id, "a recording of SRS does not lie below `srs.dvr_folder`");
            return;
        };
        // A full queue loses nothing: the next look through the folder finds it.
        if self.inner.waiting.try_send(Waiting { channel_id, name }).is_err() {
            tracing::debug!(limit = DVR_QUEUE, "recordings of SRS come faster than they are imported");
        }
    }
}

/// The name of a path below a folder. What climbs is none, whether it comes back or not.
fn below(folder: &Path, path: &Path) -> Option<Hidden> {
    let is_short = path.as_os_str().len() <= MAX_PATH_BYTES;
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let name = path.strip_prefix(folder).ok().filter(|_| is_short && !climbs)?;
    // Without the dots that SRS leaves in it.
    let name: PathBuf = name.components().collect();
    name.to_str().filter(|name| is_recording(name)).map(Hidden::new)
}

/// While SRS writes it, it is an `.flv.tmp`.
fn is_recording(name: &str) -> bool {
    name.ends_with(".flv") || name.ends_with(".mp4")
}

/// All recordings below a folder, deepest names last. Links are listed here and refused when they are opened.
fn list(
    disk: &dyn Disk,
    folder: &Path,
    below: &Path,
    depth: usize,
    names: &mut Vec<String>,
) -> io::Result<()> {
    for entry in disk.list(&folder.join(below))? {
        let name = below.join(&entry.name);
        if entry.is_dir {
            if depth < MAX_DVR_DEPTH {
                list(disk, folder, &name, depth + 1, names)?;
            }
        } else if let Some(name) = name.to_str().filter(|name| is_recording(name))
            && names.len() < MAX_DVR_FILES
        {
            names.push(name.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::below;
    use std::path::Path;

    #[test]
    fn only_recordings_below_the_folder_are_taken() {
        for (path, name) in [
            ("/srs/objs/dvr/live/a.flv", Some("live/a.flv")),
            ("/srs/./objs/./dvr/live/a.mp4", Some("live/a.mp4")),
            ("/srs/objs/dvr/../dvr/a.flv", None),
            ("/srs/objs/dvr/live/../../../../etc/a.flv", None),
            ("/srs/objs/dvrx/a.flv", None),
            ("/srs/objs/dvr/a.flv.tmp", None),
            ("/etc/passwd", None),
            ("a.flv", None),
        ] {
            let found = below(Path::new("/srs/objs/dvr"), Path::new(path));
            assert_eq!(found.as_ref().map(super::Hidden::expose), name, "{path}");
        }
    }
}
