//! Links and codes: shown by visitors, handed out and taken back by operators.

use super::Instant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a visitor shows: a link's secret, or the code of a match.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessRequest {
    /// What stands behind `#link=` in the address of a link.
    #[schema(nullable = false)]
    pub link: Option<String>,
    /// The code, however it is typed.
    #[schema(nullable = false, example = "K7M-4QX")]
    pub code: Option<String>,
    /// With a code: slug of the court.
    #[schema(nullable = false)]
    pub court: Option<String>,
    /// With a code: club-local date of the match, `YYYY-MM-DD`.
    #[schema(nullable = false, example = "2026-11-21")]
    pub date: Option<String>,
    /// With a code: when it begins, `HH:MM`.
    #[schema(nullable = false, example = "10:00")]
    pub time: Option<String>,
    /// With a code: where the time occurs twice.
    #[schema(nullable = false, example = "+01:00")]
    pub offset: Option<String>,
}

/// What was opened. The browser carries it from here on, in a cookie for this club's API.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessOpened {
    /// Until when it opens anything.
    pub until: Instant,
    /// Slug of the court; null for all of the club's.
    #[schema(required)]
    pub court: Option<String>,
    /// Whether it opens what is broadcast; a code does while its match is being played.
    pub live: bool,
    /// First instant of the range that it opens; null where it is not one.
    #[schema(required)]
    pub from: Option<Instant>,
    /// Instant just after that range.
    #[schema(required)]
    pub to: Option<Instant>,
}

/// A link to be made. Without `date`, `from` and `live` it opens every match and live.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkRequest {
    /// Slug of the court; all of the club's without it.
    #[schema(nullable = false)]
    pub court: Option<String>,
    /// A match: its club-local date, `YYYY-MM-DD`.
    #[schema(nullable = false, example = "2026-11-21")]
    pub date: Option<String>,
    /// A match: when it begins, `HH:MM`.
    #[schema(nullable = false, example = "10:00")]
    pub time: Option<String>,
    /// A match: where the time occurs twice.
    #[schema(nullable = false, example = "+01:00")]
    pub offset: Option<String>,
    /// A range: its first instant, RFC 3339 with an offset.
    #[schema(nullable = false, example = "2026-11-21T10:00:00+01:00")]
    pub from: Option<String>,
    /// A range: the instant just after it.
    #[schema(nullable = false, example = "2026-11-21T12:00:00+01:00")]
    pub to: Option<String>,
    /// What is broadcast, from now on.
    #[serde(default)]
    pub live: bool,
    /// For those who list it.
    #[schema(nullable = false, example = "For Ana")]
    pub note: Option<String>,
    /// Until when, RFC 3339 with an offset; a week without it.
    #[schema(nullable = false, example = "2026-11-28T10:00:00+01:00")]
    pub expires_at: Option<String>,
}

/// A link that was made. Its secret is told this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkMade {
    /// Path of the page that it opens, with its secret behind the `#`.
    #[schema(example = "/padel-sur/central/2026-11-21/10:00#link=…")]
    pub path: String,
    /// What is kept of it.
    pub link: LinkSummary,
}

/// A link, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkSummary {
    /// Its id.
    pub id: Uuid,
    /// Id of the court; null for all of the club's.
    #[schema(required)]
    pub court_id: Option<Uuid>,
    /// Whether it opens what is broadcast.
    pub live: bool,
    /// First instant of the range that it opens; null where it is not one.
    #[schema(required)]
    pub from: Option<Instant>,
    /// Instant just after that range.
    #[schema(required)]
    pub to: Option<Instant>,
    /// What was written down about it.
    #[schema(required)]
    pub note: Option<String>,
    /// When it was made.
    pub created_at: Instant,
    /// Until when it opens anything.
    pub expires_at: Instant,
    /// When it was taken back; null while it was not.
    #[schema(required)]
    pub revoked_at: Option<Instant>,
}

impl From<&catalog::ViewingLink> for LinkSummary {
    fn from(link: &catalog::ViewingLink) -> Self {
        let (live, range) = opens(link.scope);
        Self {
            id: link.id,
            court_id: link.court_id,
            live,
            from: range.map(|range| Instant(range.from_us)),
            to: range.map(|range| Instant(range.to_us)),
            note: link.note.clone(),
            created_at: Instant(link.created_us),
            expires_at: Instant(link.expires_us),
            revoked_at: link.revoked_us.map(Instant),
        }
    }
}

/// Whether a scope opens what is broadcast, and the range that it opens where it is one.
pub(crate) fn opens(scope: access::Scope) -> (bool, Option<access::Range>) {
    match scope {
        access::Scope::All | access::Scope::Live { .. } => (true, None),
        access::Scope::Range(range) => (false, Some(range)),
        access::Scope::Match(range) => (true, Some(range)),
    }
}

/// The links of a club, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkList {
    /// The links, revoked and expired ones too.
    pub links: Vec<LinkSummary>,
}

/// Slots that are to have codes: one, or all of a date.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodesRequest {
    /// Club-local date, `YYYY-MM-DD`.
    #[schema(example = "2026-11-21")]
    pub date: String,
    /// Only the match that begins then, `HH:MM`.
    #[schema(nullable = false, example = "10:00")]
    pub time: Option<String>,
    /// Where the time occurs twice.
    #[schema(nullable = false, example = "+01:00")]
    pub offset: Option<String>,
    /// Whether slots that have a code get another one; the old one opens nothing any more.
    #[serde(default)]
    pub renew: bool,
    /// Until when, RFC 3339 with an offset; 30 days after the match without it.
    #[schema(nullable = false)]
    pub expires_at: Option<String>,
}

/// Codes of a court's slots.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeList {
    /// In order of time.
    pub codes: Vec<SlotCodeSummary>,
}

/// The code of a slot.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotCodeSummary {
    /// Its id.
    pub id: Uuid,
    /// First instant of the match.
    pub start: Instant,
    /// Instant just after it.
    pub end: Instant,
    /// When it was made.
    pub created_at: Instant,
    /// Until when it opens anything.
    pub expires_at: Instant,
    /// The code, in the answer that made it; null in every other.
    #[schema(required, example = "K7M-4QX")]
    pub code: Option<String>,
}

impl SlotCodeSummary {
    pub(crate) fn of(kept: &catalog::SlotCode, code: Option<String>) -> Self {
        Self {
            id: kept.id,
            start: Instant(kept.start_us),
            end: Instant(kept.end_us),
            created_at: Instant(kept.created_us),
            expires_at: Instant(kept.expires_us),
            code,
        }
    }
}

/// Where a channel is watched live.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelLive {
    /// The channel.
    pub channel_id: Uuid,
    /// Whether it is live.
    pub is_live: bool,
    /// Where it is watched while it is live, as `liveUrl` of a club's channel; for whoever it is given to.
    #[schema(required)]
    pub live_url: Option<String>,
    /// When that address expires; null where it does not.
    #[schema(required)]
    pub expires_at: Option<Instant>,
}
