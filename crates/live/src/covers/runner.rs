//! The one loop: it tells the schedule what happened, and does what that says.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    io,
    pin::pin,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{
    CoverId, Known, Roster, Shared,
    limits::ROSTER_PERIOD,
    schedule::{Action, Outcome, Run, Schedule},
};

/// What a finished task gives.
type Done = (Id, Vec<(Uuid, Outcome)>);

/// See [`super::Covers::run`].
pub(super) async fn run(
    shared: &Arc<Shared>,
    roster: Arc<dyn Roster>,
    shutdown: impl Future<Output = ()> + Send,
) {
    shared.workshop.open().await;
    let (told, mut channels) = watch::channel(Arc::default());
    let mut asking = JoinSet::new();
    asking.spawn(ask(roster, told));
    let mut runner = Runner {
        shared: Arc::clone(shared),
        schedule: Schedule::new(micros(shared.config.period), micros(shared.config.slate_after)),
        origin: Instant::now(),
        running: JoinSet::new(),
        runs: HashMap::new(),
        roster: Arc::default(),
        is_swept: false,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        let wait_us = runner.act().await;
        // Far enough where there is nothing to wait for.
        let wake = runner.origin + Duration::from_micros(wait_us.unwrap_or(i64::MAX >> 8).unsigned_abs());
        tokio::select! {
            () = &mut shutdown => break,
            () = runner.shared.slots.changed() => {}
            () = sleep_until(wake), if wait_us.is_some() => {}
            Some(done) = runner.running.join_next_with_id() => runner.finish(done),
            Ok(()) = channels.changed() => {
                let roster = Arc::clone(&channels.borrow_and_update());
                runner.take_roster(roster).await;
            }
        }
    }
    // With its task each process is killed; what it was making is cleared away.
    runner.running.shutdown().await;
    shared.workshop.open().await;
}

/// Asks which channels there are, for ever.
async fn ask(roster: Arc<dyn Roster>, told: watch::Sender<Arc<HashSet<Uuid>>>) {
    loop {
        if let Some(channels) = roster.channels().await {
            told.send_replace(Arc::new(channels.into_iter().collect()));
        }
        tokio::time::sleep(ROSTER_PERIOD).await;
    }
}

fn micros(duration: Duration) -> i64 {
    // Half of it is left, so that nothing overflows that is added.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 2)
}

struct Runner {
    shared: Arc<Shared>,
    schedule: Schedule,
    origin: Instant,
    running: JoinSet<Vec<(Uuid, Outcome)>>,
    runs: HashMap<Id, Run>,
    /// The channels that there are, as last told.
    roster: Arc<HashSet<Uuid>>,
    /// Whether the folder has been compared with them.
    is_swept: bool,
}

impl Runner {
    fn now_us(&self) -> i64 {
        micros(self.origin.elapsed())
    }

    /// Does what is to be done now; until when there is nothing.
    async fn act(&mut self) -> Option<i64> {
        self.take_changes();
        loop {
            match self.schedule.next(self.now_us()) {
                Action::Make(run) => {
                    let (shared, work) = (Arc::clone(&self.shared), run.clone());
                    let task = self.running.spawn(async move { shared.workshop.make(&work).await });
                    self.runs.insert(task.id(), run);
                }
                Action::Slate(channel_id) => {
                    if !self.shared.workshop.put_slate(channel_id).await {
                        self.schedule.slate_failed(channel_id, self.now_us());
                    }
                }
                Action::Wait(until_us) => return until_us,
            }
        }
    }

    fn take_changes(&mut self) {
        let now_us = self.now_us();
        for channel_id in self.shared.slots.take_changed() {
            if self.shared.slots.newest(channel_id).is_some() {
                self.schedule.online(channel_id, now_us);
                let mut known = self.shared.known.write().unwrap_or_else(PoisonError::into_inner);
                known.ids.insert(CoverId::of(channel_id));
            } else {
                self.schedule.offline(channel_id, now_us);
            }
        }
    }

    fn finish(&mut self, done: Result<Done, JoinError>) {
        let (id, outcomes) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "making covers failed");
                (error.id(), Vec::new())
            }
        };
        let Some(run) = self.runs.remove(&id) else { return };
        for (channel_id, outcome) in &outcomes {
            let failures = self.schedule.failures(*channel_id);
            match outcome {
                Outcome::Failed(reason) if failures == 0 => {
                    tracing::warn!(%channel_id, reason, "no cover can be made of this channel: it is tried less often");
                }
                Outcome::Made if failures > 0 => tracing::info!(%channel_id, "the channel has covers again"),
                _ => {}
            }
        }
        self.schedule.finished(&run, &outcomes, self.now_us());
        self.shared.counters.suspects.store(self.schedule.suspects(), Ordering::Relaxed);
    }

    /// Which channels there are: those that are gone lose their covers.
    async fn take_roster(&mut self, roster: Arc<HashSet<Uuid>>) {
        if self.is_swept && self.roster == roster {
            return;
        }
        let ids: HashSet<CoverId> =
            roster.iter().copied().chain(self.schedule.live()).map(CoverId::of).collect();
        *self.shared.known.write().unwrap_or_else(PoisonError::into_inner) =
            Known { ids: ids.clone(), is_complete: true };
        self.schedule.retain(|channel_id| roster.contains(channel_id));
        let folder = self.shared.workshop.folder();
        let swept = tokio::task::spawn_blocking(move || folder.sweep(&ids)).await;
        match swept.map_err(io::Error::other).and_then(|swept| swept) {
            Ok(found) => {
                self.is_swept = true;
                let now_us = self.now_us();
                for channel_id in roster.iter().filter(|id| found.contains(&CoverId::of(**id))) {
                    self.schedule.found(*channel_id, now_us);
                }
                self.roster = roster;
            }
            Err(error) => tracing::debug!(%error, "the folder of covers could not be swept"),
        }
    }
}
