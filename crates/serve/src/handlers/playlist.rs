//! The HLS playlist of a match.

use super::replay::media_url;
use crate::{
    app::App,
    http::memory::{Accounted, HeldBody, Reader},
    limits::LIVE_LAG_US,
    playlists::Made,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{ApiPath, Fields, Via},
    token::{Grant, TokenKind},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use media::playlist::{VodSegment, vod};

/// RFC 8216 §4.
pub(super) const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");

/// The HLS playlist of a match.
///
/// While the match is being played it is of type EVENT and grows.
#[utoipa::path(get, path = "/replay/{token}/index.m3u8", tag = "media", operation_id = "getPlaylist",
    params(("token" = String, Path, description = "From `playlistUrl`"),
        ("via" = Option<String>, Query, nullable = false, description = "`node`: footage comes from this program, for players that cannot reach the bucket")),
    responses((status = 200, description = "The playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_playlist(
    State(app): State<App>,
    reader: Reader,
    ApiPath(token): ApiPath<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    // Addresses in a playlist do not take over its query: they repeat it.
    let query = match fields.via()? {
        Via::Anywhere => "",
        Via::Node => "?via=node",
    };
    let now_us = app.clock.now_us();
    let grant = app.granted(&token, &[TokenKind::Replay]).await?;
    let media_token = app.signer.sign(&grant.of_kind(TokenKind::Media));
    // The token says the channel and the range.
    let key = format!("{media_token}{query}");
    let made = match app.playlists.get(&key, now_us) {
        Some(made) => made,
        None => {
            let _turn = app.playlists.turn().await;
            match app.playlists.get(&key, now_us) {
                // Somebody else has asked for the same, and was first.
                Some(made) => made,
                None => make(&app, &grant, &media_token, query, now_us).await?,
            }
        }
    };
    let hold = app.memory.share_of(&reader, &made.key, made.text.len() as u64).await?;
    let cache = if made.is_finished { "private, max-age=3600" } else { "no-store" };
    let headers =
        [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, HeaderValue::from_static(cache))];
    let mut response = (headers, HeldBody::wrap(Body::from(made.text), [hold])).into_response();
    response.extensions_mut().insert(Accounted);
    Ok(response)
}

/// Makes a playlist, or finds the one that was made of the same segments.
async fn make(
    app: &App,
    grant: &Grant,
    media_token: &str,
    query: &str,
    now_us: i64,
) -> Result<Made, Problem> {
    let views = app.archive.readable_views(grant.channel, grant.from_us, grant.to_us).await?;
    if views.is_empty() {
        return Err(Problem::new(ProblemCode::NoFootage, "nothing was recorded in this time"));
    }
    // It has ended when its end is there, or when what was under way to the disk at its end has had time to arrive.
    let reached = views.iter().any(|view| view.end_us >= grant.to_us && !view.is_growing);
    let is_finished = reached || now_us >= grant.to_us.saturating_add(LIVE_LAG_US);
    // One that grows is another one with each fragment.
    let key = if is_finished {
        format!("{media_token}{query}")
    } else {
        let last = views.last().map(|view| (view.id, view.size_bytes, view.is_growing));
        format!("{media_token}{query} {} {last:?}", views.len())
    };
    if let Some(made) = app.playlists.get(&key, now_us) {
        return Ok(made);
    }
    let uris: Vec<_> = views
        .iter()
        .map(|view| {
            (
                format!("{}{query}", media_url(media_token, view.id)),
                format!("/init/{}.mp4", view.init_hash),
                view.session_id.to_string(),
            )
        })
        .collect();
    let segments: Vec<_> = views
        .iter()
        .zip(&uris)
        .map(|(view, (uri, init_uri, session))| VodSegment {
            uri,
            init_uri,
            session,
            start_us: view.start_us,
            end_us: view.end_us,
            index: &view.index,
        })
        .collect();
    let playlist = vod(&segments, grant.from_us, grant.to_us, is_finished);
    Ok(app.playlists.put(key, playlist.text, is_finished, now_us))
}
