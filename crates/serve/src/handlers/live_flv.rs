//! HTTP-FLV: the publisher's own tags as one endless file, for players such as VLC, ffplay and mpegts.js.

use crate::{
    api,
    app::App,
    http::Peer,
    limits::LIVE_WAIT,
    monitor::ListedPlayer,
    problem::{Problem, ProblemDocument},
    query::ApiPath,
    viewing::{Watching, not_live},
};
use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use live::TagReader;
use media::flv::{TagRole, TagRun, write_file_header};
use std::{convert::Infallible, sync::Arc};

const FLV: HeaderValue = HeaderValue::from_static("video/x-flv");

/// What a channel broadcasts as an FLV stream, from the newest keyframe on.
///
/// It ends when nobody has published the channel for a while. A reader that is too slow is taken to the newest keyframe.
#[utoipa::path(get, path = "/live/{channel}.flv", tag = "live", operation_id = "getLiveFlv",
    params(("channel" = String, Path, description = "From `liveUrl`")),
    responses((status = 200, description = "The stream", body = inline(api::Binary), content_type = "video/x-flv"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_live_flv(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    ApiPath(file): ApiPath<String>,
) -> Result<Response, Problem> {
    let name = super::stem(&file, ".flv")?;
    let permit = app.viewing.permitted(name).await?;
    let channel = permit.channel;
    let watching = app.viewing.watching(permit);
    let mut reader = app.hubs.tags(channel).ok_or_else(not_live)?;
    // The head of the file says which tracks there are, so it waits for the first tags.
    let first = tokio::time::timeout(LIVE_WAIT, reader.next()).await.ok().flatten().ok_or_else(not_live)?;
    let listed = app.flv_players.enter(peer, channel, app.clock.now_us());
    let headers =
        [(header::CONTENT_TYPE, FLV), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((headers, Body::from_stream(body(first, reader, listed, watching))).into_response())
}

/// The file's head and first tags in one piece, then a piece for each run.
fn body(
    first: Arc<TagRun>,
    reader: TagReader,
    listed: ListedPlayer,
    watching: Watching,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    let has = |roles: &[TagRole]| first.tags().iter().any(|tag| roles.contains(&tag.role));
    let has_video = has(&[TagRole::VideoHeader, TagRole::KeyFrame, TagRole::Video]);
    let has_audio = has(&[TagRole::AudioHeader, TagRole::Audio]);
    let mut head = BytesMut::with_capacity(13 + first.flv().len());
    write_file_header(has_video, has_audio, &mut head);
    head.extend_from_slice(first.flv());
    let over = async move { watching.refused().await };
    let reading =
        stream::unfold((Some(head.freeze()), reader, listed), |(head, mut reader, listed)| async move {
            let piece = match head {
                Some(head) => head,
                None => tokio::select! {
                    run = reader.next() => run?.flv().clone(),
                    () = listed.dropped() => return None,
                },
            };
            listed.sent(piece.len());
            Some((Ok(piece), (None, reader, listed)))
        });
    reading.take_until(Box::pin(over))
}
