//! What somebody has to know at once: its names, and what of it the archive's own state tells. Never stored.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    clock_watch::ClockStep,
    keeper::{KeeperState, KeeperStatus, Missing, RetentionWaiting},
    limits::EARLIEST_FOOTAGE_US,
    upload::UploadStatus,
};

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
    /// The wall clock was set by more than a few seconds, within the last day.
    ClockSet,
    /// The bucket had not, when it was asked, what it was to have, within the last day.
    BucketLost,
    /// The disk is full, and local copies cannot go, or went unseen, as the bucket does not say whether it has them.
    CopiesUnconfirmed,
    /// Footage is past its retention and waits for a person: so much at once, or by a clock that is not believed.
    RetentionWaits,
    /// There are recordings here that the catalog does not know.
    FootageUnknown,
    /// The database does not answer: what is recorded is listed when it does.
    CatalogAway,
    /// The database answers and takes nothing: it is read-only, a table is gone, a right was taken.
    CatalogRefuses,
    /// The data folder, or the catalog's file in it, is not the one any more that the node began with.
    DataFolderGone,
    /// The disk does not answer.
    DiskHangs,
    /// The disk takes nothing.
    DiskRefuses,
    /// No more files may be opened: cameras are turned away.
    DescriptorsUsedUp,
    /// A channel's frames come and are not recorded.
    ChannelNotRecorded,
    /// A camera has stopped while its club is open.
    CameraSilent,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::RecordingStopped,
        Self::FootageLost,
        Self::BucketRefuses,
        Self::BucketAway,
        Self::ClockSet,
        Self::BucketLost,
        Self::CopiesUnconfirmed,
        Self::RetentionWaits,
        Self::FootageUnknown,
        Self::CatalogAway,
        Self::CatalogRefuses,
        Self::DataFolderGone,
        Self::DiskHangs,
        Self::DiskRefuses,
        Self::DescriptorsUsedUp,
        Self::ChannelNotRecorded,
        Self::CameraSilent,
    ];

    /// Whether a node with this alarm fails at its work: footage is not recorded, or cannot be found later. With other alarms
    /// recording goes on, and somebody should look at the cause.
    #[must_use]
    pub fn stops_recording(self) -> bool {
        match self {
            Self::RecordingStopped
            | Self::CatalogAway
            | Self::CatalogRefuses
            | Self::DataFolderGone
            | Self::DiskHangs
            | Self::DiskRefuses
            | Self::DescriptorsUsedUp
            | Self::ChannelNotRecorded => true,
            Self::FootageLost
            | Self::BucketRefuses
            | Self::BucketAway
            | Self::ClockSet
            | Self::BucketLost
            | Self::CopiesUnconfirmed
            | Self::RetentionWaits
            | Self::FootageUnknown
            | Self::CameraSilent => false,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordingStopped => "recordingStopped",
            Self::FootageLost => "footageLost",
            Self::BucketRefuses => "bucketRefuses",
            Self::BucketAway => "bucketAway",
            Self::ClockSet => "clockSet",
            Self::BucketLost => "bucketLost",
            Self::CopiesUnconfirmed => "copiesUnconfirmed",
            Self::RetentionWaits => "retentionWaits",
            Self::FootageUnknown => "footageUnknown",
            Self::CatalogAway => "catalogAway",
            Self::CatalogRefuses => "catalogRefuses",
            Self::DataFolderGone => "dataFolderGone",
            Self::DiskHangs => "diskHangs",
            Self::DiskRefuses => "diskRefuses",
            Self::DescriptorsUsedUp => "descriptorsUsedUp",
            Self::ChannelNotRecorded => "channelNotRecorded",
            Self::CameraSilent => "cameraSilent",
        }
    }
}

/// An alarm that is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Which channel it is about, where it is one.
    pub channel_id: Option<Uuid>,
    /// Since when, UTC microseconds, where that is known.
    pub since_us: Option<i64>,
    /// What and what to do, in words.
    pub message: String,
}

/// How long a loss stays an alarm, in microseconds.
const LOSS_ALARM_US: i64 = 86_400_000_000;

/// How long a bucket may be away before it is an alarm, in microseconds.
const AWAY_ALARM_US: i64 = 60_000_000;

/// How long a step of the clock stays an alarm, in microseconds of the monotonic clock.
const CLOCK_ALARM_US: i64 = 86_400_000_000;

/// The alarm of a step of the clock.
pub(crate) fn clock_alarm(step: Option<ClockStep>, monotonic_us: i64) -> Option<Alarm> {
    let step = step.filter(|step| monotonic_us.saturating_sub(step.monotonic_us) < CLOCK_ALARM_US)?;
    let by_s = step.by_us.unsigned_abs() as f64 / 1e6;
    let which = if step.by_us < 0 { "back" } else { "forwards" };
    Some(Alarm {
        kind: AlarmKind::ClockSet,
        channel_id: None,
        since_us: Some(step.at_us),
        message: format!(
            "this node's clock was set {which} by {by_s:.1} s: footage before and after is dated by different clocks. Keep it by NTP"
        ),
    })
}

/// What has happened in the keeping of footage.
#[derive(Default)]
pub(crate) struct Incidents {
    last_loss_us: Option<i64>,
    missing: Option<Missing>,
    silence: Option<(Duration, String)>,
    unconfirmed: usize,
    waiting: Option<RetentionWaiting>,
}

impl Incidents {
    pub(crate) fn of(keeper: &KeeperState) -> Self {
        Self {
            last_loss_us: keeper.last_loss_us(),
            missing: keeper.missing(),
            silence: keeper.asked.silence(),
            unconfirmed: keeper.unconfirmed_count(),
            waiting: keeper.expiry.waiting(),
        }
    }
}

/// The alarms that are on.
pub(crate) fn alarms(
    upload: &UploadStatus,
    keeper: &KeeperStatus,
    incidents: &Incidents,
    now_us: i64,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let last_loss_us = incidents.last_loss_us;
    if keeper.is_stopped {
        alarms.push(Alarm {
            kind: AlarmKind::RecordingStopped,
            channel_id: None,
            since_us: None,
            message: "the disk is full and nothing may be given up: make room, shorten the retention or set [retention] on_full"
                .into(),
        });
    }
    if let Some(at_us) = last_loss_us.filter(|at_us| now_us - at_us < LOSS_ALARM_US) {
        alarms.push(Alarm {
            kind: AlarmKind::FootageLost,
            channel_id: None,
            since_us: Some(at_us),
            message: "the disk was full: the oldest footage was given up. Make room or shorten the retention"
                .into(),
        });
    }
    if let Some(trouble) = &upload.trouble {
        let (since_us, reason) = (Some(trouble.since_us), &trouble.reason);
        if trouble.needs_somebody {
            let message = format!("{reason}. Footage waits on this node; `turepe doctor` tells more");
            alarms.push(Alarm { kind: AlarmKind::BucketRefuses, channel_id: None, since_us, message });
        } else if now_us - trouble.since_us >= AWAY_ALARM_US {
            let message = format!("{reason}. Footage waits on this node and is sent when the bucket answers");
            alarms.push(Alarm { kind: AlarmKind::BucketAway, channel_id: None, since_us, message });
        }
    }
    alarms.extend(of_keeping(incidents, now_us));
    alarms
}

fn of_keeping(incidents: &Incidents, now_us: i64) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let is_recent = |at_us: i64| now_us.saturating_sub(at_us) < LOSS_ALARM_US;
    if let Some(missing) = incidents.missing.filter(|missing| is_recent(missing.last_us)) {
        let Missing { last_us, again, gone } = missing;
        let gone = match gone {
            0 => String::new(),
            gone => format!(", {gone} are nowhere any more"),
        };
        alarms.push(Alarm {
            kind: AlarmKind::BucketLost,
            channel_id: None,
            since_us: Some(last_us),
            message: format!(
                "the bucket had not what it was to have: {again} segments are uploaded again{gone}. Find out who removes \
                 objects there; `turepe verify` tells of all of them"
            ),
        });
    }
    let unconfirmed = incidents.unconfirmed;
    if let Some((_, reason)) = &incidents.silence {
        let gone = match unconfirmed {
            0 => String::new(),
            count => format!(" {count} copies had to be given up unseen."),
        };
        alarms.push(Alarm {
            kind: AlarmKind::CopiesUnconfirmed,
            channel_id: None,
            since_us: None,
            message: format!(
                "local copies are to go and the bucket does not say whether it has them: {reason}.{gone} Nothing is removed \
                 on its account until it answers; make room"
            ),
        });
    } else if unconfirmed > 0 {
        alarms.push(Alarm {
            kind: AlarmKind::CopiesUnconfirmed,
            channel_id: None,
            since_us: None,
            message: format!(
                "{unconfirmed} local copies were given up unseen, and are looked for in the bucket"
            ),
        });
    }
    if let Some(waiting) = &incidents.waiting {
        let why = match &waiting.doubt {
            Some(doubt) => format!("{doubt}, so no footage expires by it"),
            None => format!("{} segments are past their retention at once", waiting.segments()),
        };
        let since_us = waiting.items.iter().map(|item| item.since_us).min();
        alarms.push(Alarm {
            kind: AlarmKind::RetentionWaits,
            channel_id: None,
            since_us: since_us.filter(|since_us| *since_us >= EARLIEST_FOOTAGE_US),
            message: format!(
                "{why}: a person decides. `turepe admin retention` shows what waits, `turepe admin retention --confirm` lets \
                 it go"
            ),
        });
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Trouble;

    fn kinds(upload: &UploadStatus, keeper: &KeeperStatus, loss: Option<i64>, now_us: i64) -> Vec<AlarmKind> {
        let incidents = Incidents { last_loss_us: loss, ..Incidents::default() };
        alarms(upload, keeper, &incidents, now_us).into_iter().map(|alarm| alarm.kind).collect()
    }

    fn of_incidents(incidents: &Incidents, now_us: i64) -> Vec<(AlarmKind, String)> {
        of_keeping(incidents, now_us).into_iter().map(|alarm| (alarm.kind, alarm.message)).collect()
    }

    #[test]
    fn what_is_missing_silent_or_waits_is_an_alarm() {
        let missing = |again, gone| Incidents {
            missing: Some(Missing { last_us: 5, again, gone }),
            ..Incidents::default()
        };
        let [(AlarmKind::BucketLost, says)] = &of_incidents(&missing(3, 0), 6)[..] else { panic!() };
        assert!(says.contains("3 segments are uploaded again.") && !says.contains("nowhere"), "{says}");
        let [(_, says)] = &of_incidents(&missing(3, 2), 6)[..] else { panic!() };
        assert!(says.contains("2 are nowhere any more"), "{says}");
        assert_eq!(of_incidents(&missing(3, 2), LOSS_ALARM_US + 5), [], "a day later");
        let silent = Incidents {
            silence: Some((Duration::from_secs(1), "it is away".into())),
            unconfirmed: 2,
            ..Incidents::default()
        };
        let [(AlarmKind::CopiesUnconfirmed, says)] = &of_incidents(&silent, 6)[..] else { panic!() };
        assert!(says.contains("it is away") && says.contains("2 copies"), "{says}");
        let back = Incidents { silence: None, ..silent };
        assert_eq!(of_incidents(&back, 6)[0].0, AlarmKind::CopiesUnconfirmed);
        let doubt = Some("this machine's clock is 8 d 0 h ahead of the bucket's".to_owned());
        let waiting = RetentionWaiting { seen_us: 0, doubt, items: Vec::new() };
        let waits = Incidents { waiting: Some(waiting), ..Incidents::default() };
        let [(AlarmKind::RetentionWaits, says)] = &of_incidents(&waits, 6)[..] else { panic!() };
        assert!(
            says.contains("8 d 0 h ahead") && says.contains("turepe admin retention --confirm"),
            "{says}"
        );
    }

    #[test]
    fn a_step_of_the_clock_is_an_alarm_for_a_day_whatever_the_clock_says() {
        let step = |by_us| ClockStep { by_us, at_us: 77, monotonic_us: 1_000 };
        for (by_us, words) in [(-30_000_000, "back by 30.0 s"), (3_600_000_000, "forwards by 3600.0 s")] {
            let alarm = clock_alarm(Some(step(by_us)), 2_000).expect("an alarm");
            assert_eq!((alarm.kind, alarm.since_us), (AlarmKind::ClockSet, Some(77)));
            assert!(alarm.message.contains(words), "{}", alarm.message);
        }
        assert_eq!(clock_alarm(Some(step(-30_000_000)), 1_000 + CLOCK_ALARM_US), None);
        assert_eq!(clock_alarm(None, 0), None);
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
