//! Replies on their way to the peer: bounded in bytes and in time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes};
use tokio::time::Instant;

use super::error::ConnectionError;
use super::link::Link;
use crate::limits::{MAX_TRANSMIT_BYTES, MAX_TRANSMIT_SLICES, WRITE_TIMEOUT};

/// The queue of one connection.
#[derive(Default, Debug)]
pub(super) struct Transmit {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// When the peer last took something, while there is something to take.
    waiting_since: Option<Instant>,
}

impl Transmit {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts a reply at the end.
    pub(super) fn push(&mut self, reply: Bytes) -> Result<(), ConnectionError> {
        if reply.is_empty() {
            return Ok(());
        }
        self.bytes += reply.len();
        if self.bytes > MAX_TRANSMIT_BYTES {
            return Err(ConnectionError::TransmitFull { limit_bytes: MAX_TRANSMIT_BYTES });
        }
        self.queue.push_back(reply);
        Ok(())
    }

    /// When the peer counts as gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + WRITE_TIMEOUT)
    }

    /// Writes what the socket takes now, without waiting.
    pub(super) fn flush(&mut self, link: &mut Link) -> Result<(), ConnectionError> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_TRANSMIT_SLICES];
            let mut count = 0;
            for (slice, reply) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(reply);
                count += 1;
            }
            match link.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(written) => self.taken(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    let since = *self.waiting_since.get_or_insert(now);
                    if now.duration_since(since) >= WRITE_TIMEOUT {
                        return Err(ConnectionError::WriteTimeout { limit: WRITE_TIMEOUT });
                    }
                    return Ok(());
                }
                Err(error) => return Err(ConnectionError::Socket(error)),
            }
        }
        Ok(())
    }

    /// Writes everything, waiting for the peer.
    pub(super) async fn write_all(&mut self, link: &mut Link) -> Result<(), ConnectionError> {
        loop {
            self.flush(link)?;
            if self.is_empty() {
                return Ok(());
            }
            link.writable().await.map_err(ConnectionError::Socket)?;
        }
    }

    fn taken(&mut self, mut written: usize) {
        self.waiting_since = None;
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_counts_partial_writes() {
        let mut transmit = Transmit::default();
        transmit.push(Bytes::from_static(b"abc")).expect("room");
        transmit.push(Bytes::from_static(b"defg")).expect("room");
        transmit.taken(5);
        assert_eq!((transmit.bytes, transmit.queue.front().map(|b| &b[..])), (2, Some(&b"fg"[..])));
        transmit.taken(2);
        assert!(transmit.is_empty());
        transmit.push(Bytes::from(vec![0; MAX_TRANSMIT_BYTES])).expect("room");
        assert!(transmit.push(Bytes::from_static(b"x")).is_err());
    }
}
