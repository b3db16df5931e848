//! Decides what the table is told, and when: facts and the time in, actions out. Nothing here waits or asks.
//!
//! Contract: call [`Lifecycle::step`] with the facts whenever time has passed or something came back; do every action
//! it gives, in any order and at once; report each [`Action::Update`] and [`Action::Refresh`] by [`Lifecycle::done`]. A
//! channel has one request on its way at most, so its states arrive in their order. Times are since the start of the
//! program, except `now_us`, which is what the table gets as `modified`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::backoff;
use crate::condition::Condition;
use crate::limits::{
    MAX_BACKOFF, MAX_CHANNELS, MAX_IDS_PER_REQUEST, MAX_IN_FLIGHT, MAX_REFUSED_BACKOFF, MAX_STAMPS,
    MIN_BACKOFF, MIN_REFUSED_BACKOFF, MIN_UPDATE_INTERVAL, OFFLINE_SETTLE, RESTART_GRACE,
};

/// What is so at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Channels whose frames come.
    pub(crate) live: BTreeSet<Uuid>,
    /// Wall clock, UTC microseconds.
    pub(crate) now_us: i64,
    /// The node stops: what there is to say is said at once.
    pub(crate) is_closing: bool,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Tell the table one channel's state.
    Update {
        /// Whose.
        channel: Uuid,
        /// On or off.
        is_live: bool,
        /// The row's new `modified`, UTC microseconds.
        modified_us: i64,
        /// What the write is bound to.
        condition: Condition,
    },
    /// Tell the table again that these are live.
    Refresh {
        /// At most [`MAX_IDS_PER_REQUEST`].
        channels: Vec<Uuid>,
        /// The rows' new `modified`, UTC microseconds.
        modified_us: i64,
    },
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The row says so now, or nobody wants it from us: there is no such row, or another node has spoken since.
    Settled,
    /// The table is away; whether the row was changed is not known.
    Away,
    /// The table said no.
    Refused,
}

/// What the row says, as far as this node had a hand in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// This node has never said anything.
    Nothing,
    /// What was said last.
    State(bool),
    /// Something was said and no answer came.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Channel {
    /// What the row should say.
    is_live: bool,
    /// When that became so, UTC microseconds.
    changed_us: i64,
    told: Told,
    /// What is on its way: state and `modified`.
    flight: Option<(bool, i64)>,
    /// The `modified` that this node wrote last, and those of requests since whose answer never came; newest first.
    stamps_us: Vec<i64>,
    /// Whether the state is from before a restart: then others may have spoken meanwhile.
    is_restored: bool,
    attempts: u32,
    /// No request before this: the state must settle.
    settled_at: Duration,
    /// No request before this: one has just been made.
    paced_until: Duration,
    /// No request before this: one has failed.
    retry_at: Duration,
}

impl Channel {
    fn new() -> Self {
        Self {
            is_live: false,
            changed_us: 0,
            told: Told::Nothing,
            flight: None,
            stamps_us: Vec::new(),
            is_restored: false,
            attempts: 0,
            settled_at: Duration::ZERO,
            paced_until: Duration::ZERO,
            retry_at: Duration::ZERO,
        }
    }

    fn is_pending(&self) -> bool {
        match self.told {
            Told::Nothing => self.is_live,
            Told::State(told) => told != self.is_live,
            Told::Unknown => true,
        }
    }

    fn due(&self, is_closing: bool) -> Duration {
        if is_closing {
            return self.retry_at;
        }
        let settled = if self.is_live { Duration::ZERO } else { self.settled_at };
        settled.max(self.paced_until).max(self.retry_at)
    }

    /// Notes a stamp that the row may bear from now on.
    fn stamp(&mut self, modified_us: i64) {
        if !self.stamps_us.contains(&modified_us) {
            self.stamps_us.insert(0, modified_us);
            self.stamps_us.truncate(MAX_STAMPS);
        }
    }

    fn condition(&self) -> Condition {
        if self.is_restored && !self.is_live && !self.stamps_us.is_empty() {
            Condition::Ours(self.stamps_us.clone())
        } else {
            Condition::None
        }
    }
}

/// One channel as it outlives a restart.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    /// The channel.
    pub(crate) channel: Uuid,
    /// See [`Channel::stamps_us`].
    pub(crate) stamps_us: Vec<i64>,
}

/// Everybody's state.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    channels: BTreeMap<Uuid, Channel>,
    in_flight: usize,
    refresh: Duration,
    refresh_at: Duration,
    salt: u64,
    is_dirty: bool,
    overflow: usize,
}

impl Lifecycle {
    /// Nobody has said anything. `refresh` is how often live channels are told anew; `salt` makes this node's pauses its
    /// own.
    pub(crate) fn new(refresh: Duration, salt: u64) -> Self {
        Self {
            channels: BTreeMap::new(),
            in_flight: 0,
            refresh,
            refresh_at: refresh,
            salt,
            is_dirty: false,
            overflow: 0,
        }
    }

    /// Takes over what an earlier run of the program left: those channels may be on in the table. They are switched off
    /// after [`RESTART_GRACE`] unless they come back.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>, facts: &Facts, now: Duration) {
        for entry in entries.into_iter().take(MAX_CHANNELS) {
            let channel = Channel {
                told: Told::Unknown,
                stamps_us: entry.stamps_us.into_iter().take(MAX_STAMPS).collect(),
                is_restored: true,
                settled_at: now + RESTART_GRACE,
                changed_us: facts.now_us,
                ..Channel::new()
            };
            self.channels.insert(entry.channel, channel);
        }
    }

    /// What is to be done now.
    pub(crate) fn step(&mut self, facts: &Facts, now: Duration) -> Vec<Action> {
        self.take_in(facts, now);
        let mut actions = self.due_updates(facts, now);
        if now >= self.refresh_at && !facts.is_closing {
            self.refresh_at = now + self.refresh;
            actions.extend(self.refreshes(facts));
        }
        actions
    }

    /// When [`Lifecycle::step`] has something to do even if no fact changes; [`None`] for never.
    #[cfg(test)]
    fn next_due(&self) -> Option<Duration> {
        self.channels.values().filter(|c| c.flight.is_none() && c.is_pending()).map(|c| c.due(false)).min()
    }

    fn take_in(&mut self, facts: &Facts, now: Duration) {
        self.overflow = 0;
        for id in &facts.live {
            if !self.channels.contains_key(id) {
                if self.channels.len() >= MAX_CHANNELS {
                    self.overflow += 1;
                    continue;
                }
                self.channels.insert(*id, Channel::new());
            }
            if let Some(channel) = self.channels.get_mut(id)
                && !channel.is_live
            {
                channel.is_live = true;
                channel.changed_us = facts.now_us;
                channel.is_restored = false;
                self.is_dirty = true;
            }
        }
        for (id, channel) in &mut self.channels {
            if channel.is_live && !facts.live.contains(id) {
                channel.is_live = false;
                channel.changed_us = facts.now_us;
                channel.settled_at = now + OFFLINE_SETTLE;
                self.is_dirty = true;
            }
        }
        let before = self.channels.len();
        self.channels
            .retain(|_, channel| channel.is_live || channel.flight.is_some() || channel.is_pending());
        self.is_dirty |= self.channels.len() != before;
    }

    fn due_updates(&mut self, facts: &Facts, now: Duration) -> Vec<Action> {
        let mut due: Vec<(Duration, Uuid)> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.flight.is_none() && channel.is_pending())
            .map(|(id, channel)| (channel.due(facts.is_closing), *id))
            .filter(|(due, _)| *due <= now)
            .collect();
        // Who has waited longest goes first.
        due.sort_unstable();
        let mut actions = Vec::new();
        for (_, id) in due {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            if self.in_flight >= MAX_IN_FLIGHT {
                break;
            }
            let condition = channel.condition();
            channel.flight = Some((channel.is_live, channel.changed_us));
            channel.told = Told::Unknown;
            // From now on the row may bear this stamp.
            channel.stamp(channel.changed_us);
            channel.paced_until = now + MIN_UPDATE_INTERVAL;
            self.in_flight += 1;
            self.is_dirty = true;
            actions.push(Action::Update {
                channel: id,
                is_live: channel.is_live,
                modified_us: channel.changed_us,
                condition,
            });
        }
        actions
    }

    fn refreshes(&mut self, facts: &Facts) -> Vec<Action> {
        let settled: Vec<Uuid> = self
            .channels
            .iter()
            .filter(|(_, c)| c.is_live && c.flight.is_none() && c.told == Told::State(true))
            .map(|(id, _)| *id)
            .collect();
        let mut actions = Vec::new();
        for channels in settled.chunks(MAX_IDS_PER_REQUEST) {
            for id in channels {
                if let Some(channel) = self.channels.get_mut(id) {
                    channel.flight = Some((true, facts.now_us));
                    channel.stamp(facts.now_us);
                }
            }
            // A refresh goes out although all places are taken: there are few, and they keep other nodes away.
            self.in_flight += 1;
            self.is_dirty = true;
            actions.push(Action::Refresh { channels: channels.to_vec(), modified_us: facts.now_us });
        }
        actions
    }

    /// Reports how an action ended.
    pub(crate) fn done(&mut self, action: &Action, outcome: Outcome, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match action {
            Action::Update { channel, .. } => self.update_done(*channel, outcome, now),
            Action::Refresh { channels, modified_us } => {
                for id in channels {
                    if let Some(channel) = self.channels.get_mut(id) {
                        channel.flight = None;
                        // One that failed is made good by the next: the row is on already.
                        if outcome == Outcome::Settled {
                            channel.stamps_us = vec![*modified_us];
                        }
                    }
                }
            }
        }
    }

    fn update_done(&mut self, id: Uuid, outcome: Outcome, now: Duration) {
        let salt = self.salt ^ id.as_u64_pair().1;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some((told, modified_us)) = channel.flight.take() else { return };
        let (first, longest) = match outcome {
            Outcome::Settled => {
                channel.told = Told::State(told);
                channel.stamps_us = vec![modified_us];
                channel.is_restored = false;
                channel.attempts = 0;
                self.is_dirty = true;
                return;
            }
            Outcome::Away => (MIN_BACKOFF, MAX_BACKOFF),
            Outcome::Refused => (MIN_REFUSED_BACKOFF, MAX_REFUSED_BACKOFF),
        };
        channel.attempts = channel.attempts.saturating_add(1);
        channel.retry_at = now + backoff::pause(channel.attempts, first, longest, salt);
    }

    /// Whether [`Lifecycle::entries`] have changed since the last call of this.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    /// What must outlive a restart: every channel that the table may believe live because of this node.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.channels
            .iter()
            .map(|(id, channel)| Entry { channel: *id, stamps_us: channel.stamps_us.clone() })
            .collect()
    }

    /// Channels whose state is not told.
    pub(crate) fn pending(&self) -> usize {
        self.channels.values().filter(|channel| channel.is_pending()).count()
    }

    /// Live channels that there is no room for.
    pub(crate) fn overflow(&self) -> usize {
        self.overflow
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
