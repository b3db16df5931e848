//! Where else channels go, on every engine.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use databases::Home;
use turepe_catalog::{
    CatalogError, InvalidInput, Kind, MAX_RELAY_TARGETS_PER_CHANNEL, NewChannel, NewRelayTarget, Source,
};
use uuid::Uuid;

mod common;
use common::catalog;

async fn targets_come_and_go_with_their_channel(home: Home) {
    let catalog = catalog(&home).await;
    let new = |name: &str| NewChannel { court_id: None, name: name.into(), source: Source::Push };
    let one = catalog.create_channel(new("one")).await.unwrap().0.id;
    let two = catalog.create_channel(new("two")).await.unwrap().0.id;
    let target = |channel_id, name: Option<&str>, url: &str| NewRelayTarget {
        channel_id,
        name: name.map(str::to_owned),
        url: url.into(),
    };
    let named =
        catalog.add_relay_target(target(one, Some(" Big screen "), "rtmps://a.example/app/topsecret?x=1"));
    let named = named.await.unwrap();
    assert_eq!((named.name.as_deref(), named.url.key.expose()), (Some("Big screen"), "topsecret?x=1"));
    assert!(!format!("{named:?}").contains("topsecret"));
    let plain = catalog.add_relay_target(target(two, None, "rtmp://b.example:1936/live/k")).await.unwrap();
    // By channel, whose ids of one millisecond are in no order.
    let all = catalog.relay_targets().await.unwrap();
    assert!(all.len() == 2 && all.contains(&named) && all.contains(&plain), "{all:?}");
    assert_eq!(catalog.relay_targets_of(one).await.unwrap(), std::slice::from_ref(&named));

    let nowhere = catalog.add_relay_target(target(Uuid::nil(), None, "rtmp://a/live/k")).await;
    assert!(matches!(nowhere, Err(CatalogError::NotFound(Kind::Channel))), "{nowhere:?}");
    let wrong = catalog.add_relay_target(target(one, None, "rtmp://topsecret")).await.unwrap_err();
    assert!(matches!(wrong, CatalogError::Invalid(InvalidInput::RelayUrl(_))));
    assert!(!wrong.to_string().contains("topsecret"), "{wrong}");
    for number in 1..MAX_RELAY_TARGETS_PER_CHANNEL {
        catalog.add_relay_target(target(one, None, &format!("rtmp://a/live/{number}"))).await.unwrap();
    }
    let full = catalog.add_relay_target(target(one, None, "rtmp://a/live/k")).await;
    assert!(matches!(full, Err(CatalogError::Invalid(InvalidInput::TooManyRelayTargets))), "{full:?}");

    catalog.remove_relay_target(named.id).await.unwrap();
    let again = catalog.remove_relay_target(named.id).await;
    assert!(matches!(again, Err(CatalogError::NotFound(Kind::RelayTarget))), "{again:?}");
    catalog.remove_channel(one).await.unwrap();
    assert_eq!(catalog.relay_targets().await.unwrap(), [plain]);
}

databases::on_every_engine![targets_come_and_go_with_their_channel];
