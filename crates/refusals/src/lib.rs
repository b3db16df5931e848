//! What is said of those who are refused, gathered by address: a flood of them must not write the log.
//!
//! - **In**: each refusal: what was refused, to whom, and why.
//! - **Out**: the first one of an address at once, and every [`INTERVAL`] how many more there were ([`Refusals::tell`]).
//! - **Invariants**: the log grows with time and with [`MAX_NETWORKS`], never with what strangers send; nothing is left uncounted.
//! - **Never**: a decision about who is refused.

use std::{
    collections::HashMap,
    fmt::{Debug, Display},
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Of one address and one kind, refusals are said at most this often, with their number.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Addresses whose refusals are counted apart at the same time; all beyond them are counted as one.
pub const MAX_NETWORKS: usize = 256;

/// What counts as one address: an IPv6 host owns its whole /64 (RFC 4291 §2.5.4); a mapped address is its IPv4 one. The machine itself
/// stays what it is.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// A kind of refusal, which has its own words in the log.
pub trait Kind: Copy + Eq + Hash + Debug {
    /// Writes the line: how often it happened since the last one, to whom the last time (`None`: to nobody in particular), and why.
    fn say(self, peer: Option<SocketAddr>, times: u64, reason: &str);
}

/// Says the first refusal of an address at once, and every [`INTERVAL`] how many more there were.
#[derive(Debug)]
pub struct Refusals<K>(Mutex<HashMap<(Option<IpAddr>, K), Gathered>>);

#[derive(Debug)]
struct Gathered {
    since: Instant,
    /// Not said yet.
    more: u64,
    peer: Option<SocketAddr>,
    reason: String,
}

impl<K> Default for Refusals<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Kind> Refusals<K> {
    /// Takes note of one, and says it if its address has been silent. Without a peer it is nobody's in particular.
    pub fn note(&self, what: K, peer: impl Into<Option<SocketAddr>>, reason: &dyn Display) {
        let peer = peer.into();
        if let Some(times) = self.count(what, peer, reason, Instant::now()) {
            what.say(peer, times, &reason.to_string());
        }
    }

    /// Says what has gathered for long enough. Without being called, a number is said with the next refusal after [`INTERVAL`].
    pub fn tell(&self) {
        for (what, gathered) in self.due(Instant::now()) {
            what.say(gathered.peer, gathered.more, &gathered.reason);
        }
    }

    /// How many are to be said now, with this one.
    fn count(&self, what: K, peer: Option<SocketAddr>, reason: &dyn Display, now: Instant) -> Option<u64> {
        let mut all = self.lock();
        let mut key = (peer.map(|peer| network(peer.ip())), what);
        if all.len() >= MAX_NETWORKS && !all.contains_key(&key) {
            // From here on all others are one.
            key.0 = None;
        }
        if let Some(gathered) = all.get_mut(&key) {
            gathered.more += 1;
            if now.duration_since(gathered.since) >= INTERVAL {
                gathered.since = now;
                return Some(std::mem::take(&mut gathered.more));
            }
            (gathered.peer, gathered.reason) = (peer, reason.to_string());
            return None;
        }
        all.insert(key, Gathered { since: now, more: 0, peer, reason: String::new() });
        Some(1)
    }

    /// What is to be said now. Addresses of which nothing more came are forgotten.
    fn due(&self, now: Instant) -> Vec<(K, Gathered)> {
        let mut due = Vec::new();
        self.lock().retain(|(_, what), gathered| {
            if now.duration_since(gathered.since) < INTERVAL {
                return true;
            }
            let goes_on = gathered.more > 0;
            if goes_on {
                let again = Gathered { since: now, more: 0, peer: gathered.peer, reason: String::new() };
                due.push((*what, std::mem::replace(gathered, again)));
            }
            goes_on
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Option<IpAddr>, K), Gathered>> {
        // Nothing under this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    enum Matter {
        One,
        Other,
    }

    impl Kind for Matter {
        fn say(self, _: Option<SocketAddr>, _: u64, _: &str) {}
    }

    fn peer(host: u32) -> Option<SocketAddr> {
        Some(SocketAddr::from((host.to_be_bytes(), 5)))
    }

    #[test]
    fn the_first_is_said_at_once_and_the_others_by_their_number() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let note = |host, at| refusals.count(Matter::One, peer(host), &"why", at);
        assert_eq!((note(1, start), note(2, start)), (Some(1), Some(1)));
        assert_eq!(refusals.count(Matter::Other, peer(1), &"why", start), Some(1), "another matter");
        assert!((0..1000).all(|_| note(1, start).is_none()));
        assert!(refusals.due(start).is_empty());
        let later = start + INTERVAL;
        let due = refusals.due(later);
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].0, due[0].1.more, due[0].1.peer), (Matter::One, 1000, peer(1)));
        // The first address is still counted; the second was forgotten, and is said at once.
        assert_eq!((note(1, later), note(2, later)), (None, Some(1)));
        assert_eq!(refusals.due(later + INTERVAL)[0].1.more, 1);
    }

    #[test]
    fn without_anybody_who_tells_the_number_comes_with_the_next_one() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let note = |at| refusals.count(Matter::One, None, &"why", at);
        assert_eq!(note(start), Some(1));
        assert!((0..5).all(|_| note(start).is_none()));
        assert_eq!(note(start + INTERVAL), Some(6));
        assert_eq!(note(start + INTERVAL), None);
        assert_eq!(note(start + 2 * INTERVAL), Some(2));
    }

    #[test]
    fn more_addresses_than_are_remembered_are_gathered_as_one() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let said = (0..3 * MAX_NETWORKS as u32)
            .filter(|host| refusals.count(Matter::One, peer(*host), &"why", start).is_some())
            .count();
        assert_eq!(said, MAX_NETWORKS + 1);
        let due = refusals.due(start + INTERVAL);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1.more as usize, 2 * MAX_NETWORKS - 1);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::1", "::2", false),
        ] {
            let same = network(one.parse().unwrap()) == network(other.parse().unwrap());
            assert_eq!(same, is_same, "{one} {other}");
        }
        assert!(network("::1".parse().unwrap()).is_loopback());
        assert!(network("::ffff:127.0.0.1".parse().unwrap()).is_loopback());
    }
}
