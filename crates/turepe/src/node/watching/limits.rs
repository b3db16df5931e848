//! How often is looked, and how long is waited before it is an alarm.

use std::time::Duration;

/// How often channels and open files are looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Pause between two looks at the disk: each writes a few bytes and syncs them.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(3);

/// Pause between two looks at the database.
pub(super) const CATALOG_PAUSE: Duration = Duration::from_secs(2);

/// How long the database is waited for.
pub(super) const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two looks at which cameras there are and whether their clubs are open.
pub(super) const CAMERAS_PAUSE: Duration = Duration::from_secs(5);

/// How often the catalog is asked what a camera recorded last that is not live here: another node may record it.
pub(super) const LAST_FRAME_AGE_US: i64 = 30_000_000;

/// A look at the disk that takes longer hangs.
pub(super) const DISK_HANGS_US: i64 = 5_000_000;

/// Trouble of the database that passes sooner is none.
pub(super) const CATALOG_PATIENCE_US: i64 = 3_000_000;

/// Fragments that come for so long and are not recorded are an alarm: a segment may take its time to begin.
pub(super) const NOT_RECORDED_US: i64 = 10_000_000;

/// A camera that sends nothing for so long while its club is open is an alarm: encoders need a few seconds to come back.
pub(super) const SILENT_US: i64 = 10_000_000;

/// A camera that has recorded nothing for so long is not waited for any more.
pub(super) const EXPECTED_WITHIN_US: i64 = 7 * 86_400_000_000;

/// How long it is told that a publisher was turned away.
pub(super) const REFUSED_US: i64 = 60_000_000;

const _: () = {
    assert!(CATALOG_PATIENCE_US > CATALOG_PAUSE.as_micros() as i64, "one look alone is no alarm");
    assert!(NOT_RECORDED_US > TICK.as_micros() as i64);
};
