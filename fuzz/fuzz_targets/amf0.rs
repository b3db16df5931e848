//! Any bytes are values or an error; values are written and read again as they are.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use media::amf0::Reader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let Ok(value) = reader.read() else { break };
        let mut first = BytesMut::new();
        value.encode(&mut first);
        // Compared as bytes: a NaN is not equal to itself.
        if let Ok(again) = Reader::new(&first).read() {
            let mut second = BytesMut::new();
            again.encode(&mut second);
            assert_eq!(first, second);
        }
    }
});
