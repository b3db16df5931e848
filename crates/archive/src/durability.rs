//! How much of a growing segment would outlive a power cut, and what its next sync has to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One growing segment's state of sync. Only the syncer changes it; the sealer may note a failure.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    /// Written since the last sync began: it stands in a list of the syncer, or is on its way there.
    is_dirty: AtomicBool,
    /// A thread syncs it: two at once could tell the same failure to one and success to the other.
    is_busy: AtomicBool,
    is_name_synced: AtomicBool,
    is_failed: AtomicBool,
    is_elsewhere: AtomicBool,
    /// Length that is known to be durable.
    synced_len: AtomicU64,
    /// How many failures of the whole volume its own sync has looked behind.
    cleared_failures: AtomicU64,
}

impl Durability {
    /// Marks it as written to since the last sync; whether it was clean before.
    pub(crate) fn make_dirty(&self) -> bool {
        // Read, modify and write in one, here and in `begin`: either the sync that begins sees what was written, or
        // the writer sees that it is to be listed again.
        !self.is_dirty.swap(true, Ordering::AcqRel)
    }

    /// A sync begins: what is written from now on is due in the next one. `false` while another thread syncs it.
    pub(crate) fn begin(&self) -> bool {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.is_dirty.swap(false, Ordering::AcqRel);
        true
    }

    /// The sync that began is over; with the length that the file had then, if it succeeded.
    pub(crate) fn end(&self, synced_len: Option<u64>) {
        if let Some(len) = synced_len
            && !self.is_failed()
        {
            self.synced_len.fetch_max(len, Ordering::AcqRel);
        }
        self.is_busy.store(false, Ordering::Release);
    }

    /// Bytes at the beginning of the file that outlive a power cut, under their name: never more than are durable, and
    /// after each tick all that was written before it. Nothing of a segment of the last run until it is sealed.
    pub(crate) fn synced_len(&self) -> u64 {
        self.synced_len.load(Ordering::Acquire)
    }

    /// A sync failed: bytes may be lost although they can still be read, and no later success brings them back.
    pub(crate) fn is_failed(&self) -> bool {
        self.is_failed.load(Ordering::Acquire)
    }

    /// Notes that a sync failed; whether that is new.
    pub(crate) fn fail(&self) -> bool {
        !self.is_failed.swap(true, Ordering::AcqRel)
    }

    /// Its name in the spool folder is durable.
    pub(crate) fn is_name_synced(&self) -> bool {
        self.is_name_synced.load(Ordering::Acquire)
    }

    pub(crate) fn name_synced(&self) {
        self.is_name_synced.store(true, Ordering::Release);
    }

    /// Whether a sync of the whole volume says anything about it, after so many of them failed.
    pub(crate) fn is_with_the_volume(&self, failures: u64) -> bool {
        !self.is_elsewhere.load(Ordering::Acquire)
            && self.cleared_failures.load(Ordering::Acquire) == failures
    }

    /// It lies on another file system than the spool.
    pub(crate) fn is_elsewhere(&self) {
        self.is_elsewhere.store(true, Ordering::Release);
    }

    /// Its own sync succeeded after so many failures of the whole volume: none of them was about it.
    pub(crate) fn clear_of(&self, failures: u64) {
        self.cleared_failures.store(failures, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_during_a_sync_is_due_in_the_next() {
        let durability = Durability::default();
        assert!(durability.make_dirty());
        assert!(!durability.make_dirty());
        assert!(durability.begin());
        assert!(!durability.begin(), "one at a time");
        assert!(durability.make_dirty(), "to be listed again");
        durability.end(Some(100));
        assert_eq!(durability.synced_len(), 100);
        assert!(durability.begin());
        durability.end(None);
        assert_eq!(durability.synced_len(), 100);
    }

    #[test]
    fn nothing_becomes_durable_after_a_failure() {
        let durability = Durability::default();
        assert!(durability.begin());
        assert!(durability.fail());
        assert!(!durability.fail());
        durability.end(Some(100));
        assert_eq!(durability.synced_len(), 0);
    }
}
