//! What an operator chooses.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use md5::{Digest as _, Md5};
use uuid::Uuid;

use crate::identifier::{Column, Identifier, TableName};

/// Where the table is and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// PostgREST: Supabase, or one of one's own.
    Supabase {
        /// `https://project.supabase.co`, or an address that ends with `/rest/v1`.
        url: String,
        /// `sb_secret_…`, `sb_publishable_…`, or a JWT.
        key: String,
    },
    /// PostgreSQL directly.
    Postgres {
        /// `postgres://user:password@host/database`.
        url: String,
    },
    /// MySQL or MariaDB directly.
    Mysql {
        /// `mysql://user:password@host/database`.
        url: String,
    },
}

impl fmt::Debug for Kind {
    /// Without keys and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supabase { .. } => "Supabase(***)",
            Self::Postgres { .. } => "Postgres(***)",
            Self::Mysql { .. } => "Mysql(***)",
        })
    }
}

/// The columns by what they mean. Those that are [`None`] are not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Columns {
    /// UUID of the channel, unique.
    pub id: Identifier,
    /// The publisher's key.
    pub stream_id: Identifier,
    /// Whether it is live.
    pub is_on_live: Identifier,
    /// A word for its state.
    pub last_status: Column,
    /// Path of its picture.
    pub cover: Column,
    /// When the row was changed. Without it nothing protects one node's rows from another's, see [`DirectoryConfig`].
    pub modified: Column,
}

/// What is written into `last_status` and `cover`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// `last_status` of a live channel.
    pub live: String,
    /// `last_status` of any other.
    pub offline: String,
    /// `cover` of a channel: `{md5}` stands for the MD5 of its UUID, `{id}` for the UUID.
    pub cover: String,
}

impl Words {
    /// The `cover` of a channel.
    #[must_use]
    pub fn cover_of(&self, channel: Uuid) -> String {
        let id = channel.to_string();
        let md5 = Md5::digest(id.as_bytes());
        let md5: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
        self.cover.replace("{md5}", &md5).replace("{id}", &id)
    }

    pub(crate) fn status(&self, is_live: bool) -> &str {
        if is_live { &self.live } else { &self.offline }
    }
}

/// How old an answer may be, and how often things are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ages {
    /// A right key is let in again without asking for this long.
    pub known: Duration,
    /// A wrong key is refused without asking for this long: a new key works after it.
    pub unknown: Duration,
    /// While the table is away, a key that was right is let in for this long after it was last confirmed.
    pub known_while_away: Duration,
    /// How often the keys of live publishers are looked up again.
    pub check: Duration,
    /// How often live channels are told anew, which marks them as somebody's.
    pub refresh: Duration,
    /// How long a row that claims to be live must have been left alone before it is switched off.
    pub reconcile_after: Duration,
}

/// The directory's settings.
///
/// Several nodes may share a table. Each tells its live channels anew every [`Ages::refresh`], which moves `modified`. A
/// node that starts switches a row off only if nobody has moved its `modified` during [`Ages::reconcile_after`], which is
/// at least twice as long; and the write itself is bound to that stamp. So nobody switches another's channels off.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// Where.
    pub kind: Kind,
    /// Which table.
    pub table: TableName,
    /// Which columns.
    pub columns: Columns,
    /// What is written.
    pub words: Words,
    /// How often.
    pub ages: Ages,
    /// Whether rows that claim to be live, and that nobody tends, are switched off after a start. Without it only those
    /// are that this node has itself switched on.
    pub reconcile: bool,
    /// File that keeps the states which are not told yet.
    pub journal: PathBuf,
}

impl DirectoryConfig {
    /// The documented defaults.
    #[must_use]
    pub fn new(kind: Kind, journal: PathBuf) -> Self {
        let name = Identifier::known;
        Self {
            kind,
            table: TableName { schema: None, table: name("channels_channel") },
            columns: Columns {
                id: name("id"),
                stream_id: name("stream_id"),
                is_on_live: name("is_on_live"),
                last_status: Some(name("last_status")),
                cover: Some(name("cover")),
                modified: Some(name("modified")),
            },
            words: Words {
                live: "live".to_owned(),
                offline: "offline".to_owned(),
                cover: "thumbs/{md5}.jpg".to_owned(),
            },
            ages: Ages {
                known: Duration::from_secs(10),
                unknown: Duration::from_secs(1),
                known_while_away: Duration::from_secs(12 * 3600),
                check: Duration::from_secs(5),
                refresh: Duration::from_secs(10),
                reconcile_after: Duration::from_secs(25),
            },
            reconcile: true,
            journal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_names_are_sound_and_no_secret_is_printed() {
        let kind = Kind::Supabase { url: "https://x.supabase.co".into(), key: "sb_secret_hunter2".into() };
        let config = DirectoryConfig::new(kind, "d.json".into());
        let columns = &config.columns;
        for name in [&config.table.table, &columns.id, &columns.stream_id, &columns.is_on_live] {
            assert_eq!(name.as_str().parse::<Identifier>().as_ref(), Ok(name));
        }
        for name in [&columns.last_status, &columns.cover, &columns.modified].into_iter().flatten() {
            assert_eq!(name.as_str().parse::<Identifier>().as_ref(), Ok(name));
        }
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    /// `printf %s 00000000-0000-0000-0000-000000000007 | md5sum`
    #[test]
    fn covers_are_named_by_the_md5_of_the_channel() {
        let config = DirectoryConfig::new(Kind::Mysql { url: String::new() }, PathBuf::new());
        let cover = config.words.cover_of(Uuid::from_u128(7));
        assert_eq!(cover, "thumbs/b59c06adb372f86d5c9203f137081a3e.jpg");
    }
}
