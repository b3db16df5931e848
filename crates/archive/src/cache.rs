//! A small cache that is bounded by bytes and forgets what was used longest ago.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// Values by key, together at most `limit_bytes`.
pub struct ByteCache<K, V> {
    limit_bytes: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    entries: HashMap<K, Entry<V>>,
    used_bytes: usize,
    clock: u64,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used_at: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> ByteCache<K, V> {
    /// An empty cache of at most so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::new(Inner { entries: HashMap::new(), used_bytes: 0, clock: 0 }) }
    }

    /// The value of a key, which then was used last.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        inner.entries.get_mut(key).map(|entry| {
            entry.used_at = now;
            entry.value.clone()
        })
    }

    /// Keeps a value, unless it alone is larger than the whole cache.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        if bytes > self.limit_bytes {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let used_at = inner.clock;
        if let Some(old) = inner.entries.insert(key, Entry { value, bytes, used_at }) {
            inner.used_bytes -= old.bytes;
        }
        inner.used_bytes += bytes;
        // A walk over all entries: there are tens of them, as each is large.
        while inner.used_bytes > self.limit_bytes {
            let Some(oldest) =
                inner.entries.iter().min_by_key(|(_, entry)| entry.used_at).map(|(key, _)| key.clone())
            else {
                break;
            };
            if let Some(entry) = inner.entries.remove(&oldest) {
                inner.used_bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = ByteCache::new(10);
        cache.put("a", 1, 4);
        cache.put("b", 2, 4);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.put("c", 3, 4);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(3)));
    }

    #[test]
    fn a_value_larger_than_the_cache_is_not_kept() {
        let cache = ByteCache::new(10);
        cache.put("a", 1, 10);
        cache.put("b", 2, 11);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(1), None));
        cache.put("a", 3, 1);
        cache.put("c", 4, 9);
        assert_eq!((cache.get(&"a"), cache.get(&"c")), (Some(3), Some(4)));
    }
}
