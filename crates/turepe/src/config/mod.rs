//! Configuration: documented defaults, file, environment, flags; one struct per room; every mistake names its key.
//!
//! Belongs here: what a setting means and whether it is sensible. Not here: what a room does with it.

mod access;
mod covers;
mod directory;
mod relay;
mod settings;
mod shown;
mod size;
mod sources;
mod span;
mod srs;
mod store;
mod tls;

pub(crate) use self::access::Access;
pub(crate) use self::relay::Relay;
pub(crate) use covers::Covers;
pub(crate) use directory::Directory;
pub(crate) use settings::{
    CATALOG_KEY_FILE, Config, Log, LogFormat, OPERATORS_TOKEN_FILE, OperatorsRule, origin_of,
};
pub(crate) use size::Size;
pub(crate) use sources::{DEFAULT_TOML, Sources};
pub(crate) use span::Span;
pub(crate) use srs::{Srs, SrsApi, near};
pub(crate) use store::{Retention, Store};
pub(crate) use tls::Tls;

/// Why the configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A key that does not exist.
    #[error("unknown key `{key}` in {source_name}{hint}")]
    UnknownKey {
        /// As it was written.
        key: String,
        /// Where it was written.
        source_name: String,
        /// What was probably meant.
        hint: String,
    },
    /// A file that is not TOML, or not `KEY=value`.
    #[error("cannot read {source_name}: {reason}")]
    Unreadable {
        /// Which file.
        source_name: String,
        /// What is wrong in it.
        reason: String,
    },
    /// A value that does not fit its key.
    #[error("`{key}` from {source_name}: {reason}")]
    Invalid {
        /// `section.key`.
        key: String,
        /// Where the value comes from.
        source_name: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}
