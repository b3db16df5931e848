//! How an answer gets on: whether its reader takes anything, and the word that ends it where it does not.
//!
//! A connection that moves bytes is not one whose answers move: PING frames, new requests and single bytes are cheap. What
//! counts is that a body is asked for its next piece, and that whoever has asked is not waiting for us.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// The answer is ours to go on with: it is worked out, or its next piece is.
const OURS: u64 = u64::MAX;

/// How one answer gets on; of a connection that gives one at a time, how they do.
#[derive(Debug)]
pub(crate) struct Progress {
    since: Instant,
    /// Milliseconds after `since` at which the reader was last given something, or [`OURS`].
    given_ms: AtomicU64,
    end: CancellationToken,
    /// Pieces that are on their way, see [`Progress::follow`].
    pieces: AtomicUsize,
    taken: Notify,
}

/// A piece of an answer on its way to the socket.
struct Followed {
    bytes: Bytes,
    progress: Arc<Progress>,
}

impl AsRef<[u8]> for Followed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if self.progress.pieces.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.progress.taken.notify_one();
        }
    }
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            given_ms: AtomicU64::new(OURS),
            end: CancellationToken::new(),
            pieces: AtomicUsize::new(0),
            taken: Notify::new(),
        })
    }

    /// Follows a piece until it is let go, wherever it waits for the socket meanwhile.
    pub(crate) fn follow(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.pieces.fetch_add(1, Ordering::AcqRel);
        Bytes::from_owner(Followed { bytes, progress: Arc::clone(self) })
    }

    /// Resolves when no piece is on its way. For one who waits.
    pub(crate) async fn taken(&self) {
        while self.pieces.load(Ordering::Acquire) > 0 {
            self.taken.notified().await;
        }
    }

    /// The reader has something to take, and it is his turn.
    pub(crate) fn given(&self) {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(OURS);
        self.given_ms.store(passed.min(OURS - 1), Ordering::Relaxed);
    }

    /// It is our turn: there is nothing that the reader could take.
    pub(crate) fn is_ours(&self) {
        self.given_ms.store(OURS, Ordering::Relaxed);
    }

    /// Since when the reader has taken nothing; `None` while it is our turn.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let given_ms = self.given_ms.load(Ordering::Relaxed);
        (given_ms != OURS).then(|| self.since + Duration::from_millis(given_ms))
    }

    /// Ends the answer, and what it holds: its reader is needed elsewhere.
    pub(crate) fn end(&self) {
        self.end.cancel();
    }

    /// Whether [`Progress::end`] was called.
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Resolves when the answer is to end: its reader has taken nothing for `limit`, or somebody else needs what it holds.
    pub(crate) async fn over(&self, limit: Duration) {
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.stalled(limit) => {}
        }
    }

    async fn stalled(&self, limit: Duration) {
        loop {
            let until = match self.waiting_since() {
                Some(since) if since.elapsed() >= limit => return,
                Some(since) => since + limit,
                None => Instant::now() + limit,
            };
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_reader_whose_turn_it_is_can_stall() {
        let limit = Duration::from_secs(120);
        let progress = Progress::new();
        let is_over = async |wait: u64| {
            tokio::time::timeout(Duration::from_secs(wait), progress.over(limit)).await.is_ok()
        };
        assert!(!is_over(10_000).await, "the answer is being worked out");
        progress.given();
        assert!(!is_over(100).await);
        progress.given();
        assert!(!is_over(100).await, "a piece was taken in between");
        progress.is_ours();
        assert!(!is_over(10_000).await, "a live stream without frames");
        progress.given();
        assert!(is_over(121).await);
    }

    #[tokio::test]
    async fn a_piece_is_followed_until_its_last_byte_is_let_go() {
        let progress = Progress::new();
        progress.taken().await;
        let mut pieces = [progress.follow("one".into()), progress.follow("two".into())].to_vec();
        let part = pieces[0].split_to(1);
        let taken = tokio::spawn({
            let progress = Arc::clone(&progress);
            async move { progress.taken().await }
        });
        drop(pieces);
        tokio::task::yield_now().await;
        assert!(!taken.is_finished());
        drop(part);
        taken.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_ends_at_a_word() {
        let progress = Progress::new();
        progress.end();
        progress.over(Duration::from_secs(10_000)).await;
    }
}
