//! How many files may be open, and who may have them: recording first, viewers within what is left; and a door that lets in only those
//! publishers that can be recorded.
//!
//! A viewer has his connection and nothing else: footage is opened for each read and closed after it. So a limit on viewers'
//! connections is a limit on their descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustix::process::{Resource, getrlimit};
use serve::limits::{MAX_CONNECTIONS, MAX_MONITOR_CONNECTIONS};

use world::{Clock as _, SystemClock};

use crate::config::Config;

/// Descriptors of one publisher: its connection, the segment that grows, and the one before it while that is sealed.
const FOR_PUBLISHER: u64 = 3;

/// Descriptors beside connections: catalog and databases, connections to a bucket, reads that are under way (at most 32 from
/// disk and as many from a bucket), covers and pictures, relays, certificates, the runtime's own.
const BESIDE: u64 = 1024;

/// Where there are far too few, so many may still wait to say who they are, or play by RTMP.
const LEAST_OTHERS: usize = 8;

/// Where there are far too few, viewers have this part of them: the rest is for recording.
const SMALLEST_SHARE: u64 = 8;

/// Who may have how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptors {
    /// Files that may be open; `None`: any number.
    pub(crate) limit: Option<u64>,
    /// What recording may need, with every place on the RTMP ports taken.
    pub(crate) recording: u64,
    /// Connections that viewers may have.
    pub(crate) viewers: u64,
}

impl Descriptors {
    /// By the hard limit of this process, to which `serve` raises its own.
    pub(crate) fn here(config: &Config) -> Self {
        let rtmp = &config.rtmp;
        let beside_publishers = u64::from(rtmp.max_players) + u64::from(rtmp.max_waiting);
        Self::plan(getrlimit(Resource::Nofile).maximum, u64::from(rtmp.max_connections), beside_publishers)
    }

    /// On the RTMP ports players, and those that have not said who they are, have places of their own: one connection each.
    fn plan(limit: Option<u64>, publishers: u64, others: u64) -> Self {
        let recording = publishers * FOR_PUBLISHER + others + BESIDE + MAX_MONITOR_CONNECTIONS as u64;
        let wanted = MAX_CONNECTIONS as u64;
        let viewers = match limit {
            Some(limit) => limit.saturating_sub(recording).max(limit / SMALLEST_SHARE).min(wanted),
            None => wanted,
        };
        Self { limit, recording, viewers }
    }

    /// Whether recording has all that it may need, and viewers as many connections as there may be.
    pub(crate) fn are_enough(self) -> bool {
        self.limit.is_none_or(|limit| limit >= self.wanted())
    }

    /// How many files should be allowed to be open.
    pub(crate) fn wanted(self) -> u64 {
        self.recording + MAX_CONNECTIONS as u64
    }

    /// A number of connections of others than publishers and viewers, cut down where there are far too few files.
    pub(crate) fn at_most(self, wanted: usize) -> usize {
        match self.limit {
            Some(limit) if !self.are_enough() => {
                let share = usize::try_from(limit / SMALLEST_SHARE).unwrap_or(usize::MAX);
                wanted.min(share.max(LEAST_OTHERS))
            }
            _ => wanted,
        }
    }

    /// Connections that viewers may have, as the server counts them.
    pub(crate) fn max_viewers(self) -> usize {
        usize::try_from(self.viewers).unwrap_or(usize::MAX)
    }
}

/// Files of a publisher that it may need beside its connection: the segment that grows, and the one before it while that is sealed.
const FILES_OF_RECORDING: u64 = FOR_PUBLISHER - 1;

/// Least and most that stay free for all that opens files for a moment: the database, reads, pictures.
const SPARE: (u64, u64) = (32, 256);

/// Lets publishers in as long as each can open what its recording needs. Whoever is let in beyond that is recorded by nobody, and takes
/// the files of others, too.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Files that may be open; `None`: any number.
    limit: Option<u64>,
    /// Connections that are promised to viewers.
    viewers: u64,
    state: Arc<DoorState>,
}

#[derive(Debug, Default)]
struct DoorState {
    admitted: AtomicU64,
    /// When somebody was turned away last, by the monotonic clock; 0 for never.
    refused_us: AtomicI64,
}

/// A publisher's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<DoorState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Door {
    /// By the soft limit, which `serve` has raised to the hard one.
    pub(crate) fn here(descriptors: Descriptors) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        Self { limit, viewers: descriptors.viewers, state: Arc::default() }
    }

    /// A place for one more publisher while `open_segments` grow or are sealed; `None` where there is no room. Who takes its channel
    /// over from another connection `is_expected`, and gets one in any case: it needs nothing that the other did not have.
    pub(crate) fn admit(&self, is_expected: bool, open_segments: usize) -> Option<Place> {
        // Counted first, so that of two that come at once each sees the other.
        let admitted = self.state.admitted.fetch_add(1, Ordering::AcqRel) + 1;
        let place = Place(Arc::clone(&self.state));
        let has_room = self.limit.is_none_or(|limit| {
            let open = world::open_files().unwrap_or(limit);
            has_room(limit, open, admitted, open_segments as u64, self.viewers)
        });
        if is_expected || has_room {
            return Some(place);
        }
        self.state.refused_us.store(SystemClock.monotonic_us().max(1), Ordering::Release);
        None
    }

    /// When somebody was turned away last, by the monotonic clock.
    pub(crate) fn refused_us(&self) -> Option<i64> {
        Some(self.state.refused_us.load(Ordering::Acquire)).filter(|at_us| *at_us > 0)
    }

    /// Whether hardly another file can be opened.
    pub(crate) fn is_used_up(&self) -> bool {
        self.limit.is_some_and(|limit| {
            let open = world::open_files().unwrap_or(limit);
            open.saturating_add(spare(limit) / 4) > limit
        })
    }
}

fn spare(limit: u64) -> u64 {
    (limit / SMALLEST_SHARE).clamp(SPARE.0, SPARE.1)
}

/// Whether all that are let in can open what they need yet: `open` are their connections and the segments there are already.
fn has_room(limit: u64, open: u64, admitted: u64, open_segments: u64, viewers: u64) -> bool {
    let to_come = (admitted * FILES_OF_RECORDING).saturating_sub(open_segments);
    open + to_come + viewers + spare(limit) <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_get_what_recording_leaves() {
        let recording = 2000 * FOR_PUBLISHER + 1500 + BESIDE + MAX_MONITOR_CONNECTIONS as u64;
        for (limit, viewers, are_enough) in [
            (None, 4096, true),
            (Some(1_048_576), 4096, true),
            (Some(recording + 4096), 4096, true),
            (Some(recording + 4095), 4095, false),
            (Some(8192), 1024, false),
            (Some(1024), 128, false),
            (Some(64), 8, false),
        ] {
            let plan = Descriptors::plan(limit, 2000, 1500);
            assert_eq!((plan.viewers, plan.are_enough()), (viewers, are_enough), "{limit:?}");
            assert!(limit.is_none_or(|limit| plan.viewers <= limit / 2), "{limit:?}");
        }
    }

    #[test]
    fn publishers_are_let_in_as_long_as_they_can_be_recorded() {
        // What a node has open by itself, and what it serves to nobody yet.
        let (base, viewers, limit) = (40, 16, 128);
        let mut admitted = 0;
        // Each has its connection, and its segments open one after the other, some before the next one comes.
        while has_room(limit, base + admitted + 1 + admitted / 2, admitted + 1, admitted / 2, viewers) {
            admitted += 1;
        }
        assert_eq!(admitted, 13);
        // At a cut of all segments at once each needs both of its files.
        assert!(base + admitted * FOR_PUBLISHER + viewers <= limit);
        assert!(has_room(1_048_576, 5000, 2000, 1000, 4096));
        assert!(!has_room(64, 40, 1, 0, 8), "too few for any");
    }

    #[test]
    fn a_place_is_free_again_when_its_publisher_goes() {
        let open = world::open_files().unwrap();
        let door = Door { limit: Some(open + 1000), viewers: 0, state: Arc::default() };
        let places: Vec<_> = (0..20).map_while(|_| door.admit(false, 0)).collect();
        assert!(places.len() == 20 && door.refused_us().is_none());
        let tight = Door { limit: Some(open), viewers: 0, state: Arc::default() };
        assert!(tight.admit(false, 0).is_none() && tight.is_used_up());
        assert!(tight.refused_us().is_some());
        assert!(tight.admit(true, 0).is_some(), "who is expected comes in");
        assert_eq!(tight.state.admitted.load(Ordering::Acquire), 0);
        drop(places);
        assert_eq!(door.state.admitted.load(Ordering::Acquire), 0);
    }
}
