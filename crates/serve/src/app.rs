//! What every handler reaches: the rooms behind this one, the clock and the signer.

use crate::{
    api::ChannelRelay,
    door::Door,
    frames::Frames,
    handlers::Readiness,
    http::{answers::Answers, memory::Memory},
    limits::{BUCKET_URL_LIFE, FREE_RANGE_US, MAX_CONNECTIONS, MEMORY_BYTES},
    metrics::Measured,
    monitor::FlvPlayers,
    operators::Operators,
    playlists::Playlists,
    problem::Problem,
    token::{Grant, Signer, TokenError, TokenKind},
    viewing::Viewing,
};
use archive::{Alarm, Archive};
use catalog::Catalog;
use live::covers::Covers;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use uuid::Uuid;
use world::{Clock, Disk};

/// Who knows which channels are being recorded at this moment.
pub trait Live: Send + Sync + 'static {
    /// Whether a publisher of this channel is connected and its session runs.
    fn is_live(&self, channel: Uuid) -> bool;
}

/// Who watches over what the archive cannot see by itself: disk and database, descriptors, cameras.
pub trait Watch: Send + Sync + 'static {
    /// The alarms that are on. Answered from memory, whatever hangs.
    fn alarms(&self) -> Vec<Alarm>;
}

/// Who knows where channels are relayed to.
pub trait Relays: Send + Sync + 'static {
    /// Each pair of a channel and a target, without a secret. Answered from memory.
    fn relays(&self) -> Vec<ChannelRelay>;
}

/// Settings of this room.
#[derive(Clone)]
pub struct ServeConfig {
    /// The data folder: pictures are kept in `covers/frames` below it, and readiness is whether it can be written.
    pub data: PathBuf,
    /// The ffmpeg program, by path or by name; without it pictures are neutral ones.
    pub ffmpeg: PathBuf,
    /// What no program that is started may see beside the data folder.
    pub private: Vec<PathBuf>,
    /// The disk on which both are.
    pub disk: Arc<dyn Disk>,
    /// What players have to know of the bucket.
    pub bucket: BucketAccess,
    /// The channels' hubs: what is watched live.
    pub hubs: live::Live,
    /// Who may see what the node says of itself.
    pub operators: Operators,
    /// Bytes that answers may hold for their readers, all together.
    pub memory_bytes: u64,
    /// Connections at once, of which there are never more than [`MAX_CONNECTIONS`]: as many descriptors as are left for viewers.
    pub max_connections: usize,
    /// Longest range that a stranger may choose, in microseconds; operators may choose up to a day.
    pub free_range_us: i64,
    /// What else has numbers for `/metrics`.
    pub measured: Vec<Arc<dyn Measured>>,
    /// Who has alarms beside the archive's; without it, nobody.
    pub watch: Option<Arc<dyn Watch>>,
    /// The covers of live channels; without them every cover is unknown.
    pub covers: Option<Covers>,
    /// Where channels are relayed to; without it, nowhere.
    pub relays: Option<Arc<dyn Relays>>,
    /// Who may watch channels of no club: everybody, or operators and those whom they give an address.
    pub of_no_club: access::Policy,
}

/// How players reach what the bucket has.
#[derive(Clone, Debug)]
pub struct BucketAccess {
    /// Scheme, host and port that its signed addresses begin with: pages may connect there, and nowhere else.
    pub origin: Option<String>,
    /// How long an address lives that `/media` redirects to.
    pub url_life: Duration,
}

impl Default for BucketAccess {
    fn default() -> Self {
        Self { origin: None, url_life: BUCKET_URL_LIFE }
    }
}

impl ServeConfig {
    /// Settings for a data folder, with ffmpeg from the search path.
    pub fn new(data: impl Into<PathBuf>, disk: Arc<dyn Disk>) -> Self {
        Self {
            data: data.into(),
            ffmpeg: PathBuf::from("ffmpeg"),
            private: Vec::new(),
            disk,
            bucket: BucketAccess::default(),
            hubs: live::Live::new(),
            operators: Operators::default(),
            memory_bytes: MEMORY_BYTES,
            max_connections: MAX_CONNECTIONS,
            free_range_us: FREE_RANGE_US,
            measured: Vec::new(),
            watch: None,
            covers: None,
            relays: None,
            of_no_club: access::Policy::Open,
        }
    }
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts of an [`App`].
pub(crate) struct Parts {
    pub(crate) archive: Archive,
    pub(crate) catalog: Catalog,
    pub(crate) live: Arc<dyn Live>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) signer: Signer,
    pub(crate) hubs: live::Live,
    pub(crate) door: Door,
    pub(crate) viewing: Viewing,
    pub(crate) code_turn: Arc<Semaphore>,
    pub(crate) frames: Frames,
    pub(crate) readiness: Readiness,
    pub(crate) bucket: BucketAccess,
    pub(crate) operators: Operators,
    pub(crate) answers: Arc<Answers>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) playlists: Playlists,
    pub(crate) free_range_us: i64,
    pub(crate) measured: Vec<Arc<dyn Measured>>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    pub(crate) covers: Option<Covers>,
    pub(crate) flv_players: FlvPlayers,
    pub(crate) relays: Option<Arc<dyn Relays>>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// All alarms that are on, from memory.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        let mut alarms = self.archive.alarms();
        alarms.extend(self.watch.iter().flat_map(|watch| watch.alarms()));
        alarms
    }

    /// What a token grants, if it is of one of these kinds and what it was handed out for still holds.
    pub(crate) async fn granted(&self, token: &str, kinds: &[TokenKind]) -> Result<Grant, Problem> {
        let now_us = self.clock.now_us();
        let mut found = Err(TokenError::Invalid);
        for kind in kinds {
            found = self.signer.verify(token, *kind, now_us);
            if found != Err(TokenError::Invalid) {
                break;
            }
        }
        let grant = found?;
        self.door.still(&grant).await?;
        Ok(grant)
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
