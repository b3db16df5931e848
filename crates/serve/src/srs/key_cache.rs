//! Keys as they are remembered: by hash, for a bounded time, in bounded number.

use super::limits::{
    KNOWN_KEY_AGE_US, KNOWN_KEY_AGE_WHILE_AWAY_US, MAX_KNOWN_KEYS, MAX_UNKNOWN_KEYS, UNKNOWN_KEY_AGE_US,
};
use media::rtmp::StreamKey;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

/// A key as it is remembered: never as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &StreamKey) -> Self {
        Self(Sha256::digest(key.expose().as_bytes()).into())
    }
}

/// What is remembered of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Remembered {
    /// It opens this channel.
    Known(Uuid),
    /// It opens none.
    Unknown,
    /// It opened this channel some time ago: good only while nobody can be asked.
    Once(Uuid),
    /// It is to be looked up.
    Nothing,
}

/// The keys that were looked up lately.
#[derive(Default, Debug)]
pub(crate) struct KeyCache {
    known: HashMap<KeyHash, (Uuid, i64)>,
    unknown: HashMap<KeyHash, i64>,
}

impl KeyCache {
    /// What is remembered.
    pub(crate) fn get(&self, hash: KeyHash, now_us: i64) -> Remembered {
        // A clock that was set back makes nothing younger than it is.
        let is_within = |at_us: i64, age_us: i64| (0..age_us).contains(&now_us.saturating_sub(at_us));
        if let Some((channel, at_us)) = self.known.get(&hash) {
            return match *at_us {
                at_us if is_within(at_us, KNOWN_KEY_AGE_US) => Remembered::Known(*channel),
                at_us if is_within(at_us, KNOWN_KEY_AGE_WHILE_AWAY_US) => Remembered::Once(*channel),
                _ => Remembered::Nothing,
            };
        }
        match self.unknown.get(&hash) {
            Some(at_us) if is_within(*at_us, UNKNOWN_KEY_AGE_US) => Remembered::Unknown,
            _ => Remembered::Nothing,
        }
    }

    /// Remembers what a look-up has said.
    pub(crate) fn put(&mut self, hash: KeyHash, channel: Option<Uuid>, now_us: i64) {
        match channel {
            Some(channel) => {
                self.unknown.remove(&hash);
                make_room(&mut self.known, MAX_KNOWN_KEYS, |(_, at_us)| *at_us);
                self.known.insert(hash, (channel, now_us));
            }
            None => {
                self.known.remove(&hash);
                make_room(&mut self.unknown, MAX_UNKNOWN_KEYS, |at_us| *at_us);
                self.unknown.insert(hash, now_us);
            }
        }
    }
}

/// Forgets the older half of a full map: seldom, and then all at once.
fn make_room<V>(map: &mut HashMap<KeyHash, V>, limit: usize, age: impl Fn(&V) -> i64) {
    if map.len() < limit {
        return;
    }
    let mut times: Vec<i64> = map.values().map(&age).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    let mut left = limit / 2;
    map.retain(|_, value| {
        // Many may be of the same instant.
        let stays = age(value) >= median && left > 0;
        left -= usize::from(stays);
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::{KeyCache, KeyHash, Remembered};
    use crate::srs::limits::{
        KNOWN_KEY_AGE_US, KNOWN_KEY_AGE_WHILE_AWAY_US, MAX_KNOWN_KEYS, MAX_UNKNOWN_KEYS, UNKNOWN_KEY_AGE_US,
    };
    use media::rtmp::StreamKey;
    use uuid::Uuid;

    const COURT: Uuid = Uuid::from_u128(1);

    fn hash(key: &str) -> KeyHash {
        KeyHash::of(&StreamKey::new(key))
    }

    #[test]
    fn ages_are_kept() {
        let mut cache = KeyCache::default();
        cache.put(hash("a"), Some(COURT), 0);
        cache.put(hash("b"), None, 0);
        for (key, at_us, remembered) in [
            ("a", 0, Remembered::Known(COURT)),
            ("a", KNOWN_KEY_AGE_US - 1, Remembered::Known(COURT)),
            ("a", KNOWN_KEY_AGE_US, Remembered::Once(COURT)),
            ("a", KNOWN_KEY_AGE_WHILE_AWAY_US, Remembered::Nothing),
            ("a", -1, Remembered::Nothing),
            ("b", UNKNOWN_KEY_AGE_US - 1, Remembered::Unknown),
            ("b", UNKNOWN_KEY_AGE_US, Remembered::Nothing),
            ("c", 0, Remembered::Nothing),
        ] {
            assert_eq!(cache.get(hash(key), at_us), remembered, "{key} at {at_us}");
        }
        // The last word counts.
        cache.put(hash("a"), None, 5);
        cache.put(hash("b"), Some(COURT), 5);
        assert_eq!(cache.get(hash("a"), 6), Remembered::Unknown);
        assert_eq!(cache.get(hash("b"), 6), Remembered::Known(COURT));
    }

    #[test]
    fn guesses_push_out_no_key_and_memory_is_bounded() {
        let mut cache = KeyCache::default();
        cache.put(hash("right"), Some(COURT), 0);
        for number in 0..2 * MAX_UNKNOWN_KEYS {
            cache.put(hash(&number.to_string()), None, 7);
        }
        assert!(cache.unknown.len() <= MAX_UNKNOWN_KEYS);
        assert_eq!(cache.get(hash("right"), 0), Remembered::Known(COURT));
        for number in 0..=MAX_KNOWN_KEYS {
            cache.put(hash(&number.to_string()), Some(COURT), number as i64);
        }
        assert!(cache.known.len() <= MAX_KNOWN_KEYS);
        let newest = MAX_KNOWN_KEYS as i64;
        assert_eq!(cache.get(hash(&MAX_KNOWN_KEYS.to_string()), newest), Remembered::Known(COURT));
        assert!(!cache.known.contains_key(&hash("right")));
    }
}
