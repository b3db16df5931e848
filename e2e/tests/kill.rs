//! The promise in one sentence: `kill -9` loses at most the fragment being filled.
//!
//! `cargo xtask soak kill --kills 100 --publishers 20` runs it for long on a release build.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::time::Duration;

use turepe_e2e::{KillPlan, kill_at_random, now_us};

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Kerberos #159 and Ant Media #2598 are about recordings that vanish; Moonfire #302 about a recorder that leaves shards or
/// nothing after it was interrupted.
#[test]
fn killed_at_random_instants_it_loses_no_whole_fragment() {
    let plan = KillPlan {
        kills: u32::try_from(asked("SOAK_KILLS", 4)).expect("fewer kills"),
        publishers: usize::try_from(asked("SOAK_PUBLISHERS", 4)).expect("fewer publishers"),
        longest_life: Duration::from_secs(6),
        seed: asked("SOAK_SEED", now_us().unsigned_abs()),
    };
    println!("{plan:?}: SOAK_SEED={} repeats the lives of the node", plan.seed);
    let report = kill_at_random(&plan);
    println!(
        "{} kills, {} publishers: {} open segments with {} whole fragments at the kills, {} of them lost; {} segments in the archive; \
         {} gaps, the longest {:.2} s; {:.1} % recorded",
        plan.kills,
        plan.publishers,
        report.torn_segments,
        report.fragments,
        report.lost_fragments,
        report.segments,
        report.gaps,
        report.longest_gap_us as f64 / 1e6,
        report.recorded_us as f64 * 100.0 / report.elapsed_us as f64,
    );
    assert_eq!(report.faults, Vec::<String>::new(), "seed {}", plan.seed);
    assert_eq!(report.lost_fragments, 0);
    assert!(report.fragments > 0, "the kills hit recordings");
}
