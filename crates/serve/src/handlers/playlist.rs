//! The HLS playlist of a match.

use super::replay::media_url;
use crate::{
    app::App,
    limits::LIVE_LAG_US,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{ApiPath, Fields, Via},
    token::TokenKind,
};
use axum::{
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
    let views = app.archive.readable_views(grant.channel, grant.from_us, grant.to_us).await?;
    if views.is_empty() {
        return Err(Problem::new(ProblemCode::NoFootage, "nothing was recorded in this time"));
    }
    let media_token = app.signer.sign(&grant.of_kind(TokenKind::Media));
    let uris: Vec<_> = views
        .iter()
        .map(|view| {
            (
                format!("{}{query}", media_url(&media_token, view.id)),
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
    // It has ended when its end is there, or when what was under way to the disk at its end has had time to arrive.
    let reached = views.iter().any(|view| view.end_us >= grant.to_us && !view.is_growing);
    let finished = reached || now_us >= grant.to_us.saturating_add(LIVE_LAG_US);
    let playlist = vod(&segments, grant.from_us, grant.to_us, finished);
    let cache = if finished { "private, max-age=3600" } else { "no-store" };
    let headers =
        [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, HeaderValue::from_static(cache))];
    Ok((headers, playlist.text).into_response())
}
