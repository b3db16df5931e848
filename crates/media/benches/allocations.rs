//! How often memory is allocated per sample on the way from RTMP wire bytes to fragments: a limit, not a race.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

mod pipeline;

use pipeline::{Outcome, Pipeline, wire};

/// More than this per audio or video sample is a regression: one buffer for the payload, one to share it, and what a
/// fragment costs spread over its 36 samples.
const MOST_PER_SAMPLE: f64 = 2.5;
const SECONDS: u32 = 60;

fn main() {
    for chunk_size in [128, 4096, 60_000] {
        let wire = wire(SECONDS, chunk_size);
        let mut pipeline = Pipeline::new();
        // What a connection costs once is not counted.
        let (start, rest) = wire.split_at(wire.len() / 4);
        let mut before = Outcome::default();
        for read in start.chunks(64 * 1024) {
            before = pipeline.read(read);
        }
        let mut after = before;
        let info = allocation_counter::measure(|| {
            for read in rest.chunks(64 * 1024) {
                after = pipeline.read(read);
            }
        });
        assert_eq!(after, Pipeline::new().run(&wire), "the same bytes in other pieces");
        let samples = after.frames - before.frames;
        let per_sample = info.count_total as f64 / samples as f64;
        println!(
            "chunk size {chunk_size:>6}: {per_sample:.2} allocations and {:.0} bytes per sample, {:.2} allocated bytes \
             per wire byte, {} kB at most in {samples} samples",
            info.bytes_total as f64 / samples as f64,
            info.bytes_total as f64 / rest.len() as f64,
            info.bytes_max / 1024,
        );
        assert!(per_sample <= MOST_PER_SAMPLE, "{per_sample} allocations per sample");
    }
}
