//! Footage past its club's retention: what is due, whether the clock may be believed (`witness`), whether so much may go
//! without a person (`share`), and what waits for one (`waiting`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use catalog::{Footage, SegmentRow};
use tokio::time::Instant;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    DAY_US, DeletionReason, KeeperError,
    share::{self, Due},
    waiting::{Confirmed, RetentionWaiting, WaitReason, WaitingItem, confirmed, forget_confirmed},
    witness::{self, Doubt, Facts},
};
use crate::{
    bucket::BoxFuture,
    core::Core,
    limits::{
        CLOCK_TOLERANCE_US, EARLIEST_FOOTAGE_US, EXPIRY_FLOOR_SEGMENTS, MAX_UNCONFIRMED_LEAD_US,
        NEWEST_SEGMENTS, RETENTION_BATCH, SYNCHRONISED_FRESH_MS,
    },
};

/// Name of the note of the last instant that a trusted clock showed.
const CLOCK_NOTE: &str = "retention.clock";

/// Who knows how this machine's clock is kept.
pub trait TimeKeeping: Send + Sync + 'static {
    /// Whether NTP keeps the clock; `None` where nothing tells.
    fn is_synchronised(&self) -> BoxFuture<'_, Option<bool>>;
}

/// What expiry remembers between its rounds.
#[derive(Default)]
pub(crate) struct ExpiryState {
    time_keeping: OnceLock<Arc<dyn TimeKeeping>>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// What the clock showed when this run began.
    opened_us: i64,
    /// An instant that surely has been, and when that was known.
    known: Option<(i64, Instant)>,
    /// Whether the catalog was asked for it.
    is_known_asked: bool,
    synchronised: Option<(Option<bool>, Instant)>,
    waiting: Option<RetentionWaiting>,
    /// What was said of it last.
    said: Vec<(Option<String>, WaitReason)>,
}

impl ExpiryState {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This run begins.
    pub(crate) fn opened(&self, now_us: i64) {
        self.memory().opened_us = now_us;
    }

    /// Who knows how the clock is kept; the first one stays.
    pub(crate) fn set_time_keeping(&self, keeping: Arc<dyn TimeKeeping>) {
        // An error is that there is one.
        let _ = self.time_keeping.set(keeping);
    }

    /// What waits for a person.
    pub(crate) fn waiting(&self) -> Option<RetentionWaiting> {
        self.memory().waiting.clone().filter(|waiting| !waiting.items.is_empty())
    }

    async fn is_synchronised(&self) -> Option<bool> {
        let keeping = self.time_keeping.get()?;
        if let Some((told, at)) = self.memory().synchronised
            && at.elapsed() <= Duration::from_millis(SYNCHRONISED_FRESH_MS)
        {
            return told;
        }
        let told = keeping.is_synchronised().await;
        self.memory().synchronised = Some((told, Instant::now()));
        told
    }
}

/// Channels whose footage is kept for the same time for the same reason.
struct Group {
    club: Option<String>,
    days: u32,
    cutoff_us: i64,
    /// Those of which something is due, and how much, counted up to the floor and one.
    due: Vec<(Uuid, u64)>,
    /// All of them.
    channels: Vec<Uuid>,
    /// Those that have footage from before there was any.
    undated: Vec<Uuid>,
}

/// What the clock shows, and why it is not believed, if it is not. The bucket is asked only where something depends on it.
pub(super) async fn judged(core: &Arc<Core>, asks_bucket: bool) -> Result<(i64, Option<Doubt>), KeeperError> {
    let state = &core.keeper.expiry;
    let is_asked = state.memory().is_known_asked;
    if !is_asked {
        let known_us = known_us(core).await?;
        let mut memory = state.memory();
        memory.known = known_us.map(|known_us| (known_us, Instant::now()));
        memory.is_known_asked = true;
    }
    let known = state.memory().known;
    let bucket = match &core.bucket {
        Some(bucket) if asks_bucket => bucket.clock().await,
        _ => None,
    };
    let facts = Facts {
        // After the questions, as they may have taken a while.
        database_us: core.catalog.database_now_us().await?,
        bucket,
        is_synchronised: state.is_synchronised().await,
        known_us: known.map(|(known_us, at)| carried(known_us, at)),
        now_us: core.clock.now_us(),
    };
    let judged = witness::judge(facts);
    if judged.is_ok() {
        state.memory().known = Some((facts.now_us, Instant::now()));
    }
    Ok((facts.now_us, judged.err()))
}

fn carried(known_us: i64, at: Instant) -> i64 {
    known_us.saturating_add(i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX))
}

/// The newest instant that the catalog knows of, before this run: what this run has written has the clock in question.
async fn known_us(core: &Arc<Core>) -> Result<Option<i64>, KeeperError> {
    let opened_us = core.keeper.expiry.memory().opened_us;
    let noted = core.catalog.note(CLOCK_NOTE).await?.and_then(|text| text.parse().ok());
    let of_row = |row: SegmentRow| {
        let is_of_this_run = core.registry.has(row.id)
            || (row.start_us.saturating_sub(opened_us) > -CLOCK_TOLERANCE_US / 10
                && row.start_us.saturating_sub(core.clock.now_us()) < CLOCK_TOLERANCE_US);
        (!is_of_this_run).then(|| row.end_us.unwrap_or(row.start_us))
    };
    let newest = core.catalog.newest_segments(NEWEST_SEGMENTS).await?.into_iter().filter_map(of_row).max();
    Ok(newest.max(noted))
}

/// Whether a person has said something that is to be done now.
pub(super) async fn is_confirmed(core: &Arc<Core>) -> bool {
    core.keeper.expiry.waiting().is_some()
        && confirmed(&core.catalog).await.is_ok_and(|confirmed| !confirmed.items.is_empty())
}

/// Deletes what is older than its club keeps footage, as far as it may go without a person.
pub(super) async fn expire(core: &Arc<Core>) -> Result<(), KeeperError> {
    let now_us = core.clock.now_us();
    let mut groups = groups(core, now_us).await?;
    let is_due = groups.iter().any(|group| !group.due.is_empty() || !group.undated.is_empty());
    let (judged_us, doubt) = judged(core, is_due).await?;
    // The clock may have been set since it was read: nothing goes by a reading that was not the one that was judged.
    for group in &mut groups {
        group.cutoff_us = group.cutoff_us.min(cutoff_us(judged_us, group.days));
    }
    if doubt.is_none() {
        core.catalog.put_note(CLOCK_NOTE, &now_us.to_string()).await?;
    }
    let word = confirmed(&core.catalog).await?;
    let before = core.keeper.expiry.memory().waiting.clone();
    let before = match before {
        Some(before) => before,
        None => RetentionWaiting::read(&core.catalog).await?,
    };
    let mut waiting =
        RetentionWaiting { seen_us: now_us, doubt: doubt.map(|doubt| doubt.to_string()), items: Vec::new() };
    for group in &groups {
        if let Some(reason) = hold(core, group, doubt).await? {
            let channels: Vec<Uuid> = group.due.iter().map(|(id, _)| *id).collect();
            keep_or_let_go(core, group, reason, &channels, &word, &before, &mut waiting).await?;
        } else {
            for (channel_id, _) in &group.due {
                expire_channel(core, *channel_id, EARLIEST_FOOTAGE_US, group.cutoff_us).await?;
            }
        }
        if !group.undated.is_empty() {
            keep_or_let_go(core, group, WaitReason::Undated, &group.undated, &word, &before, &mut waiting)
                .await?;
        }
    }
    if core.is_gone.is_cancelled() {
        // Perhaps not all of it went: a word that was given stays for the next run.
        return Ok(());
    }
    // A word that was given to another node is that node's to keep.
    if !word.items.is_empty() && !before.items.is_empty() {
        if word.has_clock() && word.seen_us.saturating_sub(now_us).saturating_abs() < MAX_UNCONFIRMED_LEAD_US
        {
            core.keeper.expiry.memory().known = Some((now_us, Instant::now()));
            info!("a person has confirmed the clock: footage expires by it");
        }
        forget_confirmed(&core.catalog).await?;
    }
    tell(core, before, waiting).await
}

/// What ended before this is past its retention.
fn cutoff_us(now_us: i64, days: u32) -> i64 {
    now_us.saturating_sub(i64::from(days) * DAY_US)
}

/// Who keeps what for how long, and what of it is due.
async fn groups(core: &Arc<Core>, now_us: i64) -> Result<Vec<Group>, KeeperError> {
    let clubs = core.catalog.clubs().await?;
    let days_of: HashMap<&str, u32> =
        clubs.iter().filter_map(|club| Some((club.slug.as_str(), club.retention_days?))).collect();
    let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
    for route in core.catalog.channel_routes().await? {
        let own = route.club_slug.as_deref().and_then(|slug| days_of.get(slug).copied());
        let Some(days) = own.or(core.config.retention.days) else { continue };
        let cutoff_us = cutoff_us(now_us, days);
        let group = groups.entry(route.club_slug.clone()).or_insert_with(|| Group {
            club: route.club_slug,
            days,
            cutoff_us,
            due: Vec::new(),
            channels: Vec::new(),
            undated: Vec::new(),
        });
        let id = route.channel.id;
        group.channels.push(id);
        let limit = EXPIRY_FLOOR_SEGMENTS + 1;
        let due = core.catalog.expired_segments(id, EARLIEST_FOOTAGE_US, cutoff_us, limit).await?;
        if !due.is_empty() {
            group.due.push((id, due.len() as u64));
        }
        if !core.catalog.expired_segments(id, i64::MIN, EARLIEST_FOOTAGE_US, 1).await?.is_empty() {
            group.undated.push(id);
        }
    }
    Ok(groups.into_values().collect())
}

/// Why what is due of a group has to wait, if it has to.
async fn hold(
    core: &Arc<Core>,
    group: &Group,
    doubt: Option<Doubt>,
) -> Result<Option<WaitReason>, KeeperError> {
    if group.due.is_empty() {
        return Ok(None);
    }
    if doubt.is_some() {
        return Ok(Some(WaitReason::Clock));
    }
    let most_of_a_channel = group.due.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most_of_a_channel <= EXPIRY_FLOOR_SEGMENTS {
        // In the ordinary course nothing is counted.
        return Ok(None);
    }
    let segments = due_of(core, group, EARLIEST_FOOTAGE_US, group.cutoff_us).await?.segments;
    let of_segments = of_segments(core, group).await?;
    let due = Due { most_of_a_channel, segments, of_segments };
    let is_waiting = share::waits(due, core.config.retention.max_share_percent);
    Ok(is_waiting.then_some(WaitReason::Share))
}

async fn due_of(
    core: &Arc<Core>,
    group: &Group,
    from_us: i64,
    before_us: i64,
) -> Result<Footage, KeeperError> {
    let mut sum = Footage::default();
    for channel_id in &group.channels {
        let footage = core.catalog.expired_footage(*channel_id, from_us, before_us).await?;
        sum.segments += footage.segments;
        sum.size_bytes += footage.size_bytes;
        sum.first_start_us = sum.first_start_us.into_iter().chain(footage.first_start_us).min();
        sum.last_end_us = sum.last_end_us.max(footage.last_end_us);
    }
    Ok(sum)
}

async fn of_segments(core: &Arc<Core>, group: &Group) -> Result<u64, KeeperError> {
    let mut sum = 0;
    for channel_id in &group.channels {
        sum += core.catalog.footage(*channel_id).await?.segments;
    }
    Ok(sum)
}

/// Footage that waits for a person goes as far as one has said; the rest waits on.
async fn keep_or_let_go(
    core: &Arc<Core>,
    group: &Group,
    reason: WaitReason,
    channels: &[Uuid],
    word: &Confirmed,
    before: &RetentionWaiting,
    waiting: &mut RetentionWaiting,
) -> Result<(), KeeperError> {
    let (from_us, due_us) = match reason {
        WaitReason::Undated => (i64::MIN, EARLIEST_FOOTAGE_US),
        WaitReason::Share | WaitReason::Clock => (EARLIEST_FOOTAGE_US, group.cutoff_us),
    };
    if let Some(cutoff_us) = word.cutoff_us(group.club.as_deref(), reason) {
        // Never more than was shown, and never what is not due any more: a clock or a retention may have been put right.
        let cutoff_us = cutoff_us.min(due_us);
        info!(club = group.club, cutoff_us, "a person has let footage go that was due");
        for channel_id in channels {
            expire_channel(core, *channel_id, from_us, cutoff_us).await?;
        }
        return Ok(());
    }
    let is_it = |item: &&WaitingItem| item.club == group.club && item.reason == reason;
    let known = before.items.iter().find(is_it);
    // What was shown stays as it was shown, as long as it is due.
    let cutoff_us = known.map_or(due_us, |known| known.cutoff_us.min(due_us));
    let due = due_of(core, group, from_us, cutoff_us).await?;
    waiting.items.push(WaitingItem {
        club: group.club.clone(),
        reason,
        since_us: known.map_or(waiting.seen_us, |known| known.since_us),
        days: group.days,
        cutoff_us,
        segments: due.segments,
        of_segments: of_segments(core, group).await?,
        size_bytes: due.size_bytes,
        first_us: due.first_start_us,
        last_us: due.last_end_us,
    });
    Ok(())
}

async fn expire_channel(
    core: &Arc<Core>,
    channel_id: Uuid,
    from_us: i64,
    before_us: i64,
) -> Result<(), KeeperError> {
    loop {
        let rows = core.catalog.expired_segments(channel_id, from_us, before_us, RETENTION_BATCH).await?;
        if rows.is_empty() || core.is_gone.is_cancelled() {
            return Ok(());
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let deleted = core.catalog.delete_segments(&ids, DeletionReason::Retention, None).await?;
        info!(%channel_id, segments = deleted.len(), "footage past its retention is deleted");
        core.keeper.note(|status| status.expired_segments += deleted.len() as u64);
        if deleted.is_empty() {
            return Ok(());
        }
    }
}

/// Writes down what waits, for `turepe admin retention`, and logs what is new.
async fn tell(
    core: &Arc<Core>,
    before: RetentionWaiting,
    waiting: RetentionWaiting,
) -> Result<(), KeeperError> {
    let said: Vec<_> = waiting.items.iter().map(|item| (item.club.clone(), item.reason)).collect();
    let is_news = std::mem::replace(&mut core.keeper.expiry.memory().said, said.clone()) != said;
    if is_news && said.is_empty() {
        info!("no footage waits for a person any more");
    }
    for item in waiting.items.iter().filter(|_| is_news) {
        let club = item.club.as_deref().unwrap_or("(no club)");
        let (segments, of_segments) = (item.segments, item.of_segments);
        match item.reason {
            WaitReason::Share => error!(
                club,
                segments,
                of_segments,
                days = item.days,
                "SO MUCH FOOTAGE is past its retention at once that it waits for a person: see `turepe admin retention`"
            ),
            WaitReason::Clock => error!(
                club,
                segments,
                of_segments,
                doubt = waiting.doubt,
                "THE CLOCK IS NOT BELIEVED: no footage expires by it; see `turepe admin retention`"
            ),
            WaitReason::Undated => warn!(
                club,
                segments,
                of_segments,
                "footage that a wrong clock has dated waits for a person: see `turepe admin retention`"
            ),
        }
    }
    core.keeper.note(|status| status.waiting_segments = waiting.segments());
    // While something waits it is noted at each look, with the clock as it is then, which is what a person confirms.
    if !waiting.items.is_empty() || !before.items.is_empty() {
        waiting.write(&core.catalog).await?;
    }
    core.keeper.expiry.memory().waiting = Some(waiting);
    Ok(())
}
