//! Answers of the catalog that are good for a moment.

use crate::limits::{ACCESS_CACHE_US, MAX_ACCESS_CACHED};
use catalog::CatalogError;
use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

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
    /// The answer, asked for where none is fresh. While the catalog is away an old one stands: what it says cannot be changed
    /// either. `now_us` is the monotonic clock's: a wall clock that is set back keeps nothing fresh.
    pub(crate) async fn get(
        &self,
        key: K,
        now_us: i64,
        ask: impl Future<Output = Result<V, CatalogError>>,
    ) -> Result<V, CatalogError> {
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
            (Err(error), Some(old)) if error.is_temporary() => Ok(old.value),
            (Err(error), _) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Answer<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Remembered;
    use crate::limits::{ACCESS_CACHE_US, MAX_ACCESS_CACHED};
    use catalog::{CatalogError, Kind};

    #[tokio::test]
    async fn an_answer_is_good_for_a_moment_and_there_are_not_too_many() {
        let all = Remembered::<usize, u32>::default();
        assert_eq!(all.get(1, 0, async { Ok(7) }).await.unwrap(), 7);
        assert_eq!(all.get(1, ACCESS_CACHE_US - 1, async { Ok(8) }).await.unwrap(), 7);
        assert_eq!(all.get(1, ACCESS_CACHE_US, async { Ok(8) }).await.unwrap(), 8);
        // What failed for good is told, and not covered up by what was.
        let failed = all.get(1, 2 * ACCESS_CACHE_US, async { Err(CatalogError::NotFound(Kind::Club)) }).await;
        assert!(failed.is_err());
        for key in 0..2 * MAX_ACCESS_CACHED {
            all.get(key, 0, async { Ok(0) }).await.unwrap();
        }
        assert_eq!(all.lock().len(), MAX_ACCESS_CACHED);
    }
}
