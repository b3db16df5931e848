//! How long a replay's questions take in a catalog of a million segments: 100 channels, 15 minutes each, 104 days.
//!
//! `cargo bench -p turepe-catalog` fills the catalog and prints a table. Run as a test (without `--bench`) it does the
//! same with a hundredth of the rows, to see that it works.
#![expect(clippy::unwrap_used, reason = "a benchmark says what went wrong by stopping")]

use std::time::{Duration, Instant};

use turepe_catalog::{Catalog, NewChannel, NewClub, NewSegment, Place, SealedSegment, Source};
use uuid::Uuid;

const CHANNELS: usize = 100;
const SEGMENT_US: i64 = 900_000_000;
const START_US: i64 = 1_790_000_100_000_000;
const MATCH_US: i64 = 90 * 60_000_000;
const MONTH_US: i64 = 30 * 24 * 3_600_000_000;

/// Bytes of the index of 15 minutes: 1800 fragments of half a second, at most 8 bytes each.
const INDEX_BYTES: usize = 14_400;

/// Channels whose segments have an index; all would be 14 GB.
const INDEXED_CHANNELS: usize = 2;

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let segments = if is_bench { 1_000_000 } else { 10_000 };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(segments));
}

/// Xorshift64 (Marsaglia 2003): the same questions in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

async fn run(segments: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turepe.db");
    let catalog = Catalog::open_file(&path).await.unwrap();
    let (channels, keys) = fill_clubs(&catalog).await;
    let per_channel = segments / CHANNELS;

    let begun = Instant::now();
    let count = catalog.insert_sealed_segments(rows(&catalog, &channels, per_channel)).await.unwrap();
    let took = begun.elapsed();
    let size_mb = std::fs::metadata(&path).unwrap().len() / 1_000_000;
    println!(
        "{count} segments in {:.1} s, {size_mb} MB of which {INDEXED_CHANNELS} channels with indexes",
        took.as_secs_f64()
    );
    println!("{:<44} {:>10} {:>10} {:>10}", "question", "p50 µs", "p99 µs", "max µs");

    let last_us = START_US + i64::try_from(per_channel).unwrap() * SEGMENT_US;
    let span_us = last_us - START_US - MATCH_US;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut moment = move || START_US + i64::try_from(dice.below(usize::try_from(span_us).unwrap())).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);

    let mut times = Times::new("ping (the floor: one trip to the database)");
    for _ in 0..2_000 {
        times.measure(catalog.ping()).await.unwrap();
    }
    times.report();

    let mut times = Times::new("segments_in_range, a match of 90 min");
    for _ in 0..5_000 {
        let (channel, from_us) = (channels[dice.below(CHANNELS)], moment());
        let found =
            times.measure(catalog.segments_in_range(channel, from_us, from_us + MATCH_US)).await.unwrap();
        assert!((6..=7).contains(&found.len()));
    }
    times.report();

    let mut times = Times::new("segment_indexes of a match, 7 × 14 kB");
    for _ in 0..1_000 {
        let (channel, from_us) = (channels[dice.below(INDEXED_CHANNELS)], moment());
        let found = catalog.segments_in_range(channel, from_us, from_us + MATCH_US).await.unwrap();
        let ids: Vec<Uuid> = found.iter().map(|segment| segment.id).collect();
        assert_eq!(times.measure(catalog.segment_indexes(&ids)).await.unwrap().len(), ids.len());
    }
    times.report();

    let mut times = Times::new("spans of a day, 96 segments");
    for _ in 0..1_000 {
        let (channel, from_us) = (channels[dice.below(CHANNELS)], moment());
        times.measure(catalog.spans(channel, from_us, from_us + MONTH_US / 30)).await.unwrap();
    }
    times.report();

    let mut times = Times::new("spans of a month, 2880 segments");
    for _ in 0..200 {
        let channel = channels[dice.below(CHANNELS)];
        times.measure(catalog.spans(channel, START_US, START_US + MONTH_US)).await.unwrap();
    }
    times.report();

    let mut times = Times::new("channel_by_key, known");
    for _ in 0..5_000 {
        let key = &keys[dice.below(CHANNELS)];
        assert!(times.measure(catalog.channel_by_key(key)).await.unwrap().is_some());
    }
    times.report();

    let mut times = Times::new("channel_by_key, unknown");
    for number in 0..5_000 {
        let key = format!("nobody-has-this-key-{number:019}");
        assert!(times.measure(catalog.channel_by_key(&key)).await.unwrap().is_none());
    }
    times.report();

    let mut times = Times::new("insert_segment (one sync to disk)");
    let mut ids = Vec::new();
    for number in 0..200_i64 {
        let mut new = new_segment(&catalog, channels[0], last_us + number * SEGMENT_US);
        new.id = catalog.new_id();
        ids.push((new.id, new.start_us + SEGMENT_US));
        times.measure(catalog.insert_segment(new)).await.unwrap();
    }
    times.report();

    let mut times = Times::new("seal_segment with 14 kB (one sync to disk)");
    for (id, end_us) in ids {
        times.measure(catalog.seal_segment(id, sealed(end_us, true))).await.unwrap();
    }
    times.report();
    catalog.close().await.unwrap();
}

async fn fill_clubs(catalog: &Catalog) -> (Vec<Uuid>, Vec<String>) {
    let (mut channels, mut keys) = (Vec::new(), Vec::new());
    let mut court_id = None;
    for number in 0..CHANNELS {
        if number % 10 == 0 {
            let new = NewClub {
                slug: format!("club-{number}"),
                name: format!("Club {number}"),
                zone: "Europe/Madrid".into(),
                hours: "08:00-24:00".parse().unwrap(),
                appointment_duration_min: 90,
            };
            let club = catalog.create_club(new).await.unwrap();
            court_id = Some(catalog.create_court(club.id, "central", "Central").await.unwrap().id);
        }
        let new = NewChannel { court_id, name: format!("Channel {number}"), source: Source::Push };
        let (channel, key) = catalog.create_channel(new).await.unwrap();
        channels.push(channel.id);
        keys.push(key.unwrap());
    }
    (channels, keys)
}

/// As they come in real life: by time, all channels each quarter hour.
fn rows(
    catalog: &Catalog,
    channels: &[Uuid],
    per_channel: usize,
) -> impl Iterator<Item = (NewSegment, SealedSegment)> {
    (0..per_channel).flat_map(move |number| {
        let start_us = START_US + i64::try_from(number).unwrap() * SEGMENT_US;
        channels.iter().enumerate().map(move |(channel, id)| {
            (new_segment(catalog, *id, start_us), sealed(start_us + SEGMENT_US, channel < INDEXED_CHANNELS))
        })
    })
}

fn new_segment(catalog: &Catalog, channel_id: Uuid, start_us: i64) -> NewSegment {
    let id = catalog.new_id();
    NewSegment {
        id,
        channel_id,
        session_id: channel_id,
        start_us,
        object_name: format!("club-10/central/{channel_id}/2026/11/20/101500Z-{id}.mp4"),
        init_hash: "0123456789abcdef0123456789abcdef".into(),
    }
}

fn sealed(end_us: i64, has_index: bool) -> SealedSegment {
    let index = if has_index { vec![0x5a; INDEX_BYTES] } else { Vec::new() };
    SealedSegment {
        end_us,
        size_bytes: 467_000_000,
        moov_offset: 466_000_000,
        index,
        crc32: None,
        place: Place::Local,
    }
}

/// What one question took, over and over.
struct Times {
    name: &'static str,
    all: Vec<Duration>,
}

impl Times {
    fn new(name: &'static str) -> Self {
        Self { name, all: Vec::new() }
    }

    async fn measure<T>(&mut self, question: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let answer = question.await;
        self.all.push(begun.elapsed());
        answer
    }

    fn report(mut self) {
        self.all.sort_unstable();
        let at = |share: usize| self.all[(self.all.len() - 1) * share / 100].as_nanos() as f64 / 1_000.0;
        println!("{:<44} {:>10.1} {:>10.1} {:>10.1}", self.name, at(50), at(99), at(100));
    }
}
