//! Live media over HLS: playlists, segments, parts, initialisation.

use super::{live_playlist, playlist::PLAYLIST_TYPE};
use crate::{
    app::App,
    http::memory::{Accounted, HeldBody, Reader},
    limits::LIVE_WAIT,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{ApiPath, Fields},
    viewing::not_live,
};
use access::By;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use live::WindowReader;
use media::Fragment;
use std::{convert::Infallible, sync::Arc};

const MP4: HeaderValue = HeaderValue::from_static("video/mp4");

/// Parts and segments never change under their number; when a window is gone, so is the wish for them.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=60, immutable");

/// The same for what is not for everybody: no cache in between goes on showing what was taken back.
const KEPT_PRIVATELY: HeaderValue = HeaderValue::from_static("private, max-age=60, immutable");

fn kept(by: By) -> HeaderValue {
    if by == By::Open { KEPT } else { KEPT_PRIVATELY }
}

const NOT_STORED: HeaderValue = HeaderValue::from_static("no-store");

/// What a file of a channel's folder is.
enum File {
    Live,
    Rewind,
    Segment(u64),
    Part(u64, usize),
    Init(String),
}

/// What is being broadcast: `index.m3u8` and what it names.
///
/// `index.m3u8` is a playlist with parts (LL-HLS) that players without parts read as well; `_HLS_msn`, `_HLS_part` and `_HLS_skip`
/// are answered as RFC 8216bis has it. With `window=SECONDS` it names a playlist that begins so long ago and goes on to the live
/// edge.
#[utoipa::path(get, path = "/live/{channel}/index.m3u8", tag = "live", operation_id = "getLivePlaylist",
    params(("channel" = String, Path, description = "From `liveUrl`"),
        ("window" = Option<u64>, Query, nullable = false, description = "How far one wants to be able to go back, in seconds")),
    responses((status = 200, description = "The playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_live_file(
    State(app): State<App>,
    ApiPath((name, file)): ApiPath<(String, String)>,
    reader: Reader,
    fields: Fields,
) -> Result<Response, Problem> {
    let file = named(&file)
        .ok_or_else(|| Problem::new(ProblemCode::NotFound, "a live address has no file of this name"))?;
    let permit = app.viewing.permitted(&name).await?;
    let window = app.hubs.window(permit.channel).ok_or_else(not_live)?;
    match file {
        File::Live => {
            let text = match fields.window_s()? {
                Some(window_s) => live_playlist::variants(&app, &window, permit, window_s).await?,
                None => live_playlist::live(&window, fields.reload()?).await?,
            };
            Ok(playlist(text))
        }
        File::Rewind => {
            let text = live_playlist::rewind(&app, &window, permit, &fields).await?;
            Ok(playlist(text))
        }
        File::Segment(number) => {
            let parts = segment(&window, number)?;
            // Shared by all who read it: what it holds stays after the window has gone on.
            let name = format!("live/{}/{number}", permit.channel);
            media(&app, &reader, name, parts, kept(permit.by)).await
        }
        File::Part(number, part) => {
            let name = format!("live/{}/{number}.{part}", permit.channel);
            let part = self::part(&window, number, part).await?;
            media(&app, &reader, name, vec![part], kept(permit.by)).await
        }
        File::Init(hash) => init(&window, &hash),
    }
}

fn playlist(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, NOT_STORED)], text).into_response()
}

fn named(file: &str) -> Option<File> {
    let number = |text: &str| {
        // One spelling for each number, or caches hold it twice.
        let is_plain = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        is_plain.then(|| text.parse::<u64>().ok()).flatten()
    };
    match file {
        "index.m3u8" => return Some(File::Live),
        "rewind.m3u8" => return Some(File::Rewind),
        _ => {}
    }
    if let Some(hash) = file.strip_suffix(".mp4") {
        return Some(File::Init(hash.to_owned()));
    }
    let stem = file.strip_suffix(".m4s")?;
    match stem.split_once('.') {
        Some((segment, part)) => Some(File::Part(number(segment)?, usize::try_from(number(part)?).ok()?)),
        None => Some(File::Segment(number(stem)?)),
    }
}

fn gone() -> Problem {
    Problem::new(ProblemCode::SegmentNotFound, "this is not in the live window any more, or not yet")
}

fn segment(window: &WindowReader, number: u64) -> Result<Vec<Arc<Fragment>>, Problem> {
    let snapshot = window.snapshot().ok_or_else(not_live)?;
    let segment = snapshot.segment(number).filter(|segment| segment.is_closed).ok_or_else(gone)?;
    Ok(segment.parts.clone())
}

/// A part; the one that comes next is waited for, as its address is told beforehand (`EXT-X-PRELOAD-HINT`).
async fn part(window: &WindowReader, number: u64, part: usize) -> Result<Arc<Fragment>, Problem> {
    let mut snapshot = window.snapshot().ok_or_else(not_live)?;
    if snapshot.next() == (number, part) {
        let come = window.wait(|now| now.is_none_or(|now| now.next() != (number, part)));
        snapshot = tokio::time::timeout(LIVE_WAIT, come).await.ok().flatten().ok_or_else(gone)?;
    }
    let segment = snapshot.segment(number).ok_or_else(gone)?;
    Ok(segment.parts.get(part).ok_or_else(gone)?.clone())
}

fn init(window: &WindowReader, hash: &str) -> Result<Response, Problem> {
    let snapshot = window.snapshot().ok_or_else(not_live)?;
    let known = snapshot.segments.iter().find(|segment| segment.session.init_hash == hash);
    let bytes = known.ok_or_else(gone)?.session.init.clone();
    Ok(([(header::CONTENT_TYPE, MP4), (header::CACHE_CONTROL, KEPT)], bytes).into_response())
}

/// Fragments one after the other, without a copy. They are held until the last of them has gone, under a name for all who read the same.
async fn media(
    app: &App,
    reader: &Reader,
    name: String,
    parts: Vec<Arc<Fragment>>,
    kept: HeaderValue,
) -> Result<Response, Problem> {
    let length: u64 = parts.iter().map(|part| u64::from(part.size_bytes)).sum();
    let pieces = parts.into_iter().flat_map(|part| {
        let count = part.payload.len() + 1;
        (0..count).filter_map(move |at| match at.checked_sub(1) {
            None => Some(part.head.clone()),
            Some(at) => part.payload.get(at).cloned(),
        })
    });
    let hold = app.memory.share_of(reader, &name, length).await?;
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<Bytes, Infallible>)));
    let headers = [
        (header::CONTENT_TYPE, MP4),
        (header::CACHE_CONTROL, kept),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    let mut response = (headers, HeldBody::wrap(body, [hold])).into_response();
    response.extensions_mut().insert(Accounted);
    Ok(response)
}
