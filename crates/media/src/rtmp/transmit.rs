//! What waits to be sent.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces to be written to the socket in order. Its owner bounds it.
#[derive(Debug, Default)]
pub struct Transmit {
    pieces: VecDeque<Bytes>,
    size_bytes: usize,
}

impl Transmit {
    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.size_bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.size_bytes -= piece.len();
        Some(piece)
    }

    /// Bytes that wait.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}
