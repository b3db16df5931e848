//! The archive under random schedules, by seed: recorder, seal, upload, eviction, retention and deletion over a simulated
//! disk, clock and bucket that fail in every way they can, with crashes and restarts in any state.
//!
//! A failing seed prints itself with its schedule; `SIM_SEED=1234 cargo test -p turepe-archive --test simulation` repeats
//! it. `SIM_SCHEDULES` asks for more of them; `cargo xtask soak simulate` runs thousands. docs/durability.md says what is
//! proven.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

#[path = "simulation/away.rs"]
mod away;
#[path = "simulation/schedule.rs"]
mod schedule;
mod support;
#[path = "simulation/town.rs"]
mod town;
#[path = "simulation/witness.rs"]
mod witness;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use schedule::Schedule;
use town::Tally;

/// Schedules of the suite; `SIM_SCHEDULES` asks for others.
const SCHEDULES: u64 = 60;

/// Failing seeds that are told before a long run ends.
const MAX_FAILURES: usize = 10;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Runs one schedule; what went wrong, with all that is needed to see it again.
fn try_seed(seed: u64) -> Result<Tally, String> {
    let schedule = Schedule::draw(seed);
    let ran = std::panic::catch_unwind(|| town::run(&schedule));
    let failed = match ran {
        Ok(Ok(tally)) => return Ok(tally),
        Ok(Err(what)) => what,
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            words.or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned())).unwrap_or_default()
        }
    };
    Err(format!(
        "{}{failed}\nagain: SIM_SEED={seed} cargo test -p turepe-archive --test simulation",
        schedule.text()
    ))
}

#[test]
fn whatever_happens_nothing_that_was_durable_is_lost_and_nothing_is_left_behind() {
    let (first, count) = match asked("SIM_SEED") {
        Some(seed) => (seed, asked("SIM_SCHEDULES").unwrap_or(1)),
        None => (0, asked("SIM_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let (tally, failures) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(usize::try_from(count).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().unwrap().len() >= MAX_FAILURES {
                        return;
                    }
                    match try_seed(seed) {
                        Ok(done) => tally.lock().unwrap().add(done),
                        Err(failed) => {
                            eprintln!("{failed}");
                            failures.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let (tally, failures) = (tally.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{:.1} s: {tally:?}", started.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "seeds that fail: {failures:?}");
    if count >= SCHEDULES {
        assert!(
            tally.promised_segments > count && tally.power_cuts > count / 8,
            "schedules do something: {tally:?}"
        );
        assert!(tally.evicted > 0 && tally.deletions > 0 && tally.gaps > 0 && tally.kills > 0, "{tally:?}");
    }
}

/// Twenty channels, six hours: `SIM_AWAY_HOURS` asks for others (`cargo xtask soak away`).
#[test]
fn a_bucket_that_is_away_for_hours_costs_no_segment_and_is_caught_up_with() {
    let hours = asked("SIM_AWAY_HOURS");
    let away = away::Away {
        channels: 20,
        away_us: i64::try_from(hours.unwrap_or(1)).unwrap() * 3600 * support::S,
        uplink: asked("SIM_AWAY_UPLINK").unwrap_or(4),
    };
    let started = Instant::now();
    let report = away::run(&away);
    let minutes = |us: i64| us as f64 / 60e6;
    println!(
        "{} channels, away for {:.0} min, simulated uplink of {} times the recording rate: {report:?}\n\
         caught up in {:.1} min (ideal {:.1} min), in {:.1} s of this machine",
        away.channels,
        minutes(away.away_us),
        away.uplink,
        minutes(report.catch_up_us),
        minutes(report.ideal_us),
        started.elapsed().as_secs_f64()
    );
    assert_eq!(report.segments_lost, 0);
    assert_eq!(report.segments_waiting, 20 * (away.away_us / (900 * support::S)).cast_unsigned() - 20);
    assert!(report.catch_up_us < report.ideal_us * 3 / 2, "{report:?}");
    // Growing pauses: twice a minute, not once per segment.
    assert!(report.calls_while_away < 4 * (away.away_us / (60 * support::S)).cast_unsigned(), "{report:?}");
}
