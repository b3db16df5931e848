//! What is safe and what is not yet, for those who run the server.

use super::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is safe and what is not yet, on this node.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeLedger {
    /// Whether there is a bucket; without one, what is sealed in the local store is where it is to be.
    pub has_bucket: bool,
    /// Bytes that are recorded and not where they are to be: unconfirmed by the bucket, or growing.
    pub unsafe_bytes: u64,
    /// Recorded time of the same, in hours.
    pub unsafe_hours: f64,
    /// Sealed segments that the bucket has not confirmed.
    pub unstored_segments: u64,
    /// How long ago the oldest segment ended that the bucket has not confirmed, in seconds; 0 when there is none.
    pub upload_lag_s: f64,
    /// Bytes of segments that grow or wait for their seal.
    pub growing_bytes: u64,
    /// Those of them that a power cut would cost now.
    pub unsynced_bytes: u64,
    /// Bytes of local copies that may go as the bucket has them.
    pub evictable_bytes: u64,
    /// Bytes that are recorded in a day, at the present rate; null while that is not known.
    #[schema(required)]
    pub recorded_bytes_per_day: Option<u64>,
    /// How many days the disk lasts at this rate if the bucket takes nothing more; null while that is not known.
    #[schema(required)]
    pub days_until_full: Option<f64>,
    /// What the uploader has done and is at.
    pub upload: LedgerUpload,
    /// What housekeeping has done and is at.
    pub keeper: LedgerKeeper,
    /// What somebody has to know at once.
    pub alarms: Vec<LedgerAlarm>,
}

/// What the uploader has done since the start, and is at.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerUpload {
    /// Bytes that the bucket has taken.
    pub sent_bytes: u64,
    /// Segments that the bucket was seen to have.
    pub stored_segments: u64,
    /// Calls that failed.
    pub failed_calls: u64,
    /// Objects that were begun anew.
    pub restarts: u64,
    /// Calls that run now.
    pub in_flight: u64,
    /// What is wrong with the bucket; null when nothing is.
    #[schema(required)]
    pub trouble: Option<LedgerTrouble>,
}

/// What is wrong with the bucket.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerTrouble {
    /// Since when.
    pub since: Instant,
    /// In the words of the last failure.
    pub reason: String,
    /// Whether somebody has to do something: credentials, rights, a cap, a bucket that is not there.
    pub needs_somebody: bool,
    /// Failures in a row.
    pub failures: u32,
}

/// What housekeeping has done since the start, and is at.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerKeeper {
    /// Bytes free on the disk of the recordings; null until it has been looked at.
    #[schema(required)]
    pub free_bytes: Option<u64>,
    /// Whether recording is stopped for want of space.
    pub is_stopped: bool,
    /// Local copies removed, as the bucket has them.
    pub evicted_segments: u64,
    /// Segments deleted because they were too old.
    pub expired_segments: u64,
    /// Segments given up because the disk was full.
    pub lost_segments: u64,
    /// Deleted segments whose bytes are still somewhere.
    pub pending_deletions: u64,
}

/// An alarm that is on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerAlarm {
    /// What is wrong: `recordingStopped`, `footageLost`, `bucketRefuses`, `bucketAway`, `clockSet`, `bucketLost`, `copiesUnconfirmed`, `retentionWaits`, `footageUnknown`, `catalogAway`, `catalogRefuses`, `dataFolderGone`, `diskHangs`, `diskRefuses`, `descriptorsUsedUp`, `channelNotRecorded`, `cameraSilent`; more may come.
    pub kind: String,
    /// Which channel it is about; null where it is about the node.
    #[schema(required)]
    pub channel_id: Option<Uuid>,
    /// Since when; null where that is not known.
    #[schema(required)]
    pub since: Option<Instant>,
    /// What and what to do, in English.
    pub message: String,
}

/// Microseconds of an hour.
const HOUR_US: f64 = 3.6e9;

impl From<archive::Ledger> for NodeLedger {
    fn from(ledger: archive::Ledger) -> Self {
        let archive::Ledger { upload, keeper, alarms, .. } = ledger;
        let trouble = upload.trouble.map(|trouble| LedgerTrouble {
            since: Instant(trouble.since_us),
            reason: trouble.reason,
            needs_somebody: trouble.needs_somebody,
            failures: trouble.failures,
        });
        Self {
            has_bucket: ledger.has_bucket,
            unsafe_bytes: ledger.unsafe_bytes,
            unsafe_hours: ledger.unsafe_duration_us as f64 / HOUR_US,
            unstored_segments: ledger.unstored_segments,
            upload_lag_s: ledger.upload_lag_us as f64 / 1e6,
            growing_bytes: ledger.growing_bytes,
            unsynced_bytes: ledger.unsynced_bytes,
            evictable_bytes: ledger.evictable_bytes,
            recorded_bytes_per_day: ledger.recorded_bytes_per_day,
            days_until_full: ledger.days_until_full,
            upload: LedgerUpload {
                sent_bytes: upload.sent_bytes,
                stored_segments: upload.stored_segments,
                failed_calls: upload.failed_calls,
                restarts: upload.restarts,
                in_flight: upload.in_flight as u64,
                trouble,
            },
            keeper: LedgerKeeper {
                free_bytes: keeper.free_bytes,
                is_stopped: keeper.is_stopped,
                evicted_segments: keeper.evicted_segments,
                expired_segments: keeper.expired_segments,
                lost_segments: keeper.lost_segments,
                pending_deletions: keeper.pending_deletions,
            },
            alarms: alarms
                .into_iter()
                .map(|alarm| LedgerAlarm {
                    kind: alarm.kind.as_str().to_owned(),
                    channel_id: alarm.channel_id,
                    since: alarm.since_us.map(Instant),
                    message: alarm.message,
                })
                .collect(),
        }
    }
}
