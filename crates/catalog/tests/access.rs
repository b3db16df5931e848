//! Who may watch: policies, links, codes and attempts, on every database.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

mod common;

use access::{Limit, PassKind, Policy, Range, Scope};
use common::{DAY, SECOND, catalog, channel, new_club};
use databases::Home;
use std::sync::Arc;
use turepe_catalog::{
    Catalog, CatalogError, DatabaseOptions, InvalidInput, Kind, NewChannel, NewSlotCode, NewViewingLink,
    Source,
};
use uuid::Uuid;
use world::{Clock as _, SimulatedClock};

async fn at(home: &Home, now_us: i64) -> (Catalog, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new(now_us));
    let options = DatabaseOptions::new(home.url.as_str());
    (Catalog::open_with(&options, Arc::clone(&clock) as _).await.unwrap(), clock)
}

async fn policies_are_of_clubs(home: Home) {
    let catalog = catalog(&home).await;
    let (club, channel, _) = channel(&catalog).await;
    assert_eq!(club.access, Policy::Open);
    let shut = catalog.create_club_with(new_club("sur"), Policy::Code).await.unwrap();
    assert_eq!(catalog.club_by_slug("sur").await.unwrap().unwrap().access, Policy::Code);
    catalog.set_access(club.id, Policy::Link).await.unwrap();
    // The same again is no error, on MySQL neither.
    catalog.set_access(club.id, Policy::Link).await.unwrap();
    let place = catalog.channel_place(channel.id).await.unwrap().unwrap();
    assert_eq!(
        (place.policy, place.place.club, place.place.court),
        (Some(Policy::Link), Some(club.id), channel.court_id)
    );
    let alone = NewChannel { court_id: None, name: "Alone".into(), source: Source::Push };
    let (alone, _) = catalog.create_channel(alone).await.unwrap();
    let place = catalog.channel_place(alone.id).await.unwrap().unwrap();
    assert_eq!((place.policy, place.place), (None, access::Place::default()));
    assert_eq!(catalog.channel_place(Uuid::nil()).await.unwrap(), None);
    assert_eq!(catalog.channel_places().await.unwrap().len(), 2);
    assert_eq!(
        catalog.clubs().await.unwrap().into_iter().map(|club| club.access).collect::<Vec<_>>(),
        [Policy::Link, Policy::Code]
    );
    let missing = catalog.set_access(Uuid::nil(), Policy::Open).await;
    assert!(matches!(missing, Err(CatalogError::NotFound(Kind::Club))));
    assert_ne!(shut.id, club.id);
}

async fn links_are_handed_out_and_taken_back(home: Home) {
    let (catalog, clock) = at(&home, DAY).await;
    let (club, channel, _) = channel(&catalog).await;
    let range = Range { from_us: DAY, to_us: DAY + 90 * SECOND };
    for scope in [Scope::All, Scope::Live { from_us: DAY }, Scope::Range(range)] {
        clock.advance(SECOND);
        let new = NewViewingLink {
            club_id: club.id,
            court_id: channel.court_id,
            scope,
            note: Some(" For Ana ".into()),
            expires_us: DAY + 1_000 * SECOND,
        };
        let (link, token) = catalog.create_link(new).await.unwrap();
        assert_eq!((link.scope, link.note.as_deref()), (scope, Some("For Ana")));
        assert_eq!(catalog.link_by_token(&token).await.unwrap(), Some(link.clone()));
        assert_eq!(catalog.link(link.id).await.unwrap(), Some(link.clone()));
        let grant = link.grant();
        assert_eq!((grant.pass.kind, grant.scope, grant.is_revoked), (PassKind::Link, scope, false));
    }
    let links = catalog.links(club.id).await.unwrap();
    assert_eq!(links.len(), 3);
    assert!(links.is_sorted_by_key(|link| -link.created_us));
    let revoked = catalog.revoke_link(links[0].id).await.unwrap();
    assert!(revoked.grant().is_revoked);
    clock.advance(SECOND);
    // When it was taken back stays.
    assert_eq!(catalog.revoke_link(links[0].id).await.unwrap(), revoked);
    assert!(matches!(catalog.revoke_link(Uuid::nil()).await, Err(CatalogError::NotFound(Kind::ViewingLink))));
    for token in ["", "x", &"x".repeat(10_000)] {
        assert_eq!(catalog.link_by_token(token).await.unwrap(), None);
    }
    let new =
        NewViewingLink { club_id: club.id, court_id: None, scope: Scope::All, note: None, expires_us: DAY };
    let past = catalog.create_link(new.clone()).await;
    assert!(matches!(past, Err(CatalogError::Invalid(InvalidInput::LinkRange))));
    let nobody = NewViewingLink { club_id: Uuid::nil(), expires_us: 2 * DAY, ..new };
    assert!(matches!(catalog.create_link(nobody).await, Err(CatalogError::NotFound(Kind::Club))));
}

async fn a_slot_has_one_code(home: Home) {
    let (catalog, _) = at(&home, DAY).await;
    let (club, channel, _) = channel(&catalog).await;
    let court_id = channel.court_id.unwrap();
    let new = |start_us| NewSlotCode {
        court_id,
        start_us,
        end_us: start_us + 90 * SECOND,
        expires_us: DAY + SECOND,
    };
    let (first, old) = catalog.create_slot_code(new(7)).await.unwrap();
    let (second, code) = catalog.create_slot_code(new(7)).await.unwrap();
    let (other, _) = catalog.create_slot_code(new(9)).await.unwrap();
    for typed in [code.clone(), code.to_lowercase(), code.replace('-', " ")] {
        assert_eq!(catalog.match_slot_code(court_id, 7, &typed).await.unwrap(), Some(second.clone()));
    }
    for (start_us, typed) in [(7, old.as_str()), (9, &code), (8, &code), (7, ""), (7, "AAAAAA")] {
        assert_eq!(catalog.match_slot_code(court_id, start_us, typed).await.unwrap(), None, "{start_us}");
    }
    assert!(!second.verifier.to_uppercase().contains(&code.replace('-', "")));
    assert_eq!(catalog.slot_code(court_id, 7).await.unwrap(), Some(second.clone()));
    assert_eq!(catalog.slot_code_by_id(first.id).await.unwrap(), None, "the first is gone");
    assert_eq!(catalog.slot_code_by_id(second.id).await.unwrap(), Some((second.clone(), club.id)));
    assert_eq!(catalog.slot_codes(court_id, 7, 9).await.unwrap(), [second]);
    assert_eq!(catalog.slot_codes(court_id, 0, 100).await.unwrap().len(), 2);
    catalog.revoke_slot_code(other.id).await.unwrap();
    assert_eq!(catalog.slot_code(court_id, 9).await.unwrap(), None);
    assert!(matches!(catalog.revoke_slot_code(other.id).await, Err(CatalogError::NotFound(Kind::SlotCode))));
    let nobody = NewSlotCode { court_id: Uuid::nil(), ..new(7) };
    assert!(matches!(catalog.create_slot_code(nobody).await, Err(CatalogError::NotFound(Kind::Court))));
}

async fn attempts_are_counted_by_whoever_asks(home: Home) {
    let limit = Limit { failures: 3, window_us: 100 * SECOND };
    let wide = Limit { failures: 5, window_us: 100 * SECOND };
    let subjects = |slot: &str| [("address".to_owned(), wide), (slot.to_owned(), limit)];
    let (first, clock) = at(&home, DAY).await;
    assert_eq!(first.count_attempt(&subjects("slot")).await.unwrap(), Ok(()));
    assert_eq!(first.count_attempt(&subjects("slot")).await.unwrap(), Ok(()));
    first.close().await.unwrap();
    // A restart forgets nothing.
    let (second, later) = at(&home, clock.now_us() + SECOND).await;
    assert_eq!(second.count_attempt(&subjects("slot")).await.unwrap(), Ok(()));
    assert_eq!(second.count_attempt(&subjects("slot")).await.unwrap(), Err(DAY + 100 * SECOND));
    // What was refused counted nowhere: the address has two left.
    assert_eq!(second.count_attempt(&subjects("another")).await.unwrap(), Ok(()));
    assert_eq!(second.count_attempt(&subjects("third")).await.unwrap(), Ok(()));
    assert_eq!(second.count_attempt(&subjects("fourth")).await.unwrap(), Err(DAY + 100 * SECOND));
    second.forgive_attempt(&["address".to_owned(), "nobody".to_owned()]).await.unwrap();
    assert_eq!(second.count_attempt(&subjects("fourth")).await.unwrap(), Ok(()));
    second.forget_attempts("slot").await.unwrap();
    second.forgive_attempt(&["address".to_owned()]).await.unwrap();
    assert_eq!(second.count_attempt(&subjects("slot")).await.unwrap(), Ok(()));
    later.advance(100 * SECOND);
    assert_eq!(second.count_attempt(&subjects("slot")).await.unwrap(), Ok(()), "the window is over");
}

/// As many at once as there are, and no more than the limit come through.
async fn attempts_at_once_are_as_many_as_one_after_the_other(home: Home) {
    let limit = Limit { failures: 3, window_us: 100 * SECOND };
    let catalog = catalog(&home).await;
    let tries = (0..8).map(|_| {
        let catalog = catalog.clone();
        tokio::spawn(async move { catalog.count_attempt(&[("slot".to_owned(), limit)]).await })
    });
    let mut let_through = 0;
    for attempt in tries.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(Ok(())) => let_through += 1,
            Ok(Err(_)) | Err(CatalogError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..=3).contains(&let_through), "{let_through}");
}

databases::on_every_engine![
    policies_are_of_clubs,
    links_are_handed_out_and_taken_back,
    a_slot_has_one_code,
    attempts_are_counted_by_whoever_asks,
    attempts_at_once_are_as_many_as_one_after_the_other,
];
