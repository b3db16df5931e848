//! Finding fragments, and the bytes they cover, by time.

use std::{iter::FusedIterator, ops::Range};

use crate::{FragmentIndexEntry, SegmentIndex};

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

    /// The fragments needed to show `[from_90k, to_90k)`: from the key fragment at or before the start to the last
    /// fragment that begins before the end. `None` where nothing of the range lies in this segment, or it has no key.
    #[must_use]
    pub fn run_for(&self, from_90k: u64, to_90k: u64) -> Option<FragmentRun> {
        let mut run: Option<FragmentRun> = None;
        let mut touches = false;
        for position in self.positions() {
            if position.start_90k >= to_90k {
                break;
            }
            if position.entry.is_key && (position.start_90k <= from_90k || run.is_none()) {
                run = Some(FragmentRun::starting_with(&position));
            }
            if let Some(run) = &mut run {
                run.extend_to(&position);
                touches |= position.end_90k() > from_90k;
            }
        }
        run.filter(|_| touches)
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
        self.run_for(us_to_ticks(from_us.saturating_sub(start_us)).max(key.start_90k), to_90k)
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
