//! Who publishes what: one holder per channel, and takeover by the newest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use uuid::Uuid;

use super::pace::{Paced, SessionPace};
use crate::limits::TAKEOVER_TIMEOUT;

/// The channels that are published at the moment. Cloning gives another handle to the same list.
#[derive(Clone, Default, Debug)]
pub struct Publishers(Arc<Mutex<Channels>>);

#[derive(Default, Debug)]
struct Channels {
    published: HashMap<Uuid, Channel>,
    /// What outlives a connection. Only channels whose key was right get here, so there are no more of them than the gate knows.
    remembered: HashMap<Uuid, Remembered>,
}

#[derive(Default, Debug)]
struct Remembered {
    /// Where the channel's last session ended, by the monotonic clock: the next one starts no earlier.
    ended_us: Option<i64>,
    pace: SessionPace,
}

#[derive(Debug)]
struct Channel {
    /// Held by the connection whose session runs; waited for by the one that replaces it.
    session: Arc<AsyncMutex<()>>,
    /// The newest connection, whether its session runs already or not.
    holder: u64,
    /// Tells the newest connection that it must go.
    dismissal: Arc<Dismissal>,
}

/// How a connection learns that its channel is no longer its own.
#[derive(Default, Debug)]
struct Dismissal {
    notify: Notify,
    reason: OnceLock<Dismissed>,
}

impl Dismissal {
    /// The first reason stands.
    fn give(&self, reason: Dismissed) {
        self.reason.get_or_init(|| reason);
        self.notify.notify_one();
    }

    async fn received(&self) -> Dismissed {
        loop {
            if let Some(reason) = self.reason.get() {
                return *reason;
            }
            self.notify.notified().await;
        }
    }
}

/// Why a connection must let its channel go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dismissed {
    /// A newer connection wants the channel.
    Replaced,
    /// See [`Publishers::drop_publisher`].
    Revoked,
    /// See [`Connections::drop_connection`](super::Connections::drop_connection).
    Dropped,
}

/// Why a connection may not publish although its key is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoLease {
    /// It was sent away while it waited.
    Dismissed(Dismissed),
    /// The previous connection did not let go in time.
    Timeout,
}

impl Publishers {
    /// Whether somebody publishes to the channel.
    #[must_use]
    pub fn is_publishing(&self, channel_id: Uuid) -> bool {
        self.lock().published.contains_key(&channel_id)
    }

    /// Number of channels that are published.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().published.len()
    }

    /// Whether nobody publishes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends the channel's publisher away because its key is no longer right; false where there is none. It can come back
    /// as soon as the gate lets it in again.
    pub fn drop_publisher(&self, channel_id: Uuid) -> bool {
        let channels = self.lock();
        let Some(channel) = channels.published.get(&channel_id) else { return false };
        channel.dismissal.give(Dismissed::Revoked);
        true
    }

    /// Sends the present holder of the channel away, waits until its session has ended, and takes its place.
    ///
    /// The second value is the connection that was replaced.
    pub(crate) async fn acquire(
        &self,
        channel_id: Uuid,
        connection: u64,
    ) -> Result<(Lease, Option<u64>), NoLease> {
        let dismissal = Arc::new(Dismissal::default());
        let (session, previous) = match self.lock().published.entry(channel_id) {
            Entry::Occupied(mut occupied) => {
                let channel = occupied.get_mut();
                channel.dismissal.give(Dismissed::Replaced);
                channel.dismissal = dismissal.clone();
                let previous = std::mem::replace(&mut channel.holder, connection);
                (channel.session.clone(), Some(previous))
            }
            Entry::Vacant(vacant) => {
                let session = Arc::new(AsyncMutex::new(()));
                vacant.insert(Channel {
                    session: session.clone(),
                    holder: connection,
                    dismissal: dismissal.clone(),
                });
                (session, None)
            }
        };
        // From here on the claim must be withdrawn on every way out, also when this future is dropped.
        let mut lease = Lease {
            publishers: self.clone(),
            channel_id,
            connection,
            dismissal: dismissal.clone(),
            guard: None,
        };
        tokio::select! {
            biased;
            dismissed = dismissal.received() => return Err(NoLease::Dismissed(dismissed)),
            guard = session.lock_owned() => lease.guard = Some(guard),
            () = tokio::time::sleep(TAKEOVER_TIMEOUT) => return Err(NoLease::Timeout),
        }
        Ok((lease, previous))
    }

    fn lock(&self) -> MutexGuard<'_, Channels> {
        // Nothing under this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to push samples of a channel; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    publishers: Publishers,
    channel_id: Uuid,
    connection: u64,
    dismissal: Arc<Dismissal>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lease {
    /// Resolves when the connection must let the channel go.
    pub(crate) async fn dismissed(&self) -> Dismissed {
        self.dismissal.received().await
    }

    /// Why the connection must let the channel go, if it must.
    pub(crate) fn is_dismissed(&self) -> Option<Dismissed> {
        self.dismissal.reason.get().copied()
    }

    /// Where the channel's last session ended, microseconds of the monotonic clock; the distant past when it had none on this
    /// node.
    pub(crate) fn last_end_us(&self) -> i64 {
        let channels = self.publishers.lock();
        channels.remembered.get(&self.channel_id).and_then(|channel| channel.ended_us).unwrap_or(i64::MIN)
    }

    /// Remembers where a session ended.
    pub(crate) fn session_ended(&self, end_us: i64) {
        self.publishers.lock().remembered.entry(self.channel_id).or_default().ended_us = Some(end_us);
    }

    /// Counts a session that has begun.
    pub(super) fn session_began(&self, now_us: i64) -> Paced {
        self.publishers.lock().remembered.entry(self.channel_id).or_default().pace.begun(now_us)
    }

    /// Before when no session may begin, microseconds of the monotonic clock.
    pub(crate) fn not_before_us(&self) -> i64 {
        let channels = self.publishers.lock();
        channels.remembered.get(&self.channel_id).map_or(i64::MIN, |channel| channel.pace.not_before_us())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Entry::Occupied(occupied) = self.publishers.lock().published.entry(self.channel_id)
            && occupied.get().holder == self.connection
        {
            occupied.remove();
        }
        self.guard = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Uuid = Uuid::from_u128(7);

    #[tokio::test]
    async fn the_newest_gets_the_channel_after_the_previous_let_go() {
        let publishers = Publishers::default();
        let (first, previous) = publishers.acquire(CHANNEL, 1).await.expect("free");
        assert_eq!(previous, None);
        assert!(publishers.is_publishing(CHANNEL));

        let second = tokio::spawn({
            let publishers = publishers.clone();
            async move { publishers.acquire(CHANNEL, 2).await }
        });
        assert_eq!(first.dismissed().await, Dismissed::Replaced);
        assert!(!second.is_finished());
        drop(first);
        let (second, previous) = second.await.expect("task").expect("let go");
        assert_eq!(previous, Some(1));
        assert_eq!(publishers.len(), 1);
        drop(second);
        assert!(publishers.is_empty());
    }

    #[tokio::test]
    async fn of_many_that_wait_only_the_newest_stays() {
        let publishers = Publishers::default();
        let (first, _) = publishers.acquire(CHANNEL, 1).await.expect("free");
        let mut waiting = Vec::new();
        for connection in 2..6 {
            let publishers = publishers.clone();
            let claim =
                async move { publishers.acquire(CHANNEL, connection).await.map(|(_, previous)| previous) };
            let mut claim = Box::pin(claim);
            // Polled once, so that the claims come in order.
            assert!(
                std::future::poll_fn(|context| std::task::Poll::Ready(
                    claim.as_mut().poll(context).is_pending()
                ))
                .await
            );
            waiting.push(claim);
        }
        drop(first);
        let mut results = Vec::new();
        for claim in waiting {
            results.push(claim.await);
        }
        assert_eq!(results.pop(), Some(Ok(Some(4))));
        assert!(
            results.iter().all(|result| *result == Err(NoLease::Dismissed(Dismissed::Replaced))),
            "{results:?}"
        );
        assert!(publishers.is_empty());
    }

    #[tokio::test]
    async fn who_holds_a_channel_can_be_sent_away_and_nobody_else_is() {
        let publishers = Publishers::default();
        assert!(!publishers.drop_publisher(CHANNEL));
        let (lease, _) = publishers.acquire(CHANNEL, 1).await.expect("free");
        assert!(!publishers.drop_publisher(Uuid::from_u128(8)));
        assert!(publishers.drop_publisher(CHANNEL));
        assert_eq!(lease.dismissed().await, Dismissed::Revoked);
        drop(lease);
        // The next one starts with a clean slate.
        let (lease, previous) = publishers.acquire(CHANNEL, 2).await.expect("free");
        assert_eq!(previous, None);
        let dismissed = tokio::time::timeout(std::time::Duration::from_millis(50), lease.dismissed()).await;
        assert!(dismissed.is_err());
    }

    #[tokio::test]
    async fn a_holder_that_does_not_let_go_is_waited_for_only_so_long() {
        let publishers = Publishers::default();
        let (_first, _) = publishers.acquire(CHANNEL, 1).await.expect("free");
        assert_eq!(publishers.acquire(CHANNEL, 2).await.map(|_| ()), Err(NoLease::Timeout));
    }
}
