//! Watches over what would leave a node standing there and recording nothing: its disk, its database, its files, each live channel, and
//! the cameras of clubs that are open.
//!
//! Belongs here: looking, in tasks of which each may hang without holding up another, and telling what follows (`judge`, which is pure).
//! Not here: what the archive sees by itself (`archive::Alarm`), nor doing something about it.

mod judge;
mod limits;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use archive::{Alarm, AlarmKind, Archive};
use catalog::{Catalog, CatalogError, Club, DatabaseTrouble};
use live::Live;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;
use world::{Clock, Disk};

use self::judge::{Camera, DiskTrouble, Files, Now, Seen};
use self::limits::{CAMERAS_PAUSE, CATALOG_PAUSE, CATALOG_TIMEOUT, DISK_PAUSE, LAST_FRAME_AGE_US, TICK};
use self::places::Places;
use crate::descriptors::Door;

/// What is watched over.
pub(super) struct Watched {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    /// Folders that are written to.
    pub(super) folders: Vec<PathBuf>,
    /// Folders and files that have to stay what they are.
    pub(super) places: Vec<PathBuf>,
    pub(super) archive: Archive,
    pub(super) catalog: Catalog,
    pub(super) live: Live,
    pub(super) door: Door,
    /// Whether what is live is recorded here.
    pub(super) records: bool,
    /// Whether the catalog tells which cameras come here: not where footage comes by another way than live.
    pub(super) knows_cameras: bool,
}

/// The watch. Clones are the same; it ends with the last one.
#[derive(Clone)]
pub(super) struct Watch(Arc<Inner>);

struct Inner {
    watched: Watched,
    seen: Mutex<Seen>,
    is_ended: AtomicBool,
}

impl Watch {
    pub(super) fn new(watched: Watched) -> Self {
        let seen = Seen { started_us: watched.clock.now_us(), ..Seen::default() };
        Self(Arc::new(Inner { watched, seen: Mutex::new(seen), is_ended: AtomicBool::new(false) }))
    }

    /// Looks until it is dropped.
    pub(super) async fn run(self) {
        let _ended = Ended(Arc::clone(&self.0));
        let inner = Arc::downgrade(&self.0);
        // A thread of its own: one that hangs with the disk for ever is in nobody's way.
        let looking =
            std::thread::Builder::new().name("watch-disk".to_owned()).spawn(move || look_at_disk(&inner));
        if let Err(error) = looking {
            tracing::error!(%error, "the disk is not watched over");
        }
        let inner = &self.0;
        tokio::join!(inner.look_at_channels(), inner.look_at_catalog(), inner.look_at_cameras());
    }
}

impl serve::Watch for Watch {
    fn alarms(&self) -> Vec<Alarm> {
        self.0.alarms()
    }
}

/// Ends the thread with the tasks.
struct Ended(Arc<Inner>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.is_ended.store(true, Ordering::Release);
    }
}

impl Inner {
    fn now(&self) -> Now {
        let clock = &self.watched.clock;
        Now { monotonic_us: clock.monotonic_us(), wall_us: clock.now_us() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms(&self) -> Vec<Alarm> {
        judge::alarms(&self.seen(), self.now())
    }

    /// Also says which alarms have come and gone.
    async fn look_at_channels(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: BTreeMap<(&str, Option<Uuid>), AlarmKind> = BTreeMap::new();
        loop {
            ticks.tick().await;
            self.look_once();
            let alarms = self.alarms();
            let mut on = BTreeMap::new();
            for alarm in &alarms {
                let name = (alarm.kind.as_str(), alarm.channel_id);
                on.insert(name, alarm.kind);
                if !told.contains_key(&name) {
                    let channel = alarm.channel_id.map(tracing::field::display);
                    tracing::error!(alarm = name.0, channel, "{}", alarm.message);
                }
            }
            for (alarm, channel) in told.keys().filter(|name| !on.contains_key(*name)) {
                tracing::info!(alarm, channel = channel.map(tracing::field::display), "the alarm is over");
            }
            told = on;
        }
    }

    fn look_once(&self) {
        let Watched { archive, live, door, records, .. } = &self.watched;
        let now = self.now();
        let channels: Vec<_> = live.channels().into_iter().filter(|channel| channel.is_live).collect();
        let recorded: Vec<_> =
            channels.iter().map(|channel| archive.recorded_until(channel.channel_id)).collect();
        let files = Files { are_used_up: door.is_used_up(), refused_us: door.refused_us() };
        let mut seen = self.seen();
        seen.files = files;
        let ids: BTreeSet<Uuid> = channels.iter().map(|channel| channel.channel_id).collect();
        seen.live.retain(|id, _| ids.contains(id));
        for (channel, recorded_until_us) in channels.iter().zip(recorded) {
            let progress = seen.live.entry(channel.channel_id).or_default();
            if *records {
                progress.look(channel.fragments, recorded_until_us, now);
            }
            if let Some(camera) = seen.cameras.get_mut(&channel.channel_id) {
                camera.last_us = Some(now.wall_us);
                camera.is_elsewhere = false;
            }
        }
    }

    async fn look_at_catalog(&self) {
        loop {
            self.seen().catalog.begin(self.now());
            let looked = tokio::time::timeout(CATALOG_TIMEOUT, self.watched.catalog.probe()).await;
            let trouble = match looked {
                Ok(looked) => looked.err(),
                Err(_) => Some(DatabaseTrouble {
                    is_away: true,
                    reason: format!("no answer within {} s", CATALOG_TIMEOUT.as_secs()),
                }),
            };
            self.seen().catalog.end(trouble, self.now());
            tokio::time::sleep(CATALOG_PAUSE).await;
        }
    }

    async fn look_at_cameras(&self) {
        // When the catalog was asked for the last frame of each, by the monotonic clock.
        let mut asked: HashMap<Uuid, i64> = HashMap::new();
        loop {
            // While the catalog is away, cameras are those of a while ago; that it is away is an alarm of its own.
            match tokio::time::timeout(CATALOG_TIMEOUT, self.cameras(&mut asked)).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the catalog does not tell its cameras"),
            }
            tokio::time::sleep(CAMERAS_PAUSE).await;
        }
    }

    /// Which cameras there are, whether their clubs are open, and what each has sent last.
    async fn cameras(&self, asked: &mut HashMap<Uuid, i64>) -> Result<(), CatalogError> {
        let Watched { catalog, knows_cameras, .. } = &self.watched;
        let now = self.now();
        let clubs: HashMap<Uuid, Club> =
            catalog.clubs().await?.into_iter().map(|club| (club.id, club)).collect();
        let names: HashMap<Uuid, String> = catalog
            .channel_routes()
            .await?
            .into_iter()
            .map(|route| (route.channel.id, route.object_prefix()))
            .collect();
        let mut cameras = BTreeMap::new();
        for (channel_id, place) in catalog.channel_places().await? {
            let Some(club) = place.place.club.and_then(|club| clubs.get(&club)) else { continue };
            let open_since_us = catalog::schedule::open_since(club, now.wall_us);
            let before = self.seen().cameras.get(&channel_id).cloned();
            let (mut last_us, mut is_elsewhere) =
                before.map_or((None, false), |camera| (camera.last_us, camera.is_elsewhere));
            let is_live = self.seen().live.contains_key(&channel_id);
            let is_stale =
                asked.get(&channel_id).is_none_or(|at_us| now.monotonic_us - at_us >= LAST_FRAME_AGE_US);
            if *knows_cameras && open_since_us.is_some() && !is_live && is_stale {
                let newest = catalog.newest_segment_of(channel_id).await?;
                asked.insert(channel_id, now.monotonic_us);
                is_elsewhere = match newest.as_ref().map(|row| row.node_id) {
                    // What only the bucket has is held by nobody: whose camera it was is what it was.
                    Some(None) => is_elsewhere,
                    Some(holder) => holder != catalog.node_id(),
                    None => false,
                };
                let recorded_us = newest.map(|row| row.end_us.unwrap_or(row.start_us));
                last_us = last_us.max(recorded_us);
            }
            let place = names.get(&channel_id).cloned().unwrap_or_else(|| channel_id.to_string());
            cameras.insert(channel_id, Camera { place, open_since_us, last_us, is_elsewhere });
        }
        asked.retain(|id, _| cameras.contains_key(id));
        let mut seen = self.seen();
        // What came while the catalog was asked.
        for (id, camera) in &mut cameras {
            camera.last_us = camera.last_us.max(seen.cameras.get(id).and_then(|before| before.last_us));
        }
        seen.cameras = cameras;
        Ok(())
    }
}

/// Looks at the disk until the watch has ended.
fn look_at_disk(inner: &Weak<Inner>) {
    let Some(places) = inner.upgrade().map(|inner| inner.watched.places.clone()) else { return };
    let mut places = Places::of(places);
    loop {
        let Some(inner) = inner.upgrade().filter(|inner| !inner.is_ended.load(Ordering::Acquire)) else {
            return;
        };
        inner.seen().disk.begin(inner.now());
        let gone = places.look();
        let trouble = match gone {
            Ok(Some(what)) => Some(DiskTrouble::Gone(what)),
            Ok(None) => inner.watched.folders.iter().find_map(|folder| {
                let error = probe(inner.watched.disk.as_ref(), folder).err()?;
                Some(DiskTrouble::Refuses(format!("{}: {error}", folder.display())))
            }),
            Err(error) => Some(DiskTrouble::Refuses(error.to_string())),
        };
        inner.seen().disk.end(trouble, inner.now());
        drop(inner);
        std::thread::sleep(DISK_PAUSE);
    }
}

/// Writes, syncs and removes a file of a few bytes. A folder that is made later is not missed.
fn probe(disk: &dyn Disk, folder: &Path) -> std::io::Result<()> {
    if !disk.exists(folder) {
        return Ok(());
    }
    let path = folder.join(format!(".watch-{}", Uuid::now_v7()));
    let written = disk.create_new(&path).and_then(|file| {
        let written = file.append_vectored(&[IoSlice::new(b"watch")]).and_then(|()| file.sync_data());
        drop(file);
        // Also where it could not be written: a full disk would otherwise gather one with every look.
        disk.remove(&path)?;
        written
    });
    match written {
        // That is for the keeper to see to, and an alarm of its own when it cannot.
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        written => written,
    }
}
