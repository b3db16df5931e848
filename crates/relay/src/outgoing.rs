//! What is on its way to a target: one batch at a time, written straight from where it lies.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use media::flv::{PLAY_STREAM, TagRun};
use media::rtmp::limits::SEND_CHUNK_SIZE;

use crate::limits::MAX_SLICES;

/// Pieces that are being written.
#[derive(Default)]
pub(crate) struct Outgoing {
    batch: Batch,
    /// The piece that is next, and how much of it is written.
    piece: usize,
    offset: usize,
}

#[derive(Default)]
enum Batch {
    #[default]
    Nothing,
    /// Made for this target.
    Own(Vec<Bytes>),
    /// Made once for all players and relays of the channel.
    Shared(Arc<TagRun>),
}

impl Batch {
    fn pieces(&self) -> &[Bytes] {
        match self {
            Self::Nothing => &[],
            Self::Own(pieces) => pieces,
            Self::Shared(run) => run.rtmp(SEND_CHUNK_SIZE),
        }
    }
}

impl Outgoing {
    /// Whether everything is written.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.batch, Batch::Nothing)
    }

    /// Begins with pieces; what was there before must be written.
    pub(crate) fn set_pieces(&mut self, pieces: Vec<Bytes>) {
        self.begin(Batch::Own(pieces));
    }

    /// Begins with a run of tags for the message stream that the target has made.
    pub(crate) fn set_run(&mut self, run: Arc<TagRun>, stream_id: u32) {
        self.begin(if stream_id == PLAY_STREAM && !run.has_metadata() {
            Batch::Shared(run)
        } else {
            Batch::Own(run.rtmp_published(stream_id, SEND_CHUNK_SIZE))
        });
    }

    fn begin(&mut self, batch: Batch) {
        let batch = if batch.pieces().is_empty() { Batch::Nothing } else { batch };
        *self = Self { batch, piece: 0, offset: 0 };
    }

    /// Fills `slices` with what comes next; how many are filled.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut skip = self.offset;
        let mut count = 0;
        let rest = self.batch.pieces().get(self.piece..).unwrap_or_default();
        for (slice, piece) in slices.iter_mut().zip(rest) {
            *slice = IoSlice::new(piece.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        count
    }

    /// So many bytes of it were written.
    pub(crate) fn advance(&mut self, written: usize) {
        let mut at = self.offset + written;
        let pieces = self.batch.pieces();
        let rest = pieces.get(self.piece..).unwrap_or_default();
        let passed = rest.iter().take_while(|piece| {
            let is_passed = at >= piece.len();
            if is_passed {
                at -= piece.len();
            }
            is_passed
        });
        self.piece += passed.count();
        self.offset = at;
        if self.piece >= pieces.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_in_whatever_cuts_they_are_taken() {
        let pieces: Vec<Bytes> =
            (0..300_u32).map(|n| Bytes::from(vec![n as u8; (n % 7 + 1) as usize])).collect();
        let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
        for step in [1, 2, 3, 17, 1000] {
            let mut out = Outgoing::default();
            out.set_pieces(pieces.clone());
            let mut taken = Vec::new();
            while !out.is_empty() {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = out.fill(&mut slices);
                let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                let part = &all[..step.min(all.len())];
                taken.extend_from_slice(part);
                out.advance(part.len());
            }
            assert_eq!(taken, whole);
        }
        let mut out = Outgoing::default();
        out.set_pieces(Vec::new());
        assert!(out.is_empty());
    }
}
