//! What is done about a disk that fills: a pure decision.

/// What happens when the disk is full and nothing that the bucket has can go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnFull {
    /// The oldest footage is given up, so that what is played now is recorded.
    OldestFirst,
    /// Recording stops, so that nothing that was recorded is given up.
    StopRecording,
}

/// What is known of the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) free_bytes: u64,
    /// Below this something has to happen.
    pub(super) floor_bytes: u64,
    /// Whether a local copy of what the bucket has can go.
    pub(super) has_evictable: bool,
    /// Whether there is footage that nothing protects.
    pub(super) has_deletable: bool,
    pub(super) on_full: OnFull,
    /// Whether recording is stopped for want of space.
    pub(super) is_stopped: bool,
    /// Whether this round has freed something already: it goes on up to the margin, not only to the floor.
    pub(super) is_evicting: bool,
    /// Whether there are copies that could go, only that the bucket does not say that it has them.
    pub(super) silence: Silence,
}

/// How long a bucket has not answered for copies that could go if it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    /// It answers, or there are no such copies.
    No,
    /// For a moment: nothing is given up on that account.
    Short,
    /// For longer than can be waited.
    Long,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Nothing.
    Rest,
    /// Remove the oldest local copies of what the bucket has.
    Evict,
    /// Give up the oldest footage.
    Delete,
    /// Let recording stop.
    Stop,
    /// Let recording go on.
    Resume,
}

/// How much more than the floor is freed by removing copies, and has to be free before a stopped recording goes on.
pub(super) fn margin_bytes(floor_bytes: u64) -> u64 {
    floor_bytes / 4
}

/// How much of the floor is written into while the bucket does not answer, before anything is given up or stopped: three
/// quarters of it stay.
fn reserve_bytes(floor_bytes: u64) -> u64 {
    floor_bytes - floor_bytes / 4
}

/// Decides once; it is asked again after each action.
pub(super) fn decide(facts: Facts) -> Action {
    let comfortable = facts.floor_bytes.saturating_add(margin_bytes(facts.floor_bytes));
    let is_low = facts.free_bytes < facts.floor_bytes;
    let wants_more = is_low || (facts.is_evicting && facts.free_bytes < comfortable);
    if wants_more && facts.has_evictable {
        return Action::Evict;
    }
    if facts.silence != Silence::No
        && facts.free_bytes >= reserve_bytes(facts.floor_bytes)
        && !facts.is_stopped
    {
        return Action::Rest;
    }
    // A recording that is stopped needs the margin to go on.
    let may_delete = facts.on_full == OnFull::OldestFirst && facts.has_deletable;
    if facts.is_stopped && may_delete && facts.silence == Silence::Long && facts.free_bytes < comfortable {
        return Action::Delete;
    }
    if is_low {
        return match facts.silence {
            Silence::No | Silence::Long if may_delete => Action::Delete,
            _ if facts.is_stopped => Action::Rest,
            // Nothing can be given up: writing on would only fill the disk to its last byte, database and all.
            _ => Action::Stop,
        };
    }
    if facts.is_stopped && facts.free_bytes >= comfortable { Action::Resume } else { Action::Rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_first_then_the_policy_decides() {
        let calm = Facts {
            free_bytes: 1000,
            floor_bytes: 100,
            has_evictable: true,
            has_deletable: true,
            on_full: OnFull::OldestFirst,
            is_stopped: false,
            is_evicting: false,
            silence: Silence::No,
        };
        let low = Facts { free_bytes: 99, ..calm };
        let bare = Facts { has_evictable: false, ..low };
        let silent = |silence, free_bytes| Facts { silence, free_bytes, ..bare };
        let (short, long) = (|free| silent(Silence::Short, free), |free| silent(Silence::Long, free));
        let stopping = Facts { on_full: OnFull::StopRecording, ..bare };
        let table = [
            ("there is room", calm, Action::Rest),
            ("just enough", Facts { free_bytes: 100, ..calm }, Action::Rest),
            ("copies go first", low, Action::Evict),
            ("whatever the policy", Facts { on_full: OnFull::StopRecording, ..low }, Action::Evict),
            (
                "a little more than needed",
                Facts { free_bytes: 124, is_evicting: true, ..calm },
                Action::Evict,
            ),
            ("but not for ever", Facts { free_bytes: 125, is_evicting: true, ..calm }, Action::Rest),
            ("then the oldest goes", bare, Action::Delete),
            ("only up to the floor", Facts { free_bytes: 100, is_evicting: true, ..bare }, Action::Rest),
            ("unless all is protected", Facts { has_deletable: false, ..bare }, Action::Stop),
            ("or recording stops", stopping, Action::Stop),
            ("once", Facts { is_stopped: true, ..stopping }, Action::Rest),
            (
                "it stays stopped at the floor",
                Facts { free_bytes: 110, is_stopped: true, ..stopping },
                Action::Rest,
            ),
            (
                "and goes on with a margin",
                Facts { free_bytes: 125, is_stopped: true, ..stopping },
                Action::Resume,
            ),
            ("the bucket is silent: the reserve is written into", short(75), Action::Rest),
            ("and nothing is given up for a moment's silence", short(74), Action::Stop),
            ("recording stays stopped", Facts { is_stopped: true, ..short(74) }, Action::Rest),
            ("silent for long, there is a reserve yet", long(75), Action::Rest),
            ("then the policy decides", long(74), Action::Delete),
            (
                "up to the margin, if recording was stopped",
                Facts { is_stopped: true, ..long(124) },
                Action::Delete,
            ),
            ("so that it goes on", Facts { is_stopped: true, ..long(125) }, Action::Resume),
            ("or it stops", Facts { on_full: OnFull::StopRecording, ..long(74) }, Action::Stop),
            ("evicting may be what frees it", Facts { is_stopped: true, ..low }, Action::Evict),
        ];
        for (what, facts, action) in table {
            assert_eq!(decide(facts), action, "{what}");
        }
    }
}
