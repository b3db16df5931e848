//! `kill -9` at random instants while many publishers run: what was on the disk right after each kill, and what the archive
//! holds in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use media::mp4::reader::{TailScanner, read_moov, sealed_moov_offset};
use serde_json::Value;

use crate::clip::Clip;
use crate::node::{Court, Node, NodeOptions, get, now_us, wait_until};
use crate::publisher::Publisher;

/// Longest wait for any single thing.
const PATIENCE: Duration = Duration::from_secs(120);

/// How far the end of a segment may move when it is sealed: ticks become microseconds once more.
const ROUNDING_US: i64 = 60_000;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct KillPlan {
    /// How often the node is killed.
    pub kills: u32,
    /// How many publishers run.
    pub publishers: usize,
    /// A node lives up to this long after it is ready, and at times hardly at all.
    pub longest_life: Duration,
    /// The same seed kills after the same lives.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct KillReport {
    /// Segments that were open at a kill, over all kills.
    pub torn_segments: u64,
    /// Whole fragments in them.
    pub fragments: u64,
    /// Whole fragments that are not in the archive, with the bytes they had.
    pub lost_fragments: u64,
    /// Segments in the archive.
    pub segments: u64,
    /// Gaps over all channels.
    pub gaps: u64,
    /// The longest of them.
    pub longest_gap_us: i64,
    /// Recorded time over all channels.
    pub recorded_us: i64,
    /// From start to end of the recordings, over all channels.
    pub elapsed_us: i64,
    /// Everything that is not as it must be, in words.
    pub faults: Vec<String>,
}

/// Whole fragments of one segment, as they lay in the spool right after a kill.
struct Seen {
    fragments: u64,
    from: usize,
    to: usize,
    hash: u64,
}

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// Runs the plan.
pub fn kill_at_random(plan: &KillPlan) -> KillReport {
    let mut dice = Dice(plan.seed);
    let mut node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let courts: Vec<Court> =
        (0..plan.publishers).map(|number| node.add_court("club", &format!("c{number}"))).collect();
    let keys: Vec<&str> = courts.iter().map(|court| court.key.as_str()).collect();
    let begin_us = now_us();
    let publishers = Publisher::turepe_many(Clip::H264, &node, &keys);
    for court in &courts {
        wait_until("footage of every publisher", PATIENCE, || told(&node, court, begin_us).pop_last());
    }
    let mut report = KillReport::default();
    let mut seen: Vec<(String, Seen)> = Vec::new();
    let mut ends_told: BTreeMap<String, i64> = BTreeMap::new();
    let mut kills_us = Vec::new();
    let longest_us = u64::try_from(plan.longest_life.as_micros()).unwrap_or(u64::MAX);
    for _ in 0..plan.kills {
        // One in five dies while it still repairs what the last one left.
        let life_us = if dice.below(5) == 0 { dice.below(50_000) } else { dice.below(longest_us) };
        let die_at_us = now_us() + i64::try_from(life_us).unwrap_or(i64::MAX);
        wait_until("the moment to die", PATIENCE, || (now_us() >= die_at_us).then_some(()));
        for court in &courts {
            ends_told.extend(told(&node, court, begin_us));
        }
        node.kill();
        kills_us.push(now_us());
        for (id, one) in spooled(&node.data) {
            report.torn_segments += 1;
            report.fragments += one.fragments;
            seen.push((id, one));
        }
        node.resume();
    }
    for court in &courts {
        let last_us = kills_us.last().copied().unwrap_or(begin_us);
        wait_until("footage after the last kill", PATIENCE, || {
            told(&node, court, begin_us).values().any(|end_us| *end_us > last_us + 1_000_000).then_some(())
        });
    }
    publishers.stop();
    wait_until("the spool to be empty", PATIENCE, || {
        files(&node.data.join("spool"), ".part").is_empty().then_some(())
    });
    let objects: BTreeMap<String, PathBuf> = files(&node.data.join("store"), ".mp4")
        .into_iter()
        .filter_map(|path| Some((path.file_stem()?.to_str()?.split_once("Z-")?.1.to_owned(), path)))
        .collect();
    report.segments = objects.len() as u64;
    check_fragments(&seen, &objects, &mut report);
    check_objects(&objects, &mut report);
    let mut promised = BTreeSet::new();
    for court in &courts {
        let replay = wait_until("every row to be sealed", PATIENCE, || {
            let replay = node.replay(court, begin_us, now_us());
            let last = replay["fragments"].as_array()?.last()?["url"].as_str()?.to_owned();
            let (_, headers, _) = get(&node.url(&last), &[("range", "bytes=0-15")]);
            headers
                .iter()
                .any(|(name, value)| name == "cache-control" && value.contains("immutable"))
                .then_some(replay)
        });
        check_court(court, &replay, &objects, &ends_told, &kills_us, &mut promised, &mut report);
    }
    for id in objects.keys().filter(|id| !promised.contains(*id)) {
        report.faults.push(format!("object {id} is in no answer"));
    }
    for name in ["quarantine", "panicked at"] {
        if node.log().contains(name) {
            report.faults.push(format!("the log speaks of `{name}`"));
        }
    }
    report
}

/// The segments that the API names, with their ends.
fn told(node: &Node, court: &Court, begin_us: i64) -> BTreeMap<String, i64> {
    let replay = node.replay(court, begin_us, now_us());
    let fragments = replay["fragments"].as_array().expect("fragments");
    fragments.iter().map(|fragment| (segment_id(fragment), us(&fragment["end"]))).collect()
}

fn segment_id(fragment: &Value) -> String {
    let url = fragment["url"].as_str().expect("url").split('?').next().unwrap_or_default();
    let name = url.rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(".mp4").to_owned()
}

fn us(value: &Value) -> i64 {
    value.as_str().expect("an instant").parse::<jiff::Timestamp>().expect("RFC 3339").as_microsecond()
}

/// The files below a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}

/// What stands in the spool of a node that is dead, by segment, read with the scanner that the repair uses.
fn spooled(data: &Path) -> Vec<(String, Seen)> {
    let mut seen = Vec::new();
    for path in files(&data.join("spool"), ".mp4.part") {
        let bytes = std::fs::read(&path).expect("a spool file");
        let scan = TailScanner::run(bytes.len() as u64, |want| {
            Ok::<_, ()>(slice(&bytes, want.offset, want.offset + want.len).to_vec())
        });
        // Without a whole header there is no whole fragment either.
        let Ok(Ok(scan)) = scan else { continue };
        let index = scan.table.index();
        let (Some(last), fragments) = (index.positions().last(), index.fragments.len() as u64) else {
            continue;
        };
        let from = index.first_fragment_offset as usize;
        let to = usize::try_from(last.end_bytes()).expect("a file in memory");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.split('~').next().unwrap_or_default().to_owned();
        seen.push((id, Seen { fragments, from, to, hash: hash(bytes.get(from..to)) }));
    }
    seen
}

fn slice(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
    bytes.get(range).unwrap_or_default()
}

fn hash(bytes: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Every whole fragment that lay in the spool after a kill is in its object, byte for byte and where it was.
fn check_fragments(seen: &[(String, Seen)], objects: &BTreeMap<String, PathBuf>, report: &mut KillReport) {
    for (id, seen) in seen {
        let object = objects.get(id).map(|path| std::fs::read(path).expect("an object"));
        let kept = object.as_ref().and_then(|bytes| bytes.get(seen.from..seen.to));
        if kept.is_none() || hash(kept) != seen.hash {
            report.lost_fragments += seen.fragments;
            report
                .faults
                .push(format!("{} fragments of segment {id} are not in the archive", seen.fragments));
        }
    }
}

/// Every object is a whole, plain MP4.
fn check_objects(objects: &BTreeMap<String, PathBuf>, report: &mut KillReport) {
    for (id, path) in objects {
        let bytes = Bytes::from(std::fs::read(path).expect("an object"));
        let whole = sealed_moov_offset(&bytes).and_then(|offset| {
            let moov = bytes.slice(usize::try_from(offset).ok().filter(|start| *start <= bytes.len())?..);
            Some(read_moov(&moov).ok()?.end_offset() == offset)
        });
        if whole != Some(true) {
            report.faults.push(format!("object {id} is not a whole MP4"));
        }
    }
}

/// Rows and files agree; what a reader was told stands; each kill is in a gap that says so, and no gap lacks a cause.
fn check_court(
    court: &Court,
    replay: &Value,
    objects: &BTreeMap<String, PathBuf>,
    ends_told: &BTreeMap<String, i64>,
    kills_us: &[i64],
    promised: &mut BTreeSet<String>,
    report: &mut KillReport,
) {
    let name = &court.court;
    let fragments = replay["fragments"].as_array().expect("fragments");
    let (mut first_us, mut last_us) = (i64::MAX, i64::MIN);
    for fragment in fragments {
        let id = segment_id(fragment);
        let (start_us, end_us) = (us(&fragment["start"]), us(&fragment["end"]));
        (first_us, last_us) = (first_us.min(start_us), last_us.max(end_us));
        report.recorded_us += end_us - start_us;
        let size = objects.get(&id).and_then(|path| path.metadata().ok()).map(|metadata| metadata.len());
        if size != fragment["sizeBytes"].as_u64() || size.is_none() {
            report.faults.push(format!("{name}: {id} has {size:?} bytes and its row says {fragment}"));
        }
        if ends_told.get(&id).is_some_and(|told_us| end_us + ROUNDING_US < *told_us) {
            report.faults.push(format!("{name}: {id} is shorter than a reader was told: {fragment}"));
        }
        promised.insert(id);
    }
    report.elapsed_us += (last_us - first_us).max(0);
    // What lies before the first and after the last picture is not the node's doing.
    let gaps: Vec<(i64, i64, &str)> = replay["gaps"]
        .as_array()
        .expect("gaps")
        .iter()
        .map(|gap| (us(&gap["start"]), us(&gap["end"]), gap["cause"].as_str().unwrap_or_default()))
        .filter(|gap| gap.0 >= first_us && gap.1 <= last_us)
        .collect();
    for (start_us, end_us, cause) in &gaps {
        report.gaps += 1;
        report.longest_gap_us = report.longest_gap_us.max(end_us - start_us);
        if *cause == "unknown" || cause.is_empty() {
            report.faults.push(format!("{name}: a gap of {} ms has no cause", (end_us - start_us) / 1000));
        }
    }
    for kill_us in kills_us {
        if !gaps.iter().any(|gap| (gap.0..gap.1).contains(kill_us) && gap.2 == "process") {
            report
                .faults
                .push(format!("{name}: the kill at {kill_us} is in no gap of cause `process`: {gaps:?}"));
        }
    }
}
