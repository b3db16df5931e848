//! Playlists that were made a moment ago, shared by all who ask for the same one.

use std::sync::Arc;

use archive::ByteCache;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::limits::{MAX_PLAYLISTS_IN_WORK, PLAYLIST_CACHE_BYTES, PLAYLIST_CACHE_US};

/// What is remembered, and how many are made at once.
pub(crate) struct Playlists {
    made: ByteCache<Arc<str>, Made>,
    turns: Semaphore,
}

/// A playlist.
#[derive(Clone)]
pub(crate) struct Made {
    /// What it was remembered by.
    pub(crate) key: Arc<str>,
    pub(crate) text: Bytes,
    /// Whether it is the last one of its range.
    pub(crate) is_finished: bool,
    made_us: i64,
}

impl Default for Playlists {
    fn default() -> Self {
        Self {
            made: ByteCache::new(usize::try_from(PLAYLIST_CACHE_BYTES).unwrap_or(usize::MAX)),
            turns: Semaphore::new(MAX_PLAYLISTS_IN_WORK),
        }
    }
}

impl Playlists {
    /// What was made under a key, as long as it is still good at `now_us`.
    pub(crate) fn get(&self, key: &str, now_us: i64) -> Option<Made> {
        let made = self.made.get(key)?;
        (0..PLAYLIST_CACHE_US).contains(&(now_us - made.made_us)).then_some(made)
    }

    /// Remembers what was made, and gives it back.
    pub(crate) fn put(&self, key: String, text: String, is_finished: bool, now_us: i64) -> Made {
        let made = Made { key: key.into(), text: text.into(), is_finished, made_us: now_us };
        self.made.put(Arc::clone(&made.key), made.clone(), made.key.len() + made.text.len());
        made
    }

    /// Waits for one of the few turns to make one. Reading the indexes of a day takes megabytes.
    pub(crate) async fn turn(&self) -> Option<impl Drop + '_> {
        // Never closed: there is always a turn in the end.
        self.turns.acquire().await.ok()
    }
}
