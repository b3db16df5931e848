//! Clubs, courts and channels, as names of objects tell of them.

use std::collections::{BTreeSet, HashSet};

use catalog::{Catalog, CatalogError, FoundChannel};
use uuid::Uuid;

use crate::error::ArchiveError;

/// First part of the names of channels that show no court.
const NO_COURT: &str = "none/none";

/// A court that had to be created.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FoundCourt {
    /// Slug of its club.
    pub club: String,
    /// Its slug.
    pub court: String,
}

/// What had to be created, or would have to be.
#[derive(Default)]
pub(super) struct Places {
    pub(super) clubs: BTreeSet<String>,
    pub(super) courts: BTreeSet<FoundCourt>,
    pub(super) channels: BTreeSet<Uuid>,
    known: HashSet<Uuid>,
}

impl Places {
    /// Sees to it that a channel is there, and its court and club. `from_us` is when it recorded first.
    pub(super) async fn ensure(
        &mut self,
        catalog: &Catalog,
        prefix: &str,
        channel_id: Uuid,
        from_us: i64,
        is_dry: bool,
    ) -> Result<(), ArchiveError> {
        if self.known.contains(&channel_id) {
            return Ok(());
        }
        if catalog.channel(channel_id).await?.is_none() {
            let court = match prefix.split_once('/') {
                Some((club, court)) if prefix != NO_COURT => self.court(catalog, club, court, is_dry).await?,
                _ => None,
            };
            if !is_dry {
                let name = court.as_ref().map_or("camera", |(_, slug)| slug);
                let (court_id, name) = (court.as_ref().and_then(|(id, _)| *id), name.to_owned());
                let found = FoundChannel { id: channel_id, court_id, name, created_us: from_us };
                catalog.ensure_channel(found).await?;
            }
            self.channels.insert(channel_id);
        }
        self.known.insert(channel_id);
        Ok(())
    }

    /// The court of these slugs, with its id where it is there; `None` where they are no slugs.
    async fn court(
        &mut self,
        catalog: &Catalog,
        club: &str,
        court: &str,
        is_dry: bool,
    ) -> Result<Option<(Option<Uuid>, String)>, ArchiveError> {
        let slugs = FoundCourt { club: club.to_owned(), court: court.to_owned() };
        if is_dry {
            let there = catalog.club_by_slug(club).await?;
            let there = match there {
                Some(club) => catalog.court_by_slug(club.id, court).await?,
                None => {
                    self.clubs.insert(club.to_owned());
                    None
                }
            };
            if there.is_none() {
                self.courts.insert(slugs);
            }
            return Ok(Some((there.map(|court| court.id), court.to_owned())));
        }
        let made = async {
            let (club, is_new) = catalog.ensure_club(club).await?;
            if is_new {
                self.clubs.insert(club.slug.clone());
            }
            catalog.ensure_court(club.id, court).await
        };
        match made.await {
            Ok((court, is_new)) => {
                if is_new {
                    self.courts.insert(slugs);
                }
                Ok(Some((Some(court.id), court.slug)))
            }
            // Names that were made by hand: the footage counts, not where it stands.
            Err(CatalogError::Invalid(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
