//! What can go wrong, in words for the one who can fix it. No secret ever stands in one of these.

use std::fmt;

use sea_orm::{DbErr, SqlErr};
use thiserror::Error;
use uuid::Uuid;

use crate::engine::{Trouble, trouble};
use crate::relay_targets::MAX_RELAY_TARGETS_PER_CHANNEL;
use crate::schedule::{HoursError, MAX_APPOINTMENT_DURATION_MIN, MIN_APPOINTMENT_DURATION_MIN};
use crate::segments::MAX_SEGMENT_US;
use crate::validate::{MAX_NAME_CHARS, MAX_RETENTION_DAYS, MAX_SLUG_BYTES};

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A tenant.
    Club,
    /// A playing area.
    Court,
    /// A stream of video.
    Channel,
    /// A piece of a recording.
    Segment,
    /// A running `turepe serve`, or one that ran.
    Node,
    /// A range that outlives retention.
    Protection,
    /// A server that a channel is relayed to.
    RelayTarget,
    /// A link that staff handed out.
    ViewingLink,
    /// The code of a slot.
    SlotCode,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Club => "club",
            Self::Court => "court",
            Self::Channel => "channel",
            Self::Segment => "segment",
            Self::Node => "node",
            Self::Protection => "protected range",
            Self::RelayTarget => "relay target",
            Self::ViewingLink => "link",
            Self::SlotCode => "code",
        })
    }
}

/// Why the catalog did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// What was handed in cannot be stored.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// Another club, or another court of the club, has that slug.
    #[error("there is already a {kind} with the slug `{slug}`; choose another")]
    SlugTaken {
        /// What has it.
        kind: Kind,
        /// The slug.
        slug: String,
    },
    /// There is no such row.
    #[error("there is no such {0}")]
    NotFound(Kind),
    /// It cannot be removed while something hangs on it.
    #[error("the {kind} still has {holds}; remove that first")]
    InUse {
        /// What was to be removed.
        kind: Kind,
        /// What it still has.
        holds: &'static str,
    },
    /// There is a segment of that id already.
    #[error("there is already a segment {0}")]
    SegmentTaken(Uuid),
    /// A segment is sealed once, while it grows.
    #[error("segment {0} is not growing")]
    NotGrowing(Uuid),
    /// The bytes of a segment are with another node, and it alone may say what becomes of them.
    #[error("segment {0} is held by another node")]
    HeldElsewhere(Uuid),
    /// A pulled channel has no stream key.
    #[error("channel {0} is pulled from its camera and has no stream key")]
    NoKey(Uuid),
    /// The database URL cannot be used.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The URL names another engine.
    #[error("databases of the kind `{0}:` are not supported; use sqlite:PATH, mysql://… or postgres://…")]
    UnsupportedDatabase(String),
    /// The database was written by a newer version.
    #[error(
        "the database was made by a newer version of this program (it has `{newest}`, which this one does not \
         know); it was left untouched: run that version, or a newer one"
    )]
    NewerSchema {
        /// The newest migration of the database that this program does not have.
        newest: String,
    },
    /// The database holds part of a copy of another one.
    #[error(
        "the database holds an unfinished copy of another one: finish it with `turepe migrate --from … --to …`, which \
         begins it again"
    )]
    UnfinishedCopy,
    /// What was asked for is sealed, and the handle has no key.
    #[error("the secrets of this catalog are sealed, and their key is not here (`[database] key_file`)")]
    KeyNeeded,
    /// The key of another catalog.
    #[error("the secrets of this catalog are sealed with another key than this one (`[database] key_file`)")]
    WrongKey,
    /// A copy needs a place of its own.
    #[error("the database to copy into is not empty: its table `{table}` holds {rows} rows")]
    NotEmpty {
        /// A table that holds something.
        table: &'static str,
        /// How much.
        rows: u64,
    },
    /// What arrived is not what was sent.
    #[error("the copy is not complete: `{table}` has {copied} of {expected} rows")]
    IncompleteCopy {
        /// Which table.
        table: &'static str,
        /// Rows at the source.
        expected: u64,
        /// Rows at the target.
        copied: u64,
    },
    /// There is nothing to look at.
    #[error("there is no database yet; `turepe migrate up` and the first start of a node make one")]
    NoDatabase,
    /// A schema that has to be brought up to date first.
    #[error("the schema of the database is not up to date: run `turepe migrate up` on it first")]
    OldSchema,
    /// A row holds what this program never writes.
    #[error("the database holds a {what} that cannot be read: {reason}")]
    Corrupt {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The database does not answer, or cannot do it now; later it may.
    #[error("the database does not answer: {0}")]
    Away(#[source] DbErr),
    /// Others wrote the same at the same time, and this write was undone, too often in a row.
    #[error("others write the same at the same time: {0}")]
    Conflict(#[source] DbErr),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] DbErr),
}

impl From<DbErr> for CatalogError {
    fn from(error: DbErr) -> Self {
        match trouble(&error) {
            Some(Trouble::Away | Trouble::Lost | Trouble::Unable) => Self::Away(error),
            Some(Trouble::Conflict) => Self::Conflict(error),
            None => Self::Database(error),
        }
    }
}

impl CatalogError {
    /// Whether nothing is wrong but the time: the same may work later, word for word.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Conflict(_))
    }

    /// `taken` where a unique index refused the row, `parent` where what it belongs to is not there.
    pub(crate) fn from_insert(error: DbErr, taken: impl FnOnce() -> Self, parent: Kind) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => taken(),
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::NotFound(parent),
            _ => error.into(),
        }
    }

    /// `NotFound` where what the row belongs to is not there.
    pub(crate) fn from_parent(error: DbErr, parent: Kind) -> Self {
        match error.sql_err() {
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::NotFound(parent),
            _ => error.into(),
        }
    }

    /// `InUse` where something refers to the row.
    pub(crate) fn from_delete(error: DbErr, kind: Kind, holds: &'static str) -> Self {
        match error.sql_err() {
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::InUse { kind, holds },
            _ => error.into(),
        }
    }
}

/// What is wrong with something that was handed in.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum InvalidInput {
    /// Not a slug.
    #[error(
        "`{0}` is no slug: use 1 to {MAX_SLUG_BYTES} of a-z, 0-9 and -, beginning and ending with a letter or digit"
    )]
    Slug(String),
    /// A slug that the web addresses of the program need.
    #[error("`{0}` is taken by this program's own web addresses; choose another slug")]
    ReservedSlug(String),
    /// Not a name.
    #[error(
        "a name has 1 to {MAX_NAME_CHARS} characters, not only spaces, on one line, and no marks that turn its direction"
    )]
    Name,
    /// Not a time zone.
    #[error("`{0}` is no time zone of the IANA database; examples are Europe/Madrid and America/Santiago")]
    Zone(String),
    /// Not a match length.
    #[error(
        "an appointment lasts {MIN_APPOINTMENT_DURATION_MIN} to {MAX_APPOINTMENT_DURATION_MIN} minutes, not {0}"
    )]
    AppointmentDuration(u32),
    /// Not a number of days to keep footage.
    #[error("footage is kept 1 to {MAX_RETENTION_DAYS} days, not {0}")]
    RetentionDays(u32),
    /// Not what a link can open.
    #[error("a link to a range ends after it starts, and a link expires after it was made")]
    LinkRange,
    /// Not a range to protect.
    #[error("a protected range ends after it starts")]
    ProtectedRange,
    /// Not opening hours.
    #[error(transparent)]
    Hours(#[from] HoursError),
    /// Not a camera address. The address is not repeated: it may hold a password.
    #[error("a camera is pulled from an address like rtsp://user:password@host:554/path; this is {0}")]
    PullUrl(&'static str),
    /// Not an address to relay to. The address is not repeated: it holds a key.
    #[error("a channel is relayed to an address like rtmp://host:1935/app/key: {0}")]
    RelayUrl(String),
    /// A channel has as many targets as it may have.
    #[error("a channel is relayed to at most {MAX_RELAY_TARGETS_PER_CHANNEL} targets")]
    TooManyRelayTargets,
    /// Not a segment's time range.
    #[error(
        "a segment ends after it starts and lasts at most {} minutes, not {duration_us} µs",
        MAX_SEGMENT_US / 60_000_000
    )]
    SegmentDuration {
        /// End minus start.
        duration_us: i64,
    },
    /// A number that the database cannot hold.
    #[error("{what} is too large: {value}")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Not an object name, hash or setting name of ours.
    #[error("the {0} is empty or too long")]
    Text(&'static str),
}
