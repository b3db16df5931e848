//! Links and codes: showing them, handing them out, taking them back.

use super::{replay::refused, scope};
use crate::{
    api::{
        AccessOpened, AccessRequest, ChannelLive, CodeList, CodesRequest, Instant, LinkList, LinkMade,
        LinkRequest, LinkSummary, SlotCodeSummary, opens,
    },
    app::App,
    door::{Visitor, cookie},
    handout::{HandOutError, LinkTo, make_codes, make_link, slot_subject},
    http::{Peer, client_of, guard::small_body},
    limits::{CODE_PAUSE, LINK_LIFE_US, TURN_TIMEOUT},
    operators::OperatorByToken,
    problem::{Problem, ProblemCode, ProblemDocument},
    query::{self, ApiPath, Fields},
};
use access::{By, Grant, PER_ADDRESS, PER_SLOT, Policy};
use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use catalog::{CatalogError, Club, schedule};
use jiff::civil;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

/// A JSON body, read within bounds.
pub(crate) struct JsonBody<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        // Only this type: a page of another site must ask before it sends it, and is refused.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return Err(bad("the body is JSON, with `Content-Type: application/json`"));
        }
        let body = small_body(request.into_body()).await?;
        // What was sent may be a secret: the reason names the field and where, and of the words only the type.
        let read = serde_json::from_slice(&body).map_err(|error| {
            bad(format!("the body cannot be read (line {}, column {})", error.line(), error.column()))
        })?;
        Ok(Self(read))
    }
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}

/// Shows a link or a code, and is let in by it from then on.
///
/// A `link` opens what it was handed out for; a `code` the match of `court`, `date` and `time`. The answer sets a cookie for this club's
/// API, so that the same browser need not show it again. Nothing is used up by that, and nothing by opening the page. Codes may be tried
/// so many times from an address and for a slot: then `too_many_attempts` says when to go on.
#[utoipa::path(post, path = "/api/clubs/{club}/access", tag = "access", operation_id = "openAccess",
    params(("club" = String, Path, description = "Slug of the club")), request_body = AccessRequest,
    responses((status = 200, description = "What was opened", body = AccessOpened),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn open_access(
    State(app): State<App>,
    visitor: Visitor,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    ApiPath(slug): ApiPath<String>,
    JsonBody(shown): JsonBody<AccessRequest>,
) -> Result<Response, Problem> {
    let club = scope::club(&app, &slug).await?;
    let grant = match (&shown.link, &shown.code) {
        (Some(token), None) => by_link(&app, &club, token).await?,
        (None, Some(code)) => {
            let peer = peer.map(|peer| peer.0.0);
            by_code(&app, &club, &shown, code, peer, &headers).await?
        }
        _ => return Err(bad("give a link, or a code with its court, date and time")),
    };
    let now_us = app.clock.now_us();
    if grant.is_revoked {
        return Err(access::Refusal::Revoked.into());
    }
    if now_us >= grant.until_us {
        return Err(access::Refusal::Expired.into());
    }
    let court = match grant.court {
        Some(id) => app.catalog.court(id).await?.map(|court| court.slug),
        None => None,
    };
    let (live, range) = opens(grant.scope);
    let opened = AccessOpened {
        until: Instant(grant.until_us),
        court,
        live,
        from: range.map(|range| Instant(range.from_us)),
        to: range.map(|range| Instant(range.to_us)),
    };
    let mut response = Json(opened).into_response();
    if let Some(cookie) = cookie(&visitor, grant.pass, &club.slug, &headers, &app.signer) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What a link opens. Its secret is long enough that nobody tries.
async fn by_link(app: &App, club: &Club, token: &str) -> Result<Grant, Problem> {
    let link = app.catalog.link_by_token(token).await?.filter(|link| link.club_id == club.id);
    let link = link.ok_or_else(|| {
        Problem::new(ProblemCode::LinkInvalid, "this club has handed out no such link; is it complete?")
    })?;
    Ok(link.grant())
}

/// What a code opens. Attempts are counted before anything is compared.
async fn by_code(
    app: &App,
    club: &Club,
    shown: &AccessRequest,
    code: &str,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Result<Grant, Problem> {
    let needed = |name: &str| bad(format!("a code is of a match: {name} is missing"));
    let court = shown.court.as_deref().ok_or_else(|| needed("court"))?;
    let date = query::date(shown.date.as_deref().ok_or_else(|| needed("date"))?)?;
    let time = query::time(shown.time.as_deref().ok_or_else(|| needed("time"))?)?;
    let offset = shown.offset.as_deref().map(query::offset).transpose()?;
    let scope = scope::court(app, &club.slug, court).await?;
    let slot = schedule::find_slot(club, date, time, offset.as_deref()).map_err(refused)?;
    if club.access != Policy::Code {
        return Err(match club.access {
            Policy::Link => access::Refusal::LinkNeeded.into(),
            _ => bad("this club asks for no codes"),
        });
    }
    let wrong = || Problem::new(ProblemCode::CodeWrong, "this is not the code of this match");
    if access::code::normalised(code).is_none() {
        // What can be no code says nothing about the one there is.
        return Err(wrong());
    }
    // One at a time, with a pause: what strangers send costs a fifth of a core at most.
    let turn = tokio::time::timeout(TURN_TIMEOUT, std::sync::Arc::clone(&app.code_turn).acquire_owned());
    let Ok(Ok(turn)) = turn.await else {
        return Err(Problem::new(
            ProblemCode::Busy,
            "many codes are being tried at this moment; try again in a second",
        ));
    };
    // Whoever leaves meanwhile leaves this behind: it goes on to its end, and so does its turn.
    let (app, code, court) = (app.clone(), code.to_owned(), scope.court.id);
    let mut subjects = vec![(slot_subject(scope.court.id, slot.start_us), PER_SLOT)];
    subjects.extend(address_subject(peer, headers).map(|subject| (subject, PER_ADDRESS)));
    let club = club.id;
    let (told, outcome) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let tried = try_code(&app, club, court, (slot.start_us, slot.end_us), &code, &subjects).await;
        // Nobody waits any more.
        drop(told.send(tried));
        tokio::time::sleep(CODE_PAUSE).await;
        drop(turn);
    });
    outcome.await.unwrap_or_else(|_| Err(Problem::new(ProblemCode::Internal, "the server stops")))
}

/// Counts an attempt, and compares.
async fn try_code(
    app: &App,
    club: Uuid,
    court: Uuid,
    (start_us, end_us): (i64, i64),
    code: &str,
    subjects: &[(String, access::Limit)],
) -> Result<Grant, Problem> {
    if let Err(next_us) = app.catalog.count_attempt(subjects).await? {
        let detail = "wrong codes were typed too often; wait a while, or ask the club for a link";
        let problem = Problem::new(ProblemCode::TooManyAttempts, detail);
        return Err(problem.with_retry_at(next_us, app.clock.now_us()));
    }
    let found = app.catalog.match_slot_code(court, start_us, code).await?;
    // A code of before the hours or lengths of matches were changed is of another match.
    let found = found.filter(|kept| kept.end_us == end_us);
    let kept =
        found.ok_or_else(|| Problem::new(ProblemCode::CodeWrong, "this is not the code of this match"))?;
    let subjects: Vec<String> = subjects.iter().map(|(subject, _)| subject.clone()).collect();
    if let Err(error) = app.catalog.forgive_attempt(&subjects).await {
        tracing::warn!(%error, "an attempt that was right counts as one that was not");
    }
    Ok(kept.grant(club))
}

/// As which attempts of an address are counted: IPv4 whole, IPv6 by its /64 network. `None` for a proxy on this machine that does not
/// say for whom it asks: everybody would be one.
fn address_subject(peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<String> {
    let client = client_of(peer?, headers);
    (!client.is_loopback()).then(|| match client {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(network) => format!("address {network}/64"),
    })
}

impl From<HandOutError> for Problem {
    fn from(error: HandOutError) -> Self {
        match error {
            HandOutError::Slot(error) => refused(error),
            HandOutError::CourtNeeded | HandOutError::Life => bad(error.to_string()),
            HandOutError::Catalog(error @ CatalogError::Invalid(_)) => bad(error.to_string()),
            HandOutError::Catalog(error) => error.into(),
        }
    }
}

fn no_grant(error: CatalogError) -> Problem {
    match error {
        CatalogError::NotFound(_) => {
            Problem::new(ProblemCode::GrantNotFound, "this club has no link or code of this id")
        }
        error => error.into(),
    }
}

/// Makes a link that opens a match, a range, what is broadcast, or all of it, for a time.
///
/// For those who run the server. Its secret stands in `path` and is told this once.
#[utoipa::path(post, path = "/api/clubs/{club}/links", tag = "access", operation_id = "createLink",
    params(("club" = String, Path, description = "Slug of the club")), request_body = LinkRequest,
    responses((status = 201, description = "The link", body = LinkMade),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn create_link(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath(slug): ApiPath<String>,
    JsonBody(wanted): JsonBody<LinkRequest>,
) -> Result<(StatusCode, Json<LinkMade>), Problem> {
    let club = scope::club(&app, &slug).await?;
    let court = match &wanted.court {
        Some(court) => Some(scope::court(&app, &slug, court).await?.court),
        None => None,
    };
    let to = link_to(&wanted)?;
    let now_us = app.clock.now_us();
    let expires_us = expiry(wanted.expires_at.as_deref())?.unwrap_or(now_us.saturating_add(LINK_LIFE_US));
    let handed = make_link(&app.catalog, &club, court.as_ref(), to, wanted.note, expires_us, now_us).await?;
    Ok((StatusCode::CREATED, Json(LinkMade { path: handed.path, link: (&handed.link).into() })))
}

fn expiry(text: Option<&str>) -> Result<Option<i64>, Problem> {
    text.map(query::instant).transpose()
}

fn link_to(wanted: &LinkRequest) -> Result<LinkTo, Problem> {
    let LinkRequest { date, time, offset, from, to, live, .. } = wanted;
    match (date, time, from, to, live) {
        (None, None, None, None, false) if offset.is_none() => Ok(LinkTo::Everything),
        (None, None, None, None, true) if offset.is_none() => Ok(LinkTo::Live),
        (Some(date), Some(time), None, None, false) => Ok(LinkTo::Match {
            date: query::date(date)?,
            time: query::time(time)?,
            offset: offset.as_deref().map(query::offset).transpose()?,
        }),
        (None, None, Some(from), Some(to), false) if offset.is_none() => {
            Ok(LinkTo::Range { from_us: query::instant(from)?, to_us: query::instant(to)? })
        }
        _ => Err(bad(
            "a link opens a match (date and time), a range (from and to), what is broadcast (live), or all of it",
        )),
    }
}

/// The newest links of a club, without their secrets.
///
/// For those who run the server.
#[utoipa::path(get, path = "/api/clubs/{club}/links", tag = "access", operation_id = "listLinks",
    params(("club" = String, Path, description = "Slug of the club")),
    responses((status = 200, description = "The links", body = LinkList),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn list_links(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath(slug): ApiPath<String>,
) -> Result<Json<LinkList>, Problem> {
    let club = scope::club(&app, &slug).await?;
    let links = app.catalog.links(club.id).await?;
    Ok(Json(LinkList { links: links.iter().map(LinkSummary::from).collect() }))
}

/// Takes a link back: within seconds it opens nothing any more, and what was opened with it ends.
///
/// For those who run the server.
#[utoipa::path(delete, path = "/api/clubs/{club}/links/{id}", tag = "access", operation_id = "revokeLink",
    params(("club" = String, Path, description = "Slug of the club"), ("id" = Uuid, Path, description = "Id of the link")),
    responses((status = 200, description = "The link", body = LinkSummary),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn revoke_link(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath((slug, id)): ApiPath<(String, Uuid)>,
) -> Result<Json<LinkSummary>, Problem> {
    let club = scope::club(&app, &slug).await?;
    let known = app.catalog.link(id).await?.filter(|link| link.club_id == club.id);
    if known.is_none() {
        return Err(no_grant(CatalogError::NotFound(catalog::Kind::ViewingLink)));
    }
    let link = app.catalog.revoke_link(id).await.map_err(no_grant)?;
    Ok(Json((&link).into()))
}

/// Gives the slots of a date, or one of them, their codes. What has a code keeps it unless `renew` is set.
///
/// For those who run the server. A code is told in the answer that makes it, and never again.
#[utoipa::path(post, path = "/api/clubs/{club}/courts/{court}/codes", tag = "access", operation_id = "createCodes",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court")),
    request_body = CodesRequest,
    responses((status = 201, description = "The codes", body = CodeList),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn create_codes(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath((club, court)): ApiPath<(String, String)>,
    JsonBody(wanted): JsonBody<CodesRequest>,
) -> Result<(StatusCode, Json<CodeList>), Problem> {
    let scope = scope::court(&app, &club, &court).await?;
    let date = query::date(&wanted.date)?;
    let offset = wanted.offset.as_deref().map(query::offset).transpose()?;
    let time: Option<civil::Time> = wanted.time.as_deref().map(query::time).transpose()?;
    let expires_us = expiry(wanted.expires_at.as_deref())?;
    let (catalog, now_us) = (&app.catalog, app.clock.now_us());
    let time = time.map(|time| (time, offset));
    let codes =
        make_codes(catalog, &scope.club, &scope.court, date, time, wanted.renew, expires_us, now_us).await?;
    let codes = codes.into_iter().map(|handed| SlotCodeSummary::of(&handed.kept, handed.code)).collect();
    Ok((StatusCode::CREATED, Json(CodeList { codes })))
}

/// Which slots of a date have codes.
///
/// For those who run the server.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/codes", tag = "access", operation_id = "listCodes",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"),
        ("date" = String, Query, description = "Club-local date, `YYYY-MM-DD`")),
    responses((status = 200, description = "The codes, without the codes", body = CodeList),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn list_codes(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath((club, court)): ApiPath<(String, String)>,
    fields: Fields,
) -> Result<Json<CodeList>, Problem> {
    let date = fields.date()?;
    let scope = scope::court(&app, &club, &court).await?;
    let (from_us, to_us) = schedule::day_bounds(&scope.club, date);
    let codes = app.catalog.slot_codes(scope.court.id, from_us, to_us).await?;
    Ok(Json(CodeList { codes: codes.iter().map(|kept| SlotCodeSummary::of(kept, None)).collect() }))
}

/// Takes a code back: within seconds it opens nothing any more, and what was opened with it ends.
///
/// For those who run the server.
#[utoipa::path(delete, path = "/api/clubs/{club}/codes/{id}", tag = "access", operation_id = "revokeCode",
    params(("club" = String, Path, description = "Slug of the club"), ("id" = Uuid, Path, description = "Id of the code")),
    responses((status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn revoke_code(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath((slug, id)): ApiPath<(String, Uuid)>,
) -> Result<StatusCode, Problem> {
    let club = scope::club(&app, &slug).await?;
    let known = app.catalog.slot_code_by_id(id).await?.filter(|(_, of)| *of == club.id);
    if known.is_none() {
        return Err(no_grant(CatalogError::NotFound(catalog::Kind::SlotCode)));
    }
    app.catalog.revoke_slot_code(id).await.map_err(no_grant)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a channel is watched live, whatever its policy: for a site that decides for itself whom it gives the address.
///
/// For those who run the server.
#[utoipa::path(get, path = "/api/channels/{channel}/live", tag = "access", operation_id = "getChannelLive",
    params(("channel" = Uuid, Path, description = "Id of the channel")),
    responses((status = 200, description = "The address", body = ChannelLive),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_channel_live(
    _: OperatorByToken,
    State(app): State<App>,
    ApiPath(channel_id): ApiPath<Uuid>,
) -> Result<Json<ChannelLive>, Problem> {
    let unknown = || Problem::new(ProblemCode::ChannelNotFound, "there is no channel of this id");
    let place = app.door.place(channel_id).await?.ok_or_else(unknown)?;
    let is_live = app.viewing.is_published(channel_id);
    let admission = app.door.holds(channel_id, By::Operator, access::Wish::Live).await?;
    let address = is_live.then(|| app.viewing.address(channel_id, place.live, &admission));
    let (live_url, expires_us) = address.map_or((None, None), |(url, expires_us)| (Some(url), expires_us));
    Ok(Json(ChannelLive { channel_id, is_live, live_url, expires_at: expires_us.map(Instant) }))
}

#[cfg(test)]
mod tests {
    use super::address_subject;
    use axum::http::HeaderMap;
    use std::net::SocketAddr;

    #[test]
    fn an_address_is_one_person_as_far_as_that_can_be_known() {
        let subject = |peer: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            address_subject(Some(peer.parse::<SocketAddr>().unwrap()), &headers)
        };
        assert_eq!(subject("203.0.113.7:1", &[]).as_deref(), Some("address 203.0.113.7"));
        assert_eq!(subject("[::ffff:203.0.113.7]:1", &[]), subject("203.0.113.7:2", &[]));
        assert_eq!(subject("[2001:db8:1:2:3::9]:1", &[]).as_deref(), Some("address 2001:db8:1:2::/64"));
        // From outside nobody is somebody else by saying so.
        assert_eq!(subject("203.0.113.7:1", &["198.51.100.1"]), subject("203.0.113.7:1", &[]));
        assert_eq!(subject("127.0.0.1:1", &["1.1.1.1, 203.0.113.7"]), subject("203.0.113.7:1", &[]));
        assert_eq!(subject("127.0.0.1:1", &["203.0.113.7", "203.0.113.8"]), subject("203.0.113.8:1", &[]));
        assert_eq!(subject("127.0.0.1:1", &[]), None);
        assert_eq!(subject("127.0.0.1:1", &["unknown"]), None);
    }
}
