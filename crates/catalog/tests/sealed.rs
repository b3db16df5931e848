//! Secrets that the database does not give away, on every engine.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::path::Path;

use databases::{Engine, Home};
use turepe_catalog::{
    Catalog, CatalogError, CatalogKey, DatabaseOptions, MAX_RELAY_URL_BYTES, NewChannel, NewRelayTarget,
    NewSlotCode, Source, copy,
};
use uuid::Uuid;

mod common;
use common::{catalog, new_club};

/// What no copy of a database is to hold.
const KEY: &str = "the-key-that-the-target-gave";

fn key() -> (CatalogKey, String) {
    CatalogKey::generate().unwrap()
}

async fn channel(catalog: &Catalog) -> Uuid {
    let new = NewChannel { court_id: None, name: "one".into(), source: Source::Push };
    catalog.create_channel(new).await.unwrap().0.id
}

fn target(channel_id: Uuid) -> NewRelayTarget {
    let url = format!("rtmps://target.example/live/{KEY}");
    // As long as they may be: sealed, it fits into its column.
    let url = format!("{url}{}", "x".repeat(MAX_RELAY_URL_BYTES - url.len()));
    NewRelayTarget { channel_id, name: None, url }
}

/// Whether a text is anywhere in an SQLite file, its log and its index.
fn is_in(database: &Path, bytes: &[u8]) -> bool {
    ["", "-wal", "-shm"].iter().any(|end| {
        let file = format!("{}{end}", database.display());
        std::fs::read(file).is_ok_and(|all| all.windows(bytes.len()).any(|window| window == bytes))
    })
}

/// Whether a text is in a dump of a database: everything that is in it, copied into a file.
async fn is_told(home: &Home, bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    let to = DatabaseOptions::new(format!("sqlite:{}", file.display()));
    copy(&DatabaseOptions::new(home.url.as_str()), &to, &mut |_| {}).await.unwrap();
    is_in(&file, bytes)
}

async fn secrets_are_sealed_and_what_was_in_the_clear_is_too(home: Home) {
    let before = catalog(&home).await;
    assert!(!before.is_locked());
    let one = channel(&before).await;
    let old = before.add_relay_target(target(one)).await.unwrap();
    let secret = before.secret("media").await.unwrap();
    assert!(is_told(&home, KEY.as_bytes()).await && is_told(&home, &secret).await, "the search is broken");
    before.close().await.unwrap();

    let (key, text) = key();
    let sealed = catalog(&home).await.unlocked(key).await.unwrap();
    assert!(!is_told(&home, KEY.as_bytes()).await && !is_told(&home, &secret).await);
    if home.engine == Engine::Sqlite {
        let file = home.url.trim_start_matches("sqlite:").split('?').next().unwrap().to_owned();
        assert!(Path::new(&file).exists(), "{file}");
        assert!(!is_in(Path::new(&file), KEY.as_bytes()), "nothing stays behind in pages or log");
        assert!(!is_in(Path::new(&file), &secret));
    }
    // For who has the key, all is as it was.
    assert_eq!(sealed.relay_targets().await.unwrap(), std::slice::from_ref(&old));
    assert_eq!(sealed.secret("media").await.unwrap(), secret);
    let new = sealed.add_relay_target(target(one)).await.unwrap();
    let other = sealed.secret("other").await.unwrap();
    assert!(!is_told(&home, KEY.as_bytes()).await && !is_told(&home, &other).await);
    sealed.close().await.unwrap();

    let again = catalog(&home).await;
    assert!(again.is_locked());
    let again = again.unlocked(CatalogKey::parse(&text).unwrap()).await.unwrap();
    assert_eq!(again.relay_targets_of(one).await.unwrap(), [old, new]);
    assert_eq!((again.secret("media").await.unwrap(), again.secret("other").await.unwrap()), (secret, other));
}

async fn without_its_key_a_catalog_does_all_but_its_secrets(home: Home) {
    let sealed = catalog(&home).await.unlocked(key().0).await.unwrap();
    let one = channel(&sealed).await;
    sealed.add_relay_target(target(one)).await.unwrap();
    sealed.secret("media").await.unwrap();
    let sur = sealed.create_club(new_club("sur")).await.unwrap();
    let court = sealed.create_court(sur.id, "central", "Central").await.unwrap().id;
    let code = NewSlotCode { court_id: court, start_us: 0, end_us: 1, expires_us: i64::MAX };
    sealed.create_slot_code(code).await.unwrap();
    sealed.close().await.unwrap();

    let wrong = catalog(&home).await.unlocked(key().0).await;
    assert!(matches!(wrong, Err(CatalogError::WrongKey)), "{wrong:?}");
    let locked = catalog(&home).await;
    locked.create_club(new_club("norte")).await.unwrap();
    assert_eq!(locked.channels().await.unwrap().len(), 1);
    for refused in [
        locked.relay_targets().await.map(|_| ()),
        locked.add_relay_target(target(one)).await.map(|_| ()),
        locked.secret("media").await.map(|_| ()),
        locked.secret("another").await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(CatalogError::KeyNeeded)), "{refused:?}");
    }
    // The way out, where the key is lost.
    assert!(locked.slot_code(court, 0).await.unwrap().is_some());
    assert_eq!(locked.forget_sealed().await.unwrap(), 1);
    assert!(locked.slot_code(court, 0).await.unwrap().is_none(), "a code that nothing opens any more");
    locked.close().await.unwrap();
    let anew = catalog(&home).await.unlocked(key().0).await.unwrap();
    assert_eq!(anew.relay_targets().await.unwrap(), []);
    anew.secret("media").await.unwrap();
    assert_eq!((anew.clubs().await.unwrap().len(), anew.channels().await.unwrap().len()), (2, 1));
}

/// Two nodes start at once, and each has made a key: one counts.
async fn of_two_that_seal_at_once_one_is_told_that_its_key_is_not_the_one(home: Home) {
    let (a, b) = (catalog(&home).await, catalog(&home).await);
    let (a, b) = tokio::join!(a.unlocked(key().0), b.unlocked(key().0));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    let loser = a.err().or(b.err()).unwrap();
    assert!(matches!(loser, CatalogError::WrongKey), "{loser:?}");
}

databases::on_every_engine![
    secrets_are_sealed_and_what_was_in_the_clear_is_too,
    without_its_key_a_catalog_does_all_but_its_secrets,
    of_two_that_seal_at_once_one_is_told_that_its_key_is_not_the_one
];
