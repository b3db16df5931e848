//! What somebody has to know at once: derived from the state of the archive, never stored.

use crate::{keeper::KeeperStatus, upload::UploadStatus};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AlarmKind {
    /// Nothing is recorded, for want of space.
    RecordingStopped,
    /// Footage was given up for want of space, within the last day.
    FootageLost,
    /// Nobody but an operator can mend it: the bucket refuses.
    BucketRefuses,
    /// The bucket has not taken anything for a while.
    BucketAway,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RecordingStopped, Self::FootageLost, Self::BucketRefuses, Self::BucketAway];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordingStopped => "recordingStopped",
            Self::FootageLost => "footageLost",
            Self::BucketRefuses => "bucketRefuses",
            Self::BucketAway => "bucketAway",
        }
    }
}

/// An alarm that is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Since when, UTC microseconds, where that is known.
    pub since_us: Option<i64>,
    /// What and what to do, in words.
    pub message: String,
}

/// How long a loss stays an alarm, in microseconds.
const LOSS_ALARM_US: i64 = 86_400_000_000;

/// How long a bucket may be away before it is an alarm, in microseconds.
const AWAY_ALARM_US: i64 = 60_000_000;

/// The alarms that are on.
pub(crate) fn alarms(
    upload: &UploadStatus,
    keeper: &KeeperStatus,
    last_loss_us: Option<i64>,
    now_us: i64,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if keeper.is_stopped {
        alarms.push(Alarm {
            kind: AlarmKind::RecordingStopped,
            since_us: None,
            message: "the disk is full and nothing may be given up: make room, shorten the retention or set [retention] on_full"
                .into(),
        });
    }
    if let Some(at_us) = last_loss_us.filter(|at_us| now_us - at_us < LOSS_ALARM_US) {
        alarms.push(Alarm {
            kind: AlarmKind::FootageLost,
            since_us: Some(at_us),
            message: "the disk was full: the oldest footage was given up. Make room or shorten the retention"
                .into(),
        });
    }
    if let Some(trouble) = &upload.trouble {
        let (since_us, reason) = (Some(trouble.since_us), &trouble.reason);
        if trouble.needs_somebody {
            let message = format!("{reason}. Footage waits on this node; `turepe doctor` tells more");
            alarms.push(Alarm { kind: AlarmKind::BucketRefuses, since_us, message });
        } else if now_us - trouble.since_us >= AWAY_ALARM_US {
            let message = format!("{reason}. Footage waits on this node and is sent when the bucket answers");
            alarms.push(Alarm { kind: AlarmKind::BucketAway, since_us, message });
        }
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Trouble;

    fn kinds(upload: &UploadStatus, keeper: &KeeperStatus, loss: Option<i64>, now_us: i64) -> Vec<AlarmKind> {
        alarms(upload, keeper, loss, now_us).into_iter().map(|alarm| alarm.kind).collect()
    }

    #[test]
    fn only_what_somebody_has_to_know_is_an_alarm() {
        let (calm, keeper) = (UploadStatus::default(), KeeperStatus::default());
        assert_eq!(kinds(&calm, &keeper, None, 0), []);
        let trouble = |needs_somebody| UploadStatus {
            trouble: Some(Trouble { since_us: 0, reason: "why".into(), needs_somebody, failures: 1 }),
            ..UploadStatus::default()
        };
        assert_eq!(
            kinds(&trouble(false), &keeper, None, AWAY_ALARM_US - 1),
            [],
            "B2 is busy as a matter of routine"
        );
        assert_eq!(kinds(&trouble(false), &keeper, None, AWAY_ALARM_US), [AlarmKind::BucketAway]);
        assert_eq!(kinds(&trouble(true), &keeper, None, 1), [AlarmKind::BucketRefuses]);
        let stopped = KeeperStatus { is_stopped: true, ..keeper };
        assert_eq!(kinds(&calm, &stopped, Some(5), 6), [AlarmKind::RecordingStopped, AlarmKind::FootageLost]);
        assert_eq!(kinds(&calm, &keeper, Some(5), LOSS_ALARM_US + 5), []);
    }
}
