//! Any bytes, in any cut, give the same messages and the same error, within the budget.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtmp::Message;
use media::rtmp::chunk::{ChunkError, ChunkReader};
use media::rtmp::limits::MAX_PARTIAL_BYTES;

fn read(bytes: &[u8], step: usize) -> (Vec<Message>, Option<ChunkError>) {
    let (mut reader, mut held, mut messages) = (ChunkReader::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        held.extend_from_slice(piece);
        let mut input = held.as_slice();
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
            assert!(reader.partial_bytes() <= MAX_PARTIAL_BYTES);
        }
        held = input.to_vec();
    }
    (messages, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(step) + 1), whole);
    assert_eq!(read(bytes, 1), whole);
});
