//! Asking the bucket before a local copy goes: a row tells what was true when it was written, and somebody else may have
//! emptied the bucket since.
//!
//! What the bucket has as the row says may go. What it has not, or has otherwise, is taken from the local copy again, which
//! stays. While the bucket does not answer, no copy is removed; only where the disk is full and it stays silent for minutes does the
//! declared policy give up the oldest ones unasked (`space`), with an alarm.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use catalog::SegmentRow;
use futures_util::StreamExt as _;
use tokio::time::Instant;
use tracing::{error, warn};
use uuid::Uuid;

use super::{KeeperError, store_has};
use crate::{
    bucket::{Bucket, BucketError, ObjectMeta},
    core::Core,
    limits::{ASK_MS, ASKED_FRESH_MS, ASKING_CONCURRENCY, MAX_ASKED, SILENT_BUCKET_MS},
};

/// What the bucket was asked lately.
#[derive(Default)]
pub(crate) struct Asked {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When it was seen to have a segment.
    seen: HashMap<Uuid, Instant>,
    /// Since when it has not answered, and why.
    silent: Option<(Instant, String)>,
    /// When something was taken up again last that it had lost.
    taken_up: Option<Instant>,
}

impl Asked {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket was seen to have a segment.
    fn note(&self, id: Uuid) {
        let mut state = self.state();
        state.silent = None;
        if state.seen.len() >= MAX_ASKED {
            state.seen.retain(|_, at| is_fresh(*at));
        }
        if state.seen.len() < MAX_ASKED {
            state.seen.insert(id, Instant::now());
        }
    }

    /// Whether it was seen to have a segment a moment ago.
    pub(super) fn is_fresh(&self, id: Uuid) -> bool {
        self.state().seen.get(&id).copied().is_some_and(is_fresh)
    }

    fn is_silent(&self, reason: &str) {
        let mut state = self.state();
        let since = state.silent.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        state.silent = Some((since, reason.to_owned()));
    }

    pub(super) fn answers(&self) {
        self.state().silent = None;
    }

    fn has_taken_up(&self) {
        self.state().taken_up = Some(Instant::now());
    }

    /// Whether what the bucket had lost was taken up again a moment ago, and may go when it is there.
    pub(super) fn is_taking_up(&self) -> bool {
        self.state().taken_up.is_some_and(|at| at.elapsed() < Duration::from_millis(SILENT_BUCKET_MS))
    }

    /// For how long the bucket has not answered, and why.
    pub(crate) fn silence(&self) -> Option<(Duration, String)> {
        self.state().silent.as_ref().map(|(since, reason)| (since.elapsed(), reason.clone()))
    }
}

fn is_fresh(at: Instant) -> bool {
    at.elapsed() <= Duration::from_millis(ASKED_FRESH_MS)
}

/// Whether what the bucket has is what the row says; else what is wrong.
fn compare(row: &SegmentRow, there: Option<&ObjectMeta>) -> Result<(), String> {
    let Some(there) = there else { return Err("it is not there".into()) };
    if there.size_bytes != row.size_bytes {
        return Err(format!("it has {} bytes of {} there", there.size_bytes, row.size_bytes));
    }
    let known = row.etag.as_deref().unwrap_or_default();
    if !known.is_empty() && !there.etag.is_empty() && !known.eq_ignore_ascii_case(&there.etag) {
        return Err(format!("its entity tag is {}, and was {known}", there.etag));
    }
    Ok(())
}

/// What came of asking for some segments.
#[derive(Default)]
pub(super) struct Answers {
    /// The bucket has them as their rows say.
    pub(super) there: Vec<SegmentRow>,
    /// It has not; what is to be done about that is done.
    pub(super) missing: usize,
    /// Why the rest has no answer.
    pub(super) silence: Option<String>,
}

/// Asks the bucket for segments whose local copies are to go. What is not there is taken up again at once.
pub(super) async fn ask(core: &Arc<Core>, rows: Vec<SegmentRow>) -> Result<Answers, KeeperError> {
    let mut answers = Answers::default();
    let Some(bucket) = core.bucket.clone() else {
        let reason = "no bucket is configured any more".to_owned();
        core.keeper.asked.is_silent(&reason);
        return Ok(Answers { silence: Some(reason), ..answers });
    };
    let mut asked = futures_util::stream::iter(rows)
        .map(|row| head(Arc::clone(&bucket), row))
        .buffered(ASKING_CONCURRENCY);
    while let Some((row, answer)) = asked.next().await {
        match answer {
            Ok(there) => match compare(&row, there.as_ref()) {
                Ok(()) => {
                    core.keeper.asked.note(row.id);
                    answers.there.push(row);
                }
                Err(reason) => {
                    core.keeper.asked.answers();
                    answers.missing += 1;
                    take_up_again(core, &row, &reason).await?;
                }
            },
            Err(error) => {
                let reason = error.to_string();
                core.keeper.asked.is_silent(&reason);
                answers.silence = Some(reason);
                // The others would meet the same.
                break;
            }
        }
    }
    Ok(answers)
}

async fn head(
    bucket: Arc<dyn Bucket>,
    row: SegmentRow,
) -> (SegmentRow, Result<Option<ObjectMeta>, BucketError>) {
    // A call has a time-out of its own: this one keeps a mistake there from holding up all housekeeping.
    let limit = Duration::from_millis(ASK_MS);
    let answer = tokio::time::timeout(limit, bucket.head(&row.object_name)).await;
    let stalled = || Err(BucketError::Unreachable { reason: "a call did not end".into() });
    (row, answer.unwrap_or_else(|_| stalled()))
}

/// The bucket does not have what a row says.
async fn take_up_again(core: &Arc<Core>, row: &SegmentRow, reason: &str) -> Result<(), KeeperError> {
    let has_copy = store_has(core, row).await?;
    if has_copy {
        core.catalog.unstore_segment(row.id).await?;
        core.keeper.asked.has_taken_up();
        error!(
            segment_id = %row.id,
            object = row.object_name,
            reason,
            "THE BUCKET HAS LOST A SEGMENT: it is uploaded again from the local copy, which stays"
        );
        core.upload.wake.notify_one();
    } else {
        // The row stays as it is: what somebody removed by mistake may be put back.
        core.catalog.leave_local(&[row.id]).await?;
        core.catalog.left_local(&[row.id]).await?;
        error!(
            segment_id = %row.id,
            object = row.object_name,
            reason,
            "THE BUCKET HAS LOST A SEGMENT, and there is no local copy of it any more"
        );
    }
    core.keeper.is_missing(core.clock.now_us(), has_copy);
    Ok(())
}

/// Looks for segments whose copies were given up while the bucket did not answer.
pub(super) async fn look_after_unconfirmed(core: &Arc<Core>) -> Result<(), KeeperError> {
    let Some(bucket) = core.bucket.clone() else { return Ok(()) };
    for id in core.keeper.unconfirmed() {
        let Some(row) = core.catalog.segment(id).await? else {
            core.keeper.is_confirmed(id);
            continue;
        };
        let (row, answer) = head(Arc::clone(&bucket), row).await;
        match answer {
            Ok(there) => {
                core.keeper.asked.answers();
                core.keeper.is_confirmed(id);
                if let Err(reason) = compare(&row, there.as_ref()) {
                    take_up_again(core, &row, &reason).await?;
                }
            }
            Err(error) => {
                warn!(%error, "copies that were given up unseen cannot be looked for yet");
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use catalog::{LocalCopy, SegmentState};

    use super::*;

    #[test]
    fn what_the_bucket_has_is_what_the_row_says() {
        let row = |etag: Option<&str>| SegmentRow {
            id: Uuid::nil(),
            channel_id: Uuid::nil(),
            session_id: Uuid::nil(),
            start_us: 0,
            end_us: Some(1),
            state: SegmentState::Stored,
            size_bytes: 10,
            moov_offset: 5,
            object_name: "x".into(),
            init_hash: "h".into(),
            local_copy: LocalCopy::Kept,
            etag: etag.map(str::to_owned),
            crc32: None,
            node_id: None,
        };
        let there = |size_bytes, etag: &str| {
            Some(ObjectMeta { name: "x".into(), size_bytes, etag: etag.to_owned(), modified_us: 0 })
        };
        let table = [
            ("it is", Some("abc-2"), there(10, "abc-2"), true),
            ("in capitals", Some("abc-2"), there(10, "ABC-2"), true),
            ("it is gone", Some("abc-2"), None, false),
            ("it was cut off", Some("abc-2"), there(9, "abc-2"), false),
            ("it is empty", Some("abc-2"), there(0, "abc-2"), false),
            ("it was overwritten", Some("abc-2"), there(10, "abd-2"), false),
            ("its tag was never told", None, there(10, "abd-2"), true),
            ("its tag is not told", Some("abc-2"), there(10, ""), true),
        ];
        for (what, etag, there, is_it) in table {
            assert_eq!(compare(&row(etag), there.as_ref()).is_ok(), is_it, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_minutes() {
        let (asked, id) = (Asked::default(), Uuid::from_u128(1));
        assert!(!asked.is_fresh(id));
        asked.is_silent("away");
        tokio::time::advance(Duration::from_secs(5)).await;
        asked.is_silent("still away");
        assert_eq!(asked.silence().unwrap(), (Duration::from_secs(5), "still away".to_owned()));
        asked.note(id);
        assert!(asked.is_fresh(id) && asked.silence().is_none());
        tokio::time::advance(Duration::from_millis(ASKED_FRESH_MS + 1)).await;
        assert!(!asked.is_fresh(id));
        for number in 0..2 * MAX_ASKED {
            asked.note(Uuid::from_u128(number as u128));
        }
        assert_eq!(asked.state().seen.len(), MAX_ASKED, "bounded");
    }
}
