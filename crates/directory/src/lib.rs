//! The outside directory: a table of somebody else's (Supabase, PostgreSQL, MySQL) that tells the world who is live.
//!
//! - **In**: who publishes (a [`Node`] is asked), stream keys to look up.
//! - **Out**: rows of the outside table `channels_channel`; answers "this key belongs to channel UUID"; the channels
//!   whose publisher must go because their key went ([`Node::drop_publisher`]).
//! - **Invariants**: per channel the last state wins and states arrive in their order; what could not be written is
//!   written when the table is back, also after a restart; a look-up reads one row by its key, an update writes one row
//!   by its id; every cache and queue is bounded and every answer has an age.
//! - **Never**: a frame that waits for it; an INSERT or a write without a filter; a stream key in a log, an error, a
//!   file or a debug print; SQL against a database of ours (that is `catalog`).

mod backoff;
mod condition;
mod config;
mod directory;
mod error;
mod finding;
mod identifier;
mod journal;
mod keys;
mod lifecycle;
pub mod limits;
mod reconcile;
mod table;
mod watch;

pub use config::{Ages, Columns, DirectoryConfig, Kind, Words};
pub use directory::{Directory, Node, OutsideChannel, Unavailable};
pub use error::{ConfigError, TableError};
pub use finding::{Finding, Severity};
pub use identifier::{Column, Identifier, TableName};
