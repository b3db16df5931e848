//! The handle of all relays of a node, and the loop that starts and ends them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use live::Live;
use media::rtmp::{RtmpUrl, StreamKey};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::Clock;

use crate::dial::{Dialler, is_own_ingest};
use crate::limits::{MAX_RELAYS, SHUTDOWN_TIMEOUT};
use crate::plan::{Book, Pair, Published};
use crate::state::{Progress, State, Status};
use crate::target::Target;
use crate::task::Task;

/// All relays of a node. Clones are the same.
#[derive(Clone)]
pub struct Relays {
    inner: Arc<Inner>,
}

struct Inner {
    live: Live,
    clock: Arc<dyn Clock>,
    dialler: Dialler,
    own: OnceLock<SocketAddr>,
    state: Mutex<Tables>,
    /// Counts what was changed from outside.
    changes: watch::Sender<u64>,
    numbers: AtomicU64,
    totals: Arc<Totals>,
}

/// Counted since the start, of relays that are over as well.
#[derive(Default, Debug)]
pub struct Totals {
    /// Bytes that targets have taken.
    pub sent_bytes: AtomicU64,
    /// How often a relay began anew.
    pub reconnects: AtomicU64,
    /// How often a target was too slow and was taken to the newest keyframe.
    pub skipped: AtomicU64,
}

#[derive(Default)]
struct Tables {
    book: Book,
    running: BTreeMap<Pair, Running>,
    /// Pairs that there is no room for.
    refused: HashSet<Pair>,
}

struct Running {
    url: RtmpUrl,
    progress: Arc<Progress>,
    stop: CancellationToken,
    task: Id,
}

/// What a publisher says of the relays of its channel.
#[derive(Clone, Default, Debug)]
pub struct Publishing {
    /// The key it showed, for targets that take it: kept for as long as it publishes.
    pub key: Option<StreamKey>,
    /// Ids of the targets that somebody in front of it serves.
    pub elsewhere: HashSet<String>,
}

/// A channel is published. Dropped, it is not any more, unless another publisher has taken it over.
pub struct Publication {
    relays: Relays,
    channel_id: Uuid,
    number: u64,
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").field("channel_id", &self.channel_id).finish_non_exhaustive()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let mut tables = self.relays.tables();
        if tables.book.published.get(&self.channel_id).is_some_and(|known| known.number == self.number) {
            tables.book.published.remove(&self.channel_id);
            drop(tables);
            self.relays.changed();
        }
    }
}

impl Relays {
    /// Relays of the channels of `live`, to these targets for all of them. Nothing is relayed before [`Relays::run`].
    #[must_use]
    pub fn new(live: Live, clock: Arc<dyn Clock>, for_all: Vec<Target>) -> Self {
        let tables = Tables { book: Book { for_all, ..Book::default() }, ..Tables::default() };
        Self {
            inner: Arc::new(Inner {
                live,
                clock,
                dialler: Dialler::default(),
                own: OnceLock::new(),
                state: Mutex::new(tables),
                changes: watch::Sender::new(0),
                numbers: AtomicU64::new(0),
                totals: Arc::default(),
            }),
        }
    }

    /// Where this node awaits publishers: a target there is refused.
    pub fn set_own_ingest(&self, address: SocketAddr) {
        // Set once: a second time would be of the same listener.
        let _ = self.inner.own.set(address);
    }

    /// A publisher has a channel from now on.
    #[must_use]
    pub fn publishing(&self, channel_id: Uuid, said: Publishing) -> Publication {
        let number = self.inner.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let published = Published { number, key: said.key, elsewhere: said.elsewhere };
        self.tables().book.published.insert(channel_id, published);
        self.changed();
        Publication { relays: self.clone(), channel_id, number }
    }

    /// Replaces the targets of single channels.
    pub fn set_targets(&self, targets: HashMap<Uuid, Vec<Target>>) {
        let mut tables = self.tables();
        if tables.book.of_channel != targets {
            tables.book.of_channel = targets;
            drop(tables);
            self.changed();
        }
    }

    /// The targets of a channel with the addresses that they have for a publisher with this key, for somebody else to serve:
    /// without this node's own ingest, and without those that a relay has given up.
    #[must_use]
    pub fn addresses(&self, channel_id: Uuid, key: &StreamKey) -> Vec<(Target, RtmpUrl)> {
        let own = self.inner.own.get().copied();
        let tables = self.tables();
        let is_given_up = |target: &Target| {
            let relay = tables.running.get(&(channel_id, target.id.clone()));
            relay.is_some_and(|running| matches!(running.progress.state(), State::Stopped { .. }))
        };
        let targets = tables.book.targets(channel_id).filter(|target| !is_given_up(target));
        targets
            .filter_map(|target| Some((target.clone(), target.address.of(Some(key))?)))
            .filter(|(_, url)| own.is_none_or(|own| !is_own_ingest(&url.host, url.port, own)))
            .collect()
    }

    /// What is counted since the start.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.inner.totals
    }

    /// Every relay that runs, and every target of its own that a channel has, by channel.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let tables = self.tables();
        let mut pairs: BTreeMap<Pair, State> = BTreeMap::new();
        for (channel_id, targets) in &tables.book.of_channel {
            pairs.extend(targets.iter().map(|target| ((*channel_id, target.id.clone()), State::Waiting)));
        }
        for (channel_id, published) in &tables.book.published {
            for target in tables.book.targets(*channel_id) {
                let is_elsewhere = published.elsewhere.contains(&target.id);
                let state = if is_elsewhere { State::BySrs } else { State::Waiting };
                pairs.insert((*channel_id, target.id.clone()), state);
            }
        }
        for pair in &tables.refused {
            let reason = format!("this node relays {MAX_RELAYS} times already");
            pairs.insert(pair.clone(), State::Stopped { reason });
        }
        for (pair, running) in &tables.running {
            pairs.insert(pair.clone(), running.progress.state());
        }
        let statuses = pairs.into_iter().filter_map(|(pair, state)| {
            let running = tables.running.get(&pair);
            let target = tables.book.targets(pair.0).find(|target| target.id == pair.1);
            let count = |of: fn(&Progress) -> &AtomicU64| {
                running.map_or(0, |running| of(&running.progress).load(Ordering::Relaxed))
            };
            Some(Status {
                channel_id: pair.0,
                // A relay whose target was removed is saying goodbye: it is not told any more.
                name: target?.name.clone(),
                address: target?.address.masked(),
                target_id: pair.1,
                state,
                sent_bytes: count(|progress| &progress.sent_bytes),
                reconnects: count(|progress| &progress.reconnects),
                skipped: count(|progress| &progress.skipped),
            })
        });
        statuses.collect()
    }

    /// Relays until `shutdown` resolves, then says goodbye to all targets within [`SHUTDOWN_TIMEOUT`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let (mut changes, mut live) = (self.inner.changes.subscribe(), self.inner.live.changes());
        let mut tasks = JoinSet::new();
        loop {
            self.apply(&mut tasks);
            tokio::select! {
                () = &mut shutdown => break,
                // Neither sender goes while we are here.
                _ = changes.changed() => {}
                _ = live.changed() => {}
                Some(ended) = tasks.join_next_with_id() => self.ended(ended),
            }
        }
        for running in self.tables().running.values() {
            running.stop.cancel();
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::debug!("some targets did not take the goodbye");
        }
    }

    /// Ends what is not wanted any more and starts what is.
    fn apply(&self, tasks: &mut JoinSet<()>) {
        let mut tables = self.tables();
        let Tables { book, running, refused } = &mut *tables;
        let wanted = book.wanted();
        running.retain(|pair, known| {
            let is_kept = book.keeps(&wanted, pair, &known.url);
            if !is_kept {
                known.stop.cancel();
            }
            is_kept
        });
        refused.clear();
        for (pair, url) in wanted {
            // Before its first keyframe and after its end a channel has nothing to send.
            if running.contains_key(&pair) || self.inner.live.tags(pair.0).is_none() {
                continue;
            }
            if running.len() >= MAX_RELAYS {
                refused.insert(pair);
                continue;
            }
            let (progress, stop) = (Arc::<Progress>::default(), CancellationToken::new());
            let task = Task {
                live: self.inner.live.clone(),
                clock: Arc::clone(&self.inner.clock),
                dialler: self.inner.dialler.clone(),
                own: self.inner.own.get().copied(),
                channel_id: pair.0,
                target_id: pair.1.clone(),
                url: url.clone(),
                progress: Arc::clone(&progress),
                totals: Arc::clone(&self.inner.totals),
                stop: stop.clone(),
            };
            let task = tasks.spawn(task.run()).id();
            running.insert(pair, Running { url, progress, stop, task });
        }
    }

    fn ended(&self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a relay failed");
                error.id()
            }
        };
        self.tables().running.retain(|_, running| running.task != id);
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
