//! The segments at the edges of what somebody may watch: they hold other people's matches as well.

use crate::{
    app::App,
    http::range::{Selection, select},
    problem::{Problem, ProblemCode},
    token::Grant,
};
use access::By;
use axum::http::{HeaderMap, Method};
use catalog::SegmentRow;
use std::ops::Range;

/// Which bytes of a segment belong to what a token grants: from the keyframe that its first picture needs to the fragment that its last
/// one lies in. `None` where all of them do, and for everybody where the club is open.
pub(super) async fn granted_bytes(
    app: &App,
    grant: &Grant,
    row: &SegmentRow,
) -> Result<Option<Range<u64>>, Problem> {
    let end_us = row.end_us.unwrap_or_else(|| app.clock.now_us());
    if grant.by == By::Open || (row.start_us >= grant.from_us && end_us <= grant.to_us) {
        return Ok(None);
    }
    let (from_us, to_us) = (grant.from_us.max(row.start_us), grant.to_us.min(end_us.max(row.start_us + 1)));
    let views = app.archive.views(grant.channel, from_us, to_us).await?;
    let view = views.iter().find(|view| view.id == row.id);
    let run = view.and_then(|view| view.index.run_for_us(view.start_us, grant.from_us, grant.to_us));
    // What holds none of it has nothing to give.
    Ok(Some(run.map_or(0..0, |run| run.bytes)))
}

/// Refuses a request for bytes that were not granted.
pub(super) fn refuse_beyond(
    granted: &Range<u64>,
    method: &Method,
    headers: &HeaderMap,
    length: u64,
    etag: &str,
) -> Result<(), Problem> {
    let is_granted = match select(method, headers, length, &format!("\"{etag}\"")) {
        Selection::Part(range) => granted.start <= range.start && range.end <= granted.end,
        Selection::Whole => method == Method::HEAD,
        Selection::NotModified | Selection::PreconditionFailed | Selection::NotSatisfiable => true,
    };
    if is_granted {
        return Ok(());
    }
    let detail = format!(
        "of this segment only the bytes {} to {} belong to what this link opens: ask for a range within",
        granted.start,
        granted.end.saturating_sub(1)
    );
    Err(Problem::new(ProblemCode::TokenInvalid, detail))
}
