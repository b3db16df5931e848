//! The chunk stream against hand-made bytes ([`vectors`]), limits, and properties.

mod limits;
mod properties;
mod vectors;
mod wire;
mod writer;

use bytes::Bytes;

use super::{ChunkError, ChunkReader};
use crate::rtmp::Message;

/// Reads all of `bytes`, handed over in pieces of `step`; the messages before the error, and the error.
fn read_in_steps(bytes: &[u8], step: usize) -> (Vec<Message>, Option<ChunkError>) {
    let (mut reader, mut held, mut messages) = (ChunkReader::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step.max(1)) {
        held.extend_from_slice(piece);
        let mut input = held.as_slice();
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() <= 18, "only part of a header may be left, not {} bytes", input.len());
        held = input.to_vec();
    }
    (messages, None)
}

/// Reads `bytes` in one piece and one byte at a time; both must agree.
fn read(bytes: &[u8]) -> (Vec<Message>, Option<ChunkError>) {
    let whole = read_in_steps(bytes, bytes.len());
    assert_eq!(read_in_steps(bytes, 1), whole);
    whole
}

fn read_ok(bytes: &[u8]) -> Vec<Message> {
    let (messages, error) = read(bytes);
    assert_eq!(error, None);
    messages
}

fn message(timestamp_ms: u32, type_id: u8, stream_id: u32, payload: &[u8]) -> Message {
    Message { timestamp_ms, type_id, stream_id, payload: Bytes::copy_from_slice(payload) }
}
