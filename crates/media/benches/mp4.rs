//! What writing, sealing, reading and cutting MP4 costs, at the size of a 90-minute match.
#![expect(clippy::unwrap_used, reason = "a bench panics where it fails")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use turepe_media::mp4::cut::{Source, cut};
use turepe_media::mp4::fragment::write_fragment;
use turepe_media::mp4::reader::read_moov;
use turepe_media::mp4::seal::SampleTable;
use turepe_media::{AudioConfig, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig};

const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f,
    0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60,
    0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];
const SEGMENT_SECONDS: i64 = 900;

fn config() -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        video: Some(VideoConfig::from_record(VideoCodec::H264, Bytes::from_static(AVCC)).unwrap()),
        audio: Some(AudioConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap()),
    })
}

/// The samples of the half second that starts at a multiple of half a second.
fn half_second(number: i64) -> (Vec<Sample>, Vec<Sample>) {
    let data = Bytes::from_static(&[7; 64]);
    let frames = number * 25 / 2..(number + 1) * 25 / 2;
    let video = frames.map(|frame| Sample {
        track: TrackKind::Video,
        decode_time: frame * 3600,
        duration: 3600,
        composition_offset: [0, 3, -1, -1][(frame % 4) as usize] * 3600,
        is_sync: frame % 50 == 0,
        data: data.clone(),
    });
    let sounds = number * 24_000 / 1024..(number + 1) * 24_000 / 1024;
    let audio = sounds.map(|sound| Sample {
        track: TrackKind::Audio,
        decode_time: sound * 1024,
        duration: 1024,
        composition_offset: 0,
        is_sync: true,
        data: data.clone(),
    });
    (video.collect(), audio.collect())
}

fn segment(config: &Arc<SessionConfig>, number: i64) -> SampleTable {
    let mut table = SampleTable::new(Arc::clone(config), 1400);
    for half in number * SEGMENT_SECONDS * 2..(number + 1) * SEGMENT_SECONDS * 2 {
        let (mut video, mut audio) = half_second(half);
        let is_key = half % 4 == 0;
        table.push(&write_fragment(1, config, half * 500_000, &mut video, &mut audio, is_key));
    }
    table
}

fn benches(criterion: &mut Criterion) {
    let config = config();
    let mut group = criterion.benchmark_group("mp4");
    let (video, audio) = half_second(0);
    group.throughput(Throughput::Elements((video.len() + audio.len()) as u64));
    group.bench_function("write_fragment", |bencher| {
        bencher.iter_batched_ref(
            || (video.clone(), audio.clone()),
            |(video, audio)| write_fragment(1, &config, 0, video, audio, true),
            BatchSize::SmallInput,
        );
    });
    let table = segment(&config, 0);
    let samples = table.sample_count(TrackKind::Video) + table.sample_count(TrackKind::Audio);
    group.throughput(Throughput::Elements(samples as u64));
    group.bench_function("seal 15 minutes", |bencher| bencher.iter(|| black_box(&table).moov()));
    let moov = table.moov();
    group.bench_function("read_moov 15 minutes", |bencher| bencher.iter(|| read_moov(black_box(&moov))));
    let tables: Vec<_> = (0..7).map(|number| segment(&config, number)).collect();
    let sources: Vec<_> = tables
        .iter()
        .map(|table| {
            let start_us = table.start_us().unwrap();
            Source { table, start_us, end_us: start_us + SEGMENT_SECONDS * 1_000_000, shown_us: i64::MIN }
        })
        .collect();
    let range = (600_040_000, 600_040_000 + 5_400_000_000);
    group.bench_function("cut 90 minutes", |bencher| {
        bencher.iter(|| cut(black_box(&sources), range.0, range.1));
    });
    group.finish();
}

criterion_group!(mp4, benches);
criterion_main!(mp4);
