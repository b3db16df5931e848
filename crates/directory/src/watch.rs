//! Whose keys are looked up again while they publish. A pure table: the time is an argument.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use uuid::Uuid;

use crate::keys::KeyHash;
use crate::limits::{MAX_CHANNELS, WATCH_WITHOUT_MEDIA};

#[derive(Clone, Copy)]
struct Watched {
    key: KeyHash,
    since: Duration,
}

/// The channels that were let in by a key of the table, and by which.
#[derive(Default)]
pub(crate) struct Watch(HashMap<Uuid, Watched>);

impl Watch {
    /// A publisher was let in.
    pub(crate) fn add(&mut self, channel: Uuid, key: KeyHash, now: Duration) {
        if self.0.len() >= MAX_CHANNELS
            && !self.0.contains_key(&channel)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, watched)| watched.since).map(|(id, _)| *id)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(channel, Watched { key, since: now });
    }

    /// The channel's publisher came by other means.
    pub(crate) fn forget(&mut self, channel: &Uuid) {
        self.0.remove(channel);
    }

    /// Who is to be looked up now. Those that are not live, and have had their time to be, are forgotten.
    pub(crate) fn due(&mut self, live: &BTreeSet<Uuid>, now: Duration) -> Vec<(Uuid, KeyHash)> {
        self.0.retain(|channel, watched| {
            live.contains(channel) || now.saturating_sub(watched.since) < WATCH_WITHOUT_MEDIA
        });
        self.0.iter().map(|(channel, watched)| (*channel, watched.key)).collect()
    }

    /// The key of a channel is gone. False where the channel has been let in by another key meanwhile.
    pub(crate) fn revoke(&mut self, channel: &Uuid, key: &KeyHash) -> bool {
        let is_same = self.0.get(channel).is_some_and(|watched| watched.key == *key);
        if is_same {
            self.0.remove(channel);
        }
        is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_publishes_is_watched_and_a_newer_key_stays() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut watch = Watch::default();
        watch.add(one, [1; 32], Duration::ZERO);
        watch.add(two, [2; 32], Duration::ZERO);
        assert_eq!(watch.due(&BTreeSet::new(), Duration::from_secs(60)).len(), 2, "media may still come");
        let live = BTreeSet::from([one]);
        assert_eq!(watch.due(&live, WATCH_WITHOUT_MEDIA), [(one, [1; 32])]);
        watch.add(one, [3; 32], WATCH_WITHOUT_MEDIA);
        assert!(!watch.revoke(&one, &[1; 32]), "it has come back with another key");
        assert!(watch.revoke(&one, &[3; 32]));
        assert!(!watch.revoke(&one, &[3; 32]));
        watch.add(two, [2; 32], WATCH_WITHOUT_MEDIA);
        watch.forget(&two);
        assert!(watch.due(&live, WATCH_WITHOUT_MEDIA).is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut watch = Watch::default();
        for n in 0..MAX_CHANNELS as u128 + 3 {
            watch.add(Uuid::from_u128(n), [0; 32], Duration::from_millis(n as u64));
        }
        assert_eq!(watch.0.len(), MAX_CHANNELS);
        assert!(!watch.0.contains_key(&Uuid::from_u128(0)));
    }
}
