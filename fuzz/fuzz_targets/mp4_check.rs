//! A segment's bytes against an index that was read from them, in pieces of any length.
#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use media::mp4::check::SegmentCheck;
use media::mp4::reader::TailScanner;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let scan = TailScanner::run(bytes.len() as u64, |want| {
        let start = usize::try_from(want.offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = usize::try_from(want.len).unwrap_or(usize::MAX);
        Ok::<_, Infallible>(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
    });
    let Ok(Ok(scan)) = scan else { return };
    let index = scan.table.index().clone();
    let Ok(mut check) = SegmentCheck::new(index, scan.valid_len, bytes.len() as u64) else { return };
    let pushed = bytes.chunks(usize::from(piece) + 1).try_for_each(|piece| check.push(piece));
    let _ = pushed.and_then(|()| check.finish());
});
