//! How many files may be open, and who may have them: recording first, viewers within what is left.
//!
//! A viewer has his connection and nothing else: footage is opened for each read and closed after it. So a limit on viewers'
//! connections is a limit on their descriptors.

use rustix::process::{Resource, getrlimit};
use serve::limits::{MAX_CONNECTIONS, MAX_MONITOR_CONNECTIONS};

use crate::config::Config;

/// Descriptors of one publisher: its connection, the segment that grows, and the one before it while that is sealed.
const FOR_PUBLISHER: u64 = 3;

/// Descriptors beside connections: catalog and databases, connections to a bucket, reads that are under way (at most 32 from
/// disk and as many from a bucket), covers and pictures, relays, certificates, the runtime's own.
const BESIDE: u64 = 1024;

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

    /// Connections that viewers may have, as the server counts them.
    pub(crate) fn max_viewers(self) -> usize {
        usize::try_from(self.viewers).unwrap_or(usize::MAX)
    }
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
}
