//! Covers: every ten seconds the newest keyframe of each live channel becomes a JPEG.
//!
//! - **In**: a [`Covers::outlet`] beside the recorder's on each publisher; the channels that there are, from a [`Roster`].
//! - **Out**: `{MD5 of the channel}.jpg` in a folder, replaced by renaming, so that any web server may serve it; the same by
//!   [`Covers::picture`].
//! - **Invariants**: a publisher leaves its keyframe and goes on, whatever becomes of it; a cover is whole at every instant; a
//!   stream that cannot be decoded, or makes ffmpeg hang, loses its own cover and no other; processes, their time, memory and
//!   files have limits with names; no process outlives the node.
//! - **Never**: decoding in this process, a stream key.
//!
//! A process start costs several times what a keyframe does, so the keyframes that are due go through one ffmpeg together
//! (`schedule` says which, `ffmpeg` runs it in a [`Sandbox`](crate::sandbox::Sandbox)). What a batch leaves undone is done again one by one (`workshop`).

mod ffmpeg;
mod folder;
pub mod limits;
mod runner;
mod schedule;
mod slots;
mod workshop;

use std::{
    collections::HashSet,
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use uuid::Uuid;
use world::Disk;

use self::{
    folder::Folder,
    slots::{CoverOutlet, Slots},
    workshop::Workshop,
};
use crate::channel::Outlet;

/// What is shown where nothing else is configured: a court without light.
static SLATE: &[u8] = include_bytes!("../../assets/slate.jpg");

/// A channel as its cover names it: the MD5 of the lower-case text of its UUID, with hyphens. It is a name that others have
/// agreed on, not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CoverId([u8; 16]);

impl CoverId {
    /// The name of a channel.
    #[must_use]
    pub fn of(channel_id: Uuid) -> Self {
        let text = channel_id.hyphenated().to_string();
        Self(Md5::digest(text.as_bytes()).into())
    }

    /// `5d41402abc4b2a76b9719d911017c592.jpg`, and nothing else.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".jpg")?.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(Self(id))
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{self}.jpg")
    }
}

impl fmt::Display for CoverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Settings of covers.
#[derive(Clone, Debug)]
pub struct CoversConfig {
    /// The folder of covers; made when missing.
    pub folder: PathBuf,
    /// Whether everybody on the machine may enter it and read what is in it.
    pub is_shared: bool,
    /// The ffmpeg program, by path or by name; without it there are slates.
    pub ffmpeg: PathBuf,
    /// Folders that ffmpeg must not see, wherever they lie: those of the node.
    pub private: Vec<PathBuf>,
    /// How long a channel may be offline before the slate takes the place of its cover.
    pub slate_after: Duration,
    /// The slate, a JPEG of at most [`limits::MAX_COVER_BYTES`]; see [`check_slate`].
    pub slate: Bytes,
    /// How often a cover is made.
    pub period: Duration,
    /// How long a batch may run.
    pub batch_timeout: Duration,
    /// How long one keyframe alone may run.
    pub single_timeout: Duration,
}

impl CoversConfig {
    /// Settings for a folder, with ffmpeg from the search path and the slate that is built in.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            is_shared: false,
            ffmpeg: PathBuf::from("ffmpeg"),
            private: Vec::new(),
            slate_after: limits::SLATE_AFTER,
            slate: Bytes::from_static(SLATE),
            period: limits::PERIOD,
            batch_timeout: limits::BATCH_TIMEOUT,
            single_timeout: limits::SINGLE_TIMEOUT,
        }
    }
}

/// Whether these bytes can be a slate.
///
/// # Errors
/// Why not, in words.
pub fn check_slate(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > limits::MAX_COVER_BYTES {
        return Err(format!("has {} bytes; at most {} are shown", bytes.len(), limits::MAX_COVER_BYTES));
    }
    if ffmpeg::is_whole_jpeg(bytes) { Ok(()) } else { Err("is no JPEG".to_owned()) }
}

/// Who knows which channels there are.
pub trait Roster: Send + Sync + 'static {
    /// All channels, live or not; `None` when that cannot be told now.
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>>;
}

/// What has been done, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoversStatus {
    /// Whether ffmpeg could be run when it was last tried.
    pub is_ffmpeg_usable: bool,
    /// Whether the folder could be written when it was last tried.
    pub is_folder_usable: bool,
    /// Covers made.
    pub made: u64,
    /// Keyframes that gave none.
    pub failed: u64,
    /// ffmpeg processes run.
    pub processes: u64,
    /// Channels whose last keyframe gave none: they are tried less often.
    pub suspects: usize,
}

/// The covers of a node. Clones are the same.
#[derive(Clone)]
pub struct Covers {
    shared: Arc<Shared>,
}

/// What outlets, readers and the runner share.
struct Shared {
    config: CoversConfig,
    slots: Arc<Slots>,
    workshop: Workshop,
    known: RwLock<Known>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Known {
    /// Of the roster, and what is live.
    ids: HashSet<CoverId>,
    /// Whether the roster has ever been told.
    is_complete: bool,
}

struct Counters {
    is_ffmpeg_usable: AtomicBool,
    is_folder_usable: AtomicBool,
    made: AtomicU64,
    failed: AtomicU64,
    processes: AtomicU64,
    suspects: AtomicUsize,
}

impl Covers {
    /// Covers in a folder of a disk. Nothing happens before [`Self::run`].
    #[must_use]
    pub fn new(config: CoversConfig, disk: Arc<dyn Disk>) -> Self {
        let slots = Arc::new(Slots::default());
        let counters = Arc::new(Counters {
            is_ffmpeg_usable: AtomicBool::new(true),
            is_folder_usable: AtomicBool::new(true),
            made: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            processes: AtomicU64::new(0),
            suspects: AtomicUsize::new(0),
        });
        let folder = Folder::new(disk, &config.folder, config.is_shared, config.slate.clone());
        let workshop = Workshop::new(Arc::new(folder), Arc::clone(&slots), Arc::clone(&counters), &config);
        let known = RwLock::default();
        Self { shared: Arc::new(Shared { config, slots, workshop, known, counters }) }
    }

    /// Takes the keyframes of a publisher that has just become the channel's; one that has it is replaced.
    #[must_use]
    pub fn outlet(&self, channel_id: Uuid) -> Box<dyn Outlet> {
        Box::new(CoverOutlet::new(&self.shared.slots, channel_id))
    }

    /// Makes covers until `shutdown` resolves; no process is left then. To be called once, and not from a thread that ends
    /// before: the processes end with the thread that started them.
    pub async fn run(&self, roster: Arc<dyn Roster>, shutdown: impl Future<Output = ()> + Send) {
        runner::run(&self.shared, roster, shutdown).await;
    }

    /// The cover of a channel that there is, or the slate; nothing for any other name.
    pub async fn picture(&self, id: CoverId) -> Option<Bytes> {
        let (is_known, is_complete) = {
            let known = self.shared.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.ids.contains(&id), known.is_complete)
        };
        if !is_known && is_complete {
            return None;
        }
        let folder = self.shared.workshop.folder();
        let slate = is_known.then(|| folder.slate());
        // A task that panicked has read nothing.
        let read = tokio::task::spawn_blocking(move || folder.read(id)).await.ok().flatten();
        read.or(slate)
    }

    /// What is shown in the place of a cover.
    #[must_use]
    pub fn slate(&self) -> Bytes {
        self.shared.config.slate.clone()
    }

    /// What has been done so far.
    #[must_use]
    pub fn status(&self) -> CoversStatus {
        let counters = &self.shared.counters;
        CoversStatus {
            is_ffmpeg_usable: counters.is_ffmpeg_usable.load(Ordering::Relaxed),
            is_folder_usable: counters.is_folder_usable.load(Ordering::Relaxed),
            made: counters.made.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            processes: counters.processes.load(Ordering::Relaxed),
            suspects: counters.suspects.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CoverId, SLATE, check_slate, limits};
    use uuid::Uuid;

    #[test]
    fn a_cover_is_named_by_the_md5_of_the_uuids_text() {
        // printf 01999999-aaaa-7bbb-8ccc-ddddeeeeffff | md5sum
        let channel = Uuid::parse_str("01999999-AAAA-7BBB-8CCC-DDDDEEEEFFFF").unwrap();
        let id = CoverId::of(channel);
        assert_eq!(id.file_name(), "97816354d2790a3a3ed621b38f9332fd.jpg");
        assert_eq!(CoverId::from_file_name(&id.file_name()), Some(id));
    }

    #[test]
    fn other_names_are_none() {
        let good = CoverId::of(Uuid::nil()).file_name();
        for name in [
            "",
            ".jpg",
            "slate.jpg",
            "../../etc/passwd",
            &good.to_uppercase(),
            &good.replace(".jpg", ".JPG"),
            &good.replace(".jpg", ".png"),
            &good.replace(".jpg", ""),
            &format!("{good}.jpg"),
            &format!("0{good}"),
            &good[1..],
            &good.replacen(|_| true, "g", 1),
            &good.replacen(|_| true, "/", 1),
            &good.replacen(|_| true, "é", 1),
        ] {
            assert_eq!(CoverId::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn slates_are_jpegs_of_a_sensible_size() {
        assert_eq!(check_slate(SLATE), Ok(()));
        assert!(check_slate(b"\x89PNG").unwrap_err().contains("JPEG"));
        let mut long = vec![0; limits::MAX_COVER_BYTES];
        long.splice(0..0, SLATE.iter().copied());
        assert!(check_slate(&long).unwrap_err().contains("bytes"));
    }
}
