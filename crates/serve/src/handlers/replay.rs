//! The match: where it is, how much of it there is, and the addresses that play it.

#![expect(unused_qualifications, reason = "the macro that describes an operation qualifies its parameters")]

use super::scope::{self, Footage, Scope, best, expected_until};
use crate::{
    api::{AudioLeftOut, ClubName, CourtName, Instant, Replay, ReplayFragment, ReplayGap},
    app::App,
    coverage::{is_whole, recorded_us, share},
    door::Visitor,
    limits::FREE_RANGE_STEP_US,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{ApiPath, Fields, Wanted},
    token::{Grant, TokenKind, expiry_us},
};
use access::{Admission, By, Range, Wish};
use axum::{Json, extract::State};
use catalog::schedule::{self, SlotError};
use jiff::{Span, SpanRound, Unit};
use std::time::Duration;
use utoipa::IntoParams;
use uuid::Uuid;

/// Which match: `date` and `time`, or `from` and `to`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query; `Fields` reads it, with a problem of its own for each mistake"
)]
pub(crate) struct ReplayParams {
    /// Club-local date of the slot, `YYYY-MM-DD`.
    #[param(nullable = false, example = "2026-11-21")]
    date: Option<String>,
    /// Club-local start time of the slot, `HH:MM`.
    #[param(nullable = false, example = "10:00")]
    time: Option<String>,
    /// Which of two equal local times is meant on the day the clocks go back, `+HH:MM` or `-HH:MM`.
    #[param(nullable = false, example = "+01:00")]
    offset: Option<String>,
    /// First instant of a free range, RFC 3339 with an offset.
    #[param(nullable = false, example = "2026-11-21T10:00:00+01:00")]
    from: Option<String>,
    /// Instant just after a free range, RFC 3339 with an offset; at most as long after `from` as the node allows (`[http] free_range`,
    /// 4 hours unless it says otherwise), and 24 hours for operators. Without the operators' token a range begins and ends at whole
    /// seconds, outwards: `start` and `end` of the answer say which.
    #[param(nullable = false, example = "2026-11-21T11:30:00+01:00")]
    to: Option<String>,
    /// Which channel of the court; without it the one that covers the range best.
    #[param(nullable = false)]
    channel: Option<Uuid>,
}

/// The match that began at a start time, or any range; for those who may watch it: `link_required` and `code_required` say what is needed.
///
/// Give `date` and `time` (and `offset` where the time occurs twice), or `from` and `to`. No footage is no error: coverage
/// is 0 and there is no playlist.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/replay", tag = "replays", operation_id = "getReplay",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), ReplayParams),
    responses((status = 200, description = "The match", body = Replay),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_replay(
    State(app): State<App>,
    visitor: Visitor,
    ApiPath((club, court)): ApiPath<(String, String)>,
    fields: Fields,
) -> Result<Json<Replay>, Problem> {
    let wanted = fields.wanted()?;
    let channel = fields.channel()?;
    let scope = scope::court(&app, &club, &court).await?;
    let (from_us, to_us, is_free) = match wanted {
        Wanted::Range { from_us, to_us } => (from_us, to_us, true),
        Wanted::Slot { date, time, offset } => {
            let slot = schedule::find_slot(&scope.club, date, time, offset.as_deref()).map_err(refused)?;
            (slot.start_us, slot.end_us, false)
        }
    };
    let admission =
        app.door.judge(&scope.club, scope.court.id, &visitor, Wish::Replay(Range { from_us, to_us })).await?;
    // An operator, and whoever was let in to a range of its own, gets just that.
    let (from_us, to_us) = if is_free && admission.by == By::Open && !visitor.is_operator {
        free_range(from_us, to_us, app.free_range_us)?
    } else {
        (from_us, to_us)
    };
    let now_us = app.clock.now_us();
    let mut footage = scope::footage(&app, scope.court.id, from_us, to_us).await?;
    if let Some(id) = channel {
        footage.retain(|footage| footage.channel.id == id);
        if footage.is_empty() {
            return Err(Problem::new(ProblemCode::ChannelNotFound, "the court has no channel of this id"));
        }
    }
    let best = best(&footage, from_us, to_us);
    Ok(Json(replay(&app, &scope, best, &admission, from_us, to_us, now_us).await?))
}

/// The range that a stranger gets who asks for one: all of it, from one whole second to another.
fn free_range(from_us: i64, to_us: i64, longest_us: i64) -> Result<(i64, i64), Problem> {
    if to_us - from_us > longest_us {
        let longest = Span::new().microseconds(longest_us).round(SpanRound::new().largest(Unit::Hour));
        let detail = format!(
            "a range may be {} long at most, and 24 hours for operators with their token",
            longest.map_or_else(|_| format!("{longest_us} µs"), |span| format!("{span:#}"))
        );
        return Err(Problem::new(ProblemCode::RangeTooLong, detail));
    }
    let after = to_us.saturating_add(FREE_RANGE_STEP_US - 1);
    let from_us = from_us - from_us.rem_euclid(FREE_RANGE_STEP_US);
    Ok((from_us, after - after.rem_euclid(FREE_RANGE_STEP_US)))
}

pub(super) fn refused(error: SlotError) -> Problem {
    let detail = error.to_string();
    match error {
        SlotError::NoSuchSlot { .. } => Problem::new(ProblemCode::NoSuchSlot, detail),
        SlotError::Ambiguous { offsets, .. } => {
            Problem::new(ProblemCode::AmbiguousTime, detail).with_offsets(offsets)
        }
        SlotError::InvalidOffset(_) => Problem::new(ProblemCode::InvalidTime, detail),
    }
}

async fn replay(
    app: &App,
    scope: &Scope,
    best: Option<&Footage>,
    admission: &Admission,
    from_us: i64,
    to_us: i64,
    now_us: i64,
) -> Result<Replay, Problem> {
    let elapsed_us = now_us.clamp(from_us, to_us);
    let expires_us = expiry_us(from_us, to_us, now_us).min(admission.until_us.unwrap_or(i64::MAX));
    let mut replay = Replay {
        club: ClubName {
            slug: scope.club.slug.clone(),
            name: scope.club.name.clone(),
            zone: scope.club.zone.clone(),
        },
        court: CourtName { slug: scope.court.slug.clone(), name: scope.court.name.clone() },
        channel_id: best.map(|best| best.channel.id),
        start: Instant(from_us),
        end: Instant(to_us),
        is_live: (from_us..to_us).contains(&now_us),
        recorded_until: None,
        fragments: Vec::new(),
        coverage: 0.0,
        gaps: Vec::new(),
        audio_left_out: None,
        playlist_url: None,
        download_url: None,
        thumbnail_url: None,
        expires_at: Instant(expires_us),
    };
    let Some(best) = best else { return Ok(replay) };
    let channel = best.channel.id;
    // What arrived ahead of the clock (a publisher runs a little early) is there as well.
    let recorded = recorded_us(&best.spans, from_us, to_us);
    let expected_until = expected_until(app, best, elapsed_us, now_us);
    replay.coverage = share(recorded, expected_until - from_us);
    replay.gaps = app
        .archive
        .gaps(channel, from_us, to_us, now_us)
        .await?
        .into_iter()
        .filter(|gap| gap.start_us < expected_until)
        .map(|gap| ReplayGap {
            start: Instant(gap.start_us),
            end: Instant(gap.end_us),
            cause: gap.cause.into(),
        })
        .collect();
    if recorded == 0 {
        return Ok(replay);
    }
    replay.audio_left_out = app
        .catalog
        .audio_left_out(channel, from_us, to_us)
        .await?
        .map(|left_out| AudioLeftOut { codec: left_out.codec, detail: left_out.detail });
    replay.recorded_until = best.spans.iter().map(|span| Instant(span.1.min(to_us))).max();
    let grant = Grant { kind: TokenKind::Replay, channel, from_us, to_us, expires_us, by: admission.by };
    let token = app.signer.sign(&grant);
    replay.playlist_url = Some(format!("/replay/{token}/index.m3u8"));
    replay.download_url = Some(format!("/replay/{token}.mp4"));
    replay.thumbnail_url = Some(format!("/frame/{}.jpg", app.signer.sign(&grant.of_kind(TokenKind::Frame))));
    replay.fragments = fragments(app, &grant.of_kind(TokenKind::Media), recorded, now_us).await?;
    Ok(replay)
}

/// The segments of a range. Rows alone tell of what is sealed; where they tell of less than was recorded, something
/// grows or has only just been sealed, and the archive's memory is asked.
///
/// What the bucket has is addressed there, signed for as long as the answer is good for.
async fn fragments(
    app: &App,
    grant: &Grant,
    recorded: i64,
    now_us: i64,
) -> Result<Vec<ReplayFragment>, Problem> {
    let rows = app.catalog.segments_in_range(grant.channel, grant.from_us, grant.to_us).await?;
    let sealed: Vec<_> = rows
        .iter()
        .filter(|row| row.is_whole())
        .filter_map(|row| row.end_us.map(|end_us| (row.id, row.start_us, end_us, row.size_bytes)))
        .collect();
    let spans: Vec<_> = sealed.iter().map(|&(_, start_us, end_us, _)| (start_us, end_us)).collect();
    let segments = if is_whole(recorded_us(&spans, grant.from_us, grant.to_us), recorded) {
        sealed
    } else {
        let views = app.archive.views(grant.channel, grant.from_us, grant.to_us).await?;
        views.into_iter().map(|view| (view.id, view.start_us, view.end_us, view.size_bytes)).collect()
    };
    let token = app.signer.sign(grant);
    let life = Duration::from_micros(u64::try_from(grant.expires_us - now_us).unwrap_or(0));
    let mut fragments = Vec::with_capacity(segments.len());
    for (id, start_us, end_us, size_bytes) in segments {
        if end_us <= grant.from_us || start_us >= grant.to_us {
            continue;
        }
        let in_bucket = match rows.iter().find(|row| row.id == id) {
            // The bucket cannot be told of what is taken back: such addresses are ours, and lead there for a short while at a time.
            Some(row) if grant.by == By::Open => app.archive.object_url(row, life).await?,
            _ => None,
        };
        fragments.push(ReplayFragment {
            start: Instant(start_us),
            end: Instant(end_us),
            size_bytes,
            url: in_bucket.unwrap_or_else(|| media_url(&token, id)),
        });
    }
    Ok(fragments)
}

/// Where the bytes of a segment are.
pub(super) fn media_url(token: &str, segment: Uuid) -> String {
    format!("/media/{token}/{segment}.mp4")
}
