//! Channels and their stream keys.

use std::fmt;

use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    RelationTrait as _, Select, SqlErr,
};
use uuid::Uuid;

use crate::entity::{channel, club, court};
use crate::error::{CatalogError, InvalidInput, Kind};
use crate::{Catalog, keys, validate};

/// Longest camera address.
pub const MAX_PULL_URL_BYTES: usize = 2048;

/// Where a channel's video comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A publisher brings it and shows a stream key.
    Push,
    /// It is fetched from a camera at this RTSP address, which may hold a password: never log it.
    Pull(String),
}

impl fmt::Debug for Source {
    /// Without the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Push => "Push",
            Self::Pull(_) => "Pull(***)",
        })
    }
}

/// One stream of video of a court, or of none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its id.
    pub id: Uuid,
    /// The court it shows.
    pub court_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Where its video comes from.
    pub source: Source,
    /// When it was created, UTC microseconds.
    pub created_us: i64,
}

/// A channel to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewChannel {
    /// The court it shows.
    pub court_id: Option<Uuid>,
    /// 1 to 200 characters.
    pub name: String,
    /// Where its video comes from.
    pub source: Source,
}

/// A channel and where it belongs: what a publisher needs to be let in and filed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelRoute {
    /// The channel.
    pub channel: Channel,
    /// Slug of its club, where it has a court.
    pub club_slug: Option<String>,
    /// Slug of its court, where it has one.
    pub court_slug: Option<String>,
}

impl ChannelRoute {
    /// First part of the names of the channel's objects.
    #[must_use]
    pub fn object_prefix(&self) -> String {
        match (&self.club_slug, &self.court_slug) {
            (Some(club), Some(court)) => format!("{club}/{court}"),
            _ => "none/none".to_owned(),
        }
    }
}

impl TryFrom<channel::Model> for Channel {
    type Error = CatalogError;

    fn try_from(model: channel::Model) -> Result<Self, CatalogError> {
        let source = match (model.source.as_str(), model.pull_url) {
            ("push", _) => Source::Push,
            ("pull", Some(url)) => Source::Pull(url),
            _ => {
                let reason = format!("channel {} is neither pushed nor pulled", model.id);
                return Err(CatalogError::Corrupt { what: "channel", reason });
            }
        };
        Ok(Self {
            id: model.id,
            court_id: model.court_id,
            name: model.name,
            source,
            created_us: model.created_us,
        })
    }
}

impl Catalog {
    /// Creates a channel. A pushed one comes with its stream key, which cannot be asked for again.
    pub async fn create_channel(&self, new: NewChannel) -> Result<(Channel, Option<String>), CatalogError> {
        let name = validate::name(&new.name)?;
        let (key, source, pull_url) = match &new.source {
            Source::Push => (Some(keys::new_key()?), "push", None),
            Source::Pull(url) => (None, "pull", Some(pull_url(url)?)),
        };
        let model = channel::Model {
            id: self.new_id(),
            court_id: new.court_id,
            name,
            source: source.to_owned(),
            pull_url,
            key_hash: key.as_deref().and_then(keys::hash),
            created_us: self.now_us(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            channel::Entity::insert(channel::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Court))?;
            Ok(transaction.commit().await?)
        })
        .await?;
        Ok((model.try_into()?, key))
    }

    /// The channel of an id that somebody outside chose, with no stream key of ours: created at its first use, and as it is
    /// from then on.
    pub async fn ensure_outside_channel(&self, id: Uuid, name: &str) -> Result<ChannelRoute, CatalogError> {
        if let Some(route) = self.channel_route(id).await? {
            return Ok(route);
        }
        let model = channel::Model {
            id,
            court_id: None,
            name: validate::name(name)?,
            source: "push".to_owned(),
            pull_url: None,
            key_hash: None,
            created_us: self.now_us(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            let inserted = channel::Entity::insert(channel::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction);
            match inserted.await {
                Ok(_) => Ok(transaction.commit().await?),
                // Somebody was quicker: theirs is read below.
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        self.channel_route(id).await?.ok_or(CatalogError::NotFound(Kind::Channel))
    }

    /// The channels of a court, oldest first.
    pub async fn channels_of_court(&self, court_id: Uuid) -> Result<Vec<Channel>, CatalogError> {
        let models = channel::Entity::find()
            .filter(channel::Column::CourtId.eq(court_id))
            .order_by_asc(channel::Column::Id)
            .all(self.engine.reader())
            .await?;
        models.into_iter().map(Channel::try_from).collect()
    }

    /// All channels, oldest first.
    pub async fn channels(&self) -> Result<Vec<Channel>, CatalogError> {
        let models =
            channel::Entity::find().order_by_asc(channel::Column::Id).all(self.engine.reader()).await?;
        models.into_iter().map(Channel::try_from).collect()
    }

    /// All channels with where they belong, oldest first.
    pub async fn channel_routes(&self) -> Result<Vec<ChannelRoute>, CatalogError> {
        let rows = routes().order_by_asc(channel::Column::Id);
        let rows = rows.into_model::<RouteRow>().all(self.engine.reader()).await?;
        rows.into_iter().map(ChannelRoute::try_from).collect()
    }

    /// The channel with an id.
    pub async fn channel(&self, id: Uuid) -> Result<Option<Channel>, CatalogError> {
        channel::Entity::find_by_id(id).one(self.engine.reader()).await?.map(Channel::try_from).transpose()
    }

    /// The channel with an id and where it belongs.
    pub async fn channel_route(&self, id: Uuid) -> Result<Option<ChannelRoute>, CatalogError> {
        self.one_route(routes().filter(channel::Column::Id.eq(id))).await
    }

    /// The channel a stream key opens. Any text may be asked for.
    pub async fn channel_by_key(&self, key: &str) -> Result<Option<ChannelRoute>, CatalogError> {
        let Some(hash) = keys::hash(key) else { return Ok(None) };
        self.one_route(route_by_hash(hash)).await
    }

    /// A page of the pushed channels with the hashes of their keys, by id, after that of the page before.
    pub(crate) async fn publishing_channels(
        &self,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<(String, ChannelRoute)>, CatalogError> {
        let rows = publishing_after(after, limit).into_model::<RouteRow>().all(self.engine.reader()).await?;
        rows.into_iter()
            .map(|row| Ok((row.key_hash.clone().unwrap_or_default(), ChannelRoute::try_from(row)?)))
            .collect()
    }

    /// Gives a pushed channel a new stream key; the old one opens nothing from now on.
    pub async fn rotate_key(&self, channel_id: Uuid) -> Result<String, CatalogError> {
        let key = keys::new_key()?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let model = channel::Entity::find_by_id(channel_id).one(&transaction).await?;
            let model = model.ok_or(CatalogError::NotFound(Kind::Channel))?;
            if model.key_hash.is_none() {
                return Err(CatalogError::NoKey(channel_id));
            }
            channel::Entity::update_many()
                .set(channel::ActiveModel { key_hash: Set(keys::hash(&key)), ..Default::default() })
                .filter(channel::Column::Id.eq(channel_id))
                .exec(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await?;
        Ok(key)
    }

    /// Gives a channel another name.
    pub async fn rename_channel(&self, channel_id: Uuid, name: &str) -> Result<(), CatalogError> {
        let name = validate::name(name)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let changed = channel::Entity::update_many()
                .set(channel::ActiveModel { name: Set(name.clone()), ..Default::default() })
                .filter(channel::Column::Id.eq(channel_id))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Channel)) } else { Ok(()) }
        })
        .await
    }

    /// Removes a channel that has no recordings, and its gaps.
    pub async fn remove_channel(&self, channel_id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = channel::Entity::delete_by_id(channel_id)
                .exec(&transaction)
                .await
                .map_err(|error| CatalogError::from_delete(error, Kind::Channel, "recordings"))?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Channel)) } else { Ok(()) }
        })
        .await
    }

    async fn one_route(&self, query: Select<channel::Entity>) -> Result<Option<ChannelRoute>, CatalogError> {
        query
            .into_model::<RouteRow>()
            .one(self.engine.reader())
            .await?
            .map(ChannelRoute::try_from)
            .transpose()
    }
}

/// The address of a camera, as it will be stored.
fn pull_url(url: &str) -> Result<String, InvalidInput> {
    let refuse = |reason| Err(InvalidInput::PullUrl(reason));
    let Some(rest) = url.strip_prefix("rtsp://").or_else(|| url.strip_prefix("rtsps://")) else {
        return refuse("no rtsp:// or rtsps:// address");
    };
    if url.len() > MAX_PULL_URL_BYTES {
        return refuse("too long");
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse("an address with spaces or control characters in it");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return refuse("an address without a host");
    }
    Ok(url.to_owned())
}

/// Channels with the slugs of their court and club.
fn routes() -> Select<channel::Entity> {
    channel::Entity::find()
        .join(JoinType::LeftJoin, channel::Relation::Court.def())
        .join(JoinType::LeftJoin, court::Relation::Club.def())
        .column_as(court::Column::Slug, "court_slug")
        .column_as(club::Column::Slug, "club_slug")
}

/// Pushed channels with their keys' hashes, by id, after one.
fn publishing_after(after: Option<Uuid>, limit: u64) -> Select<channel::Entity> {
    let page = routes().filter(channel::Column::KeyHash.is_not_null());
    let page = match after {
        Some(id) => page.filter(channel::Column::Id.gt(id)),
        None => page,
    };
    page.order_by_asc(channel::Column::Id).limit(limit)
}

fn route_by_hash(hash: String) -> Select<channel::Entity> {
    routes().filter(channel::Column::KeyHash.eq(hash))
}

#[derive(sea_orm::FromQueryResult)]
struct RouteRow {
    id: Uuid,
    court_id: Option<Uuid>,
    name: String,
    source: String,
    pull_url: Option<String>,
    key_hash: Option<String>,
    created_us: i64,
    club_slug: Option<String>,
    court_slug: Option<String>,
}

impl TryFrom<RouteRow> for ChannelRoute {
    type Error = CatalogError;

    fn try_from(row: RouteRow) -> Result<Self, CatalogError> {
        let RouteRow { id, court_id, name, source, pull_url, key_hash, created_us, club_slug, court_slug } =
            row;
        let channel =
            channel::Model { id, court_id, name, source, pull_url, key_hash, created_us }.try_into()?;
        Ok(Self { channel, club_slug, court_slug })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_publishing() -> Select<channel::Entity> {
        publishing_after(Some(Uuid::nil()), 10)
    }

    pub(crate) fn query_by_hash() -> Select<channel::Entity> {
        route_by_hash("0".repeat(64))
    }

    #[test]
    fn camera_addresses() {
        for good in
            ["rtsp://10.0.0.7/", "rtsps://user:p%40ss@cam.club.example:8554/a?b=c", "rtsp://[fe80::1]:554/x"]
        {
            assert_eq!(pull_url(good).as_deref(), Ok(good));
        }
        for bad in ["", "http://cam/", "rtsp://", "rtsp:///x", "rtsp://user@/x", "rtsp://:554", "rtsp://a b/"]
        {
            let error = pull_url(bad).unwrap_err();
            assert!(matches!(error, InvalidInput::PullUrl(_)), "{bad}");
        }
        let long = format!("rtsp://cam/{}", "x".repeat(MAX_PULL_URL_BYTES));
        assert_eq!(pull_url(&long), Err(InvalidInput::PullUrl("too long")));
    }

    #[test]
    fn no_password_in_an_error_or_a_debug_print() {
        let url = "rtsp://user:hunter2@cam /";
        assert!(!pull_url(url).unwrap_err().to_string().contains("hunter2"));
        assert!(!format!("{:?}", Source::Pull(url.into())).contains("hunter2"));
    }
}
