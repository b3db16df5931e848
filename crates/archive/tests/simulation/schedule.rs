//! A schedule: what happens to one house, drawn from a seed. Nothing here acts.

use catalog::DeletionReason;
use media::EndCause;
use turepe_archive::{
    OnFull,
    bucket::{BucketFault, BucketOperation},
};
use world::{Fault, Operation};

use crate::support::S;

/// Splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(u64::try_from(to - from).unwrap_or(0)).cast_signed()
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// What holds for the whole schedule.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) channels: usize,
    pub(crate) frame_bytes: usize,
    pub(crate) part_bytes: u64,
    pub(crate) on_full: OnFull,
    pub(crate) min_free_bytes: u64,
    pub(crate) retention_days: Option<u32>,
    pub(crate) keep_local_us: Option<i64>,
    /// Spool and store lie on two file systems: what is sealed is copied.
    pub(crate) has_two_volumes: bool,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A camera films on, or begins to.
    Film {
        channel: usize,
        ms: i64,
    },
    /// A camera goes.
    Stop {
        channel: usize,
        cause: EndCause,
    },
    /// The sync tick has passed.
    Sync,
    /// Time passes for whoever waits for it.
    Wait {
        ms: u64,
    },
    /// Nobody films, and the clock shows so much later.
    Jump {
        us: i64,
    },
    DiskFault {
        operation: Operation,
        fault: Fault,
        path: &'static str,
        after: u32,
        times: u32,
    },
    HealDisk,
    /// So much more fits than is there.
    Full {
        spare_bytes: u64,
    },
    Roomy,
    BucketFault {
        operation: Option<BucketOperation>,
        fault: BucketFault,
        after: u32,
        times: u32,
    },
    HealBucket,
    BucketAway(bool),
    /// The disk's power goes so many operations from now; the machine is started again with the next life.
    CutPowerIn {
        operations: u64,
    },
    /// A power cut now. What was not synced is lost, or half of it with a seed.
    PowerCut {
        torn: Option<u64>,
    },
    /// `kill -9`: what was written stays.
    Kill,
    /// An orderly end and a new start.
    Restart,
    /// The catalog answers no more in this life.
    CatalogAway,
    KeepHouse,
    /// A range around a number-th segment outlives retention.
    Protect {
        segment: u64,
    },
    Unprotect,
    /// Somebody deletes the number-th segment.
    Delete {
        segment: u64,
        reason: DeletionReason,
    },
    /// A player plays all of a channel.
    Play {
        channel: usize,
    },
}

/// A seed's whole story.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) actions: Vec<Action>,
}

const DAY_US: i64 = 86_400 * S;

impl Schedule {
    pub(crate) fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let setup = Setup {
            channels: dice.pick(&[1, 1, 1, 2, 2, 6]),
            frame_bytes: dice.pick(&[60, 200, 800, 2_000]),
            part_bytes: dice.pick(&[4_096, 8_192, 16_384, 1 << 20]),
            on_full: dice.pick(&[OnFull::OldestFirst, OnFull::OldestFirst, OnFull::StopRecording]),
            min_free_bytes: dice.pick(&[0, 20_000, 100_000]),
            retention_days: dice.pick(&[None, Some(1), Some(2)]),
            keep_local_us: dice.pick(&[None, None, Some(0), Some(DAY_US)]),
            has_two_volumes: dice.once_in(6),
        };
        // Most schedules have a few kinds of trouble; all kinds at once would hide each other.
        let troubles = dice.next();
        let count = dice.between(6, 26);
        let mut actions = Vec::new();
        while i64::try_from(actions.len()).unwrap() < count {
            actions.extend(draw_action(dice, &setup, troubles));
        }
        Self { seed, setup, actions }
    }

    /// The schedule as it is printed when it fails.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("seed {}\n{:#?}\n", self.seed, self.setup);
        for (number, action) in self.actions.iter().enumerate() {
            text += &format!("{number:>3} {action:?}\n");
        }
        text
    }
}

fn draw_action(dice: &mut Dice, setup: &Setup, troubles: u64) -> Option<Action> {
    let channel = usize::try_from(dice.below(setup.channels as u64)).unwrap();
    let has = |number: u32| troubles >> number & 1 == 1;
    Some(match dice.below(38) {
        0..12 => Action::Film { channel, ms: dice.pick(&[400, 1_500, 3_000, 6_000, 12_000]) },
        12 => Action::Stop { channel, cause: dice.pick(&[EndCause::Camera, EndCause::Network]) },
        13 | 14 => Action::Sync,
        15..18 => Action::Wait { ms: dice.pick(&[1, 30, 500, 6_000, 20_000, 70_000]) },
        18 => Action::Jump { us: dice.pick(&[10 * S, 3600 * S, DAY_US, 2 * DAY_US]) },
        19 | 20 if has(0) => draw_disk_fault(dice),
        21 if has(1) => Action::Full { spare_bytes: dice.pick(&[0, 1_000, 30_000, 120_000, 300_000]) },
        22 => {
            if dice.pick(&[0, 1]) == 0 {
                Action::HealDisk
            } else {
                Action::Roomy
            }
        }
        23 | 24 if has(2) => draw_bucket_fault(dice),
        25 if has(3) => Action::BucketAway(dice.once_in(2)),
        26 => Action::HealBucket,
        27 if has(4) => Action::CutPowerIn { operations: dice.below(120) },
        28 | 29 if has(5) => {
            let torn = dice.next();
            Action::PowerCut { torn: dice.once_in(2).then_some(torn) }
        }
        30 | 31 if has(6) => Action::Kill,
        32 => Action::Restart,
        33 if has(7) && dice.once_in(2) => Action::CatalogAway,
        34 => Action::KeepHouse,
        35 => match dice.below(4) {
            0 => Action::Unprotect,
            _ => Action::Protect { segment: dice.below(20) },
        },
        36 if has(8) => Action::Delete { segment: dice.below(20), reason: DeletionReason::Admin },
        37 => Action::Play { channel },
        _ => return None,
    })
}

fn draw_disk_fault(dice: &mut Dice) -> Action {
    use Operation::*;
    let all = [
        CreateDir, Create, Open, Append, WriteAt, Read, SyncData, SetLen, Rename, Remove, List, SyncDir,
        FreeBytes, SyncAll,
    ];
    let (operation, fault) = match dice.below(10) {
        0 | 1 => (Append, Fault::TornWrite(usize::try_from(dice.below(40_000)).unwrap())),
        2 => (Read, Fault::ShortRead(1 + usize::try_from(dice.below(100)).unwrap())),
        // Not where it would hold up the one who opens the archive.
        3 => (dice.pick(&[Append, SyncData, SyncAll, SyncDir, Rename]), Fault::Held),
        4 => (dice.pick(&[Append, SyncData, SyncAll]), Fault::Slow(dice.between(1, 20 * S))),
        5 => (dice.pick(&[Create, Append, WriteAt, SetLen, CreateDir]), Fault::NoSpace),
        6 => (dice.pick(&[SyncData, SyncAll]), Fault::Io),
        _ => (dice.pick(&all), dice.pick(&[Fault::Io, Fault::Io, Fault::Denied, Fault::NoSpace])),
    };
    Action::DiskFault {
        operation,
        fault,
        path: dice.pick(&["", "", "spool", "store"]),
        after: u32::try_from(dice.below(12)).unwrap(),
        times: dice.pick(&[1, 1, 2, 5, 30]),
    }
}

fn draw_bucket_fault(dice: &mut Dice) -> Action {
    use BucketOperation::*;
    let sending = [BeginUpload, PutPart, Put, CompleteUpload, Head];
    let all = [Head, Read, Put, BeginUpload, PutPart, Parts, CompleteUpload, AbortUpload, Uploads, Delete];
    let (operation, fault) = match dice.below(9) {
        0 => (dice.pick(&all), BucketFault::Busy(None)),
        1 => (dice.pick(&all), BucketFault::Unreachable),
        2 => (dice.pick(&all), BucketFault::Refused),
        3 | 4 => (dice.pick(&all), BucketFault::AnswerLost),
        5 => (dice.pick(&sending), BucketFault::Stalled),
        6 => (dice.pick(&[PutPart, Put]), BucketFault::Damaged),
        7 => (dice.pick(&[PutPart, Put, CompleteUpload, Head]), BucketFault::WrongEtag),
        _ => (dice.pick(&[PutPart, Parts, CompleteUpload]), BucketFault::UploadForgotten),
    };
    Action::BucketFault {
        operation: (!dice.once_in(8) || fault == BucketFault::Stalled).then_some(operation),
        fault,
        after: u32::try_from(dice.below(8)).unwrap(),
        times: dice.pick(&[1, 1, 2, 6, 20]),
    }
}
