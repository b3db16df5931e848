//! FLV files in any cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::flv::{FlvError, FlvFileTag, FlvReader};

fn read(bytes: &[u8], step: usize) -> (Vec<FlvFileTag>, Option<FlvError>) {
    let (mut reader, mut tags) = (FlvReader::new(), Vec::new());
    for piece in bytes.chunks(step) {
        reader.push(piece);
        loop {
            match reader.next_tag() {
                Ok(Some(tag)) => tags.push(tag),
                Ok(None) => break,
                Err(error) => return (tags, Some(error)),
            }
        }
    }
    (tags, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    assert_eq!(read(bytes, usize::from(step) + 1), read(bytes, bytes.len().max(1)));
});
