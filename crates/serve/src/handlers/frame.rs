//! A picture of a match.

use super::files::stem;
use crate::{
    api,
    app::App,
    coverage::inside,
    http::{Peer, client_of},
    limits::{FRAME_LEAD_US, FRAME_STEPS_US},
    problem::{Problem, ProblemCode, ProblemDocument},
    query::ApiPath,
    token::TokenKind,
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
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
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    ApiPath(file): ApiPath<String>,
) -> Result<Response, Problem> {
    let grant = app.granted(stem(&file, ".jpg")?, &[TokenKind::Frame]).await?;
    let spans = app.archive.spans(grant.channel, grant.from_us, grant.to_us).await?;
    let picture = match moment(&spans, grant.from_us, grant.to_us) {
        Moment::NoFootage => {
            return Err(Problem::new(ProblemCode::NoFootage, "nothing was recorded in this time"));
        }
        Moment::TooShort => None,
        Moment::At(at_us) => {
            let client = client_of(peer, &headers);
            app.frames.picture(&app.archive, grant.channel, at_us, client).await
        }
    };
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

/// What a picture of a range shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// Nothing was recorded.
    NoFootage,
    /// No multiple of a step lies in what was.
    TooShort,
    /// UTC microseconds: one of [`FRAME_STEPS_US`], so that there are few.
    At(i64),
}

/// The moment to show: a little into the first footage that is long enough, so that it stays the same while a match
/// grows; else near the beginning of the longest.
fn moment(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> Moment {
    let [step_us, _] = FRAME_STEPS_US;
    let long = inside(spans, from_us, to_us).find(|(start, end)| end - start > FRAME_LEAD_US);
    if let Some((start, _)) = long {
        let at_us = start + FRAME_LEAD_US;
        return Moment::At(at_us - at_us.rem_euclid(step_us));
    }
    let longest = inside(spans, from_us, to_us).max_by_key(|(start, end)| (end - start, -start));
    let Some((start, end)) = longest else { return Moment::NoFootage };
    let first = |step_us: i64| start + (-start).rem_euclid(step_us);
    FRAME_STEPS_US.map(first).into_iter().find(|at_us| *at_us < end).map_or(Moment::TooShort, Moment::At)
}

#[cfg(test)]
mod tests {
    use super::{Moment, moment};
    use crate::limits::{FRAME_LEAD_US, FRAME_STEPS_US};

    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;

    #[test]
    fn the_moment_stays_while_a_match_grows() {
        for (spans, at) in [
            (&[][..], Moment::NoFootage),
            (&[(-MINUTE, 1_000)], Moment::At(0)),
            (&[(0, 2 * MINUTE)], Moment::At(FRAME_LEAD_US)),
            (&[(0, 80 * MINUTE)], Moment::At(FRAME_LEAD_US)),
            (&[(5, 30 * SECOND), (40 * SECOND, 80 * SECOND)], Moment::At(40 * SECOND)),
            (&[(3 * SECOND + 1, 9 * SECOND)], Moment::At(4 * SECOND)),
            (&[(5, 900_000)], Moment::TooShort),
            (&[(0, 5), (MINUTE, 9 * MINUTE)], Moment::At(MINUTE + FRAME_LEAD_US)),
        ] {
            assert_eq!(moment(spans, 0, 90 * MINUTE), at, "{spans:?}");
        }
    }

    #[test]
    fn ranges_that_differ_a_little_have_few_pictures_and_each_lies_in_its_range() {
        let spans = [(0, 90 * MINUTE)];
        let mut moments = std::collections::BTreeSet::new();
        for number in 0..10_000 {
            let from_us = 17 * MINUTE + number * 3_001;
            for length in [70 * SECOND, 25 * SECOND, 5 * MINUTE] {
                let Moment::At(at_us) = moment(&spans, from_us, from_us + length) else {
                    panic!("{from_us}")
                };
                assert!(at_us >= from_us && at_us < from_us + length);
                moments.insert(at_us);
            }
        }
        // Thirty seconds of beginnings, and what is shown lies up to a minute later.
        assert!(moments.len() as i64 <= 2 * (30 * SECOND / FRAME_STEPS_US[0] + 2), "{moments:?}");
    }
}
