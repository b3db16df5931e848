//! A picture of a match.

use super::files::stem;
use crate::{
    api,
    app::App,
    coverage::inside,
    limits::FRAME_LEAD_US,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::ApiPath,
    token::TokenKind,
};
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

/// A neutral picture: a court seen from above. Colours stand in attributes, as the policy allows no inline style.
const NEUTRAL: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 480 270\" width=\"480\" height=\"270\">\
<rect width=\"480\" height=\"270\" fill=\"#1f2a33\"/>\
<g fill=\"none\" stroke=\"#44535f\" stroke-width=\"3\"><rect x=\"90\" y=\"55\" width=\"300\" height=\"160\"/>\
<path d=\"M240 45v180M150 55v160M330 55v160M150 135h180\"/></g></svg>";

/// A picture of a match. A neutral one where none can be made.
#[utoipa::path(get, path = "/frame/{token}.jpg", tag = "media", operation_id = "getFrame",
    params(("token" = String, Path, description = "From `thumbnailUrl`")),
    responses((status = 200, description = "The picture", content_type = "image/jpeg", body = inline(api::Binary)),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_frame(
    State(app): State<App>,
    ApiPath(file): ApiPath<String>,
) -> Result<Response, Problem> {
    let grant = app.granted(stem(&file, ".jpg")?, &[TokenKind::Frame]).await?;
    let spans = app.archive.spans(grant.channel, grant.from_us, grant.to_us).await?;
    let Some(at_us) = moment(&spans, grant.from_us, grant.to_us) else {
        return Err(Problem::new(ProblemCode::NoFootage, "nothing was recorded in this time"));
    };
    let picture = app.frames.picture(&app.archive, grant.channel, at_us).await;
    let (kind, cache, bytes) = match picture {
        Some(jpeg) => ("image/jpeg", "private, max-age=21600", jpeg),
        None => ("image/svg+xml", "private, max-age=30", NEUTRAL.into()),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    Ok((headers, bytes).into_response())
}

/// The moment to show: a little into the first footage that is long enough, so that it stays the same while a match
/// grows; else the beginning of the longest.
fn moment(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> Option<i64> {
    let long = inside(spans, from_us, to_us).find(|(start, end)| end - start > FRAME_LEAD_US);
    match long {
        Some((start, _)) => Some(start + FRAME_LEAD_US),
        None => inside(spans, from_us, to_us)
            .max_by_key(|(start, end)| (end - start, -start))
            .map(|(start, _)| start),
    }
}

#[cfg(test)]
mod tests {
    use super::moment;
    use crate::limits::FRAME_LEAD_US;

    #[test]
    fn the_moment_stays_while_a_match_grows() {
        let minute = 60_000_000;
        assert_eq!(moment(&[], 0, 90 * minute), None);
        assert_eq!(moment(&[(-minute, 1_000)], 0, 90 * minute), Some(0));
        assert_eq!(moment(&[(0, 2 * minute)], 0, 90 * minute), Some(FRAME_LEAD_US));
        assert_eq!(moment(&[(0, 80 * minute)], 0, 90 * minute), Some(FRAME_LEAD_US));
        assert_eq!(moment(&[(0, 5), (10, 30), (40, 60)], 0, 90 * minute), Some(10));
        assert_eq!(moment(&[(0, 5), (minute, 9 * minute)], 0, 90 * minute), Some(minute + FRAME_LEAD_US));
    }
}
