//! Repair of a torn segment: any bytes, bounded work, a length within the file.
#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use media::mp4::reader::TailScanner;

fuzz_target!(|bytes: &[u8]| {
    let scan = TailScanner::run(bytes.len() as u64, |want| {
        let start = usize::try_from(want.offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = usize::try_from(want.len).unwrap_or(usize::MAX);
        Ok::<_, Infallible>(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
    });
    if let Ok(Ok(scan)) = scan {
        assert!(scan.valid_len <= bytes.len() as u64);
    }
});
