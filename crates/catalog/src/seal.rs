//! Secrets of the catalog, sealed with a key that does not lie in it: whoever has a copy of the database, a dump or a backup of
//! it, and not the key, learns none of them.
//!
//! Sealed are the addresses of relay targets, which have the keys that targets gave, and the secrets that sign addresses and key codes. Stream keys
//! are kept as hashes and need no seal.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a nonce by chance; what a value belongs to (table and row) is authenticated with it, so that
//! no row can be given another's. `key.check` among the settings says that a catalog is sealed, and with which key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};

use crate::Catalog;
use crate::engine::Engine;
use crate::entity::{relay_target, setting, slot_code};
use crate::error::CatalogError;
use crate::keys::hex;

/// Bytes in a key.
const KEY_BYTES: usize = 32;

/// What a sealed text begins with; no address of a relay target does.
const SEALED: &str = "sealed1:";

/// The setting that says with which key.
const CHECK: &str = "key.check";

/// What is sealed in it.
const CHECK_TEXT: &[u8] = b"turepe catalog key";

/// Settings that are sealed begin with it.
pub(crate) const SECRET_PREFIX: &str = "secret.";

/// A catalog's key. Cloning it is cheap; it prints as nothing.
#[derive(Clone)]
pub struct CatalogKey(Arc<LessSafeKey>);

impl CatalogKey {
    /// A new one and its text, by which [`CatalogKey::parse`] knows it.
    ///
    /// # Errors
    ///
    /// When the machine has no chance to give.
    pub fn generate() -> Result<(Self, String), CatalogError> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok((Self::of(&bytes)?, hex(&bytes)))
    }

    /// The key of a text of 64 hexadecimal digits; [`None`] for any other one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * KEY_BYTES {
            return None;
        }
        let mut bytes = [0; KEY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Self::of(&bytes).ok()
    }

    fn of(bytes: &[u8; KEY_BYTES]) -> Result<Self, CatalogError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).map_err(|_| CatalogError::WrongKey)?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    fn seal(&self, what: &str, text: &[u8]) -> Result<Vec<u8>, CatalogError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut sealed = text.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(what.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| CatalogError::Corrupt {
                what: "secret",
                reason: format!("{what} cannot be sealed"),
            })?;
        let mut whole = nonce.to_vec();
        whole.append(&mut sealed);
        Ok(whole)
    }

    fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self.0.open_in_place(nonce, Aad::from(what.as_bytes()), &mut text).ok()?.len();
        text.truncate(len);
        Some(text)
    }
}

impl fmt::Debug for CatalogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CatalogKey")
    }
}

/// How a handle stands to the secrets of its catalog.
#[derive(Clone, Debug)]
pub(crate) enum Seal {
    /// They are not sealed: nobody has come with a key yet.
    Open,
    /// They are, and the key is not at hand.
    Locked,
    /// They are, with this key.
    With(CatalogKey),
}

impl Seal {
    /// What is to be stored in the place of a text.
    pub(crate) fn close(&self, what: &str, text: &str) -> Result<String, CatalogError> {
        match self {
            Self::Open => Ok(text.to_owned()),
            Self::Locked => Err(CatalogError::KeyNeeded),
            Self::With(key) => {
                Ok(format!("{SEALED}{}", BASE64_STANDARD_NO_PAD.encode(key.seal(what, text.as_bytes())?)))
            }
        }
    }

    /// The text that was stored.
    pub(crate) fn open(&self, what: &str, stored: &str) -> Result<String, CatalogError> {
        let Some(sealed) = stored.strip_prefix(SEALED) else { return Ok(stored.to_owned()) };
        let Self::With(key) = self else { return Err(CatalogError::KeyNeeded) };
        let text = BASE64_STANDARD_NO_PAD.decode(sealed).ok().and_then(|sealed| key.open(what, &sealed));
        text.and_then(|text| String::from_utf8(text).ok()).ok_or_else(|| not_ours(what))
    }

    /// As [`Seal::close`], for bytes.
    pub(crate) fn close_bytes(&self, what: &str, bytes: &[u8]) -> Result<Vec<u8>, CatalogError> {
        match self {
            Self::Open => Ok(bytes.to_vec()),
            Self::Locked => Err(CatalogError::KeyNeeded),
            Self::With(key) => Ok([SEALED.as_bytes(), &key.seal(what, bytes)?].concat()),
        }
    }

    /// As [`Seal::open`], for bytes.
    pub(crate) fn open_bytes(&self, what: &str, stored: &[u8]) -> Result<Vec<u8>, CatalogError> {
        let Some(sealed) = stored.strip_prefix(SEALED.as_bytes()) else { return Ok(stored.to_vec()) };
        let Self::With(key) = self else { return Err(CatalogError::KeyNeeded) };
        key.open(what, sealed).ok_or_else(|| not_ours(what))
    }
}

fn not_ours(what: &str) -> CatalogError {
    CatalogError::Corrupt { what: "secret", reason: format!("{what} was not sealed with this catalog's key") }
}

/// What a relay target's address belongs to.
pub(crate) fn of_target(id: uuid::Uuid) -> String {
    format!("relay_targets/{id}")
}

/// What a setting belongs to.
pub(crate) fn of_setting(name: &str) -> String {
    format!("settings/{name}")
}

/// How a catalog is, without a key.
pub(crate) async fn look(engine: &Engine) -> Result<Seal, CatalogError> {
    let check = setting::Entity::find_by_id(CHECK).one(engine.reader()).await?;
    Ok(if check.is_some() { Seal::Locked } else { Seal::Open })
}

impl Catalog {
    /// Whether the secrets of this catalog are sealed and this handle has not their key: it can do everything else.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self.seal, Seal::Locked)
    }

    /// The same catalog with the key of its secrets. Where they are not sealed yet, they are from now on, with this one: what
    /// was stored in the clear is sealed, and does not stay behind in the file of an SQLite database.
    ///
    /// # Errors
    ///
    /// [`CatalogError::WrongKey`] where they are sealed with another one.
    pub async fn unlocked(self, key: CatalogKey) -> Result<Self, CatalogError> {
        let seal = Seal::With(key);
        let check = of_setting(CHECK);
        let is_ours = |stored: &setting::Model| {
            seal.open_bytes(&check, &stored.content).is_ok_and(|text| text == CHECK_TEXT)
        };
        let known = setting::Entity::find_by_id(CHECK).one(self.engine.reader()).await?;
        match known {
            Some(stored) if is_ours(&stored) => return Ok(Self { seal, ..self }),
            Some(_) => return Err(CatalogError::WrongKey),
            None => {}
        }
        let mark = seal.close_bytes(&check, CHECK_TEXT)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let is_sqlite = self.engine.backend() == DbBackend::Sqlite;
            if is_sqlite {
                // What a page held before is written over with zeros (https://www.sqlite.org/pragma.html#pragma_secure_delete).
                transaction.execute_unprepared("PRAGMA secure_delete = ON").await?;
            }
            let row = setting::ActiveModel { name: Set(CHECK.to_owned()), content: Set(mark.clone()) };
            let keep =
                OnConflict::column(setting::Column::Name).do_nothing_on([setting::Column::Name]).to_owned();
            setting::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
            // Another node may have been quicker, with its own key: that one counts.
            let stored = setting::Entity::find_by_id(CHECK).one(&transaction).await?;
            if !stored.as_ref().is_some_and(is_ours) {
                return Err(CatalogError::WrongKey);
            }
            for target in relay_target::Entity::find().all(&transaction).await? {
                if target.url.starts_with(SEALED) {
                    continue;
                }
                let url = seal.close(&of_target(target.id), &target.url)?;
                let mut changed = target.into_active_model();
                changed.url = Set(url);
                relay_target::Entity::update(changed).exec(&transaction).await?;
            }
            let secrets = setting::Entity::find().filter(setting::Column::Name.starts_with(SECRET_PREFIX));
            for secret in secrets.all(&transaction).await? {
                if secret.content.starts_with(SEALED.as_bytes()) {
                    continue;
                }
                let content = seal.close_bytes(&of_setting(&secret.name), &secret.content)?;
                let mut changed = secret.into_active_model();
                changed.content = Set(content);
                setting::Entity::update(changed).exec(&transaction).await?;
            }
            if is_sqlite {
                transaction.execute_unprepared("PRAGMA secure_delete = OFF").await?;
            }
            Ok(transaction.commit().await?)
        })
        .await?;
        tracing::info!("the secrets in the catalog are sealed");
        self.engine.forget_log().await?;
        Ok(Self { seal, ..self })
    }

    /// Gives up what is sealed, where its key is lost: relay targets go, and codes of matches, which nothing opens any more; the secrets
    /// that sign addresses are made again, so those that were handed out end. Links are kept as hashes, and stay. Who comes next seals with
    /// a key of his own. How many relay targets there were.
    pub async fn forget_sealed(&self) -> Result<u64, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let sealed = relay_target::Entity::delete_many()
                .filter(relay_target::Column::Url.starts_with(SEALED))
                .exec(&transaction)
                .await?;
            setting::Entity::delete_many()
                .filter(setting::Column::Name.starts_with(SECRET_PREFIX))
                .exec(&transaction)
                .await?;
            setting::Entity::delete_by_id(CHECK).exec(&transaction).await?;
            slot_code::Entity::delete_many().exec(&transaction).await?;
            transaction.commit().await?;
            Ok(sealed.rows_affected)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_and_nowhere_else() {
        let (key, text) = CatalogKey::generate().unwrap();
        let seal = Seal::With(key);
        let sealed = seal.close("relay_targets/1", "rtmp://a/live/topsecret").unwrap();
        assert!(sealed.starts_with(SEALED) && !sealed.contains("topsecret"));
        assert_ne!(
            sealed,
            seal.close("relay_targets/1", "rtmp://a/live/topsecret").unwrap(),
            "no two are alike"
        );
        let again = Seal::With(CatalogKey::parse(&format!(" {text}\n")).unwrap());
        assert_eq!(again.open("relay_targets/1", &sealed).unwrap(), "rtmp://a/live/topsecret");
        assert!(again.open("relay_targets/2", &sealed).is_err(), "another row's");
        assert!(Seal::With(CatalogKey::generate().unwrap().0).open("relay_targets/1", &sealed).is_err());
        assert!(matches!(Seal::Locked.open("relay_targets/1", &sealed), Err(CatalogError::KeyNeeded)));
        for damaged in [&sealed[..sealed.len() - 2], "sealed1:", "sealed1:***"] {
            assert!(seal.open("relay_targets/1", damaged).is_err(), "{damaged}");
        }
        // From before there was a key.
        assert_eq!(seal.open("relay_targets/1", "rtmp://a/live/k").unwrap(), "rtmp://a/live/k");
        for wrong in ["", "abc", &text[1..], &text.replace(&text[..1], "g")] {
            assert!(CatalogKey::parse(wrong).is_none(), "{wrong}");
        }
        // The longest address fits into its column.
        let longest =
            seal.close(&of_target(uuid::Uuid::nil()), &"x".repeat(crate::MAX_RELAY_URL_BYTES)).unwrap();
        assert!(longest.len() <= crate::migration::SEALED_URL_LEN as usize, "{}", longest.len());
    }
}
