//! `turepe admin deletions`: the audit of what was deleted.

use catalog::{Catalog, Deletion};
use serde_json::{Value, json};

use super::{failure, instant};
use crate::failure::Failure;
use crate::output;

pub(super) async fn list(catalog: &Catalog, limit: u64, is_json: bool) -> Result<(), Failure> {
    let deletions = catalog.deletions(None, limit).await.map_err(failure)?;
    if is_json {
        let deletions: Vec<Value> = deletions.iter().map(deletion_json).collect();
        return output::json(&json!({ "deletions": deletions }));
    }
    if deletions.is_empty() {
        return output::line("Nothing was deleted.");
    }
    deletions.iter().try_for_each(|deletion| output::line(describe(deletion)))
}

fn describe(deletion: &Deletion) -> String {
    let state = if deletion.done_us.is_some() { "gone" } else { "being removed" };
    format!(
        "{}  {:<9} {:<13} {} to {}  {}",
        instant(deletion.requested_us),
        deletion.reason,
        state,
        instant(deletion.start_us),
        instant(deletion.end_us),
        deletion.object_name
    )
}

fn deletion_json(deletion: &Deletion) -> Value {
    json!({
        "segmentId": deletion.segment_id,
        "channelId": deletion.channel_id,
        "start": instant(deletion.start_us),
        "end": instant(deletion.end_us),
        "sizeBytes": deletion.size_bytes,
        "object": deletion.object_name,
        "reason": deletion.reason,
        "wasStored": deletion.was_stored,
        "nodeId": deletion.node_id,
        "requestedAt": instant(deletion.requested_us),
        "doneAt": deletion.done_us.map(instant),
    })
}
