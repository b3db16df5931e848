//! The final `moov` of a sealed segment, and cutting by what it says.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::mp4::cut::{Source, cut};
use media::mp4::reader::{read_moov, sealed_moov_offset};

fuzz_target!(|bytes: &[u8]| {
    let _ = sealed_moov_offset(bytes);
    let Ok(table) = read_moov(&Bytes::copy_from_slice(bytes)) else { return };
    let _ = table.moov();
    let source = Source { table: &table, start_us: 0, end_us: 10_000_000, shown_us: i64::MIN };
    let _ = cut(&[source], 1_000_000, 9_000_000);
});
