//! What follows from what was seen: pure, time is an argument.

use std::collections::BTreeMap;

use archive::{Alarm, AlarmKind};
use uuid::Uuid;

use super::limits::{
    CATALOG_PATIENCE_US, DISK_HANGS_US, EXPECTED_WITHIN_US, NOT_RECORDED_US, REFUSED_US, SILENT_US,
};

/// Now, by both clocks: the monotonic one says how long something took, the other one when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) monotonic_us: i64,
    pub(super) wall_us: i64,
}

/// Something that was looked at again and again, by looks that may hang.
#[derive(Clone, Debug)]
pub(super) struct Looks<T> {
    /// When the look began that has not come back yet, by the monotonic clock.
    begun_us: Option<i64>,
    /// What the last one found to be wrong.
    found: Option<Found<T>>,
}

#[derive(Clone, Debug)]
struct Found<T> {
    trouble: T,
    since: Now,
}

impl<T> Default for Looks<T> {
    fn default() -> Self {
        Self { begun_us: None, found: None }
    }
}

impl<T> Looks<T> {
    pub(super) fn begin(&mut self, now: Now) {
        self.begun_us = Some(now.monotonic_us);
    }

    pub(super) fn end(&mut self, trouble: Option<T>, now: Now) {
        self.begun_us = None;
        let since = self.found.take().map_or(now, |found| found.since);
        self.found = trouble.map(|trouble| Found { trouble, since });
    }
}

/// What is wrong with the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum DiskTrouble {
    /// A folder or file is gone, or another one is in its place: which, in words.
    Gone(String),
    /// It takes nothing, in its own words.
    Refuses(String),
}

/// One channel, as its hub and its recorder tell of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Fragments that its hub has made.
    fragments: u64,
    /// Up to when they are in a file.
    recorded_until_us: Option<i64>,
    /// Since when fragments have come and none was recorded, by both clocks.
    unrecorded: Option<Now>,
}

impl Progress {
    /// Looks again. A hub that was made anew counts from 0.
    pub(super) fn look(&mut self, fragments: u64, recorded_until_us: Option<i64>, now: Now) {
        let comes = fragments != self.fragments;
        let is_recorded = recorded_until_us.is_some() && recorded_until_us != self.recorded_until_us;
        self.unrecorded = match self.unrecorded {
            _ if is_recorded => None,
            None if comes => Some(now),
            as_before => as_before,
        };
        (self.fragments, self.recorded_until_us) = (fragments, recorded_until_us);
    }
}

/// A camera over a court of a club.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    /// Club and court, for people.
    pub(super) place: String,
    /// Since when the club is open; `None` while it is closed.
    pub(super) open_since_us: Option<i64>,
    /// When its last frame came, as far as is known.
    pub(super) last_us: Option<i64>,
    /// Whether another node records it.
    pub(super) is_elsewhere: bool,
}

impl Camera {
    /// Since when it has been silent although its club is open. One that has not been heard of for days is not waited for: it was taken
    /// down. After a start of the node, `started_us`, it has its time to come back.
    pub(super) fn silent_since(&self, started_us: i64, now_us: i64) -> Option<i64> {
        let (open_us, last_us) = (self.open_since_us?, self.last_us?);
        let since_us = open_us.max(last_us);
        let is_expected = now_us.saturating_sub(last_us) < EXPECTED_WITHIN_US;
        let waited_us = now_us.saturating_sub(since_us.max(started_us));
        (!self.is_elsewhere && is_expected && waited_us >= SILENT_US).then_some(since_us)
    }
}

/// How many files are open, and how many may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files {
    /// Whether hardly another one may be opened.
    pub(super) are_used_up: bool,
    /// When a publisher was turned away for want of them, by the monotonic clock.
    pub(super) refused_us: Option<i64>,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When the watch began, by the wall clock.
    pub(super) started_us: i64,
    pub(super) disk: Looks<DiskTrouble>,
    pub(super) catalog: Looks<catalog::DatabaseTrouble>,
    pub(super) files: Files,
    /// Channels whose frames come.
    pub(super) live: BTreeMap<Uuid, Progress>,
    pub(super) cameras: BTreeMap<Uuid, Camera>,
}

/// The alarms that are on.
pub(super) fn alarms(seen: &Seen, now: Now) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    alarms.extend(of_disk(&seen.disk, now));
    alarms.extend(of_catalog(&seen.catalog, now));
    alarms.extend(of_files(seen.files, now));
    for (channel_id, progress) in &seen.live {
        let since = progress.unrecorded;
        if let Some(since) = since.filter(|since| now.monotonic_us - since.monotonic_us >= NOT_RECORDED_US) {
            alarms.push(Alarm {
                kind: AlarmKind::ChannelNotRecorded,
                channel_id: Some(*channel_id),
                since_us: Some(since.wall_us),
                message: format!(
                    "channel {channel_id} is live and not recorded: the log and the other alarms say why"
                ),
            });
        }
    }
    for (channel_id, camera) in seen.cameras.iter().filter(|(id, _)| !seen.live.contains_key(id)) {
        if let Some(since_us) = camera.silent_since(seen.started_us, now.wall_us) {
            alarms.push(Alarm {
                kind: AlarmKind::CameraSilent,
                channel_id: Some(*channel_id),
                since_us: Some(since_us),
                message: format!(
                    "the camera of {} sends nothing, and the club is open: look at the camera, its power and its network",
                    camera.place
                ),
            });
        }
    }
    alarms
}

fn of_disk(looks: &Looks<DiskTrouble>, now: Now) -> Option<Alarm> {
    let of_node = |kind, since_us, message| Some(Alarm { kind, channel_id: None, since_us, message });
    let hangs_us =
        looks.begun_us.map(|begun_us| now.monotonic_us - begun_us).filter(|us| *us >= DISK_HANGS_US);
    if let Some(hangs_us) = hangs_us {
        let message = "the disk of the data folder does not answer: what is recorded waits in memory, and what has no room there is lost. \
                       Look at the disk and the kernel's log";
        return of_node(AlarmKind::DiskHangs, Some(now.wall_us.saturating_sub(hangs_us)), message.to_owned());
    }
    let found = looks.found.as_ref()?;
    let since_us = Some(found.since.wall_us);
    match &found.trouble {
        DiskTrouble::Gone(what) => {
            let message = format!(
                "{what}: what is recorded is lost with the node. Stop it, put back what was there, and start it again"
            );
            of_node(AlarmKind::DataFolderGone, since_us, message)
        }
        DiskTrouble::Refuses(why) => of_node(
            AlarmKind::DiskRefuses,
            since_us,
            format!("the disk takes nothing: {why}. Look at the kernel's log"),
        ),
    }
}

fn of_catalog(looks: &Looks<catalog::DatabaseTrouble>, now: Now) -> Option<Alarm> {
    let found = looks.found.as_ref()?;
    // A server that restarts is no alarm.
    if now.monotonic_us - found.since.monotonic_us < CATALOG_PATIENCE_US {
        return None;
    }
    let catalog::DatabaseTrouble { is_away, reason } = &found.trouble;
    let (kind, message) = if *is_away {
        let message =
            format!("the database does not answer ({reason}): what is recorded is listed once it does");
        (AlarmKind::CatalogAway, message)
    } else {
        let message = format!(
            "the database takes nothing ({reason}): what is recorded stays in the spool, and nobody finds it. Make it writable, or put back \
             what is missing from a backup"
        );
        (AlarmKind::CatalogRefuses, message)
    };
    Some(Alarm { kind, channel_id: None, since_us: Some(found.since.wall_us), message })
}

fn of_files(files: Files, now: Now) -> Option<Alarm> {
    let was_refused = files.refused_us.is_some_and(|at_us| now.monotonic_us - at_us < REFUSED_US);
    if !files.are_used_up && !was_refused {
        return None;
    }
    let message = "too few files may be open: cameras are turned away, as they could not be recorded. LimitNOFILE=1048576 in the unit; \
                   `turepe doctor` says more";
    Some(Alarm {
        kind: AlarmKind::DescriptorsUsedUp,
        channel_id: None,
        since_us: None,
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;
    const HOUR: i64 = 3600 * S;
    /// Some day, far from 0.
    const NOON: i64 = 1_763_985_600 * S;

    fn at(seconds: i64) -> Now {
        Now { monotonic_us: seconds * S, wall_us: NOON + seconds * S }
    }

    fn kinds(seen: &Seen, seconds: i64) -> Vec<(AlarmKind, Option<i64>)> {
        let all = alarms(seen, at(seconds)).into_iter();
        all.map(|alarm| (alarm.kind, alarm.since_us.map(|us| (us - NOON) / S))).collect()
    }

    #[test]
    fn a_disk_hangs_refuses_or_is_another_one() {
        let mut seen = Seen::default();
        seen.disk.begin(at(0));
        assert_eq!(kinds(&seen, 4), [], "a slow one");
        assert_eq!(kinds(&seen, 5), [(AlarmKind::DiskHangs, Some(0))]);
        assert_eq!(kinds(&seen, 3600), [(AlarmKind::DiskHangs, Some(0))], "since then");
        seen.disk.end(None, at(3601));
        assert_eq!(kinds(&seen, 3602), []);
        seen.disk.end(Some(DiskTrouble::Refuses("EROFS".into())), at(3610));
        seen.disk.begin(at(3613));
        seen.disk.end(Some(DiskTrouble::Refuses("EROFS".into())), at(3613));
        assert_eq!(kinds(&seen, 3614), [(AlarmKind::DiskRefuses, Some(3610))], "since the first");
        seen.disk.end(Some(DiskTrouble::Gone("the data folder is gone".into())), at(3620));
        let [alarm] = &alarms(&seen, at(3621))[..] else { panic!() };
        assert!(
            alarm.kind == AlarmKind::DataFolderGone && alarm.message.starts_with("the data folder is gone")
        );
        seen.disk.begin(at(3622));
        assert_eq!(
            kinds(&seen, 3700)[0].0,
            AlarmKind::DiskHangs,
            "what hangs now says more than what was found"
        );
    }

    #[test]
    fn a_database_that_restarts_is_no_alarm_and_one_that_refuses_is() {
        let trouble = |is_away| Some(catalog::DatabaseTrouble { is_away, reason: "segments".into() });
        for (is_away, kind) in [(true, AlarmKind::CatalogAway), (false, AlarmKind::CatalogRefuses)] {
            let mut seen = Seen::default();
            seen.catalog.end(trouble(is_away), at(10));
            assert_eq!(kinds(&seen, 11), []);
            seen.catalog.end(trouble(is_away), at(12));
            assert_eq!(kinds(&seen, 13), [(kind, Some(10))]);
            assert!(alarms(&seen, at(13))[0].message.contains("segments"));
            seen.catalog.end(None, at(14));
            assert_eq!(kinds(&seen, 15), []);
        }
    }

    #[test]
    fn what_comes_and_is_not_recorded_is_an_alarm() {
        let id = Uuid::from_u128(1);
        // Fragments so far and up to when they are in a file, second by second.
        let run = |looks: &[(u64, Option<i64>)]| {
            let mut seen = Seen::default();
            for (second, (fragments, recorded)) in looks.iter().enumerate() {
                seen.live.entry(id).or_default().look(*fragments, *recorded, at(second as i64));
            }
            kinds(&seen, looks.len() as i64 - 1)
        };
        let seconds =
            |count: u64, look: fn(u64) -> (u64, Option<i64>)| (1..=count).map(look).collect::<Vec<_>>();
        let alarm = [(AlarmKind::ChannelNotRecorded, Some(0))];
        assert_eq!(run(&seconds(60, |s| (2 * s, Some(s as i64)))), [], "as ever");
        assert_eq!(run(&seconds(10, |s| (2 * s, None))), [], "a recording may take a moment to begin");
        assert_eq!(run(&seconds(12, |s| (2 * s, None))), alarm, "no file");
        assert_eq!(
            run(&seconds(60, |s| (2 * s, Some(7)))),
            [(AlarmKind::ChannelNotRecorded, Some(1))],
            "a file that stands still"
        );
        assert_eq!(run(&seconds(60, |_| (9, Some(7)))), [], "a camera that stands still");
        assert_eq!(run(&seconds(60, |s| (s / 10, Some(s as i64 / 10)))), [], "a fragment in ten seconds");
        let mut healed = seconds(30, |s| (2 * s, None));
        healed.push((62, Some(31)));
        assert_eq!(run(&healed), [], "recorded again");
    }

    #[test]
    fn a_camera_is_missed_while_its_club_is_open() {
        let camera = |open_h: Option<i64>, last_h: Option<f64>, is_elsewhere| Camera {
            place: "club/court".into(),
            open_since_us: open_h.map(|hours| NOON + hours * HOUR),
            last_us: last_h.map(|hours| NOON + (hours * HOUR as f64) as i64),
            is_elsewhere,
        };
        let week = 7.0 * 24.0;
        for (what, camera, since_h) in [
            ("it stopped in mid-match", camera(Some(-4), Some(-1.0), false), Some(-1)),
            ("it never came this morning", camera(Some(-4), Some(-14.0), false), Some(-4)),
            ("it stopped a moment ago", camera(Some(-4), Some(-9.0 / 3600.0), false), None),
            ("the club opened a moment ago", camera(Some(0), Some(-14.0), false), None),
            ("the club is closed", camera(None, Some(-1.0), false), None),
            ("it has never come", camera(Some(-4), None, false), None),
            ("it was taken down", camera(Some(-4), Some(-week), false), None),
            ("just not yet", camera(Some(-4), Some(1.0 - week), false), Some(-4)),
            ("another node records it", camera(Some(-4), Some(-1.0), true), None),
        ] {
            let expected = since_h.map(|hours| NOON + hours * HOUR);
            assert_eq!(camera.silent_since(0, NOON), expected, "{what}");
            assert_eq!(camera.silent_since(NOON - 9 * S, NOON), None, "{what}: the node has just started");
            assert_eq!(camera.silent_since(NOON - 10 * S, NOON), expected, "{what}");
        }
        let mut seen = Seen::default();
        let id = Uuid::from_u128(1);
        seen.cameras.insert(id, camera(Some(-4), Some(-1.0), false));
        assert_eq!(kinds(&seen, 0), [(AlarmKind::CameraSilent, Some(-3600))]);
        assert_eq!(alarms(&seen, at(0))[0].channel_id, Some(id));
        seen.live.insert(id, Progress::default());
        assert_eq!(kinds(&seen, 0), [], "it is back");
    }

    #[test]
    fn files_that_are_used_up_are_told_for_a_while() {
        let with = |are_used_up, refused_s: Option<i64>| Seen {
            files: Files { are_used_up, refused_us: refused_s.map(|seconds| seconds * S) },
            ..Seen::default()
        };
        assert_eq!(kinds(&with(false, None), 0), []);
        assert_eq!(kinds(&with(true, None), 0), [(AlarmKind::DescriptorsUsedUp, None)]);
        assert_eq!(kinds(&with(false, Some(10)), 69), [(AlarmKind::DescriptorsUsedUp, None)]);
        assert_eq!(kinds(&with(false, Some(10)), 70), []);
    }
}
