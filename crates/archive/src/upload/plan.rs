//! What the upload of one segment does next: a pure decision.
//!
//! The parts of a segment go up while it grows, all but the first: sealing patches its header. So the first part comes
//! last, when the segment is sealed. A segment no longer than one part is put whole.

use std::collections::{BTreeMap, BTreeSet};

use super::confirm::Arrived;

/// What is known of a segment on its way to the bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Bytes at its beginning that outlive a power cut. What lies behind them may be cut off by a repair.
    pub(crate) durable_bytes: u64,
    /// Its whole length, once it is sealed.
    pub(crate) sealed_bytes: Option<u64>,
    /// Length of every part but the last.
    pub(crate) part_bytes: u64,
    /// How far it has come.
    pub(crate) progress: &'a Progress,
}

/// How far an upload has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Whether an earlier run began is to be found out.
    Unknown,
    /// Nothing is in the bucket.
    Idle,
    /// An upload runs.
    Parts(Parts),
    /// Everything has been sent and taken, and is looked for.
    Arrived(Arrived),
    /// The bucket was seen to have it.
    Confirmed { etag: String },
}

/// A multipart upload that runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) upload_id: String,
    /// Entity tags of what has arrived, by number.
    pub(crate) tags: BTreeMap<u32, String>,
    /// What is being sent.
    pub(crate) in_flight: BTreeSet<u32>,
}

/// One call, or a few that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Find out what an earlier run left.
    Resume,
    /// Begin a multipart upload.
    Begin,
    /// Put the whole object at once.
    Put,
    /// Put one part.
    Part(u32),
    /// Make the object of its parts.
    Complete,
    /// Look whether the bucket has it.
    Confirm,
    /// Tell the catalog.
    Note,
}

impl Step {
    /// Whether it sends a segment's bytes.
    pub(crate) fn is_sending(self) -> bool {
        matches!(self, Self::Put | Self::Part(_))
    }
}

/// The next step of a segment that has no other step running than parts; `None` while there is nothing to do but wait.
pub(crate) fn next(facts: Facts<'_>) -> Option<Step> {
    match facts.progress {
        Progress::Unknown => Some(Step::Resume),
        Progress::Idle => match facts.sealed_bytes {
            Some(len) if len <= facts.part_bytes => Some(Step::Put),
            Some(_) => Some(Step::Begin),
            None => (facts.durable_bytes >= 2 * facts.part_bytes).then_some(Step::Begin),
        },
        Progress::Parts(parts) => next_of_parts(facts, parts),
        Progress::Arrived(_) if facts.sealed_bytes.is_some() => Some(Step::Confirm),
        Progress::Confirmed { .. } if facts.sealed_bytes.is_some() => Some(Step::Note),
        Progress::Arrived(_) | Progress::Confirmed { .. } => None,
    }
}

fn next_of_parts(facts: Facts<'_>, parts: &Parts) -> Option<Step> {
    let whole_parts = match facts.sealed_bytes {
        Some(len) => part_count(len, facts.part_bytes),
        None => u32::try_from(facts.durable_bytes / facts.part_bytes).unwrap_or(u32::MAX),
    };
    let is_open = |number: &u32| !parts.tags.contains_key(number) && !parts.in_flight.contains(number);
    if let Some(number) = (2..=whole_parts).find(is_open) {
        return Some(Step::Part(number));
    }
    if facts.sealed_bytes.is_none() || !parts.in_flight.is_empty() {
        return None;
    }
    Some(if is_open(&1) { Step::Part(1) } else { Step::Complete })
}

/// How many parts an object of a length has.
pub(crate) fn part_count(len: u64, part_bytes: u64) -> u32 {
    u32::try_from(len.div_ceil(part_bytes.max(1)).max(1)).unwrap_or(u32::MAX)
}

/// The bytes of a part of a sealed segment, or of one that grows and reaches behind it.
pub(crate) fn part_range(number: u32, part_bytes: u64, sealed_bytes: Option<u64>) -> std::ops::Range<u64> {
    let start = u64::from(number.saturating_sub(1)) * part_bytes;
    let end = start + part_bytes;
    start..sealed_bytes.map_or(end, |len| end.min(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: u64 = 100;

    fn parts(tags: &[u32], in_flight: &[u32]) -> Progress {
        Progress::Parts(Parts {
            upload_id: "u".into(),
            tags: tags.iter().map(|number| (*number, number.to_string())).collect(),
            in_flight: in_flight.iter().copied().collect(),
        })
    }

    #[test]
    fn the_first_part_waits_for_the_seal() {
        let arrived = Progress::Arrived(Arrived::default());
        let confirmed = Progress::Confirmed { etag: "e".into() };
        let table = [
            ("what an earlier run left is looked up first", Progress::Unknown, 0, None, Some(Step::Resume)),
            ("a short one grows", Progress::Idle, 199, None, None),
            ("a long one grows", Progress::Idle, 200, None, Some(Step::Begin)),
            ("a short one is sealed", Progress::Idle, 0, Some(100), Some(Step::Put)),
            ("a longer one is sealed", Progress::Idle, 0, Some(101), Some(Step::Begin)),
            ("the second part is durable", parts(&[], &[]), 250, None, Some(Step::Part(2))),
            ("it is being sent", parts(&[], &[2]), 299, None, None),
            ("the third is durable", parts(&[], &[2]), 300, None, Some(Step::Part(3))),
            ("all that is durable has arrived", parts(&[2, 3], &[]), 399, None, None),
            ("the last one is a short one", parts(&[2], &[]), 250, Some(251), Some(Step::Part(3))),
            ("the first waits for those on their way", parts(&[2], &[3]), 0, Some(251), None),
            ("the first comes last", parts(&[2, 3], &[]), 0, Some(251), Some(Step::Part(1))),
            ("and is sent once", parts(&[2, 3], &[1]), 0, Some(251), None),
            ("then it is complete", parts(&[1, 2, 3], &[]), 0, Some(251), Some(Step::Complete)),
            ("then it is looked for", arrived, 0, Some(251), Some(Step::Confirm)),
            ("then it is noted", confirmed, 0, Some(251), Some(Step::Note)),
        ];
        for (what, progress, durable_bytes, sealed_bytes, step) in table {
            let facts = Facts { durable_bytes, sealed_bytes, part_bytes: P, progress: &progress };
            assert_eq!(next(facts), step, "{what}");
        }
    }

    #[test]
    fn parts_make_up_the_whole() {
        for len in [1, 99, 100, 101, 200, 1234] {
            let count = part_count(len, P);
            let ranges: Vec<_> = (1..=count).map(|number| part_range(number, P, Some(len))).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, len);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].end % P == 0));
            assert!(ranges.iter().all(|range| !range.is_empty()));
        }
        assert_eq!(part_range(2, P, None), 100..200);
    }
}
