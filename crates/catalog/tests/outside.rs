//! Channels whose ids and keys are somebody else's.

use turepe_catalog::{Catalog, NewChannel, Source};
use uuid::Uuid;

#[tokio::test]
async fn a_channel_from_outside_is_created_once_and_has_no_key_of_ours() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let id = Uuid::from_u128(7);
    let mut asking = Vec::new();
    for n in 0..8 {
        let catalog = catalog.clone();
        asking.push(tokio::spawn(async move {
            catalog.ensure_outside_channel(id, &format!("Outside {n}")).await
        }));
    }
    let mut routes = Vec::new();
    for asked in asking {
        routes.push(asked.await.unwrap().unwrap());
    }
    assert!(routes.iter().all(|route| *route == routes[0]), "all were given the same channel");
    assert_eq!(routes[0].channel.id, id);
    assert_eq!((routes[0].channel.court_id, &routes[0].channel.source), (None, &Source::Push));
    assert_eq!(catalog.channels().await.unwrap().len(), 1);
    assert_eq!(catalog.channel_by_key("").await.unwrap(), None);

    catalog.rename_channel(id, "Court 1").await.unwrap();
    assert_eq!(catalog.ensure_outside_channel(id, "Outside").await.unwrap().channel.name, "Court 1");
}

#[tokio::test]
async fn a_channel_of_ours_with_that_id_stays_as_it_is() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let new = NewChannel { court_id: None, name: "Ours".into(), source: Source::Push };
    let (channel, key) = catalog.create_channel(new).await.unwrap();
    let route = catalog.ensure_outside_channel(channel.id, "Outside").await.unwrap();
    assert_eq!(route.channel, channel);
    assert_eq!(catalog.channel_by_key(&key.unwrap()).await.unwrap().unwrap().channel, channel);
}
