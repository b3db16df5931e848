//! A catalog in a database of its own, and things to put into it.
#![allow(clippy::allow_attributes, dead_code, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use databases::Home;
use turepe_catalog::{Catalog, Channel, Club, NewChannel, NewClub, NewSegment, Place, SealedSegment, Source};
use uuid::Uuid;

/// One second.
pub(crate) const SECOND: i64 = 1_000_000;

/// 2026-11-20T00:00:00Z.
pub(crate) const DAY: i64 = 1_795_132_800 * SECOND;

/// The catalog of a home.
pub(crate) async fn catalog(home: &Home) -> Catalog {
    Catalog::open(&home.url).await.unwrap()
}

/// A club that is open from eight to midnight.
pub(crate) fn new_club(slug: &str) -> NewClub {
    NewClub {
        slug: slug.into(),
        name: format!("Club {slug}"),
        zone: "Europe/Madrid".into(),
        hours: "08:00-24:00".parse().unwrap(),
        appointment_duration_min: 90,
    }
}

/// A club with one court with one pushed channel, and its key.
pub(crate) async fn channel(catalog: &Catalog) -> (Club, Channel, String) {
    let club = catalog.create_club(new_club("norte")).await.unwrap();
    let court = catalog.create_court(club.id, "central", "Central").await.unwrap();
    let new = NewChannel { court_id: Some(court.id), name: "Fondo".into(), source: Source::Push };
    let (channel, key) = catalog.create_channel(new).await.unwrap();
    (club, channel, key.unwrap())
}

/// A segment that begins.
pub(crate) fn new_segment(catalog: &Catalog, channel_id: Uuid, start_us: i64) -> NewSegment {
    let id = catalog.new_id();
    NewSegment {
        id,
        channel_id,
        session_id: Uuid::nil(),
        start_us,
        object_name: format!("norte/central/{channel_id}/{id}.mp4"),
        init_hash: "0123456789abcdef0123456789abcdef".into(),
    }
}

/// A segment that ends.
pub(crate) fn sealed(end_us: i64) -> SealedSegment {
    SealedSegment {
        end_us,
        size_bytes: 450_000_000,
        moov_offset: 449_000_000,
        index: vec![1, 2, 3],
        crc32: Some(7),
        place: Place::Local,
    }
}

/// Records `[start_us, end_us)`.
pub(crate) async fn record(catalog: &Catalog, channel_id: Uuid, start_us: i64, end_us: i64) -> Uuid {
    let new = new_segment(catalog, channel_id, start_us);
    let id = new.id;
    catalog.insert_segment(new).await.unwrap();
    catalog.seal_segment(id, sealed(end_us)).await.unwrap();
    id
}
