//! `turepe admin`: clubs, courts and channels, straight in the catalog; a running node sees them with its next question.
//!
//! Belongs here: what is asked, what is printed, in which words it fails. Not here: rules for slugs, hours and keys
//! (`catalog`).

mod channel;
mod club;
mod code;
mod court;
mod deletions;
mod link;
mod node;
mod protect;
mod relay;
mod retention;

use catalog::schedule::SlotError;
use catalog::{Catalog, CatalogError, Club, Court, Kind as RowKind};

use serve::HandOutError;

use crate::cli::{Admin, ClubCommand};
use crate::config::Config;
use crate::data_folder::{self, Setup};
use crate::failure::{Failure, Kind};

/// Runs the command. Call it inside a runtime.
pub(crate) async fn run(command: &Admin, config: &Config) -> Result<(), Failure> {
    // A club is what an installation begins with; all else is about what there is.
    let setup = match command {
        Admin::Club(ClubCommand::Add { .. }) => Setup::First,
        _ => Setup::Never,
    };
    let catalog = data_folder::open_catalog(config, setup).await?;
    let result = match command {
        Admin::Club(command) => club::run(command, &catalog, config).await,
        Admin::Link(command) => link::run(command, &catalog, config).await,
        Admin::Code(command) => code::run(command, &catalog).await,
        Admin::Court(command) => court::run(command, &catalog).await,
        Admin::Channel(command) => channel::run(command, &catalog, config).await,
        Admin::Relay(command) => relay::run(command, &catalog, config).await,
        Admin::Protect(command) => protect::run(command, &catalog).await,
        Admin::Retention { confirm, json } => retention::run(&catalog, *confirm, *json).await,
        Admin::Node(command) => node::run(command, &catalog, config).await,
        Admin::Deletions { limit, json } => deletions::list(&catalog, *limit, *json).await,
    };
    // Closing writes the log of the database back: its errors matter as much as those of the work.
    let closed = catalog.close().await.map_err(failure);
    result.and(closed)
}

/// The catalog's words are for people already; what is added is the exit code.
fn failure(error: CatalogError) -> Failure {
    let kind = match &error {
        CatalogError::Invalid(_) | CatalogError::NoKey(_) => Kind::Usage,
        CatalogError::SlugTaken { .. } | CatalogError::InUse { .. } => Kind::Exists,
        CatalogError::NotFound(_) => Kind::NotFound,
        _ => Kind::Failed,
    };
    Failure::new(kind, error.to_string())
}

/// The same of what is handed out.
fn handed_out(error: HandOutError) -> Failure {
    match error {
        HandOutError::Catalog(error) => failure(error),
        HandOutError::Slot(error @ SlotError::NoSuchSlot { .. }) => {
            Failure::new(Kind::NotFound, error.to_string())
        }
        error => Failure::usage(error.to_string()),
    }
}

/// The club with a slug.
async fn club(catalog: &Catalog, slug: &str) -> Result<Club, Failure> {
    let club = catalog.club_by_slug(slug).await.map_err(failure)?;
    club.ok_or_else(|| missing(RowKind::Club, slug, "turepe admin club list"))
}

/// The court with a slug.
async fn court(catalog: &Catalog, club: &Club, slug: &str) -> Result<Court, Failure> {
    let court = catalog.court_by_slug(club.id, slug).await.map_err(failure)?;
    court.ok_or_else(|| {
        missing(RowKind::Court, slug, &format!("turepe admin court list --club {}", club.slug))
    })
}

fn missing(kind: RowKind, slug: &str, list: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no {kind} `{slug}`; `{list}` lists them"))
}

/// An instant as people and programs read it: RFC 3339 in UTC.
pub(crate) fn instant(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
