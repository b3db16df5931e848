//! The operations as the OpenAPI document tells them.
#![expect(
    dead_code,
    unused_qualifications,
    reason = "described here until their handlers stand; the derive qualifies names"
)]

use crate::{api, problem::ProblemDocument};
use utoipa::IntoParams;

/// Which month.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MonthParams {
    /// `YYYY-MM`.
    #[param(example = "2026-11")]
    month: String,
}

/// Which day.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DateParams {
    /// Club-local date, `YYYY-MM-DD`.
    #[param(example = "2026-11-21")]
    date: String,
}

/// Which match: `date` and `time`, or `from` and `to`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
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
    /// Instant just after a free range, RFC 3339 with an offset; at most 24 hours after `from`.
    #[param(nullable = false, example = "2026-11-21T11:30:00+01:00")]
    to: Option<String>,
    /// Which channel of the court; without it the one that covers the range best.
    #[param(nullable = false)]
    channel: Option<uuid::Uuid>,
}

/// All clubs.
#[utoipa::path(get, path = "/api/clubs", tag = "clubs", operation_id = "listClubs",
    responses((status = 200, description = "The clubs", body = api::ClubList),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn list_clubs() {}

/// A club's public profile.
#[utoipa::path(get, path = "/api/clubs/{club}", tag = "clubs", operation_id = "getClub",
    params(("club" = String, Path, description = "Slug of the club")),
    responses((status = 200, description = "The club", body = api::ClubProfile),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_club() {}

/// The days of a month with footage.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/days", tag = "clubs", operation_id = "listDays",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), MonthParams),
    responses((status = 200, description = "The days", body = api::MonthDays),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn list_days() {}

/// The start times of a day.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/slots", tag = "clubs", operation_id = "listSlots",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), DateParams),
    responses((status = 200, description = "The slots", body = api::DaySlots),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn list_slots() {}

/// The match that began at a start time, or any range.
///
/// Give `date` and `time` (and `offset` where the time occurs twice), or `from` and `to`. No footage is no error: coverage
/// is 0 and there is no playlist.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/replay", tag = "replays", operation_id = "getReplay",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), ReplayParams),
    responses((status = 200, description = "The match", body = api::Replay),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_replay() {}

/// The HLS playlist of a match.
#[utoipa::path(get, path = "/replay/{token}/index.m3u8", tag = "media", operation_id = "getPlaylist",
    params(("token" = String, Path, description = "From `playlistUrl`")),
    responses((status = 200, description = "The playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_playlist() {}

/// The match as one MP4 file. Answers single byte ranges.
#[utoipa::path(get, path = "/replay/{token}.mp4", tag = "media", operation_id = "getDownload",
    params(("token" = String, Path, description = "From `downloadUrl`")),
    responses((status = 200, description = "The file", body = inline(api::Binary), content_type = "video/mp4"),
        (status = 206, description = "The part asked for", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_download() {}

/// The bytes of a segment. Answers single byte ranges.
#[utoipa::path(get, path = "/media/{token}/{segment}.mp4", tag = "media", operation_id = "getMedia",
    params(("token" = String, Path, description = "From a fragment's `url`"), ("segment" = String, Path, description = "Id of the segment")),
    responses((status = 200, description = "The file", body = inline(api::Binary), content_type = "video/mp4"),
        (status = 206, description = "The part asked for", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_media() {}

/// The initialisation of a session: what `EXT-X-MAP` points at.
#[utoipa::path(get, path = "/init/{hash}.mp4", tag = "media", operation_id = "getInit",
    params(("hash" = String, Path, description = "From a playlist")),
    responses((status = 200, description = "The init segment", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_init() {}

/// A picture of a match. A neutral one where none can be made.
#[utoipa::path(get, path = "/frame/{token}.jpg", tag = "media", operation_id = "getFrame",
    params(("token" = String, Path, description = "From `thumbnailUrl`")),
    responses((status = 200, description = "The picture", content_type = "image/jpeg", body = inline(api::Binary)),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) fn get_frame() {}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "It is", body = api::Health)))]
pub(crate) fn healthz() {}

/// Whether the server can do its work.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses((status = 200, description = "It can", body = api::Health), (status = 503, description = "It cannot", body = api::Health)))]
pub(crate) fn readyz() {}
