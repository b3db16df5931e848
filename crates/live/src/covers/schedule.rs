//! Who is due when: pure, with time as an argument that never runs backwards (it is no wall clock).
//!
//! - A channel that comes online is due at once, but no sooner than a period after its last cover.
//! - Runs begin no closer to each other than the period divided by the number of runs that all live channels need: what
//!   came at the same instant, such as every camera after a restart, is spread over the period and stays so, as each
//!   channel's next turn counts from its last one.
//! - A run takes along who is due soon. So a few channels share one process, and many fill theirs.
//! - A channel that failed goes alone and less and less often; such channels never hold all processes.
//! - A channel that has been offline for long enough gets a slate, once; so does one that is online but of which no cover could
//!   be made for as long, whoever's fault it is: an old picture would look like a new one.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use uuid::Uuid;

use super::limits::{BACK_OFF_MAX, BATCH_CHANNELS, PROCESSES, SUSPECT_PROCESSES};

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Make the covers of these channels. [`Schedule::finished`] takes the run back.
    Make(Run),
    /// Put the slate in the place of this channel's cover.
    Slate(Uuid),
    /// Nothing before this time, unless something is told before; `None`: nothing at all.
    Wait(Option<i64>),
}

/// Channels whose covers are made by one process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// At least one, at most [`BATCH_CHANNELS`].
    pub(super) channels: Vec<Uuid>,
    /// Whether it is a channel that failed the last time, and thus alone.
    pub(super) is_suspect: bool,
}

/// What came of a channel's turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// There is a new cover.
    Made,
    /// There was no newer keyframe than that of the last cover.
    Unchanged,
    /// This channel's keyframe gives no cover, and why.
    Failed(String),
    /// It is not the channel's fault: no ffmpeg, no disk.
    Unable,
}

/// Counts microseconds of a steady clock.
#[derive(Debug)]
pub(super) struct Schedule {
    period_us: i64,
    slate_after_us: i64,
    channels: HashMap<Uuid, Channel>,
    /// When channels that are live and not in a run are due; those that failed the last time apart.
    due: BTreeSet<(i64, Uuid)>,
    due_suspects: BTreeSet<(i64, Uuid)>,
    /// When channels that are not in a run get their slate.
    slates: BTreeSet<(i64, Uuid)>,
    live: usize,
    last_start_us: Option<i64>,
    runs: usize,
    suspect_runs: usize,
}

#[derive(Debug, Default)]
struct Channel {
    is_live: bool,
    is_running: bool,
    is_slate: bool,
    /// Since when its cover gets older: when it was made, or when the channel came online or went offline.
    since_us: i64,
    /// Where it stands in the list of slates.
    slate_us: Option<i64>,
    /// Its next turn is no sooner than this.
    next_us: i64,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(period_us: i64, slate_after_us: i64) -> Self {
        Self {
            period_us,
            slate_after_us,
            channels: HashMap::new(),
            due: BTreeSet::new(),
            due_suspects: BTreeSet::new(),
            slates: BTreeSet::new(),
            live: 0,
            last_start_us: None,
            runs: 0,
            suspect_runs: 0,
        }
    }

    /// The channel has a keyframe.
    pub(super) fn online(&mut self, id: Uuid, now_us: i64) {
        let channel = self.channels.entry(id).or_default();
        if channel.is_live {
            return;
        }
        channel.is_live = true;
        channel.since_us = now_us;
        channel.next_us = channel.next_us.max(now_us);
        self.live += 1;
        self.queue(id);
    }

    /// The channel has no keyframe any more.
    pub(super) fn offline(&mut self, id: Uuid, now_us: i64) {
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| channel.is_live) else { return };
        self.due.remove(&(channel.next_us, id));
        self.due_suspects.remove(&(channel.next_us, id));
        channel.is_live = false;
        channel.since_us = now_us;
        self.live -= 1;
        self.queue(id);
    }

    /// There is a cover of this channel from before, and it is not known since when it has been offline.
    pub(super) fn found(&mut self, id: Uuid, now_us: i64) {
        if let Entry::Vacant(entry) = self.channels.entry(id) {
            entry.insert(Channel { since_us: now_us, ..Channel::default() });
            self.queue(id);
        }
    }

    /// Forgets the channels that are neither wanted nor live nor in a run.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Uuid) -> bool) {
        let slates = &mut self.slates;
        self.channels.retain(|id, channel| {
            let stays = channel.is_live || channel.is_running || is_wanted(id);
            if let Some(slate_us) = channel.slate_us.filter(|_| !stays) {
                slates.remove(&(slate_us, *id));
            }
            stays
        });
    }

    /// The channels that have a keyframe.
    pub(super) fn live(&self) -> impl Iterator<Item = Uuid> {
        self.channels.iter().filter(|(_, channel)| channel.is_live).map(|(id, _)| *id)
    }

    /// Channels whose last turn failed.
    pub(super) fn suspects(&self) -> usize {
        self.channels.values().filter(|channel| channel.failures > 0).count()
    }

    /// How often in a row the channel has failed.
    pub(super) fn failures(&self, id: Uuid) -> u32 {
        self.channels.get(&id).map_or(0, |channel| channel.failures)
    }

    /// Ask again after every answer but [`Action::Wait`].
    pub(super) fn next(&mut self, now_us: i64) -> Action {
        let slate = self.slates.first().copied();
        if let Some((at_us, id)) = slate.filter(|(at_us, _)| *at_us <= now_us) {
            self.slates.remove(&(at_us, id));
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.is_slate = true;
                channel.slate_us = None;
            }
            return Action::Slate(id);
        }
        let slate_us = slate.map(|(at_us, _)| at_us);
        let earliest = (self.runs < PROCESSES).then(|| self.earliest()).flatten();
        let Some((due_us, id, is_suspect)) = earliest else { return Action::Wait(slate_us) };
        let pace = Pace::of(self.live, self.period_us);
        let ready_us = self.last_start_us.map_or(due_us, |last_us| due_us.max(last_us + pace.spacing_us));
        if ready_us > now_us {
            return Action::Wait(Some(slate_us.map_or(ready_us, |slate_us| slate_us.min(ready_us))));
        }
        let taken: Vec<(i64, Uuid)> = if is_suspect {
            vec![(due_us, id)]
        } else {
            let is_soon = |due_us: i64| due_us <= now_us || due_us - now_us < pace.along_us;
            let soon = self.due.iter().take_while(|(due_us, _)| is_soon(*due_us));
            soon.take(BATCH_CHANNELS).copied().collect()
        };
        for key in &taken {
            self.due.remove(key);
            self.due_suspects.remove(key);
            if let Some(channel) = self.channels.get_mut(&key.1) {
                channel.is_running = true;
                channel.next_us = now_us + self.period_us;
                if let Some(slate_us) = channel.slate_us.take() {
                    self.slates.remove(&(slate_us, key.1));
                }
            }
        }
        self.last_start_us = Some(now_us);
        self.runs += 1;
        self.suspect_runs += usize::from(is_suspect);
        Action::Make(Run { channels: taken.into_iter().map(|(_, id)| id).collect(), is_suspect })
    }

    /// The slate could not be put there: it is tried again in a while.
    pub(super) fn slate_failed(&mut self, id: Uuid, now_us: i64) {
        let again_us = now_us.saturating_add(self.period_us);
        let [offline_us, live_us] = [false, true].map(|is_live| self.slate_after_us(is_live));
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.is_slate = false;
        channel.since_us = again_us.saturating_sub(if channel.is_live { live_us } else { offline_us });
        self.queue(id);
    }

    /// A run is over.
    pub(super) fn finished(&mut self, run: &Run, outcomes: &[(Uuid, Outcome)], now_us: i64) {
        self.runs = self.runs.saturating_sub(1);
        self.suspect_runs = self.suspect_runs.saturating_sub(usize::from(run.is_suspect));
        for id in &run.channels {
            let Some(channel) = self.channels.get_mut(id) else { continue };
            channel.is_running = false;
            // Who is not spoken of was not tried.
            match outcomes.iter().find(|(other, _)| other == id).map(|(_, outcome)| outcome) {
                Some(Outcome::Made) => {
                    channel.failures = 0;
                    channel.is_slate = false;
                    // Offline by now, it was still online a moment ago: that counts.
                    channel.since_us = if channel.is_live { now_us } else { channel.since_us };
                }
                Some(Outcome::Failed(_)) => {
                    channel.failures = channel.failures.saturating_add(1);
                    channel.next_us = now_us + back_off_us(self.period_us, channel.failures);
                }
                // What there is to see is shown.
                Some(Outcome::Unchanged) => {
                    channel.since_us = if channel.is_live { now_us } else { channel.since_us };
                }
                Some(Outcome::Unable) | None => channel.next_us = now_us + self.period_us,
            }
            self.queue(*id);
        }
    }

    fn earliest(&self) -> Option<(i64, Uuid, bool)> {
        let good = self.due.first().map(|(due_us, id)| (*due_us, *id, false));
        let may_suspect = self.suspect_runs < SUSPECT_PROCESSES;
        let suspect = self.due_suspects.first().filter(|_| may_suspect);
        let suspect = suspect.map(|(due_us, id)| (*due_us, *id, true));
        good.into_iter().chain(suspect).min()
    }

    /// How old a cover may become.
    fn slate_after_us(&self, is_live: bool) -> i64 {
        // A channel that is online gets a few chances first.
        if is_live {
            self.slate_after_us.max(self.period_us.saturating_mul(ONLINE_CHANCES))
        } else {
            self.slate_after_us
        }
    }

    /// Puts a channel where it now belongs.
    fn queue(&mut self, id: Uuid) {
        let [offline_us, live_us] = [false, true].map(|is_live| self.slate_after_us(is_live));
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some(slate_us) = channel.slate_us.take() {
            self.slates.remove(&(slate_us, id));
        }
        if channel.is_running {
            return;
        }
        if channel.is_live {
            let due = if channel.failures > 0 { &mut self.due_suspects } else { &mut self.due };
            due.insert((channel.next_us, id));
        }
        if !channel.is_slate {
            let after_us = if channel.is_live { live_us } else { offline_us };
            let slate_us = channel.since_us.saturating_add(after_us);
            channel.slate_us = Some(slate_us);
            self.slates.insert((slate_us, id));
        }
    }
}

/// Periods that a channel which is online has at least, before its cover is too old to be shown.
const ONLINE_CHANCES: i64 = 6;

/// How runs follow each other.
struct Pace {
    /// Between the starts of two runs.
    spacing_us: i64,
    /// Who is due within this time is taken along: until the next run would start anyway.
    along_us: i64,
}

impl Pace {
    fn of(live: usize, period_us: i64) -> Self {
        let runs = i64::try_from(live.div_ceil(BATCH_CHANNELS)).unwrap_or(i64::MAX).max(1);
        let share_us = period_us / runs;
        // A tenth is left to catch up with. Where few runs are needed, a channel that comes online need not wait for long.
        Self { spacing_us: (share_us * 9 / 10).min(period_us / 10), along_us: share_us }
    }
}

fn back_off_us(period_us: i64, failures: u32) -> i64 {
    let longest_us = i64::try_from(BACK_OFF_MAX.as_micros()).unwrap_or(i64::MAX);
    // Doubled until it is longer than the longest whatever the period, which is at least a millisecond.
    period_us.saturating_mul(1 << failures.min(20)).min(longest_us.max(period_us))
}

#[cfg(test)]
mod tests {
    use super::{Action, BATCH_CHANNELS, Outcome, PROCESSES, Run, Schedule};
    use std::collections::HashMap;
    use uuid::Uuid;

    const SECOND: i64 = 1_000_000;
    const PERIOD: i64 = 10 * SECOND;
    const SLATE: i64 = 60 * SECOND;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128 + 1)
    }

    fn make(schedule: &mut Schedule, now_us: i64) -> Run {
        match schedule.next(now_us) {
            Action::Make(run) => run,
            other => panic!("{other:?} at {now_us}"),
        }
    }

    fn all(run: &Run, outcome: &Outcome) -> Vec<(Uuid, Outcome)> {
        run.channels.iter().map(|id| (*id, outcome.clone())).collect()
    }

    /// Runs it with a machine that needs `cost_us` for a run, until `end_us`: every run's start and channels.
    fn simulate(
        schedule: &mut Schedule,
        from_us: i64,
        end_us: i64,
        cost_us: i64,
        outcome: impl Fn(&Run, Uuid) -> Outcome,
    ) -> Vec<(i64, Run)> {
        let (mut now_us, mut started, mut working) = (from_us, Vec::new(), Vec::<(i64, Run)>::new());
        while now_us < end_us {
            if let Some(at) = working.iter().position(|(end_us, _)| *end_us <= now_us) {
                let (_, run) = working.remove(at);
                let outcomes: Vec<_> = run.channels.iter().map(|id| (*id, outcome(&run, *id))).collect();
                schedule.finished(&run, &outcomes, now_us);
            }
            match schedule.next(now_us) {
                Action::Make(run) => {
                    working.push((now_us + cost_us, run.clone()));
                    assert!(working.len() <= PROCESSES);
                    assert!(!run.channels.is_empty() && run.channels.len() <= BATCH_CHANNELS);
                    started.push((now_us, run));
                }
                Action::Slate(_) => {}
                Action::Wait(at_us) => {
                    let soonest = working.iter().map(|(end_us, _)| *end_us).chain(at_us).min();
                    let Some(soonest) = soonest else { break };
                    assert!(soonest > now_us, "it would spin at {now_us}");
                    now_us = soonest;
                }
            }
        }
        started
    }

    fn turns(started: &[(i64, Run)]) -> HashMap<Uuid, Vec<i64>> {
        let mut turns = HashMap::<Uuid, Vec<i64>>::new();
        for (at_us, run) in started {
            run.channels.iter().for_each(|id| turns.entry(*id).or_default().push(*at_us));
        }
        turns
    }

    #[test]
    fn the_first_cover_comes_at_once_and_then_every_period() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        assert_eq!(schedule.next(0), Action::Wait(None));
        schedule.online(id(0), 5);
        let run = make(&mut schedule, 5);
        assert_eq!(run, Run { channels: vec![id(0)], is_suspect: false });
        assert_eq!(schedule.next(6), Action::Wait(None), "never twice at once");
        schedule.finished(&run, &all(&run, &Outcome::Made), 100);
        assert_eq!(schedule.next(101), Action::Wait(Some(5 + PERIOD)));
        assert_eq!(make(&mut schedule, 5 + PERIOD), run);
    }

    #[test]
    fn who_is_online_without_covers_gets_a_slate_and_may_heal() {
        for outcome in [Outcome::Failed(String::new()), Outcome::Unable, Outcome::Unchanged] {
            let mut schedule = Schedule::new(PERIOD, SLATE);
            schedule.online(id(0), 0);
            let run = make(&mut schedule, 0);
            schedule.finished(&run, &all(&run, &Outcome::Made), 0);
            let (mut now_us, mut slates, mut last) = (0, Vec::new(), None);
            while now_us < 10 * SLATE {
                match schedule.next(now_us) {
                    Action::Make(run) => {
                        schedule.finished(&run, &all(&run, &outcome), now_us);
                        last = Some(run);
                    }
                    Action::Slate(_) => slates.push(now_us),
                    Action::Wait(at_us) => now_us = at_us.unwrap(),
                }
            }
            // A picture that does not change is as good as a new one.
            let wanted = if outcome == Outcome::Unchanged { vec![] } else { vec![SLATE] };
            assert_eq!(slates, wanted, "{outcome:?}");
            let again = make(&mut schedule, now_us);
            assert_eq!(Some(&again.channels), last.as_ref().map(|run| &run.channels));
            schedule.finished(&again, &all(&again, &Outcome::Made), now_us);
            assert_eq!(schedule.next(now_us), Action::Wait(Some(now_us + PERIOD)));
        }
    }

    #[test]
    fn whoever_comes_back_waits_for_its_turn() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        schedule.online(id(0), 0);
        let run = make(&mut schedule, 0);
        schedule.finished(&run, &all(&run, &Outcome::Made), 1);
        for flap in 1..100 {
            schedule.offline(id(0), flap * 1000);
            schedule.online(id(0), flap * 1000 + 500);
        }
        assert_eq!(schedule.next(SECOND), Action::Wait(Some(PERIOD)));
    }

    /// Channels, how far apart they come online, and how many runs each period then has.
    #[test]
    fn few_share_a_process_and_many_are_spread_over_the_period() {
        for (channels, apart_us, runs) in [
            (1, 0, 1),
            (2, 4 * SECOND, 1),
            (10, SECOND / 3, 1),
            (16, 2 * SECOND, 1),
            (17, 0, 2),
            (100, 0, 7),
            (100, SECOND / 20, 7),
            (500, 0, 32),
            (500, 1000, 32),
        ] {
            let mut schedule = Schedule::new(PERIOD, SLATE);
            let mut started = Vec::new();
            let mut now_us = 0;
            for channel in 0..channels {
                schedule.online(id(channel), now_us);
                if apart_us > 0 {
                    let until_us = now_us + apart_us;
                    started.extend(simulate(&mut schedule, now_us, until_us, 900, |_, _| Outcome::Made));
                    now_us = until_us;
                }
            }
            let last_us = now_us + 6 * PERIOD;
            started.extend(simulate(&mut schedule, now_us, last_us, 250_000, |_, _| Outcome::Made));
            let name = format!("{channels} channels, {apart_us} us apart");
            let turns = turns(&started);
            assert_eq!(turns.len(), channels, "{name}");
            for times in turns.values() {
                assert!(
                    times[0] <= (channels as i64) * apart_us + PERIOD,
                    "{name}: a first cover at {}",
                    times[0]
                );
                for pair in times.windows(2) {
                    assert!(pair[1] - pair[0] <= PERIOD + SECOND / 2, "{name}: {pair:?}");
                }
            }
            let window = last_us - 2 * PERIOD..last_us - PERIOD;
            let settled: Vec<i64> =
                started.iter().map(|run| run.0).filter(|at| window.contains(at)).collect();
            assert!(settled.len() <= runs + 1 + runs / 8, "{name}: {} runs", settled.len());
            // Nothing fires together, and no tenth of the period has more than its share.
            let most = runs / 10 + 2;
            for start in &settled {
                let near = settled.iter().filter(|at| (*start..*start + SECOND).contains(at)).count();
                assert!(near <= most, "{name}: {near} runs within a second");
            }
        }
    }

    #[test]
    fn a_poisonous_channel_goes_alone_and_ever_more_rarely() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        (0..4).for_each(|channel| schedule.online(id(channel), 0));
        let poisonous = id(3);
        let started = simulate(&mut schedule, 0, 1500 * SECOND, 1000, |_, id| {
            if id == poisonous { Outcome::Failed(String::new()) } else { Outcome::Made }
        });
        let turns = turns(&started);
        let gaps: Vec<i64> = turns[&poisonous].windows(2).map(|pair| (pair[1] - pair[0]) / SECOND).collect();
        for (gap, wanted) in gaps.iter().zip([20, 40, 80, 160, 300, 300]) {
            assert!((wanted..wanted + 2).contains(gap), "{gaps:?}");
        }
        assert!(turns[&id(0)].len() >= 149, "the others lose nothing");
        let with_others =
            started.iter().filter(|(_, run)| run.channels.contains(&poisonous) && run.channels.len() > 1);
        assert_eq!(with_others.count(), 1, "only before it was known");
        // It heals, and goes with the others again.
        let healed = simulate(&mut schedule, 1500 * SECOND, 1900 * SECOND, 1000, |_, _| Outcome::Made);
        assert_eq!(healed.last().unwrap().1.channels.len(), 4);
        assert_eq!((schedule.suspects(), schedule.failures(poisonous)), (0, 0));
    }

    #[test]
    fn suspects_that_hang_leave_the_others_a_process() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        for channel in 0..40 {
            schedule.online(id(channel), 0);
        }
        let is_bad = |id: Uuid| id.as_u128().is_multiple_of(2);
        let outcome = |_: &Run, id: Uuid| {
            if is_bad(id) { Outcome::Failed(String::new()) } else { Outcome::Made }
        };
        simulate(&mut schedule, 0, 20 * SECOND, 1000, outcome);
        assert_eq!(schedule.suspects(), 20);
        // From now on every run takes five seconds, as with an ffmpeg that hangs.
        let started = simulate(&mut schedule, 20 * SECOND, 100 * SECOND, 5 * SECOND, outcome);
        let turns = turns(&started);
        for channel in (0..40).map(id).filter(|id| !is_bad(*id)) {
            let gaps = turns[&channel].windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.max().unwrap() <= PERIOD + 5 * SECOND);
        }
    }

    #[test]
    fn what_is_nobodys_fault_blames_nobody() {
        for outcome in [Outcome::Unable, Outcome::Unchanged] {
            let mut schedule = Schedule::new(PERIOD, SLATE);
            schedule.online(id(0), 0);
            for turn in 0..5 {
                let run = make(&mut schedule, turn * PERIOD);
                schedule.finished(&run, &all(&run, &outcome), turn * PERIOD);
            }
            assert_eq!(schedule.suspects(), 0);
        }
        // A run that died with its task is one of which nothing is told.
        let mut schedule = Schedule::new(PERIOD, SLATE);
        schedule.online(id(0), 0);
        let run = make(&mut schedule, 0);
        schedule.finished(&run, &[], SECOND);
        assert_eq!(schedule.next(SECOND), Action::Wait(Some(SECOND + PERIOD)));
    }

    #[test]
    fn the_slate_comes_once_and_only_after_the_time() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        schedule.found(id(1), 0);
        schedule.online(id(0), 0);
        let run = make(&mut schedule, 0);
        schedule.offline(id(0), 1);
        // Still being made: a slate now would be overwritten.
        assert_eq!(schedule.next(SLATE + 1), Action::Slate(id(1)));
        assert_eq!(schedule.next(SLATE + 1), Action::Wait(None));
        schedule.finished(&run, &all(&run, &Outcome::Made), SLATE + 2);
        assert_eq!(schedule.next(SLATE + 2), Action::Slate(id(0)));
        assert_eq!(schedule.next(10 * SLATE), Action::Wait(None));
        // Back for a moment, without a cover: the slate is still there. With one: it comes again.
        schedule.online(id(0), 10 * SLATE);
        schedule.offline(id(0), 10 * SLATE + 1);
        assert_eq!(schedule.next(20 * SLATE), Action::Wait(None));
        schedule.online(id(0), 20 * SLATE);
        let run = make(&mut schedule, 20 * SLATE);
        schedule.finished(&run, &all(&run, &Outcome::Made), 20 * SLATE);
        schedule.offline(id(0), 20 * SLATE);
        assert_eq!(schedule.next(21 * SLATE - 1), Action::Wait(Some(21 * SLATE)));
        schedule.online(id(0), 21 * SLATE - 1);
        assert!(matches!(schedule.next(21 * SLATE), Action::Make(_)), "it was back in time");
    }

    #[test]
    fn a_slate_that_could_not_be_written_is_tried_again() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        schedule.found(id(0), 0);
        assert_eq!(schedule.next(SLATE), Action::Slate(id(0)));
        schedule.slate_failed(id(0), SLATE + 1);
        assert_eq!(schedule.next(SLATE + 2), Action::Wait(Some(SLATE + 1 + PERIOD)));
        assert_eq!(schedule.next(SLATE + 1 + PERIOD), Action::Slate(id(0)));
        schedule.online(id(0), SLATE + 1 + PERIOD);
        assert!(matches!(schedule.next(SLATE + 1 + PERIOD), Action::Make(_)));
    }

    #[test]
    fn who_is_removed_is_forgotten() {
        let mut schedule = Schedule::new(PERIOD, SLATE);
        schedule.found(id(0), 0);
        schedule.found(id(1), 0);
        schedule.online(id(2), 0);
        schedule.retain(|other| *other == id(1));
        assert_eq!(schedule.live().collect::<Vec<_>>(), [id(2)]);
        assert!(matches!(schedule.next(0), Action::Make(_)));
        assert_eq!(schedule.next(SLATE), Action::Slate(id(1)));
        assert_eq!(schedule.next(SLATE), Action::Wait(None));
    }
}
