//! From the slugs of an address to the rows behind them, and from errors of other rooms to problems.

use crate::{
    app::App,
    coverage::recorded_us,
    limits::LIVE_LAG_US,
    problem::{Problem, ProblemCode},
};
use archive::ArchiveError;
use catalog::{CatalogError, Channel, Club, Court};
use uuid::Uuid;

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        Self::internal("catalog", &error)
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::SegmentNotFound(_) => {
                Self::new(ProblemCode::SegmentNotFound, "there is no such segment, or it is kept no longer")
            }
            ArchiveError::Elsewhere { holder, .. } => Self::held_elsewhere(holder.as_deref()),
            ArchiveError::NoFootage => Self::new(ProblemCode::NoFootage, "nothing was recorded in this time"),
            ArchiveError::RangeTooLong { segments, limit } => Self::new(
                ProblemCode::RangeTooLong,
                format!("the range touches {segments} segments; a file is made of {limit} at most"),
            ),
            error => Self::internal("archive", &error),
        }
    }
}

/// A court with its club.
pub(super) struct Scope {
    pub(super) club: Club,
    pub(super) court: Court,
}

/// The club of this slug.
pub(super) async fn club(app: &App, slug: &str) -> Result<Club, Problem> {
    app.catalog
        .club_by_slug(slug)
        .await?
        .ok_or_else(|| Problem::new(ProblemCode::ClubNotFound, "there is no club at this address"))
}

/// The court of these slugs.
pub(super) async fn court(app: &App, club_slug: &str, court_slug: &str) -> Result<Scope, Problem> {
    let club = club(app, club_slug).await?;
    let court =
        app.catalog.court_by_slug(club.id, court_slug).await?.ok_or_else(|| {
            Problem::new(ProblemCode::CourtNotFound, "the club has no court at this address")
        })?;
    Ok(Scope { club, court })
}

/// A channel of a court and what it recorded in a range: spans in order, without overlap.
pub(super) struct Footage {
    pub(super) channel: Channel,
    pub(super) spans: Vec<(i64, i64)>,
}

/// What each channel of a court recorded in a range.
pub(super) async fn footage(
    app: &App,
    court: Uuid,
    from_us: i64,
    to_us: i64,
) -> Result<Vec<Footage>, Problem> {
    let mut all = Vec::new();
    for channel in app.catalog.channels_of_court(court).await? {
        let spans = app.archive.spans(channel.id, from_us, to_us).await?;
        all.push(Footage { channel, spans });
    }
    Ok(all)
}

/// The footage that has most of a range; of equals the first.
pub(super) fn best(all: &[Footage], from_us: i64, to_us: i64) -> Option<&Footage> {
    let mut best: Option<(&Footage, i64)> = None;
    for footage in all {
        let recorded = recorded_us(&footage.spans, from_us, to_us);
        if best.is_none_or(|(_, most)| recorded > most) {
            best = Some((footage, recorded));
        }
    }
    best.map(|(footage, _)| footage)
}

/// Up to when footage of a range must be there by now. While the channel is live that is up to what is there, as long as
/// that lies behind the clock by no more than a fragment being filled can explain.
pub(super) fn expected_until(app: &App, footage: &Footage, elapsed_us: i64, now_us: i64) -> i64 {
    let recorded_until = footage.spans.iter().map(|span| span.1).filter(|end| *end <= elapsed_us).max();
    match recorded_until {
        Some(until)
            if elapsed_us == now_us
                && now_us - until <= LIVE_LAG_US
                && app.live.is_live(footage.channel.id) =>
        {
            until
        }
        _ => elapsed_us,
    }
}
