//! Where payloads of media lie: blocks of memory that are used again when nobody has a payload in them any more.
//!
//! A live window holds what came for some seconds and lets go of the oldest for what is newest. With memory of its own for each
//! payload, the allocator gives memory back to the kernel and takes it again all the time, and the kernel clears every page of it:
//! a fifth of what a publisher costs.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::rtmp::limits::{
    BLOCK_BYTES, MAX_BLOCK_PAYLOAD_BYTES, MAX_BLOCKS, MAX_IDLE_BLOCKS, MIN_BLOCK_PAYLOAD_BYTES,
};

/// How many of the oldest blocks are looked at for one that is free: payloads go roughly in the order in which they came.
const LOOK_AT_BLOCKS: usize = 4;

/// The blocks of one connection.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// What is left of the newest block, once there is one: no bytes, and room.
    rest: Option<BytesMut>,
    /// A handle without room on each used block, the oldest first.
    used: VecDeque<BytesMut>,
}

impl Blocks {
    /// Room for a payload of that many bytes, and not for one more: in a block, or apart where it is so short that it would keep
    /// too much alive, or so long that it would leave too much empty.
    pub(super) fn room(&mut self, length: usize) -> BytesMut {
        if !(MIN_BLOCK_PAYLOAD_BYTES..=MAX_BLOCK_PAYLOAD_BYTES).contains(&length) {
            return BytesMut::with_capacity(length);
        }
        let mut room = match self.rest.take() {
            Some(rest) if rest.capacity() >= length => rest,
            full => {
                self.used.extend(full);
                self.reclaim().unwrap_or_else(|| BytesMut::with_capacity(BLOCK_BYTES))
            }
        };
        self.rest = Some(room.split_off(length));
        room
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

    /// Sequence headers are kept as long as a publication lasts, and sound is short where pictures are large.
    #[test]
    fn short_payloads_keep_no_block_alive() {
        let mut blocks = Blocks::default();
        let (mut kept, mut early) = (Vec::new(), std::collections::BTreeSet::new());
        for round in 0..400 {
            kept.push(payload(&mut blocks, MIN_BLOCK_PAYLOAD_BYTES - 1, 1));
            let address = payload(&mut blocks, PAYLOAD, 2).as_ptr() as usize;
            assert!(early.contains(&address) || round < 200, "blocks are used again beside what is kept");
            early.insert(address);
        }
        assert!(blocks.used.len() <= 1, "{}", blocks.used.len());
        assert!(kept.iter().all(|bytes| bytes.iter().all(|byte| *byte == 1)));
    }

    #[test]
    fn what_is_kept_for_ever_costs_its_block_and_stops_nothing() {
        let mut blocks = Blocks::default();
        flow(&mut blocks, 50, 300);
        let kept = payload(&mut blocks, MIN_BLOCK_PAYLOAD_BYTES, 2);
        flow(&mut blocks, 50, 1000);
        assert!(
            blocks.used.len() <= 50 * PAYLOAD / BLOCK_BYTES + 2 + MAX_IDLE_BLOCKS,
            "{}",
            blocks.used.len()
        );
        assert!(kept.iter().all(|byte| *byte == 2));
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
        assert_eq!((large.len(), blocks.rest.is_none()), (MAX_BLOCK_PAYLOAD_BYTES + 1, true));
        assert!(payload(&mut blocks, 0, 0).is_empty());
    }
}
