//! The demo club: open around the clock, two courts, a camera each.

use catalog::{Catalog, CatalogError, ChannelRoute, Club, NewChannel, NewClub, Source, WeekHours};

use crate::failure::{Failure, Kind};

const SLUG: &str = "demo";
const NAME: &str = "Club Demo";
const ZONE: &str = "Europe/Madrid";
const OPEN: &str = "00:00-24:00";
const APPOINTMENT_DURATION_MIN: u32 = 60;
const COURTS: [(&str, &str); 2] = [("cancha-1", "Cancha 1"), ("cancha-2", "Cancha 2")];

/// The club with the channel of each court.
pub(super) struct DemoClub {
    pub(super) club: Club,
    pub(super) courts: Vec<ChannelRoute>,
}

/// Creates what of the club is not there yet.
pub(super) async fn create_missing(catalog: &Catalog) -> Result<DemoClub, Failure> {
    let failed = |error: CatalogError| Failure::context("cannot create the demo club", error);
    let club = match catalog.club_by_slug(SLUG).await.map_err(failed)? {
        Some(club) => club,
        None => {
            let hours =
                WeekHours::parse(OPEN).map_err(|error| Failure::new(Kind::Failed, error.to_string()))?;
            let new = NewClub {
                slug: SLUG.to_owned(),
                name: NAME.to_owned(),
                zone: ZONE.to_owned(),
                hours,
                appointment_duration_min: APPOINTMENT_DURATION_MIN,
            };
            catalog.create_club(new).await.map_err(failed)?
        }
    };
    let mut courts = Vec::new();
    for (slug, name) in COURTS {
        let court = match catalog.court_by_slug(club.id, slug).await.map_err(failed)? {
            Some(court) => court,
            None => catalog.create_court(club.id, slug, name).await.map_err(failed)?,
        };
        let channel = match catalog.channels_of_court(court.id).await.map_err(failed)?.into_iter().next() {
            Some(channel) => channel,
            None => {
                let new =
                    NewChannel { court_id: Some(court.id), name: name.to_owned(), source: Source::Push };
                catalog.create_channel(new).await.map_err(failed)?.0
            }
        };
        courts.push(ChannelRoute {
            channel,
            club_slug: Some(club.slug.clone()),
            court_slug: Some(court.slug),
        });
    }
    Ok(DemoClub { club, courts })
}
