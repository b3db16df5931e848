//! Finding fragments, and the bytes they cover, by time.

use std::{iter::FusedIterator, ops::Range};

use crate::{FragmentIndexEntry, SegmentIndex};

/// Longest lead-in that is played unseen to show an instant exactly, in ticks of 1/90 000 s. Entries are at most a minute apart
/// (the timeline sees to that), and pictures are whole [`MAX_RECOVERY_90K`] later at most; only footage of older versions has
/// longer ways from one to the next.
pub const MAX_LEAD_IN_90K: u64 = 90 * 90_000;

/// Lead-in where there is no entry within [`MAX_LEAD_IN_90K`]: the decoder starts anywhere, and has this long to find itself.
pub const LATE_LEAD_IN_90K: u64 = 10 * 90_000;

/// Longest time after an entry for which pictures are taken not to be whole.
pub const MAX_RECOVERY_90K: u32 = 20 * 90_000;

const _: () = assert!(LATE_LEAD_IN_90K < MAX_LEAD_IN_90K && (MAX_RECOVERY_90K as u64) < MAX_LEAD_IN_90K);

/// Microseconds of a number of 1/90 000 s ticks, rounded down.
///
/// Rounding always falls the same way, so that the difference of two converted positions adds up over any partition.
#[must_use]
pub const fn ticks_to_us(ticks_90k: u64) -> i64 {
    // 1e6 / 90 000 = 100 / 9. A u64 of ticks is millions of years; the product is kept in range by saturation.
    (ticks_90k.saturating_mul(100) / 9) as i64
}

/// 1/90 000 s ticks of a number of microseconds, rounded down; negative times are 0.
#[must_use]
pub const fn us_to_ticks(us: i64) -> u64 {
    if us <= 0 { 0 } else { (us as u64).saturating_mul(9) / 100 }
}

/// One fragment with its place in time and in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentPosition {
    /// Number of the fragment within the segment, from 0.
    pub number: usize,
    /// Ticks of 1/90 000 s from the start of the segment to the start of the fragment.
    pub start_90k: u64,
    /// Offset of its `moof` from the start of the file.
    pub offset_bytes: u64,
    /// What the index says of it.
    pub entry: FragmentIndexEntry,
}

impl FragmentPosition {
    /// Ticks of 1/90 000 s from the start of the segment to the end of the fragment.
    #[must_use]
    pub fn end_90k(&self) -> u64 {
        self.start_90k + u64::from(self.entry.duration_90k)
    }

    /// Offset of the first byte after the fragment.
    #[must_use]
    pub fn end_bytes(&self) -> u64 {
        self.offset_bytes + u64::from(self.entry.size_bytes)
    }
}

/// Consecutive fragments, as a range of time and of bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FragmentRun {
    /// Numbers of the fragments.
    pub fragments: Range<usize>,
    /// Their time, in ticks of 1/90 000 s from the start of the segment.
    pub time_90k: Range<u64>,
    /// Their bytes, as offsets from the start of the file.
    pub bytes: Range<u64>,
}

impl FragmentRun {
    fn starting_with(position: &FragmentPosition) -> Self {
        Self {
            fragments: position.number..position.number,
            time_90k: position.start_90k..position.start_90k,
            bytes: position.offset_bytes..position.offset_bytes,
        }
    }

    fn extend_to(&mut self, position: &FragmentPosition) {
        self.fragments.end = position.number + 1;
        self.time_90k.end = position.end_90k();
        self.bytes.end = position.end_bytes();
    }
}

/// The fragments of an index with their positions, in file order.
#[derive(Clone, Debug)]
pub struct FragmentPositions<'a> {
    entries: std::iter::Enumerate<std::slice::Iter<'a, FragmentIndexEntry>>,
    next_90k: u64,
    next_bytes: u64,
}

impl Iterator for FragmentPositions<'_> {
    type Item = FragmentPosition;

    fn next(&mut self) -> Option<FragmentPosition> {
        let (number, entry) = self.entries.next()?;
        let position = FragmentPosition {
            number,
            start_90k: self.next_90k,
            offset_bytes: self.next_bytes,
            entry: *entry,
        };
        self.next_90k = position.end_90k();
        self.next_bytes = position.end_bytes();
        Some(position)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for FragmentPositions<'_> {}
impl FusedIterator for FragmentPositions<'_> {}

impl SegmentIndex {
    /// The fragments with their positions in time and in the file.
    #[must_use]
    pub fn positions(&self) -> FragmentPositions<'_> {
        FragmentPositions {
            entries: self.fragments.iter().enumerate(),
            next_90k: 0,
            next_bytes: u64::from(self.first_fragment_offset),
        }
    }

    /// Length of all fragments in ticks of 1/90 000 s.
    #[must_use]
    pub fn duration_90k(&self) -> u64 {
        self.fragments.iter().map(|entry| u64::from(entry.duration_90k)).sum()
    }

    /// Length of all fragments in microseconds, rounded down.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        ticks_to_us(self.duration_90k())
    }

    /// Offset of the first byte after the last fragment.
    #[must_use]
    pub fn end_bytes(&self) -> u64 {
        u64::from(self.first_fragment_offset)
            + self.fragments.iter().map(|entry| u64::from(entry.size_bytes)).sum::<u64>()
    }

    /// The fragment that contains an instant, in ticks of 1/90 000 s from the start of the segment.
    #[must_use]
    pub fn fragment_at(&self, time_90k: u64) -> Option<FragmentPosition> {
        self.positions().find(|position| time_90k < position.end_90k())
    }

    /// The last key fragment that starts at or before an instant, or the first key fragment where there is none before.
    #[must_use]
    pub fn key_at_or_before(&self, time_90k: u64) -> Option<FragmentPosition> {
        let mut found = None;
        for position in self.positions().filter(|position| position.entry.is_key) {
            if found.is_some() && position.start_90k > time_90k {
                break;
            }
            found = Some(position);
        }
        found
    }

    /// Where to start for an instant to be shown whole: the last key fragment from which pictures are whole by then, or the
    /// first fragment where there is none. A lead-in longer than [`MAX_LEAD_IN_90K`] is cut to [`LATE_LEAD_IN_90K`].
    #[must_use]
    pub fn entry_for(&self, time_90k: u64) -> Option<FragmentPosition> {
        let whole_90k = time_90k.checked_sub(u64::from(self.recovery_90k));
        let late_90k = time_90k.checked_sub(LATE_LEAD_IN_90K);
        let is_by = |position: &FragmentPosition, limit_90k: Option<u64>| {
            limit_90k.is_some_and(|limit_90k| position.start_90k <= limit_90k)
        };
        let (mut entry, mut late): (Option<FragmentPosition>, Option<FragmentPosition>) = (None, None);
        for position in self.positions() {
            if entry.is_some() && position.start_90k > time_90k {
                break;
            }
            // A key from which not everything is whole in time is still better than no key at all.
            let is_first_key = position.entry.is_key && entry.is_some_and(|entry| !entry.entry.is_key);
            if entry.is_none() || is_first_key || (position.entry.is_key && is_by(&position, whole_90k)) {
                entry = Some(position);
            }
            if is_by(&position, late_90k) {
                late = Some(position);
            }
        }
        entry.map(|entry| match late {
            Some(late) if time_90k.saturating_sub(entry.start_90k) > MAX_LEAD_IN_90K => late,
            _ => entry,
        })
    }

    /// The fragments needed to show `[from_90k, to_90k)`: from [`Self::entry_for`] its start to the last fragment that begins
    /// before the end. `None` where nothing of the range lies in this segment.
    #[must_use]
    pub fn run_for(&self, from_90k: u64, to_90k: u64) -> Option<FragmentRun> {
        self.run_starting(&self.entry_for(from_90k)?, from_90k, to_90k)
    }

    /// The run of [`Self::run_for`] from a fragment on.
    fn run_starting(&self, entry: &FragmentPosition, from_90k: u64, to_90k: u64) -> Option<FragmentRun> {
        let mut run = FragmentRun::starting_with(entry);
        let mut touches = false;
        for position in self.positions().skip(entry.number) {
            if position.start_90k >= to_90k {
                break;
            }
            run.extend_to(&position);
            touches |= position.end_90k() > from_90k;
        }
        touches.then_some(run)
    }

    /// [`Self::run_for_us`], but beginning no earlier than the first key fragment at or after `shown_us`; `None` also where
    /// there is none.
    #[must_use]
    pub fn run_from_us(&self, start_us: i64, shown_us: i64, from_us: i64, to_us: i64) -> Option<FragmentRun> {
        if shown_us <= start_us {
            return self.run_for_us(start_us, from_us, to_us);
        }
        let key = self.positions().find(|position| {
            position.entry.is_key && start_us.saturating_add(ticks_to_us(position.start_90k)) >= shown_us
        })?;
        let to_90k = (to_us.saturating_sub(start_us).max(0) as u64).saturating_mul(9).div_ceil(100);
        let from_90k = us_to_ticks(from_us.saturating_sub(start_us)).max(key.start_90k);
        // Where pictures are not whole at once, the lead-in of that key would be what was shown already.
        let entry = self.entry_for(from_90k).filter(|entry| entry.number >= key.number).unwrap_or(key);
        self.run_starting(&entry, from_90k, to_90k)
    }

    /// [`Self::run_for`] with UTC instants, for a segment that starts at `start_us`.
    #[must_use]
    pub fn run_for_us(&self, start_us: i64, from_us: i64, to_us: i64) -> Option<FragmentRun> {
        if to_us <= start_us || to_us <= from_us {
            return None;
        }
        let from_90k = us_to_ticks(from_us.saturating_sub(start_us));
        // An end between two ticks still needs a fragment that begins at the earlier one.
        self.run_for(from_90k, (to_us.saturating_sub(start_us) as u64).saturating_mul(9).div_ceil(100))
    }
}
