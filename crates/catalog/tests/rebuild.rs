//! Rebuilding from what footage says: what is there stays as it is, and nothing is created twice.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::collections::HashSet;

use databases::Home;
use turepe_catalog::{CatalogError, FoundChannel, Source, UNKNOWN_ZONE};
use uuid::Uuid;

mod common;
use common::{DAY, SECOND, catalog, channel, record};

async fn what_footage_names_is_created_once_and_never_changed(home: Home) {
    let catalog = catalog(&home).await;
    let (club, is_new) = catalog.ensure_club("padel-norte").await.unwrap();
    assert!(is_new);
    assert_eq!((club.name.as_str(), club.zone.as_str()), ("padel-norte", UNKNOWN_ZONE));
    catalog.set_zone(club.id, "america/santiago").await.unwrap();
    assert!(matches!(catalog.set_zone(club.id, "Mars").await, Err(CatalogError::Invalid(_))));
    assert!(matches!(catalog.set_zone(Uuid::nil(), "UTC").await, Err(CatalogError::NotFound(_))));
    let (club, is_new) = catalog.ensure_club("padel-norte").await.unwrap();
    assert!(!is_new);
    assert_eq!(club.zone, "America/Santiago", "what somebody has set stays");
    assert!(matches!(catalog.ensure_club("api").await, Err(CatalogError::Invalid(_))));

    let (court, is_new) = catalog.ensure_court(club.id, "cancha-1").await.unwrap();
    assert!(is_new && !catalog.ensure_court(club.id, "cancha-1").await.unwrap().1);

    let id = Uuid::from_u128(7);
    let found = FoundChannel { id, court_id: Some(court.id), name: "cancha-1".into(), created_us: DAY };
    assert!(catalog.ensure_channel(found.clone()).await.unwrap());
    catalog.rename_channel(id, "North camera").await.unwrap();
    assert!(!catalog.ensure_channel(found).await.unwrap());
    let channel = catalog.channel(id).await.unwrap().unwrap();
    assert_eq!((channel.name.as_str(), channel.created_us), ("North camera", DAY));
    assert_eq!(channel.source, Source::Push);
    let key = catalog.rotate_key(id).await.unwrap();
    assert_eq!(catalog.channel_by_key(&key).await.unwrap().unwrap().channel.id, id, "a new key opens it");
}

async fn the_segments_of_a_channel_are_walked_in_order_of_time_by_pages(home: Home) {
    let catalog = catalog(&home).await;
    let (mine, other) = (channel(&catalog).await.1.id, Uuid::from_u128(9));
    let found = FoundChannel { id: other, court_id: None, name: "other".into(), created_us: DAY };
    catalog.ensure_channel(found).await.unwrap();
    // Some begin, and some also end, at the same instant.
    for (number, length) in [(3, 10), (1, 10), (2, 10), (5, 9), (4, 10), (5, 10), (5, 10), (5, 10)] {
        let start = DAY + number * 10 * SECOND;
        record(&catalog, mine, start, start + length * SECOND).await;
    }
    record(&catalog, other, DAY, DAY + SECOND).await;
    let mut seen = Vec::new();
    loop {
        let page = catalog.whole_segments_of(mine, seen.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let starts: Vec<i64> = seen.iter().map(|row| (row.start_us - DAY) / (10 * SECOND)).collect();
    assert_eq!(starts, [1, 2, 3, 4, 5, 5, 5, 5]);
    assert_eq!(seen.iter().map(|row| row.id).collect::<HashSet<_>>().len(), 8, "each once");
    let asked = [seen[0].id, Uuid::nil(), seen[4].id];
    let known = catalog.known_segments(&asked).await.unwrap();
    assert_eq!(known, HashSet::from([seen[0].id, seen[4].id]));
}

databases::on_every_engine![
    what_footage_names_is_created_once_and_never_changed,
    the_segments_of_a_channel_are_walked_in_order_of_time_by_pages,
];
