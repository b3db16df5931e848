//! Bytes: the download of a match, segments, init segments.

use super::edges;
use crate::{
    api,
    app::App,
    http::{
        bytes::{FileHead, respond},
        memory::{HeldBody, Reader},
    },
    limits::{LIVE_LAG_US, REDIRECT_AGE},
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{ApiPath, Fields, Via},
    token::{Grant, TokenError, TokenKind},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::{Timestamp, tz::TimeZone};
use std::time::Duration;
use uuid::Uuid;

const MP4: &str = "video/mp4";

/// What never changes and was signed for one reader.
const PRIVATE: &str = "private, max-age=21600, immutable";

/// What is not finished.
const NOT_STORED: &str = "no-store";

/// The match as one MP4 file. Answers single byte ranges.
///
/// It begins with the very first frame of the match, or of what is asked of it by `from`; gaps are closed up.
#[utoipa::path(get, path = "/replay/{token}.mp4", tag = "media", operation_id = "getDownload",
    params(("token" = String, Path, description = "From `downloadUrl`"),
        ("from" = Option<String>, Query, nullable = false, description = "Where in the match it begins, RFC 3339 with an offset", example = "2026-11-21T10:20:00+01:00")),
    responses((status = 200, description = "The file", body = inline(api::Binary), content_type = "video/mp4"),
        (status = 206, description = "The part asked for", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_download(
    State(app): State<App>,
    reader: Reader,
    method: Method,
    headers: HeaderMap,
    ApiPath(file): ApiPath<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let now_us = app.clock.now_us();
    let token = stem(&file, ".mp4")?;
    let grant = app.granted(token, &[TokenKind::Replay]).await?;
    let from_us = fields.begin_us()?.map_or(grant.from_us, |begin_us| begin_us.max(grant.from_us));
    if from_us >= grant.to_us {
        return Err(Problem::new(ProblemCode::InvalidRange, "from lies after the end of the match"));
    }
    let plan = app.archive.plan_cut(grant.channel, from_us, grant.to_us).await?;
    // Before there is a header to hold.
    let header_hold = app.memory.share_of(&reader, &plan.etag, plan.max_header_bytes).await?;
    let download = app.archive.download(plan).await?;
    let header_bytes = download.cut.header.len() as u64;
    header_hold.is_now(header_bytes);
    let is_final = !download.is_growing && now_us >= grant.to_us.saturating_add(LIVE_LAG_US);
    let head = FileHead {
        length: download.len(),
        etag: download.etag.clone(),
        content_type: MP4,
        cache_control: if is_final { PRIVATE } else { NOT_STORED },
        file_name: Some(file_name(&app, &grant).await?),
    };
    respond(&method, &headers, &head, async |range| {
        let has_header = range.start < header_bytes;
        let stream = download.stream(range);
        let pieces = app.memory.hold(&reader, stream.max_held_bytes()).await?;
        let mut holds = vec![pieces];
        holds.extend(has_header.then_some(header_hold));
        Ok(HeldBody::wrap(Body::from_stream(stream), holds))
    })
    .await
}

/// `club-court-2026-11-21-1000.mp4`: what a player finds again among the downloads.
async fn file_name(app: &App, grant: &Grant) -> Result<String, Problem> {
    let unnamed = || format!("{}.mp4", grant.channel);
    let Some(channel) = app.catalog.channel(grant.channel).await? else { return Ok(unnamed()) };
    let Some(court_id) = channel.court_id else { return Ok(unnamed()) };
    let Some(court) = app.catalog.court(court_id).await? else { return Ok(unnamed()) };
    let Some(club) = app.catalog.club(court.club_id).await? else { return Ok(unnamed()) };
    let zone = TimeZone::get(&club.zone).unwrap_or(TimeZone::UTC);
    let start = Timestamp::from_microsecond(grant.from_us).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = zone.to_datetime(start);
    Ok(format!("{}-{}-{}.mp4", club.slug, court.slug, local.strftime("%Y-%m-%d-%H%M")))
}

/// The bytes of a segment. Answers single byte ranges; for what the bucket has, a redirect to its signed address. Of a segment at the
/// edge of what a link or code opens, only the ranges that belong to that: those that the playlist names.
#[utoipa::path(get, path = "/media/{token}/{segment}.mp4", tag = "media", operation_id = "getMedia",
    params(("token" = String, Path, description = "From a fragment's `url`"), ("segment" = String, Path, description = "Id of the segment"),
        ("via" = Option<String>, Query, nullable = false, description = "`node`: never a redirect")),
    responses((status = 302, description = "Where its bytes are, for a short while: ask here again"),
        (status = 200, description = "The file", body = inline(api::Binary), content_type = "video/mp4"),
        (status = 206, description = "The part asked for", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_media(
    State(app): State<App>,
    reader: Reader,
    method: Method,
    headers: HeaderMap,
    ApiPath((token, file)): ApiPath<(String, String)>,
    fields: Fields,
) -> Result<Response, Problem> {
    let via = fields.via()?;
    let grant = app.granted(&token, &[TokenKind::Media, TokenKind::Rewind]).await?;
    let gone =
        || Problem::new(ProblemCode::SegmentNotFound, "there is no such segment, or it is kept no longer");
    let id = Uuid::try_parse(stem(&file, ".mp4")?).map_err(|_| gone())?;
    let row = app.catalog.segment(id).await?.ok_or_else(gone)?;
    let overlaps = row.start_us < grant.to_us && row.end_us.is_none_or(|end_us| end_us > grant.from_us);
    if row.channel_id != grant.channel || !overlaps {
        return Err(TokenError::Invalid.into());
    }
    let granted = edges::granted_bytes(&app, &grant, &row).await?;
    // A signature is for one method: what a HEAD asks is answered from here, without asking the bucket.
    if granted.is_none()
        && via == Via::Anywhere
        && method != Method::HEAD
        && let Some(url) = app.archive.object_url(&row, app.bucket.url_life).await?
    {
        return redirect(&url, app.bucket.url_life);
    }
    let segment = app.archive.open_segment(id).await?;
    if let Some(granted) = &granted {
        edges::refuse_beyond(granted, &method, &headers, segment.len, &segment.etag)?;
    }
    let head = FileHead {
        length: segment.len,
        etag: segment.etag.clone(),
        content_type: MP4,
        cache_control: if segment.is_growing { NOT_STORED } else { PRIVATE },
        file_name: None,
    };
    respond(&method, &headers, &head, async |range| {
        let stream = segment.stream(range);
        let pieces = app.memory.hold(&reader, stream.max_held_bytes()).await?;
        Ok(HeldBody::wrap(Body::from_stream(stream), [pieces]))
    })
    .await
}

/// To a signed address of the bucket. Remembered for less than it lives, so that what plays asks here once for many
/// ranges and never meets one that has expired.
fn redirect(url: &str, life: Duration) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(url).map_err(|error| Problem::internal("redirect", &error))?;
    let age = (life / 4).min(REDIRECT_AGE).as_secs();
    let cache = HeaderValue::from_str(&format!("private, max-age={age}"))
        .map_err(|error| Problem::internal("redirect", &error))?;
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, cache)];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// The initialisation of a session: what `EXT-X-MAP` points at.
#[utoipa::path(get, path = "/init/{hash}.mp4", tag = "media", operation_id = "getInit",
    params(("hash" = String, Path, description = "From a playlist")),
    responses((status = 200, description = "The init segment", body = inline(api::Binary), content_type = "video/mp4"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_init(
    State(app): State<App>,
    reader: Reader,
    method: Method,
    headers: HeaderMap,
    ApiPath(file): ApiPath<String>,
) -> Result<Response, Problem> {
    let hash = stem(&file, ".mp4")?;
    let unknown = || Problem::new(ProblemCode::NotFound, "there is no such init segment");
    if hash.is_empty() || hash.len() > MAX_HASH_CHARS || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let bytes = app.catalog.init(hash).await?.ok_or_else(unknown)?;
    let head = FileHead {
        length: bytes.len() as u64,
        etag: hash.to_owned(),
        content_type: MP4,
        // Named by its own hash, and without a picture in it: anyone may keep it.
        cache_control: "public, max-age=31536000, immutable",
        file_name: None,
    };
    respond(&method, &headers, &head, async |range| {
        let index = |at: u64| usize::try_from(at).unwrap_or(bytes.len()).min(bytes.len());
        let hold = app.memory.hold(&reader, bytes.len() as u64).await?;
        Ok(HeldBody::wrap(Body::from(bytes.slice(index(range.start)..index(range.end))), [hold]))
    })
    .await
}

/// Longest hash that is looked up.
const MAX_HASH_CHARS: usize = 64;

/// The name without its extension.
pub(super) fn stem<'a>(file: &'a str, extension: &str) -> Result<&'a str, Problem> {
    file.strip_suffix(extension)
        .ok_or_else(|| Problem::new(ProblemCode::NotFound, format!("addresses like this end in {extension}")))
}
