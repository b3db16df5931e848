//! The index of a segment as it stands in the catalog.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::SegmentIndex;

fuzz_target!(|bytes: &[u8]| {
    let Ok(index) = SegmentIndex::decode(bytes) else { return };
    assert_eq!(SegmentIndex::decode(&index.encode()).as_ref(), Ok(&index));
    let _ = (index.end_bytes(), index.duration_us());
    let _ = (index.fragment_at(1), index.key_at_or_before(u64::MAX), index.run_for(0, 90_000));
    let _ = index.run_for_us(0, 1, 2_000_000);
});
