//! How much footage the demo keeps: the oldest goes first.

use std::io;

use catalog::{Catalog, CatalogError, SegmentRow};
use world::{Clock as _, Disk as _, SystemClock, SystemDisk};

use super::backfill::Plan;
use super::club::DemoClub;
use crate::config::Config;
use crate::failure::Failure;

/// Footage after a start: with the pictures, the catalog and what a few hours add, the demo stays below a gigabyte.
pub(super) const FOOTAGE_BYTES: u64 = 700_000_000;

/// Removes the oldest segments until what stays and what is planned fit into [`FOOTAGE_BYTES`].
pub(super) async fn prune(
    catalog: &Catalog,
    config: &Config,
    club: &DemoClub,
    plan: &Plan,
) -> Result<(), Failure> {
    let failed = |error: CatalogError| Failure::context("cannot look for old footage of the demo", error);
    let mut segments: Vec<SegmentRow> = Vec::new();
    for court in &club.courts {
        let now_us = SystemClock.now_us();
        let rows = catalog.segments_in_range(court.channel.id, 0, now_us).await.map_err(failed)?;
        segments.extend(rows.into_iter().filter(SegmentRow::is_whole));
    }
    segments.sort_unstable_by_key(|row| row.start_us);
    let mut kept_bytes: u64 = segments.iter().map(|row| row.size_bytes).sum();
    for row in segments {
        if kept_bytes.saturating_add(plan.bytes()) <= FOOTAGE_BYTES {
            break;
        }
        kept_bytes = kept_bytes.saturating_sub(row.size_bytes);
        // The row first: it never promises bytes that are gone.
        catalog.delete_segment(row.id).await.map_err(failed)?;
        match SystemDisk.remove(&config.store.folder.join(&row.object_name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::context(format_args!("cannot remove {}", row.object_name), error));
            }
            _ => {}
        }
    }
    Ok(())
}
