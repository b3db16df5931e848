//! A whole sealed segment against what is known of it: every byte, in order, once.
//!
//! Sans-IO: the caller brings the file's bytes from the first to the last, in pieces of any length. Not here: reading them,
//! and sums over them.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::boxes::BoxHead;
use super::init::{FREE_BYTES, FREE_OFFSET};
use super::reader::{MAX_FRAGMENT_BYTES, MAX_HEADER_BYTES, ReadError, read_moov, sealed_moov_offset};
use super::scan::{damaged_sample, read_config, read_fragment};
use super::seal::SampleTable;
use crate::{FragmentIndexEntry, SegmentIndex, TICKS_PER_SECOND_VIDEO};

/// The longest final `moov` that is held in memory, in bytes.
pub const MAX_MOOV_BYTES: u64 = 64 * 1024 * 1024;

/// The first thing in a segment that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// What is known of it contradicts itself, so that nothing can be compared with it.
    #[error("what the catalog knows of it contradicts itself")]
    Contradiction,
    /// The header of the file is not that of a sealed segment whose `moov` stands where it should.
    #[error("its header is damaged")]
    Header,
    /// A fragment is no fragment of ours.
    #[error("fragment {number} at byte {offset} is damaged")]
    Fragment {
        /// Its number, from 0.
        number: usize,
        /// Where it starts.
        offset: u64,
    },
    /// A sample's bytes are not those of a sample.
    #[error("sample {sample} of fragment {number} at byte {offset} is damaged")]
    Sample {
        /// Number of the fragment, from 0.
        number: usize,
        /// Where the fragment starts.
        offset: u64,
        /// Number of the sample within the fragment, from 0.
        sample: usize,
    },
    /// A fragment has another duration, or is a key where none should be.
    #[error("fragment {number} at byte {offset} is another one than the index says")]
    Index {
        /// Its number, from 0.
        number: usize,
        /// Where it starts.
        offset: u64,
    },
    /// The final `moov` cannot be read.
    #[error("its tables cannot be read: {0}")]
    Tables(#[from] ReadError),
    /// The final `moov` describes other samples than there are.
    #[error("its tables describe other samples than there are")]
    OtherTables,
    /// It ends too early.
    #[error("it ends at byte {0}")]
    Short(u64),
    /// It goes on after its end.
    #[error("it goes on after its end")]
    Long,
}

/// Compares a sealed segment with its index while its bytes go by.
#[derive(Debug)]
pub struct SegmentCheck {
    index: SegmentIndex,
    moov_offset: u64,
    size_bytes: u64,
    /// The next unit: 0 the header, then the fragments, then the `moov`, then nothing.
    unit: usize,
    /// Where the next unit starts.
    offset: u64,
    /// Its bytes so far, where it came in pieces.
    carried: Vec<u8>,
    table: Option<SampleTable>,
    previous: Option<Previous>,
}

/// What is remembered of the fragment before.
#[derive(Clone, Copy, Debug)]
struct Previous {
    entry: FragmentIndexEntry,
    /// Its decode time and what its samples add up to, in ticks of 1/90 000 s.
    start_90k: i128,
    duration_90k: u32,
}

impl SegmentCheck {
    /// A check of a file of `size_bytes` whose fragments lie as the index says and whose `moov` starts at `moov_offset`.
    ///
    /// # Errors
    ///
    /// If these contradict each other, or go beyond what is ever written.
    pub fn new(index: SegmentIndex, moov_offset: u64, size_bytes: u64) -> Result<Self, Fault> {
        let is_sound = index.end_bytes() == moov_offset
            && !index.fragments.is_empty()
            && u64::from(index.first_fragment_offset) <= MAX_HEADER_BYTES
            && index.fragments.iter().all(|entry| u64::from(entry.size_bytes) <= MAX_FRAGMENT_BYTES)
            && size_bytes.checked_sub(moov_offset).is_some_and(|len| len <= MAX_MOOV_BYTES);
        if !is_sound {
            return Err(Fault::Contradiction);
        }
        Ok(Self {
            index,
            moov_offset,
            size_bytes,
            unit: 0,
            offset: 0,
            carried: Vec::new(),
            table: None,
            previous: None,
        })
    }

    /// The bytes of all fragments, as offsets from the start of the file.
    #[must_use]
    pub fn fragments(&self) -> Range<u64> {
        u64::from(self.index.first_fragment_offset)..self.moov_offset
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    ///
    /// The first fault. What follows it is not looked at.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let Some(len) = self.unit_len() else { return Err(Fault::Long) };
            let missing = len.saturating_sub(self.carried.len());
            let Some((now, rest)) = bytes.split_at_checked(missing) else {
                self.carried.extend_from_slice(bytes);
                return Ok(());
            };
            bytes = rest;
            if self.carried.is_empty() {
                self.whole(now)?;
            } else {
                let mut carried = std::mem::take(&mut self.carried);
                carried.extend_from_slice(now);
                self.whole(&carried)?;
                // Its room is used again.
                carried.clear();
                self.carried = carried;
            }
            self.unit += 1;
            self.offset += len as u64;
        }
        Ok(())
    }

    /// All bytes have been pushed.
    ///
    /// # Errors
    ///
    /// If some are missing.
    pub fn finish(self) -> Result<(), Fault> {
        match self.unit_len() {
            None => Ok(()),
            Some(_) => Err(Fault::Short(self.offset + self.carried.len() as u64)),
        }
    }

    fn unit_len(&self) -> Option<usize> {
        let len = match self.unit.checked_sub(1) {
            None => u64::from(self.index.first_fragment_offset),
            Some(number) => match self.index.fragments.get(number) {
                Some(entry) => u64::from(entry.size_bytes),
                None if number == self.index.fragments.len() => self.size_bytes - self.moov_offset,
                None => return None,
            },
        };
        usize::try_from(len).ok()
    }

    fn whole(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self.unit.checked_sub(1) {
            None => self.header(bytes),
            Some(number) => match self.index.fragments.get(number).copied() {
                Some(entry) => self.fragment(number, entry, bytes),
                None => self.moov(bytes),
            },
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if sealed_moov_offset(bytes) != Some(self.moov_offset) {
            return Err(Fault::Header);
        }
        let moov = bytes.get(FREE_OFFSET as usize + FREE_BYTES..).unwrap_or_default();
        let is_to_the_end = BoxHead::read(moov).is_some_and(|head| head.size == Some(moov.len() as u64));
        let config = read_config(moov).filter(|_| is_to_the_end).ok_or(Fault::Header)?;
        self.table = Some(SampleTable::new(Arc::new(config), self.index.first_fragment_offset));
        Ok(())
    }

    fn fragment(&mut self, number: usize, entry: FragmentIndexEntry, bytes: &[u8]) -> Result<(), Fault> {
        let offset = self.offset;
        let damaged = Fault::Fragment { number, offset };
        let Some(table) = &mut self.table else { return Err(damaged) };
        let config = Arc::clone(table.config());
        let fragment = read_fragment(bytes, &config).ok_or(damaged)?;
        if let Some(sample) = damaged_sample(bytes, &fragment, &config) {
            return Err(Fault::Sample { number, offset, sample });
        }
        let lead = config.lead();
        let run = if lead == crate::TrackKind::Video { &fragment.video } else { &fragment.audio };
        let start_90k = i128::from(run.base_decode_time) * i128::from(TICKS_PER_SECOND_VIDEO)
            / i128::from(config.timescale(lead).max(1));
        if entry.is_key != fragment.is_key {
            return Err(Fault::Index { number, offset });
        }
        // The tables of a sealed file know no hole between two fragments: there, the one before lasts longer.
        if let Some(previous) = self.previous
            && !is_near(previous.entry.duration_90k, previous.duration_90k.into())
            && !is_near(previous.entry.duration_90k, start_90k - previous.start_90k)
        {
            let offset = offset.saturating_sub(u64::from(previous.entry.size_bytes));
            return Err(Fault::Index { number: number.saturating_sub(1), offset });
        }
        let is_last = number + 1 == self.index.fragments.len();
        if is_last && !is_near(entry.duration_90k, fragment.duration_90k.into()) {
            return Err(Fault::Index { number, offset });
        }
        table.push_runs(&fragment);
        self.previous = Some(Previous { entry, start_90k, duration_90k: fragment.duration_90k });
        Ok(())
    }

    fn moov(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sealed = read_moov(&Bytes::copy_from_slice(bytes))?;
        let Some(table) = self.table.take() else { return Err(Fault::Header) };
        let is_same = table.config() == sealed.config()
            && table.end_offset() == sealed.end_offset()
            && (&table.video, &table.audio) == (&sealed.video, &sealed.audio);
        if is_same { Ok(()) } else { Err(Fault::OtherTables) }
    }
}

/// Whether two durations are the same but for rounding.
fn is_near(known_90k: u32, found_90k: i128) -> bool {
    (i128::from(known_90k) - found_90k).abs() <= 1
}
