//! Refusals that explain themselves (RFC 9457).
//!
//! Every error of every path is a [`Problem`]. `detail` is plain English for the one who wrote the request; `code` is
//! what a user interface translates. Neither ever holds a secret: a token is "this link", never its text.

use crate::api::Instant;
use access::Refusal;
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use refusals::{Kind, Refusals};
use serde::Serialize;
use std::{borrow::Cow, net::SocketAddr, sync::LazyLock};
use utoipa::ToSchema;

/// What went wrong, as a word that programs compare and interfaces translate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// No club has this slug.
    ClubNotFound,
    /// The club has no court with this slug.
    CourtNotFound,
    /// The court has no channel with this id.
    ChannelNotFound,
    /// No match begins on this date at this time.
    NoSuchSlot,
    /// The clocks go back and this local time occurs twice: `offset` is needed. `offsets` lists the choices.
    AmbiguousTime,
    /// The date or month is missing, malformed or absurd.
    InvalidDate,
    /// The time is missing or malformed.
    InvalidTime,
    /// The range is malformed, half given or upside down.
    InvalidRange,
    /// The range is longer than is served at once.
    RangeTooLong,
    /// The signed link was not made by this server, or does not allow this.
    TokenInvalid,
    /// The signed link was good once.
    TokenExpired,
    /// The segment does not exist (any more).
    SegmentNotFound,
    /// The bytes asked for lie outside of the file.
    RangeNotSatisfiable,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The path does not exist.
    NotFound,
    /// The club shows this only to those who have a link from it.
    LinkRequired,
    /// The match is opened with its code.
    CodeRequired,
    /// The link or code opened this once.
    AccessExpired,
    /// The club has taken the link or code back.
    AccessRevoked,
    /// The club has handed out no such link.
    LinkInvalid,
    /// This is not the code of the match.
    CodeWrong,
    /// Codes were tried too often: `retryAt` says when to go on.
    TooManyAttempts,
    /// This is shown to nobody but those who run the server.
    NotPublic,
    /// There is no link or code of this id.
    GrantNotFound,
    /// Nothing is live at this address, or not for the one who asks.
    NotLive,
    /// Nothing was recorded in this range.
    NoFootage,
    /// The file is not the version that the request insists on.
    PreconditionFailed,
    /// The request cannot be understood.
    BadRequest,
    /// The address is longer than is read.
    UriTooLong,
    /// The body is longer than is read.
    BodyTooLarge,
    /// The body is not of the type that is read here.
    UnsupportedMediaType,
    /// The footage is on the disk of another node, and cannot be read from this one.
    HeldElsewhere,
    /// Too much is asked of the server at once: try again soon.
    Busy,
    /// The answer took too long.
    Timeout,
    /// Only those who run the server may see this.
    OperatorsOnly,
    /// Only who has user and password may see this.
    PasswordNeeded,
    /// A fault of the server; it is in its log.
    Internal,
}

impl ProblemCode {
    /// The word in the document and in the problem's `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClubNotFound => "club_not_found",
            Self::CourtNotFound => "court_not_found",
            Self::ChannelNotFound => "channel_not_found",
            Self::NoSuchSlot => "no_such_slot",
            Self::AmbiguousTime => "ambiguous_time",
            Self::InvalidDate => "invalid_date",
            Self::InvalidTime => "invalid_time",
            Self::InvalidRange => "invalid_range",
            Self::RangeTooLong => "range_too_long",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::SegmentNotFound => "segment_not_found",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::LinkRequired => "link_required",
            Self::CodeRequired => "code_required",
            Self::AccessExpired => "access_expired",
            Self::AccessRevoked => "access_revoked",
            Self::LinkInvalid => "link_invalid",
            Self::CodeWrong => "code_wrong",
            Self::TooManyAttempts => "too_many_attempts",
            Self::NotPublic => "not_public",
            Self::GrantNotFound => "grant_not_found",
            Self::NotLive => "not_live",
            Self::NoFootage => "no_footage",
            Self::PreconditionFailed => "precondition_failed",
            Self::BadRequest => "bad_request",
            Self::UriTooLong => "uri_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::HeldElsewhere => "held_elsewhere",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::OperatorsOnly => "operators_only",
            Self::PasswordNeeded => "password_needed",
            Self::Internal => "internal",
        }
    }

    /// The status it is sent with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::ClubNotFound
            | Self::CourtNotFound
            | Self::ChannelNotFound
            | Self::NoSuchSlot
            | Self::SegmentNotFound
            | Self::NotFound
            | Self::NotLive
            | Self::GrantNotFound
            | Self::NoFootage => StatusCode::NOT_FOUND,
            // 409: the request is well formed, the day's own state makes it ambiguous; repeating it with `offset` works.
            Self::AmbiguousTime => StatusCode::CONFLICT,
            Self::InvalidDate
            | Self::InvalidTime
            | Self::InvalidRange
            | Self::RangeTooLong
            | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TokenInvalid
            | Self::OperatorsOnly
            | Self::LinkRequired
            | Self::CodeRequired
            | Self::LinkInvalid
            | Self::CodeWrong
            | Self::NotPublic => StatusCode::FORBIDDEN,
            Self::PasswordNeeded => StatusCode::UNAUTHORIZED,
            Self::TokenExpired | Self::AccessExpired | Self::AccessRevoked => StatusCode::GONE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeldElsewhere | Self::Busy | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::ClubNotFound => "Club not found",
            Self::CourtNotFound => "Court not found",
            Self::ChannelNotFound => "Channel not found",
            Self::NoSuchSlot => "No match begins then",
            Self::AmbiguousTime => "This time occurs twice",
            Self::InvalidDate => "Invalid date",
            Self::InvalidTime => "Invalid time",
            Self::InvalidRange => "Invalid range",
            Self::RangeTooLong => "Range too long",
            Self::TokenInvalid => "Invalid link",
            Self::TokenExpired => "Expired link",
            Self::SegmentNotFound => "Segment not found",
            Self::RangeNotSatisfiable => "Range not satisfiable",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotFound => "Not found",
            Self::LinkRequired => "A link is needed",
            Self::CodeRequired => "A code is needed",
            Self::AccessExpired => "Expired",
            Self::AccessRevoked => "Taken back",
            Self::LinkInvalid => "No such link",
            Self::CodeWrong => "Wrong code",
            Self::TooManyAttempts => "Too many attempts",
            Self::NotPublic => "Not public",
            Self::GrantNotFound => "No such link or code",
            Self::NotLive => "Not live",
            Self::NoFootage => "No footage",
            Self::PreconditionFailed => "Precondition failed",
            Self::BadRequest => "Bad request",
            Self::UriTooLong => "Address too long",
            Self::BodyTooLarge => "Body too large",
            Self::UnsupportedMediaType => "Unsupported type of body",
            Self::HeldElsewhere => "On another node",
            Self::Busy => "Busy",
            Self::Timeout => "Took too long",
            Self::OperatorsOnly => "For operators only",
            Self::PasswordNeeded => "User and password needed",
            Self::Internal => "Internal error",
        }
    }
}

/// When to come back after the database was away, in seconds: it is asked again twice a second.
const DATABASE_RETRY_AFTER_S: &str = "2";

/// When to come back for what another node has on its disk, in seconds: uploads take minutes.
const ELSEWHERE_RETRY_AFTER_S: &str = "60";

/// A problem document (RFC 9457), sent as `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemDocument {
    /// Names the kind of problem for ever: `urn:turepe:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:turepe:problem:no_such_slot")]
    pub kind: String,
    /// The kind of problem in English.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What is wrong with this very request, in English.
    pub detail: Cow<'static, str>,
    /// What went wrong, for programs and translations.
    pub code: ProblemCode,
    /// With `ambiguous_time`: the offsets to choose from, in order of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["+02:00", "+01:00"]))]
    pub offsets: Option<Vec<String>>,
    /// With `too_many_attempts`: when the next attempt is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_at: Option<Instant>,
}

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: ProblemCode,
    detail: Cow<'static, str>,
    offsets: Option<Vec<String>>,
    retry_at: Option<Instant>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Requests that the server's own trouble made fail. While a database is away each request is one, and who asks is anybody: they are
/// gathered by what they wanted.
static FAILURES: LazyLock<Refusals<Failure>> = LazyLock::new(Refusals::default);

/// What failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Failure {
    /// It is to be asked again.
    Passing(&'static str),
    /// Somebody has to look at it.
    Lasting(&'static str),
}

impl Kind for Failure {
    fn say(self, _: Option<SocketAddr>, requests: u64, error: &str) {
        match self {
            Self::Passing(what) => tracing::warn!(what, requests, error, "request refused for now"),
            Self::Lasting(what) => tracing::error!(what, requests, error, "request failed"),
        }
    }
}

/// Says how many more requests failed since it was said last.
pub(crate) fn tell_failures() {
    FAILURES.tell();
}

impl Problem {
    /// A problem with its explanation.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            offsets: None,
            retry_at: None,
            headers: Vec::new(),
        }))
    }

    /// A fault of the server: `error` and its causes go to the log, once, here; the reader learns only that there was
    /// one, and when to come back where it is the database that is away.
    pub fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push_str(": ");
            causes.push_str(&cause.to_string());
            next = cause.source();
        }
        if is_temporary(error) {
            FAILURES.note(Failure::Passing(what), None, &causes);
            return Self::new(ProblemCode::Busy, "the database does not answer right now; try again soon")
                .with_header(header::RETRY_AFTER, HeaderValue::from_static(DATABASE_RETRY_AFTER_S));
        }
        FAILURES.note(Failure::Lasting(what), None, &causes);
        Self::new(ProblemCode::Internal, "the server could not do this; the reason is in its log")
    }

    /// Footage that another node has on its disk. Ours again once the bucket has it, or once that node hands it out.
    #[must_use]
    pub fn held_elsewhere(holder: Option<&str>) -> Self {
        let detail = match holder {
            Some(name) => format!(
                "this footage is on the disk of the node `{name}`, and nodes do not fetch from each other: ask that node, or \
                 come back when the bucket has it"
            ),
            None => "this footage is on no disk or bucket that this node can read, and no node that has started since they are \
                     told apart has it; start the node that recorded it"
                .to_owned(),
        };
        Self::new(ProblemCode::HeldElsewhere, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static(ELSEWHERE_RETRY_AFTER_S))
    }

    /// Adds the offsets to choose from.
    #[must_use]
    pub fn with_offsets(mut self, offsets: Vec<String>) -> Self {
        self.0.offsets = Some(offsets);
        self
    }

    /// Adds when to try again; `now_us` is now.
    #[must_use]
    pub fn with_retry_at(mut self, at_us: i64, now_us: i64) -> Self {
        self.0.retry_at = Some(Instant(at_us));
        // Rounded up: a second too early is refused again.
        let wait_s = at_us.saturating_sub(now_us).max(0) / 1_000_000 + 1;
        self.with_header(header::RETRY_AFTER, HeaderValue::from(wait_s))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What is wrong with this very request, in English.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What went wrong.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.0.code
    }
}

/// Whether the catalog was away, at whatever depth.
fn is_temporary(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<catalog::CatalogError>().is_some_and(catalog::CatalogError::is_temporary) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::LinkNeeded => ProblemCode::LinkRequired,
            Refusal::CodeNeeded => ProblemCode::CodeRequired,
            Refusal::Expired => ProblemCode::AccessExpired,
            Refusal::Revoked => ProblemCode::AccessRevoked,
            Refusal::Closed => ProblemCode::NotPublic,
        };
        Self::new(code, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { code, detail, offsets, retry_at, headers } = *self.0;
        let status = code.status();
        let document = ProblemDocument {
            kind: format!("urn:turepe:problem:{}", code.as_str()),
            title: code.title(),
            status: status.as_u16(),
            detail,
            code,
            offsets,
            retry_at,
        };
        let mut response = (status, Json(document)).into_response();
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            out.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        for (name, value) in headers {
            out.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, ProblemCode};
    use axum::response::IntoResponse;

    #[test]
    fn the_word_is_the_one_that_is_serialised() {
        for code in [
            ProblemCode::ClubNotFound,
            ProblemCode::UriTooLong,
            ProblemCode::CodeWrong,
            ProblemCode::TooManyAttempts,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn what_another_node_has_is_said_with_its_name() {
        let response = Problem::held_elsewhere(Some("sur")).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"60".parse().unwrap())
        );
        assert!(Problem::held_elsewhere(Some("sur")).detail().contains("`sur`"));
        assert_eq!(Problem::held_elsewhere(None).into_response().status(), 503);
    }

    #[test]
    fn a_problem_is_not_cached() {
        let response = Problem::new(ProblemCode::NotFound, "nothing here").into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
