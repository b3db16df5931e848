//! What is said of connections that come to nothing, gathered by address: a flood of them must not write the log.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::admission::network;
use crate::limits::{MAX_REFUSING_NETWORKS, REFUSAL_LOG_INTERVAL};

/// How a connection came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Refused {
    /// It was closed before a byte was read, or had to make room.
    TurnedAway,
    /// It wanted to publish.
    Publisher,
    /// It wanted to play.
    Player,
    /// It failed before it had said what it wanted.
    Stranger,
}

/// Says the first refusal of an address at once, and in [`REFUSAL_LOG_INTERVAL`] how many more there were.
#[derive(Default, Debug)]
pub(super) struct Refusals(Mutex<HashMap<(Option<IpAddr>, Refused), Gathered>>);

#[derive(Debug)]
struct Gathered {
    since: Instant,
    /// Not said yet.
    more: u64,
    peer: SocketAddr,
    reason: String,
}

impl Refusals {
    /// Takes note of one, and says it if its address has been silent.
    pub(super) fn note(&self, what: Refused, peer: SocketAddr, reason: &dyn std::fmt::Display) {
        if self.is_first(what, peer, reason, Instant::now()) {
            say(what, peer, 1, &reason.to_string());
        }
    }

    /// Says what has gathered for long enough. To be called now and then.
    pub(super) fn tell(&self) {
        for (what, gathered) in self.due(Instant::now()) {
            say(what, gathered.peer, gathered.more, &gathered.reason);
        }
    }

    fn is_first(
        &self,
        what: Refused,
        peer: SocketAddr,
        reason: &dyn std::fmt::Display,
        now: Instant,
    ) -> bool {
        let mut all = self.lock();
        let mut key = (Some(network(peer.ip())), what);
        if all.len() >= MAX_REFUSING_NETWORKS && !all.contains_key(&key) {
            // From here on all others are one.
            key.0 = None;
        }
        if let Some(gathered) = all.get_mut(&key) {
            gathered.more += 1;
            (gathered.peer, gathered.reason) = (peer, reason.to_string());
            return false;
        }
        all.insert(key, Gathered { since: now, more: 0, peer, reason: String::new() });
        true
    }

    /// What is to be said now. Addresses of which nothing more came are forgotten.
    fn due(&self, now: Instant) -> Vec<(Refused, Gathered)> {
        let mut due = Vec::new();
        self.lock().retain(|(_, what), gathered| {
            if now.duration_since(gathered.since) < REFUSAL_LOG_INTERVAL {
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

    fn lock(&self) -> MutexGuard<'_, HashMap<(Option<IpAddr>, Refused), Gathered>> {
        // Nothing under this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(what: Refused, peer: SocketAddr, connections: u64, reason: &str) {
    match what {
        Refused::TurnedAway => tracing::warn!(%peer, connections, reason, "turned RTMP connections away"),
        Refused::Publisher => tracing::warn!(%peer, connections, reason, "publisher refused"),
        Refused::Player => tracing::info!(%peer, connections, reason, "player refused"),
        Refused::Stranger => tracing::warn!(%peer, connections, reason, "RTMP connection ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u32) -> SocketAddr {
        SocketAddr::from((host.to_be_bytes(), 5))
    }

    #[test]
    fn the_first_is_said_at_once_and_the_others_by_their_number() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let note = |host, at| refusals.is_first(Refused::Publisher, peer(host), &"why", at);
        assert!(note(1, start) && note(2, start));
        assert!(refusals.is_first(Refused::Player, peer(1), &"why", start), "another matter");
        assert!((0..1000).all(|_| !note(1, start)));
        assert!(refusals.due(start).is_empty());
        let later = start + REFUSAL_LOG_INTERVAL;
        let due = refusals.due(later);
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].0, due[0].1.more, due[0].1.peer), (Refused::Publisher, 1000, peer(1)));
        // It goes on being gathered; the others are new again.
        assert!(!note(1, later) && note(2, later));
        assert_eq!(refusals.due(later + REFUSAL_LOG_INTERVAL)[0].1.more, 1);
    }

    #[test]
    fn more_addresses_than_are_remembered_are_gathered_as_one() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let said = (0..3 * MAX_REFUSING_NETWORKS as u32)
            .filter(|host| refusals.is_first(Refused::Stranger, peer(*host), &"why", start))
            .count();
        assert_eq!(said, MAX_REFUSING_NETWORKS + 1);
        let due = refusals.due(start + REFUSAL_LOG_INTERVAL);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1.more as usize, 2 * MAX_REFUSING_NETWORKS - 1);
    }
}
