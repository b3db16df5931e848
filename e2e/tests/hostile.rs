//! Footage comes before every visitor: whatever strangers do to a node at once, its recording goes on.
//!
//! `cargo xtask soak hostile` runs it for ten minutes on a release build.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::time::Duration;

use turepe_e2e::{HostilePlan, attack};

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The attacks one by one have tests of their own; here they come together.
#[test]
fn strangers_at_every_door_cost_no_frame() {
    let whole = |name, default| usize::try_from(asked(name, default)).expect("a smaller number");
    let plan = HostilePlan {
        publishers: whole("SOAK_PUBLISHERS", 4),
        crowd: whole("SOAK_CROWD", 100),
        lasting: Duration::from_secs(asked("SOAK_SECONDS", 20)),
        health: Duration::from_millis(asked("SOAK_HEALTH_MS", 10_000)),
        memory: 1 << 30,
        // Caches (docs/operations.md), and what the allocator keeps of what was in use at the same time (docs/security.md).
        memory_kept: 128 << 20,
    };
    println!("{plan:?}");
    let report = attack(&plan);
    let megabytes = report.memory.map(|bytes| bytes >> 20);
    println!(
        "{} of {} camera-seconds recorded; /healthz answered {} times, the slowest in {:.0} ms; {} answers given ({} matches by HTTP/2, {} live \
         segments), {} refused; \
         memory {megabytes:?} MB, descriptors {:?} (before, highest, after), {} lines of log",
        report.recorded_us / 1_000_000,
        report.elapsed_us / 1_000_000,
        report.healthy,
        report.slowest_health.as_secs_f64() * 1e3,
        report.answered,
        report.answered_http_2,
        report.answered_live,
        report.refused,
        report.descriptors,
        report.log_lines,
    );
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.answered > 0 && report.refused > 0, "the attack met the node");
}
