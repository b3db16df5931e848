//! Where else channels go: the servers that single channels are relayed to. Those of all channels are a setting.

use std::fmt;

use media::rtmp::{RtmpUrl, UrlError};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::entity::relay_target;
use crate::error::{CatalogError, InvalidInput, Kind};
use crate::seal::{Seal, of_target};
use crate::{Catalog, validate};

/// Targets of one channel.
pub const MAX_RELAY_TARGETS_PER_CHANNEL: u64 = 16;

/// Longest address of a target.
pub const MAX_RELAY_URL_BYTES: usize = 2048;

/// Targets that are read at a time: more than there are of all channels that one node can relay.
const MAX_READ: u64 = 10_000;

/// A server that a channel is relayed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayTarget {
    /// Its id.
    pub id: Uuid,
    /// The channel.
    pub channel_id: Uuid,
    /// What people call it.
    pub name: Option<String>,
    /// Where it is. Its key is a secret, and prints as none.
    pub url: RtmpUrl,
    /// When it was added, UTC microseconds.
    pub created_us: i64,
}

/// A target to be added.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRelayTarget {
    /// The channel.
    pub channel_id: Uuid,
    /// 1 to 200 characters.
    pub name: Option<String>,
    /// `rtmp://host[:port]/app/key` or `rtmps://…`, as the target gave it.
    pub url: String,
}

impl fmt::Debug for NewRelayTarget {
    /// Without the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRelayTarget").field("channel_id", &self.channel_id).finish_non_exhaustive()
    }
}

fn read(seal: &Seal, model: relay_target::Model) -> Result<RelayTarget, CatalogError> {
    let relay_target::Model { id, channel_id, name, url, created_us } = model;
    let url = seal.open(&of_target(id), &url)?;
    let url = RtmpUrl::parse(&url)
        .map_err(|error| CatalogError::Corrupt { what: "relay target", reason: format!("{id}: {error}") })?;
    Ok(RelayTarget { id, channel_id, name, url, created_us })
}

impl Catalog {
    /// Adds a target to a channel.
    pub async fn add_relay_target(&self, new: NewRelayTarget) -> Result<RelayTarget, CatalogError> {
        let id = self.new_id();
        let model = relay_target::Model {
            id,
            channel_id: new.channel_id,
            name: new.name.as_deref().map(validate::name).transpose()?,
            url: self.seal.close(&of_target(id), &relay_url(&new.url)?)?,
            created_us: self.now_us(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            let there = of_channel(new.channel_id).count(&transaction).await?;
            if there >= MAX_RELAY_TARGETS_PER_CHANNEL {
                return Err(InvalidInput::TooManyRelayTargets.into());
            }
            relay_target::Entity::insert(relay_target::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Channel))?;
            Ok(transaction.commit().await?)
        })
        .await?;
        read(&self.seal, model)
    }

    /// Removes a target.
    pub async fn remove_relay_target(&self, id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = relay_target::Entity::delete_by_id(id).exec(&transaction).await?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::RelayTarget)) } else { Ok(()) }
        })
        .await
    }

    /// The targets of a channel, oldest first.
    pub async fn relay_targets_of(&self, channel_id: Uuid) -> Result<Vec<RelayTarget>, CatalogError> {
        let models = of_channel(channel_id).all(self.engine.reader()).await?;
        models.into_iter().map(|model| read(&self.seal, model)).collect()
    }

    /// The targets of all channels, oldest first.
    pub async fn relay_targets(&self) -> Result<Vec<RelayTarget>, CatalogError> {
        let models = all().all(self.engine.reader()).await?;
        models.into_iter().map(|model| read(&self.seal, model)).collect()
    }
}

fn of_channel(channel_id: Uuid) -> Select<relay_target::Entity> {
    let targets = relay_target::Entity::find().filter(relay_target::Column::ChannelId.eq(channel_id));
    targets.order_by_asc(relay_target::Column::Id)
}

fn all() -> Select<relay_target::Entity> {
    relay_target::Entity::find().order_by_asc(relay_target::Column::Id).limit(MAX_READ)
}

/// The address of a target, as it will be stored.
fn relay_url(url: &str) -> Result<String, InvalidInput> {
    let refuse = |reason: &str| Err(InvalidInput::RelayUrl(reason.to_owned()));
    let url = url.trim();
    if url.len() > MAX_RELAY_URL_BYTES {
        return refuse("this one is too long");
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse("there are spaces or control characters in this one");
    }
    match RtmpUrl::parse(url) {
        Ok(_) => Ok(url.to_owned()),
        Err(UrlError::Path) => {
            refuse("the address must end in /application/key, the key that the target gave")
        }
        Err(error) => refuse(&error.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn queries(channel_id: Uuid) -> [Select<relay_target::Entity>; 2] {
        [of_channel(channel_id), all()]
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_it() {
        for good in ["rtmp://a/live/k", "rtmps://a:443/app/x/key?token=a,b"] {
            assert_eq!(relay_url(&format!(" {good} ")).as_deref(), Ok(good));
        }
        let long = format!("rtmp://a/live/{}", "topsecret".repeat(300));
        for bad in
            ["", "topsecret", "http://a/topsecret", "rtmp://a/live/top secret", "rtmp://a/topsecret", &long]
        {
            let error = relay_url(bad).unwrap_err().to_string();
            assert!(!error.contains("topsecret") && error.contains("rtmp://host:1935/app/key"), "{error}");
        }
        let new =
            NewRelayTarget { channel_id: Uuid::nil(), name: None, url: "rtmp://a/live/topsecret".into() };
        assert!(!format!("{new:?}").contains("topsecret"));
    }
}
