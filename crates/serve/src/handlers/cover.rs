//! A channel's cover.

use crate::{
    api,
    app::App,
    http::bytes::{FileHead, respond},
    problem::{Problem, ProblemCode, ProblemDocument},
    query::ApiPath,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Response},
};
use live::covers::CoverId;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The current picture of a channel, at most some ten seconds old while it is live. A slate when it has been offline for too
/// long, never was live, or its club does not let everybody watch.
///
/// The name is the MD5 of the channel's id in lower case with hyphens.
#[utoipa::path(get, path = "/thumbs/{md5}.jpg", tag = "media", operation_id = "getCover",
    params(("md5" = String, Path, description = "32 hexadecimal digits in lower case")),
    responses((status = 200, description = "The picture", content_type = "image/jpeg", body = inline(api::Binary)),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_cover(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    ApiPath(file): ApiPath<String>,
) -> Result<Response<Body>, Problem> {
    let unknown = || Problem::new(ProblemCode::NotFound, "there is no such cover");
    let id = CoverId::from_file_name(&file).ok_or_else(unknown)?;
    let covers = app.covers.as_ref().ok_or_else(unknown)?;
    let jpeg = covers.picture(id).await.ok_or_else(unknown)?;
    // Not shown to everybody is shown to nobody here: other sites have nothing to show for those who look at them.
    let jpeg = if app.door.is_cover_public(id).await? { jpeg } else { covers.slate() };
    let head = FileHead {
        length: jpeg.len() as u64,
        etag: etag(&jpeg),
        content_type: "image/jpeg",
        cache_control: "no-store",
        file_name: None,
    };
    respond(&method, &headers, &head, async |range| {
        let index = |at: u64| usize::try_from(at).unwrap_or(jpeg.len()).min(jpeg.len());
        Ok(Body::from(jpeg.slice(index(range.start)..index(range.end))))
    })
    .await
}

/// The first 128 bits of SHA-256 in hexadecimal.
fn etag(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
