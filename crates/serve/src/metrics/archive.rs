//! The archive's numbers: what is safe, what is on its way, what the disk and the bucket do.

use super::Exposition;
use crate::{app::App, limits::READY_PATIENCE};
use archive::{Alarm, AlarmKind, ArchiveStatus, Ledger};

/// Microseconds of a second.
const SECOND_US: f64 = 1e6;

pub(super) async fn measure(app: &App, out: &mut Exposition) {
    status(out, &app.archive.status());
    alarms(out, &app.alarms());
    let ledger = tokio::time::timeout(READY_PATIENCE, app.archive.ledger()).await;
    let is_up = if matches!(ledger, Ok(Ok(_))) { 1.0 } else { 0.0 };
    out.gauge("turepe_catalog_up", "Whether the catalog answers; without it the ledger is not told.", is_up);
    match ledger {
        Ok(Ok(told)) => self::ledger(out, &told),
        Ok(Err(error)) => tracing::warn!(%error, "the ledger cannot be told"),
        Err(_) => tracing::warn!(
            waited_s = READY_PATIENCE.as_secs(),
            "the ledger cannot be told: the catalog does not answer"
        ),
    }
}

/// Alarms come from memory: they are told when nothing else can be.
fn alarms(out: &mut Exposition, alarms: &[Alarm]) {
    let is_on = |kind| alarms.iter().any(|alarm| alarm.kind == kind);
    out.gauges(
        "turepe_alarm",
        "Whether an alarm is on.",
        "alarm",
        AlarmKind::ALL.map(|kind| (kind.as_str(), if is_on(kind) { 1.0 } else { 0.0 })),
    );
    // Off ones are left out: there are as many as channels.
    let of_channels: Vec<(&str, String)> = alarms
        .iter()
        .filter_map(|alarm| Some((alarm.kind.as_str(), alarm.channel_id?.to_string())))
        .collect();
    out.gauges_of_two(
        "turepe_channel_alarm",
        "1 for each alarm that is on for a channel, by the channel's id.",
        ["alarm", "channel"],
        of_channels.iter().map(|(alarm, channel)| ([*alarm, channel.as_str()], 1.0)),
    );
}

fn status(out: &mut Exposition, status: &ArchiveStatus) {
    out.gauge(
        "turepe_archive_queued_bytes",
        "Bytes of fragments that wait for the disk.",
        status.queued_bytes as f64,
    );
    out.gauge(
        "turepe_archive_open_segments",
        "Segments that grow or wait for their seal.",
        status.open_segments as f64,
    );
    out.gauge(
        "turepe_archive_unsynced_bytes",
        "Bytes that a power cut would cost now.",
        status.unsynced_bytes as f64,
    );
    out.gauge(
        "turepe_archive_repaired",
        "Whether everything the last run left behind has been looked at.",
        if status.is_repaired { 1.0 } else { 0.0 },
    );
    out.counter(
        "turepe_repaired_segments_total",
        "Segments recovered since the start that a crash had left.",
        status.repaired_segments as f64,
    );
    out.counter(
        "turepe_recorded_bytes_total",
        "Bytes recorded since the start.",
        status.recorded_bytes as f64,
    );
    let syncs = status.syncs;
    out.counters(
        "turepe_syncs_total",
        "Syncs since the start, by what was synced.",
        "kind",
        [("file", syncs.files as f64), ("folder", syncs.folders as f64), ("volume", syncs.volumes as f64)],
    );
    out.counter(
        "turepe_sync_seconds_total",
        "Time that syncs took together since the start.",
        syncs.total_us as f64 / SECOND_US,
    );
    out.gauge(
        "turepe_sync_slowest_seconds",
        "The longest sync since the start.",
        syncs.slowest_us as f64 / SECOND_US,
    );
    out.counter(
        "turepe_sync_failures_total",
        "Segments that ended because the disk failed to sync them, since the start.",
        status.sync_failures as f64,
    );
}

fn ledger(out: &mut Exposition, ledger: &Ledger) {
    out.gauge(
        "turepe_archive_unsafe_bytes",
        "Bytes that are recorded and not confirmed where they are to be.",
        ledger.unsafe_bytes as f64,
    );
    out.gauge(
        "turepe_archive_unsafe_seconds",
        "Recorded time of the same.",
        ledger.unsafe_duration_us as f64 / SECOND_US,
    );
    out.gauge(
        "turepe_archive_unstored_segments",
        "Sealed segments that the bucket has not confirmed.",
        ledger.unstored_segments as f64,
    );
    out.gauge(
        "turepe_archive_growing_bytes",
        "Bytes of segments that grow or wait for their seal.",
        ledger.growing_bytes as f64,
    );
    out.gauge(
        "turepe_archive_evictable_bytes",
        "Bytes of local copies that may go as the bucket has them.",
        ledger.evictable_bytes as f64,
    );
    if let Some(rate) = ledger.recorded_bytes_per_day {
        out.gauge(
            "turepe_recorded_bytes_per_day",
            "Bytes recorded in a day, at the present rate.",
            rate as f64,
        );
    }
    if let Some(days) = ledger.days_until_full {
        out.gauge(
            "turepe_days_until_full",
            "Days that the disk lasts at the present rate if the bucket takes nothing more.",
            days,
        );
    }
    out.gauge(
        "turepe_upload_lag_seconds",
        "Age of the oldest segment that the bucket has not confirmed.",
        ledger.upload_lag_us as f64 / SECOND_US,
    );
    let upload = &ledger.upload;
    out.counter(
        "turepe_upload_sent_bytes_total",
        "Bytes that the bucket has taken since the start.",
        upload.sent_bytes as f64,
    );
    out.counter(
        "turepe_upload_stored_segments_total",
        "Segments that the bucket was seen to have since the start.",
        upload.stored_segments as f64,
    );
    out.counter(
        "turepe_upload_failed_calls_total",
        "Calls to the bucket that failed since the start.",
        upload.failed_calls as f64,
    );
    out.counter(
        "turepe_upload_restarts_total",
        "Objects that were begun anew since the start.",
        upload.restarts as f64,
    );
    out.gauge("turepe_upload_in_flight", "Calls to the bucket that run now.", upload.in_flight as f64);
    let keeper = &ledger.keeper;
    if let Some(free) = keeper.free_bytes {
        out.gauge("turepe_disk_free_bytes", "Bytes free on the disk of the recordings.", free as f64);
    }
    out.counter(
        "turepe_evicted_segments_total",
        "Local copies removed since the start, as the bucket has them.",
        keeper.evicted_segments as f64,
    );
    out.counter(
        "turepe_expired_segments_total",
        "Segments deleted since the start because they were too old.",
        keeper.expired_segments as f64,
    );
    out.counter(
        "turepe_lost_segments_total",
        "Segments given up since the start because the disk was full.",
        keeper.lost_segments as f64,
    );
    out.gauge(
        "turepe_pending_deletions",
        "Deleted segments whose bytes are still somewhere.",
        keeper.pending_deletions as f64,
    );
    out.gauge(
        "turepe_retention_waiting_segments",
        "Segments past their retention that wait for a person.",
        keeper.waiting_segments as f64,
    );
    out.counter(
        "turepe_bucket_missing_segments_total",
        "Segments that the bucket was to have and had not when it was asked, since the start.",
        keeper.missing_segments as f64,
    );
}
