//! Who watches by HTTP-FLV: answers without an end, listed and counted as connections are.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{ClientFacts, ClientKind};

/// Their numbers begin here, far above those of RTMP connections, with which they share a list.
const FIRST_ID: u64 = 1 << 40;

/// The players of a node: no more than it has connections. Clones are the same list.
#[derive(Clone, Default, Debug)]
pub struct FlvPlayers(Arc<Mutex<List>>);

#[derive(Default, Debug)]
struct List {
    entered: u64,
    players: BTreeMap<u64, Arc<Player>>,
}

#[derive(Debug)]
struct Player {
    peer: SocketAddr,
    channel_id: Uuid,
    since_us: i64,
    sent_bytes: AtomicU64,
    dropped: Notify,
}

impl FlvPlayers {
    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<ClientFacts> {
        let facts = |(id, player): (&u64, &Arc<Player>)| ClientFacts {
            id: *id,
            peer: player.peer,
            channel_id: player.channel_id,
            kind: ClientKind::FlvPlayer,
            since_us: player.since_us,
            received_bytes: 0,
            sent_bytes: player.sent_bytes.load(Ordering::Relaxed),
        };
        self.lock().players.iter().map(facts).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().players.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends one; false where there is none of that number.
    pub fn drop_player(&self, id: u64) -> bool {
        let Some(player) = self.lock().players.get(&id).cloned() else { return false };
        player.dropped.notify_one();
        true
    }

    /// Lists a player until what is returned is dropped.
    pub(crate) fn enter(&self, peer: SocketAddr, channel_id: Uuid, since_us: i64) -> ListedPlayer {
        let (sent_bytes, dropped) = (AtomicU64::new(0), Notify::new());
        let player = Arc::new(Player { peer, channel_id, since_us, sent_bytes, dropped });
        let mut list = self.lock();
        let id = FIRST_ID + list.entered;
        list.entered += 1;
        list.players.insert(id, Arc::clone(&player));
        drop(list);
        ListedPlayer { players: self.clone(), id, player }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing under this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A player's own line in the list.
#[derive(Debug)]
pub(crate) struct ListedPlayer {
    players: FlvPlayers,
    id: u64,
    player: Arc<Player>,
}

impl ListedPlayer {
    /// Resolves when somebody has dropped it.
    pub(crate) async fn dropped(&self) {
        self.player.dropped.notified().await;
    }

    /// Bytes that go to it.
    pub(crate) fn sent(&self, bytes: usize) {
        self.player.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for ListedPlayer {
    fn drop(&mut self) {
        self.players.lock().players.remove(&self.id);
    }
}
