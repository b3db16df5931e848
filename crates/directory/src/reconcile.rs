//! After a start: rows that claim to be live, and that nobody tends, are switched off.
//!
//! Which rows are ours cannot be known: with keys owned outside, every row may become a channel of any node. So the
//! question is who tends a row. Every node tells its live channels anew every [`Ages::refresh`](crate::Ages), which moves
//! `modified`. A row whose `modified` stands still for [`Ages::reconcile_after`](crate::Ages) has nobody; and the write is
//! bound to that `modified`, so that whoever speaks in the last moment wins.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::backoff;
use crate::condition::Condition;
use crate::config::Words;
use crate::error::TableError;
use crate::limits::{MAX_BACKOFF, MAX_RECONCILED_ROWS, MIN_BACKOFF, PAGE_ROWS};
use crate::table::{LiveRow, Table, Update};

/// What is written to those of `rows` that nobody here publishes.
pub(crate) fn decide(rows: Vec<LiveRow>, live: &BTreeSet<Uuid>, words: &Words, now_us: i64) -> Vec<Update> {
    rows.into_iter()
        .filter(|row| !live.contains(&row.id))
        .map(|row| Update {
            channel: row.id,
            is_live: false,
            last_status: words.offline.clone(),
            cover: None,
            modified_us: now_us,
            condition: Condition::Unchanged(row.seen),
        })
        .collect()
}

/// Every row that claims to be live, up to [`MAX_RECONCILED_ROWS`]. Tries until the table answers.
pub(crate) async fn claimed(table: &dyn Table) -> Result<Vec<LiveRow>, TableError> {
    let mut rows: Vec<LiveRow> = Vec::new();
    while rows.len() < MAX_RECONCILED_ROWS {
        let after = rows.last().map(|row| row.id);
        let page = again_while_away(|| table.live_page(after)).await?;
        let is_last = page.len() < PAGE_ROWS;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
    tracing::warn!(rows = rows.len(), "more channels claim to be live than are looked at");
    Ok(rows)
}

/// Writes them one after the other; how many rows were changed.
pub(crate) async fn write(table: &dyn Table, updates: &[Update]) -> Result<u64, TableError> {
    let mut changed = 0;
    for update in updates {
        changed += again_while_away(|| table.update(update)).await?;
    }
    Ok(changed)
}

async fn again_while_away<T, F: Future<Output = Result<T, TableError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, TableError> {
    let mut attempt = 0;
    loop {
        match ask().await {
            Err(error) if error.is_temporary() => {
                attempt += 1;
                let pause: Duration = backoff::pause(attempt, MIN_BACKOFF, MAX_BACKOFF, 0);
                tracing::debug!(%error, pause_ms = pause.as_millis() as u64, "the reconciliation waits");
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Seen;

    #[test]
    fn only_rows_that_nobody_publishes_here_and_only_as_they_were_seen() {
        let row = |n: u128, seen: Option<&str>| LiveRow {
            id: Uuid::from_u128(n),
            seen: Seen(seen.map(str::to_owned)),
        };
        let words = Words { live: "live".into(), offline: "off".into(), cover: String::new() };
        let live = BTreeSet::from([Uuid::from_u128(2)]);
        let updates = decide(vec![row(1, Some("t1")), row(2, Some("t2")), row(3, None)], &live, &words, 9);
        let seen: Vec<_> =
            updates.iter().map(|update| (update.channel.as_u128(), update.condition.clone())).collect();
        let unchanged = |text: Option<&str>| Condition::Unchanged(Seen(text.map(str::to_owned)));
        assert_eq!(seen, [(1, unchanged(Some("t1"))), (3, unchanged(None))]);
        assert!(
            updates
                .iter()
                .all(|update| !update.is_live && update.cover.is_none() && update.last_status == "off")
        );
    }
}
