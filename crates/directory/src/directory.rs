//! The handle everybody holds, and the loop that acts on what [`Lifecycle`] decides.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;
use world::{Clock, Disk};

use crate::config::DirectoryConfig;
use crate::error::{ConfigError, TableError};
use crate::finding::Finding;
use crate::journal::Journal;
use crate::keys::{Hasher, KeyCache, KeyHash, Memory};
use crate::lifecycle::{Action, Facts, Lifecycle, Outcome};
use crate::limits::{
    FACTS_INTERVAL, FINISH_TIMEOUT, LOG_INTERVAL, LOOKUP_TIMEOUT, MAX_IDS_PER_REQUEST, MAX_KEY_BYTES,
    MAX_LOOKUPS,
};
use crate::reconcile;
use crate::table::{self, Table, Update};
use crate::watch::Watch;

/// What the directory asks of the node it belongs to.
pub trait Node: Send + Sync + 'static {
    /// The channels whose frames come at the moment. Asked every [`FACTS_INTERVAL`].
    fn live_channels(&self) -> Vec<Uuid>;

    /// The channel's key is no longer in the table: its publisher must go.
    fn drop_publisher(&self, channel: Uuid);
}

/// A channel that the table knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutsideChannel {
    /// The row's id.
    pub id: Uuid,
}

/// A key cannot be judged at the moment: the table cannot be asked, and the key was not right lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the directory cannot be asked at the moment")]
pub struct Unavailable;

/// The outside table: who is live is told to it, and keys are looked up in it. Clones are the same.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    config: DirectoryConfig,
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    journal: Journal,
    hasher: Hasher,
    start: Instant,
    keys: Mutex<KeyCache>,
    watch: Mutex<Watch>,
    lookups: Semaphore,
    trouble: Mutex<Trouble>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("kind", &self.0.config.kind).finish_non_exhaustive()
    }
}

impl Directory {
    /// Prepares everything and asks nobody yet. Call it inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be used, whoever would answer.
    pub fn open(
        config: DirectoryConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let ages = config.ages;
        if config.reconcile && ages.reconcile_after < ages.refresh * 2 {
            let reason = "`reconcile_after` must be at least twice `refresh`, or nodes would switch each other's channels off";
            return Err(ConfigError(reason.to_owned()));
        }
        let hasher = Hasher::new().map_err(|error| ConfigError(format!("no random bytes: {error}")))?;
        Ok(Self(Arc::new(Inner {
            table: table::open(&config)?,
            journal: Journal::new(disk, config.journal.clone()),
            config,
            clock,
            hasher,
            start: Instant::now(),
            keys: Mutex::new(KeyCache::new(ages)),
            watch: Mutex::default(),
            lookups: Semaphore::new(MAX_LOOKUPS),
            trouble: Mutex::default(),
        })))
    }

    /// The channel that a stream key belongs to. From then on the key is looked up again while its channel is live.
    ///
    /// Answers within [`LOOKUP_TIMEOUT`]. While the table is away, keys that were right are let in for
    /// [`Ages::known_while_away`](crate::Ages); after a restart none is known.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the table cannot be asked about a key that was not right lately.
    pub async fn authorise(&self, key: &str) -> Result<Option<OutsideChannel>, Unavailable> {
        // A NUL can be sent to no PostgreSQL (its documentation, 8.3).
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
            return Ok(None);
        }
        let inner = &self.0;
        let hash = inner.hasher.hash(key);
        let memory = inner.keys().recall(&hash, inner.now());
        let found = match memory {
            Memory::Known(channel) => Some(channel),
            Memory::Unknown => None,
            Memory::Nothing => inner.look_up(key, hash).await?,
        };
        if let Some(channel) = found {
            inner.watch().add(channel, hash, inner.now());
        }
        Ok(found.map(|id| OutsideChannel { id }))
    }

    /// The channel's publisher was let in by a key that is not the table's: nobody is to drop it on the table's word.
    pub fn forget(&self, channel: Uuid) {
        self.0.watch().forget(&channel);
    }

    /// What the last request came to, where it failed: for those who watch a node.
    #[must_use]
    pub fn trouble(&self) -> Option<TableError> {
        self.0.trouble().current.clone()
    }

    /// What is right and wrong with the table and the way to it. Changes nothing.
    pub async fn check(&self) -> Vec<Finding> {
        self.0.table.check(self.0.clock.now_us()).await
    }

    /// Tells the table who is live until `shutdown` resolves; then says within [`FINISH_TIMEOUT`] that nobody is. What
    /// cannot be told by then is told after the next start.
    pub async fn run(self, node: Arc<dyn Node>, shutdown: impl Future<Output = ()>) {
        let inner = self.0;
        tracing::info!(kind = ?inner.config.kind, table = %inner.config.table, "the directory is told who is live");
        let mut background = JoinSet::new();
        background.spawn(inner.clone().check_keys(node.clone()));
        if inner.config.reconcile {
            background.spawn(inner.clone().reconcile(node.clone()));
        }
        let mut teller = Teller::start(inner, node.as_ref()).await;
        let mut ticks = tokio::time::interval(FACTS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = teller.heard() => {}
                _ = ticks.tick() => {}
            }
            teller.step(node.live_channels(), false);
        }
        // The rest is dropped half-way: a write that is under way is whole or not at all.
        background.shutdown().await;
        teller.finish().await;
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn keys(&self) -> MutexGuard<'_, KeyCache> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self, key: &str, hash: KeyHash) -> Result<Option<Uuid>, Unavailable> {
        let ask = async {
            // It is never closed.
            let _place = self.lookups.acquire().await.map_err(|_| TableError::timeout())?;
            self.table.find(key).await
        };
        match tokio::time::timeout(LOOKUP_TIMEOUT, ask).await.unwrap_or_else(|_| Err(TableError::timeout())) {
            Ok(mut rows) => {
                // Whatever the table's collation thinks is the same.
                rows.retain(|row| row.stream_id.0 == key);
                let found = match rows.as_slice() {
                    [] => None,
                    [row] => Some(row.id),
                    [first, second, ..] => {
                        tracing::warn!(first = %first.id, second = %second.id, "two rows of the directory have the same \
                            stream key: nobody is let in by it");
                        None
                    }
                };
                self.keys().learn(hash, found, self.now());
                Ok(found)
            }
            Err(error) => {
                self.trouble().failed("cannot look a stream key up in the directory", &error, self.now());
                self.keys().recall_while_away(&hash, self.now()).map(Some).ok_or(Unavailable)
            }
        }
    }

    /// Looks the keys of live publishers up again, for ever.
    async fn check_keys(self: Arc<Self>, node: Arc<dyn Node>) {
        let mut ticks = tokio::time::interval(self.config.ages.check);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let live: BTreeSet<Uuid> = node.live_channels().into_iter().collect();
            let due = self.watch().due(&live, self.now());
            for batch in due.chunks(MAX_IDS_PER_REQUEST) {
                let channels: Vec<Uuid> = batch.iter().map(|(channel, _)| *channel).collect();
                match self.table.keys(&channels).await {
                    Ok(rows) => {
                        let keys: HashMap<Uuid, KeyHash> =
                            rows.iter().map(|row| (row.id, self.hasher.hash(&row.stream_id.0))).collect();
                        self.judge(batch, &keys, node.as_ref());
                    }
                    // Nobody is dropped because the table is away.
                    Err(error) => {
                        self.trouble().failed("cannot look live stream keys up again", &error, self.now());
                    }
                }
            }
        }
    }

    fn judge(&self, batch: &[(Uuid, KeyHash)], keys: &HashMap<Uuid, KeyHash>, node: &dyn Node) {
        for (channel, key) in batch {
            if keys.get(channel) == Some(key) {
                self.keys().learn(*key, Some(*channel), self.now());
                continue;
            }
            self.keys().revoke(key);
            if self.watch().revoke(channel, key) {
                tracing::warn!(%channel, "the stream key is no longer in the directory: its publisher is dropped");
                node.drop_publisher(*channel);
            }
        }
    }

    async fn reconcile(self: Arc<Self>, node: Arc<dyn Node>) {
        if self.config.columns.modified.is_none() {
            tracing::info!(
                "without a column for `modified` only channels that this node switched on are reconciled"
            );
            return;
        }
        let done = async {
            let rows = reconcile::claimed(self.table.as_ref()).await?;
            tokio::time::sleep(self.config.ages.reconcile_after).await;
            let live = node.live_channels().into_iter().collect();
            let updates = reconcile::decide(rows, &live, &self.config.words, self.clock.now_us());
            let changed = reconcile::write(self.table.as_ref(), &updates).await?;
            Ok::<_, TableError>((updates.len(), changed))
        };
        match done.await {
            Ok((claimed, changed)) => {
                tracing::info!(
                    claimed,
                    changed,
                    "channels that the directory believed live were switched off"
                );
            }
            Err(error) => self.trouble().failed("cannot reconcile the directory", &error, self.now()),
        }
    }

    async fn act(&self, action: &Action) -> Result<(), TableError> {
        match action {
            Action::Update { channel, is_live, modified_us, condition } => {
                let words = &self.config.words;
                let update = Update {
                    channel: *channel,
                    is_live: *is_live,
                    last_status: words.status(*is_live).to_owned(),
                    cover: is_live.then(|| words.cover_of(*channel)),
                    modified_us: *modified_us,
                    condition: condition.clone(),
                };
                if self.table.update(&update).await? == 0 {
                    // Channels of the catalog alone, a row that was deleted, a row that another node tends.
                    tracing::debug!(%channel, "no row of the directory was changed");
                }
            }
            Action::Refresh { channels, modified_us } => {
                self.table.refresh(channels, *modified_us).await?;
            }
        }
        Ok(())
    }
}

/// The loop's own state.
struct Teller {
    inner: Arc<Inner>,
    lifecycle: Lifecycle,
    requests: JoinSet<Result<(), TableError>>,
    /// What is on its way, by its task.
    actions: HashMap<Id, Action>,
    saving: Option<JoinHandle<std::io::Result<()>>>,
    is_dirty: bool,
}

impl Teller {
    async fn start(inner: Arc<Inner>, node: &dyn Node) -> Self {
        let mut lifecycle = Lifecycle::new(inner.config.ages.refresh, inner.hasher.number());
        let journal = inner.journal.clone();
        match tokio::task::spawn_blocking(move || journal.load()).await {
            Ok(Ok(entries)) => {
                let facts = facts(&inner, node.live_channels(), false);
                lifecycle.restore(entries, &facts, inner.now());
            }
            Ok(Err(error)) => {
                let path = inner.journal.path().display();
                tracing::warn!(%error, %path, "cannot read which channels were live; the reconciliation finds them");
            }
            Err(error) => tracing::error!(%error, "reading the directory's journal failed"),
        }
        let (requests, actions) = (JoinSet::new(), HashMap::new());
        Self { inner, lifecycle, requests, actions, saving: None, is_dirty: false }
    }

    /// Waits until a request or the file is done, and takes note. Safe to drop.
    async fn heard(&mut self) {
        let saved = async {
            match &mut self.saving {
                Some(saving) => saving.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.requests.join_next_with_id() => {
                let (id, result) = match ended {
                    Ok(ended) => ended,
                    Err(error) => (error.id(), Err(TableError::Unavailable("the request was broken off".to_owned()))),
                };
                self.ended(id, result);
            }
            saved = saved => {
                self.saving = None;
                if let Err(error) = saved.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                    // It is tried again with the next change; until then a restart leaves more to the reconciliation.
                    tracing::warn!(%error, path = %self.inner.journal.path().display(), "cannot keep which channels are live");
                }
            }
            else => std::future::pending().await,
        }
    }

    fn ended(&mut self, id: Id, result: Result<(), TableError>) {
        let Some(action) = self.actions.remove(&id) else { return };
        let now = self.inner.now();
        let outcome = match &result {
            Ok(()) => Outcome::Settled,
            Err(error) if error.is_temporary() => Outcome::Away,
            Err(_) => Outcome::Refused,
        };
        match result {
            Ok(()) => self.inner.trouble().succeeded(),
            Err(error) => self.inner.trouble().failed("cannot tell the directory who is live", &error, now),
        }
        self.lifecycle.done(&action, outcome, now);
    }

    fn step(&mut self, live: Vec<Uuid>, is_closing: bool) {
        let facts = facts(&self.inner, live, is_closing);
        for action in self.lifecycle.step(&facts, self.inner.now()) {
            let (inner, request) = (self.inner.clone(), action.clone());
            let task = self.requests.spawn(async move { inner.act(&request).await });
            self.actions.insert(task.id(), action);
        }
        let overflow = self.lifecycle.overflow();
        if overflow > 0 {
            self.inner.trouble().overflowed(overflow, self.inner.now());
        }
        self.is_dirty |= self.lifecycle.take_dirty();
        if self.is_dirty && self.saving.is_none() {
            self.is_dirty = false;
            let (journal, entries) = (self.inner.journal.clone(), self.lifecycle.entries());
            self.saving = Some(tokio::task::spawn_blocking(move || journal.save(entries)));
        }
    }

    /// Says that nobody is live, as far as there is time, and leaves the rest to the next start.
    async fn finish(mut self) {
        let told = async {
            self.step(Vec::new(), true);
            while self.lifecycle.pending() > 0 || self.saving.is_some() || self.is_dirty {
                tokio::select! {
                    () = self.heard() => {}
                    // A try that failed is due again in a moment.
                    () = tokio::time::sleep(FACTS_INTERVAL) => {}
                }
                self.step(Vec::new(), true);
            }
        };
        if tokio::time::timeout(FINISH_TIMEOUT, told).await.is_err() {
            let channels = self.lifecycle.pending();
            tracing::warn!(channels, "the directory was not told in time; it will be after the next start");
        }
    }
}

fn facts(inner: &Inner, live: Vec<Uuid>, is_closing: bool) -> Facts {
    Facts { live: live.into_iter().collect(), now_us: inner.clock.now_us(), is_closing }
}

/// Says once that something is wrong, again after [`LOG_INTERVAL`], and once that it is over.
#[derive(Default)]
struct Trouble {
    logged: Option<Duration>,
    unreported: u64,
    current: Option<TableError>,
    overflow_logged: Option<Duration>,
}

impl Trouble {
    fn failed(&mut self, what: &str, error: &TableError, now: Duration) {
        self.current = Some(error.clone());
        self.unreported += 1;
        if self.logged.is_none_or(|logged| now.saturating_sub(logged) >= LOG_INTERVAL) {
            tracing::warn!(%error, failures = self.unreported, "{what}");
            (self.logged, self.unreported) = (Some(now), 0);
        }
    }

    fn succeeded(&mut self) {
        if self.current.take().is_some() {
            tracing::info!("the directory takes updates again");
            (self.logged, self.unreported) = (None, 0);
        }
    }

    fn overflowed(&mut self, channels: usize, now: Duration) {
        if self.overflow_logged.is_none_or(|logged| now.saturating_sub(logged) >= LOG_INTERVAL) {
            tracing::warn!(
                channels,
                limit = crate::limits::MAX_CHANNELS,
                "live channels are not told to the directory"
            );
            self.overflow_logged = Some(now);
        }
    }
}
