//! RTMP wire bytes to fragments on one core, with the allocator of the released program.
//!
//! The copy that the kernel makes out of the socket is no part of what is measured.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

mod pipeline;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use pipeline::{Pipeline, wire};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn rtmp_to_fragments(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtmp_to_fragments");
    for chunk_size in [128, 4096, 60_000] {
        let wire = wire(60, chunk_size);
        let outcome = Pipeline::new().run(&wire);
        assert!(outcome.fragments >= 115, "{outcome:?}");
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(chunk_size), &wire, |bencher, wire| {
            bencher.iter(|| Pipeline::new().run(wire));
        });
    }
    group.finish();
}

criterion_group!(benches, rtmp_to_fragments);
criterion_main!(benches);
