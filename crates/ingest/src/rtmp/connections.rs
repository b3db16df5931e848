//! Which connections there are, what has gone over them, and how one is dropped by its number.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// The connections of a server. Cloning gives another handle to the same list, which is no longer than the server's limit.
#[derive(Clone, Default, Debug)]
pub struct Connections(Arc<Mutex<BTreeMap<u64, Arc<Entry>>>>);

/// One connection at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionStatus {
    /// Its number; never used again.
    pub id: u64,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// UTC microseconds since when it is connected.
    pub since_us: i64,
    /// What it does; [`None`] while it does neither.
    pub role: Option<Role>,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Bytes that it was sent or that wait for it.
    pub sent_bytes: u64,
}

/// What a connection is there for, and the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It publishes the channel.
    Publishes(Uuid),
    /// It plays the channel.
    Plays(Uuid),
}

#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    since_us: i64,
    role: Mutex<Option<Role>>,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    is_dropped: AtomicBool,
    dropped: Notify,
}

impl Connections {
    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<ConnectionStatus> {
        self.lock().iter().map(|(id, entry)| entry.status(*id)).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends a connection; false where there is none of that number. Whoever it is may come back at once.
    pub fn drop_connection(&self, id: u64) -> bool {
        let Some(entry) = self.lock().get(&id).cloned() else { return false };
        entry.is_dropped.store(true, Ordering::Release);
        entry.dropped.notify_one();
        true
    }

    /// Lists a connection until what is returned is dropped.
    pub(crate) fn enter(&self, id: u64, peer: SocketAddr, since_us: i64) -> Listed {
        let entry = Arc::new(Entry {
            peer,
            since_us,
            role: Mutex::default(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            is_dropped: AtomicBool::new(false),
            dropped: Notify::new(),
        });
        self.lock().insert(id, entry.clone());
        Listed { connections: self.clone(), id, entry }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        // Nothing under this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn status(&self, id: u64) -> ConnectionStatus {
        ConnectionStatus {
            id,
            peer: self.peer,
            since_us: self.since_us,
            role: *self.role.lock().unwrap_or_else(PoisonError::into_inner),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }
}

/// A connection's own line in the list.
#[derive(Debug)]
pub(crate) struct Listed {
    connections: Connections,
    id: u64,
    entry: Arc<Entry>,
}

impl Listed {
    /// Resolves when somebody has dropped the connection.
    pub(crate) async fn dropped(&self) {
        while !self.is_dropped() {
            self.entry.dropped.notified().await;
        }
    }

    /// Whether somebody has.
    pub(crate) fn is_dropped(&self) -> bool {
        self.entry.is_dropped.load(Ordering::Acquire)
    }

    /// What it does from now on.
    pub(crate) fn does(&self, role: Option<Role>) {
        *self.entry.role.lock().unwrap_or_else(PoisonError::into_inner) = role;
    }

    /// Bytes that came.
    pub(crate) fn received(&self, bytes: u64) {
        self.entry.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that are sent.
    pub(crate) fn sent(&self, bytes: u64) {
        self.entry.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_listed_counted_and_dropped_by_its_number() {
        let connections = Connections::default();
        let peer = SocketAddr::from(([10, 0, 0, 1], 5));
        let first = connections.enter(1, peer, 7);
        let second = connections.enter(2, peer, 8);
        first.does(Some(Role::Publishes(Uuid::nil())));
        first.received(3);
        first.received(4);
        first.sent(1);
        let status = connections.all()[0];
        assert_eq!((status.id, status.peer, status.since_us), (1, peer, 7));
        let role = Some(Role::Publishes(Uuid::nil()));
        assert_eq!((status.role, status.received_bytes, status.sent_bytes), (role, 7, 1));
        // Dropped before it looks: the notice is kept.
        assert!(connections.drop_connection(2) && !connections.drop_connection(3));
        second.dropped().await;
        drop(second);
        assert!(!connections.drop_connection(2));
        drop(first);
        assert!(connections.is_empty());
    }
}
