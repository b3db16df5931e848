//! How long a replay's questions take in a catalog of many segments, on all three engines in one run: 100 channels, 15
//! minutes each; a million segments are 104 days.
//!
//! `cargo xtask bench catalog -- --rows 10000000` fills the catalogs and prints a table. Run as a test (without `--bench`)
//! it does the same with ten thousand rows, to see that it works. The servers are private ones with their data on this
//! machine; as they do not sync to disk (`fsync=off`, `innodb_flush_log_at_trx_commit=2`), inserts of single rows are
//! faster than on a server that does.
#![expect(clippy::unwrap_used, reason = "a benchmark says what went wrong by stopping")]

use std::path::Path;
use std::time::{Duration, Instant};

use databases::{Engine, Home};
use turepe_catalog::{Catalog, NewChannel, NewClub, NewSegment, Place, Publishers, SealedSegment, Source};
use uuid::Uuid;

const CHANNELS: usize = 100;
const SEGMENT_US: i64 = 900_000_000;
const START_US: i64 = 1_790_000_100_000_000;
const MATCH_US: i64 = 90 * 60_000_000;
const MONTH_US: i64 = 30 * 24 * 3_600_000_000;

/// Bytes of the index of 15 minutes: 1800 fragments of half a second, at most 8 bytes each.
const INDEX_BYTES: usize = 14_400;

/// Rows where nobody says how many.
const DEFAULT_ROWS: usize = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)
    };
    let rows = after("--rows").map(|text| text.replace('_', "").parse().unwrap());
    let rows = rows.unwrap_or(if is_bench { DEFAULT_ROWS } else { 10_000 });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for engine in Engine::ALL {
        if after("--engine").is_none_or(|name| format!("{engine:?}").eq_ignore_ascii_case(name)) {
            runtime.block_on(run(engine, rows));
        }
    }
}

/// Bytes of a folder with everything in it.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
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

async fn run(engine: Engine, segments: usize) {
    let home = Home::new(engine);
    let folder = home.folder().or(engine.server().map(databases::Server::folder)).unwrap();
    let catalog = Catalog::open(&home.url).await.unwrap();
    let (channels, keys) = fill_clubs(&catalog).await;
    let per_channel = segments / CHANNELS;

    let before = size_of(folder);
    let begun = Instant::now();
    let count = catalog.insert_sealed_segments(rows(&catalog, &channels, per_channel)).await.unwrap();
    let took = begun.elapsed();
    let bytes = size_of(folder).saturating_sub(before);
    println!(
        "\n{engine:?}: {count} segments in {:.1} s ({:.0} a second), {} bytes a row with its indexes",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        bytes / count.max(1),
    );
    println!("{:<52} {:>10} {:>10} {:>10}", "question", "p50 µs", "p99 µs", "max µs");

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

    // Rows with indexes of 14 kB would weigh more than all others: they are inserted apart, after the weighing.
    let mut indexed = Vec::new();
    for number in 0..700_i64 {
        let start_us = last_us + number * SEGMENT_US;
        indexed.push((new_segment(&catalog, channels[1], start_us), sealed(start_us + SEGMENT_US, true)));
    }
    catalog.insert_sealed_segments(indexed).await.unwrap();
    let mut times = Times::new("segment_indexes of a match, 7 × 14 kB");
    for _ in 0..1_000 {
        let (channel, from_us) =
            (channels[1], last_us + SEGMENT_US * i64::try_from(dice.below(690)).unwrap() + 1);
        let found = catalog.segments_in_range(channel, from_us, from_us + MATCH_US).await.unwrap();
        let ids: Vec<Uuid> = found.iter().map(|segment| segment.id).collect();
        assert_eq!(times.measure(catalog.segment_indexes(&ids)).await.unwrap().len(), ids.len());
    }
    times.report();

    let clubs = catalog.clubs().await.unwrap();
    let mut times = Times::new("a day's slots: club, court, channel, spans, gaps");
    for _ in 0..1_000 {
        let (channel, from_us) = (channels[dice.below(CHANNELS)], moment());
        let club = &clubs[dice.below(clubs.len())];
        let slots = async {
            let club = catalog.club_by_slug(&club.slug).await.unwrap().unwrap();
            let court = catalog.court_by_slug(club.id, "central").await.unwrap().unwrap();
            let found = catalog.channels_of_court(court.id).await.unwrap().len();
            let spans = catalog.spans(channel, from_us, from_us + MONTH_US / 30).await.unwrap();
            let gaps = catalog.gaps_in_range(channel, from_us, from_us + MONTH_US / 30).await.unwrap();
            (found, spans.len() + gaps.len())
        };
        assert_eq!(times.measure(slots).await.0, 10);
    }
    times.report();

    let mut times = Times::new("a replay: club, court, channel, rows, indexes, gaps");
    for _ in 0..1_000 {
        let from_us = last_us + SEGMENT_US * i64::try_from(dice.below(690)).unwrap() + 1;
        let club = &clubs[dice.below(clubs.len())];
        let replay = async {
            let club = catalog.club_by_slug(&club.slug).await.unwrap().unwrap();
            let court = catalog.court_by_slug(club.id, "central").await.unwrap().unwrap();
            let found = catalog.channels_of_court(court.id).await.unwrap().len();
            let rows = catalog.segments_in_range(channels[1], from_us, from_us + MATCH_US).await.unwrap();
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let indexes = catalog.segment_indexes(&ids).await.unwrap().len();
            catalog.gaps_in_range(channels[1], from_us, from_us + MATCH_US).await.unwrap();
            (found, indexes)
        };
        let (found, indexes) = times.measure(replay).await;
        assert!(found == 10 && (6..=7).contains(&indexes));
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

    let publishers = Publishers::new(catalog.clone());
    assert_eq!(publishers.refresh().await.unwrap(), CHANNELS);
    let mut times = Times::new("publish authorisation from the database");
    for _ in 0..5_000 {
        assert!(times.measure(publishers.authorise(&keys[dice.below(CHANNELS)])).await.unwrap().is_some());
    }
    times.report();

    let mut times = Times::new("publish authorisation from memory");
    for _ in 0..5_000 {
        let key = &keys[dice.below(CHANNELS)];
        assert!(times.measure(async { publishers.remembered(key) }).await.is_some());
    }
    times.report();

    let mut times = Times::new("insert_segment, one transaction each");
    let mut ids = Vec::new();
    for number in 0..200_i64 {
        let mut new = new_segment(&catalog, channels[0], last_us + number * SEGMENT_US);
        new.id = catalog.new_id();
        ids.push((new.id, new.start_us + SEGMENT_US));
        times.measure(catalog.insert_segment(new)).await.unwrap();
    }
    times.report();

    let mut times = Times::new("seal_segment with 14 kB, one transaction each");
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
        channels
            .iter()
            .map(move |id| (new_segment(catalog, *id, start_us), sealed(start_us + SEGMENT_US, false)))
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
        println!("{:<52} {:>10.1} {:>10.1} {:>10.1}", self.name, at(50), at(99), at(100));
    }
}
