//! Which keys were right and which wrong, by their hash and for a while. A pure table: the time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::Ages;
use crate::limits::{MAX_KNOWN_KEYS, MAX_UNKNOWN_KEYS};

/// A key as it is remembered. Salted, because a `stream_id` may be as short as `court1`.
pub(crate) type KeyHash = [u8; 32];

/// Makes hashes that mean nothing outside this run of the program.
pub(crate) struct Hasher([u8; 16]);

impl Hasher {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        Ok(Self(salt))
    }

    pub(crate) fn hash(&self, key: &str) -> KeyHash {
        Sha256::new().chain_update(self.0).chain_update(key.as_bytes()).finalize().into()
    }

    /// A number of this run's own.
    pub(crate) fn number(&self) -> u64 {
        u64::from_le_bytes(self.0.first_chunk().copied().unwrap_or_default())
    }
}

/// What is remembered of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Memory {
    /// It was right a moment ago.
    Known(Uuid),
    /// It was wrong a moment ago.
    Unknown,
    /// The table must be asked.
    Nothing,
}

#[derive(Clone, Copy)]
struct Known {
    channel: Uuid,
    confirmed: Duration,
}

/// Bounded, and no answer from it is older than [`Ages`] says.
pub(crate) struct KeyCache {
    ages: Ages,
    known: HashMap<KeyHash, Known>,
    unknown: HashMap<KeyHash, Duration>,
    /// The wrong keys, oldest first, each once.
    unknown_order: VecDeque<KeyHash>,
}

impl KeyCache {
    pub(crate) fn new(ages: Ages) -> Self {
        Self { ages, known: HashMap::new(), unknown: HashMap::new(), unknown_order: VecDeque::new() }
    }

    /// What can be answered without asking.
    pub(crate) fn recall(&self, key: &KeyHash, now: Duration) -> Memory {
        if let Some(known) = self.known.get(key)
            && now.saturating_sub(known.confirmed) < self.ages.known
        {
            return Memory::Known(known.channel);
        }
        match self.unknown.get(key) {
            Some(since) if now.saturating_sub(*since) < self.ages.unknown => Memory::Unknown,
            _ => Memory::Nothing,
        }
    }

    /// The channel of a key while the table cannot be asked.
    pub(crate) fn recall_while_away(&self, key: &KeyHash, now: Duration) -> Option<Uuid> {
        let known = self.known.get(key)?;
        (now.saturating_sub(known.confirmed) < self.ages.known_while_away).then_some(known.channel)
    }

    /// The table has answered.
    pub(crate) fn learn(&mut self, key: KeyHash, channel: Option<Uuid>, now: Duration) {
        match channel {
            Some(channel) => {
                if self.known.len() >= MAX_KNOWN_KEYS && !self.known.contains_key(&key) {
                    self.make_room(now);
                }
                self.known.insert(key, Known { channel, confirmed: now });
            }
            None => {
                self.known.remove(&key);
                if self.unknown.insert(key, now).is_none() {
                    self.unknown_order.push_back(key);
                }
                if self.unknown.len() > MAX_UNKNOWN_KEYS
                    && let Some(oldest) = self.unknown_order.pop_front()
                {
                    self.unknown.remove(&oldest);
                }
            }
        }
    }

    /// A key is no longer right.
    pub(crate) fn revoke(&mut self, key: &KeyHash) {
        self.known.remove(key);
    }

    /// Forgets what is too old, and if all is young the oldest.
    fn make_room(&mut self, now: Duration) {
        let longest = self.ages.known_while_away;
        self.known.retain(|_, known| now.saturating_sub(known.confirmed) < longest);
        if self.known.len() >= MAX_KNOWN_KEYS
            && let Some(oldest) =
                self.known.iter().min_by_key(|(_, known)| known.confirmed).map(|(key, _)| *key)
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ages() -> Ages {
        Ages {
            known: Duration::from_secs(10),
            unknown: Duration::from_secs(1),
            known_while_away: Duration::from_secs(100),
            check: Duration::from_secs(5),
            refresh: Duration::from_secs(10),
            reconcile_after: Duration::from_secs(25),
        }
    }

    const CHANNEL: Uuid = Uuid::from_u128(1);
    const KEY: KeyHash = [7; 32];

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_answer_has_an_age() {
        let mut cache = KeyCache::new(ages());
        assert_eq!(cache.recall(&KEY, s(0)), Memory::Nothing);
        cache.learn(KEY, None, s(0));
        assert_eq!(cache.recall(&KEY, Duration::from_millis(999)), Memory::Unknown);
        assert_eq!(cache.recall(&KEY, s(1)), Memory::Nothing);
        cache.learn(KEY, Some(CHANNEL), s(1));
        assert_eq!(cache.recall(&KEY, s(10)), Memory::Known(CHANNEL));
        assert_eq!(cache.recall(&KEY, s(11)), Memory::Nothing);
        assert_eq!(cache.recall_while_away(&KEY, s(100)), Some(CHANNEL));
        assert_eq!(cache.recall_while_away(&KEY, s(101)), None);
        cache.revoke(&KEY);
        assert_eq!(cache.recall_while_away(&KEY, s(2)), None);
    }

    #[test]
    fn a_flood_of_wrong_keys_pushes_no_right_one_out_and_stays_bounded() {
        let mut cache = KeyCache::new(ages());
        let key = |n: usize| -> KeyHash { Sha256::digest(n.to_le_bytes()).into() };
        cache.learn(KEY, Some(CHANNEL), s(0));
        for n in 0..MAX_UNKNOWN_KEYS * 2 {
            cache.learn(key(n), None, s(1));
        }
        assert_eq!(cache.unknown.len(), MAX_UNKNOWN_KEYS);
        assert_eq!(cache.unknown_order.len(), MAX_UNKNOWN_KEYS);
        assert_eq!(cache.recall(&KEY, s(1)), Memory::Known(CHANNEL));
        for n in 0..MAX_KNOWN_KEYS + 10 {
            cache.learn(key(n), Some(CHANNEL), s(2));
        }
        assert_eq!(cache.known.len(), MAX_KNOWN_KEYS);
        assert_eq!(cache.recall(&KEY, s(2)), Memory::Nothing, "the oldest went");
    }

    #[test]
    fn hashes_are_of_this_run() {
        let (one, two) = (Hasher::new().unwrap(), Hasher::new().unwrap());
        assert_eq!(one.hash("court1"), one.hash("court1"));
        assert_ne!(one.hash("court1"), two.hash("court1"));
    }
}
