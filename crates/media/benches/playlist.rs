//! The playlist of a 90-minute match, and decoding the seven segment indexes it is made of.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use turepe_media::{
    FragmentIndexEntry, SegmentIndex,
    playlist::{VodSegment, vod},
};

const START_US: i64 = 1_795_212_000_000_000;
const SEGMENT_US: i64 = 900_000_000;

/// A quarter of an hour at 25 frames a second with 2 s between keyframes.
fn quarter_hour() -> SegmentIndex {
    let fragments = (0..1800u32)
        .map(|number| FragmentIndexEntry {
            size_bytes: 250_000 + number * 7919 % 10_000,
            duration_90k: if number % 4 == 3 { 11 * 3600 } else { 13 * 3600 },
            is_key: number % 4 == 0,
        })
        .collect();
    SegmentIndex { first_fragment_offset: 1300, recovery_90k: 0, fragments }
}

fn playlist(criterion: &mut Criterion) {
    let index = quarter_hour();
    let encoded = index.encode();
    let uris: Vec<String> =
        (0..7).map(|number| format!("/media/{:0>120}/{number:0>36}.mp4", "token")).collect();
    let segments: Vec<VodSegment<'_>> = uris
        .iter()
        .enumerate()
        .map(|(number, uri)| VodSegment {
            uri,
            init_uri: "/init/0123456789abcdef0123456789abcdef.mp4",
            session: "session",
            start_us: START_US + number as i64 * SEGMENT_US,
            end_us: START_US + (number as i64 + 1) * SEGMENT_US,
            index: &index,
        })
        .collect();
    let from_us = START_US + 300_000_000;
    criterion.bench_function("playlist_of_a_match", |bencher| {
        bencher.iter(|| vod(black_box(&segments), from_us, from_us + 5_400_000_000, true));
    });
    criterion.bench_function("decode_seven_indexes", |bencher| {
        bencher.iter(|| {
            for _ in 0..7 {
                black_box(SegmentIndex::decode(black_box(&encoded)).expect("our own bytes"));
            }
        });
    });
}

criterion_group!(benches, playlist);
criterion_main!(benches);
