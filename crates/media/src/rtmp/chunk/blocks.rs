//! Where payloads of media lie: blocks of memory that are used again when nobody has a payload in them any more.
//!
//! A live window holds what came for some seconds and lets go of the oldest for what is newest. With memory of its own for each
//! payload, the allocator gives memory back to the kernel and takes it again all the time, and the kernel clears every page of it:
//! a fifth of what a publisher costs.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::rtmp::limits::{
    BLOCK_BYTES, FIRST_BLOCK_BYTES, MAX_BLOCK_PAYLOAD_BYTES, MAX_BLOCKS, MAX_IDLE_BLOCKS,
};

/// How many of the oldest blocks are looked at for one that is free: payloads go roughly in the order in which they came.
const LOOK_AT_BLOCKS: usize = 4;

/// The blocks of one connection.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// What is left of the newest block: no bytes, and room.
    rest: BytesMut,
    /// Length of the newest block.
    newest_bytes: usize,
    /// A handle without room on each used block of full length, the oldest first.
    used: VecDeque<BytesMut>,
}

impl Blocks {
    /// Room for a payload of that many bytes, and not for one more. What stands in the first block may be kept for ever (a
    /// sequence header): so that one is small.
    pub(super) fn room(&mut self, length: usize) -> BytesMut {
        if length > MAX_BLOCK_PAYLOAD_BYTES {
            return BytesMut::with_capacity(length);
        }
        if self.rest.capacity() < length {
            let is_first = self.newest_bytes == 0 && length <= FIRST_BLOCK_BYTES;
            self.begin(if is_first { FIRST_BLOCK_BYTES } else { BLOCK_BYTES });
        }
        let rest = self.rest.split_off(length);
        std::mem::replace(&mut self.rest, rest)
    }

    fn begin(&mut self, bytes: usize) {
        let full = std::mem::take(&mut self.rest);
        if self.newest_bytes == BLOCK_BYTES {
            self.used.push_back(full);
        }
        self.newest_bytes = bytes;
        let free = if bytes == BLOCK_BYTES { self.reclaim() } else { None };
        self.rest = free.unwrap_or_else(|| BytesMut::with_capacity(bytes));
    }

    /// A block that nobody uses any more.
    fn reclaim(&mut self) -> Option<BytesMut> {
        // Fewer payloads come than did: what that many blocks ahead is free already will not be needed.
        if self.used.get_mut(MAX_IDLE_BLOCKS).is_some_and(is_free) {
            self.used.pop_front();
        }
        let free = self.used.iter_mut().take(LOOK_AT_BLOCKS).position(is_free);
        match free {
            // Those before it are kept by somebody for longer than usual, who frees them.
            Some(at) => self.used.drain(..=at).next_back(),
            None => {
                if self.used.len() > MAX_BLOCKS {
                    self.used.pop_front();
                }
                None
            }
        }
    }
}

/// Whether nobody else has a part of the block; then all of it is its handle's again.
fn is_free(block: &mut BytesMut) -> bool {
    block.clear();
    block.try_reclaim(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const PAYLOAD: usize = 20_000;

    fn payload(blocks: &mut Blocks, length: usize, byte: u8) -> Bytes {
        let mut room = blocks.room(length);
        assert_eq!((room.len(), room.capacity() >= length), (0, true));
        room.extend(std::iter::repeat_n(byte, length));
        room.freeze()
    }

    /// What comes and goes as through a live window of `kept` payloads; the addresses at which payloads began.
    fn flow(blocks: &mut Blocks, kept: usize, count: usize) -> Vec<usize> {
        let mut window = VecDeque::new();
        let mut addresses = Vec::new();
        for number in 0..count {
            let byte = number as u8;
            let bytes = payload(blocks, PAYLOAD + number % 7, byte);
            addresses.push(bytes.as_ptr() as usize);
            window.push_back((byte, bytes));
            if window.len() > kept {
                window.pop_front();
            }
            let is_whole = |(byte, bytes): &(u8, Bytes)| bytes.iter().all(|other| other == byte);
            assert!(window.iter().all(is_whole), "nothing that is kept is written over");
        }
        addresses
    }

    #[test]
    fn a_window_that_moves_needs_no_further_memory() {
        let mut blocks = Blocks::default();
        let addresses = flow(&mut blocks, 100, 2000);
        let [early, late] = [&addresses[..1000], &addresses[1000..]]
            .map(|some| some.iter().copied().collect::<std::collections::BTreeSet<_>>());
        assert!(late.is_subset(&early), "payloads lie where others lay");
        assert!(blocks.used.len() <= 100 * PAYLOAD / BLOCK_BYTES + 2 + MAX_IDLE_BLOCKS);
    }

    #[test]
    fn what_is_kept_for_ever_costs_one_block_and_stops_nothing() {
        let mut blocks = Blocks::default();
        let header = payload(&mut blocks, 50, 1);
        assert_eq!(blocks.newest_bytes, FIRST_BLOCK_BYTES);
        flow(&mut blocks, 50, 300);
        // A change of the configuration in mid-stream.
        let other_header = payload(&mut blocks, 50, 2);
        flow(&mut blocks, 50, 1000);
        assert!(
            blocks.used.len() <= 50 * PAYLOAD / BLOCK_BYTES + 2 + MAX_IDLE_BLOCKS,
            "{}",
            blocks.used.len()
        );
        assert_eq!((header[0], other_header[49]), (1, 2));
    }

    #[test]
    fn blocks_that_are_not_needed_any_more_go() {
        let mut blocks = Blocks::default();
        flow(&mut blocks, 1000, 2000);
        let before = blocks.used.len();
        assert!(before > 60, "{before}");
        flow(&mut blocks, 10, 2000);
        assert!(blocks.used.len() <= MAX_IDLE_BLOCKS + LOOK_AT_BLOCKS, "{}", blocks.used.len());
    }

    #[test]
    fn handles_are_bounded_whatever_is_kept() {
        let mut blocks = Blocks::default();
        let all: Vec<_> = (0..2 * MAX_BLOCKS).map(|_| payload(&mut blocks, BLOCK_BYTES / 2, 0)).collect();
        assert!(blocks.used.len() <= MAX_BLOCKS + 1);
        drop(all);
    }

    #[test]
    fn large_payloads_have_memory_of_their_own() {
        let mut blocks = Blocks::default();
        let large = payload(&mut blocks, MAX_BLOCK_PAYLOAD_BYTES + 1, 7);
        assert_eq!((large.len(), blocks.newest_bytes), (MAX_BLOCK_PAYLOAD_BYTES + 1, 0));
        assert!(payload(&mut blocks, 0, 0).is_empty());
    }
}
