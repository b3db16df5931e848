//! Answers of the catalog that are good for a moment.

use crate::limits::{ACCESS_CACHE_US, MAX_ACCESS_CACHED, MAX_STALE_US};
use catalog::CatalogError;
use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// Why there is no answer.
pub(crate) trait Failure {
    /// Whether there may be one soon.
    fn is_temporary(&self) -> bool;
}

impl Failure for CatalogError {
    fn is_temporary(&self) -> bool {
        Self::is_temporary(self)
    }
}

/// Answers by what was asked.
pub(crate) struct Remembered<K, V>(Mutex<HashMap<K, Answer<V>>>);

#[derive(Clone, Copy)]
struct Answer<V> {
    value: V,
    until_us: i64,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Remembered<K, V> {
    /// The answer, asked for where none is fresh. While the catalog is away an old one stands that was used within [`MAX_STALE_US`]:
    /// who watches goes on, and what was known long ago opens nothing again. `now_us` is the monotonic clock's: a wall clock that is set back keeps nothing fresh.
    pub(crate) async fn get<E: Failure>(
        &self,
        key: K,
        now_us: i64,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let known = self.lock().get(&key).cloned();
        if let Some(answer) = known.as_ref().filter(|answer| now_us < answer.until_us) {
            return Ok(answer.value.clone());
        }
        match (ask.await, known) {
            (Ok(value), _) => {
                let answer =
                    Answer { value: value.clone(), until_us: now_us.saturating_add(ACCESS_CACHE_US) };
                let mut all = self.lock();
                if all.len() >= MAX_ACCESS_CACHED {
                    all.retain(|_, answer| now_us < answer.until_us);
                }
                if all.len() < MAX_ACCESS_CACHED {
                    all.insert(key, answer);
                }
                Ok(value)
            }
            (Err(error), Some(old))
                if error.is_temporary() && now_us < old.until_us.saturating_add(MAX_STALE_US) =>
            {
                if let Some(answer) = self.lock().get_mut(&key) {
                    answer.until_us = answer.until_us.max(now_us);
                }
                Ok(old.value)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Answer<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Remembered};
    use crate::limits::{ACCESS_CACHE_US, MAX_ACCESS_CACHED, MAX_STALE_US};
    use catalog::{CatalogError, Kind};

    #[derive(Debug)]
    struct Away;

    impl Failure for Away {
        fn is_temporary(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn an_answer_is_good_for_a_moment_and_there_are_not_too_many() {
        let all = Remembered::<usize, u32>::default();
        assert_eq!(all.get(1, 0, async { Ok::<_, Away>(7) }).await.unwrap(), 7);
        assert_eq!(all.get(1, ACCESS_CACHE_US - 1, async { Ok::<_, Away>(8) }).await.unwrap(), 7);
        assert_eq!(all.get(1, ACCESS_CACHE_US, async { Ok::<_, Away>(8) }).await.unwrap(), 8);
        // Away for a while: what was known stands, and not for ever.
        let away = || async { Err(Away) };
        let used_us = 2 * ACCESS_CACHE_US + MAX_STALE_US - 1;
        assert_eq!(all.get(1, used_us, away()).await.unwrap(), 8);
        assert_eq!(all.get(1, used_us + MAX_STALE_US - 1, away()).await.unwrap(), 8, "who watches goes on");
        assert!(all.get(1, used_us + 2 * MAX_STALE_US, away()).await.is_err());
        // What failed for good is told, and not covered up by what was.
        let failed =
            all.get(1, used_us + 3 * MAX_STALE_US, async { Err(CatalogError::NotFound(Kind::Club)) }).await;
        assert!(failed.is_err());
        for key in 0..2 * MAX_ACCESS_CACHED {
            all.get(key, 0, async { Ok::<_, Away>(0) }).await.unwrap();
        }
        assert_eq!(all.lock().len(), MAX_ACCESS_CACHED);
    }
}
