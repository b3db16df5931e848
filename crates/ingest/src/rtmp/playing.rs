//! What is on its way to a player: one run of tags at a time, written straight from where it lies.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use media::flv::{PLAY_STREAM, TagRun};
use tokio::time::Instant;

use super::error::ConnectionError;
use super::link::Link;
use crate::limits::{MAX_PLAY_SLICES, PLAYER_WRITE_TIMEOUT};

/// A run that is being written.
#[derive(Default)]
pub(super) struct Sending {
    run: Option<Arc<TagRun>>,
    /// The chunks, where the player is on another message stream than all others.
    own: Vec<Bytes>,
    chunk_size: u32,
    /// The piece that is next, and how much of it is written.
    piece: usize,
    offset: usize,
    /// When the player last took something, while there is something to take.
    waiting_since: Option<Instant>,
}

impl Sending {
    pub(super) fn is_empty(&self) -> bool {
        self.run.is_none()
    }

    /// Begins with a run.
    pub(super) fn set(&mut self, run: Arc<TagRun>, stream_id: u32, chunk_size: u32) {
        self.own = if stream_id == PLAY_STREAM { Vec::new() } else { run.rtmp_on(stream_id, chunk_size) };
        (self.run, self.chunk_size, self.piece, self.offset) = (Some(run), chunk_size, 0, 0);
    }

    /// When the player counts as gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + PLAYER_WRITE_TIMEOUT)
    }

    /// Writes what the socket takes now, without waiting, and tells how many bytes that were.
    pub(super) fn write(&mut self, link: &mut Link) -> Result<u64, ConnectionError> {
        let mut sent_bytes = 0;
        while let Some(run) = &self.run {
            let pieces = if self.own.is_empty() { run.rtmp(self.chunk_size) } else { &self.own };
            let Some(rest) = pieces.get(self.piece..).filter(|rest| !rest.is_empty()) else {
                *self = Self::default();
                return Ok(sent_bytes);
            };
            let mut slices = [IoSlice::new(&[]); MAX_PLAY_SLICES];
            let mut count = 0;
            let mut skip = self.offset;
            for (slice, piece) in slices.iter_mut().zip(rest) {
                *slice = IoSlice::new(piece.get(skip..).unwrap_or_default());
                skip = 0;
                count += 1;
            }
            match link.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(written) => {
                    sent_bytes += written as u64;
                    let mut at = self.offset + written;
                    let passed = rest.iter().take_while(|piece| {
                        let is_passed = at >= piece.len();
                        if is_passed {
                            at -= piece.len();
                        }
                        is_passed
                    });
                    self.piece += passed.count();
                    self.offset = at;
                    self.waiting_since = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    let since = *self.waiting_since.get_or_insert(now);
                    if now.duration_since(since) >= PLAYER_WRITE_TIMEOUT {
                        return Err(ConnectionError::PlayerStalled { limit: PLAYER_WRITE_TIMEOUT });
                    }
                    return Ok(sent_bytes);
                }
                Err(error) => return Err(ConnectionError::Socket(error)),
            }
        }
        Ok(sent_bytes)
    }
}
