//! Decoder configurations and frames of all codecs.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::codec::{access, is_reference};
use media::{AudioConfig, VideoCodec, VideoConfig};

fuzz_target!(|bytes: &[u8]| {
    let record = Bytes::copy_from_slice(bytes);
    for codec in [VideoCodec::H264, VideoCodec::Hevc] {
        let _ = VideoConfig::from_record(codec, record.clone());
        for length_size in 0..=5 {
            let _ = (access(codec, bytes, length_size), is_reference(codec, bytes, length_size));
        }
    }
    let _ = AudioConfig::from_asc(record);
});
