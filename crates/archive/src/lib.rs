//! Records fragments as durable segments, and gives ranges of them back.
//!
//! - **In**: fragments of live channels; questions for ranges.
//! - **Out**: sealed MP4 objects in the store with their rows in the catalog; views, spans, gaps with causes, byte
//!   streams, cuts.
//! - **Invariants**: a row promises no bytes that are not durable; at every instant a segment's file is a valid recording
//!   under exactly one name; a segment belongs to one session and begins with a keyframe; what is missing is a gap with
//!   a cause, never a silence; of several nodes with one catalog each touches what it holds itself, and nothing else; a slow disk, store or catalog holds up no channel and costs a bounded amount of memory.
//! - **Never**: HTTP, a socket, SQL, a file opened past `world::Disk`, a file with a recording deleted.
//!
//! A fragment's way: [`Recorder::push`] puts it into the channel's bounded queue; a writer thread (`writer`, `recording`)
//! appends it to the spool file and cuts at the wall clock (`cutter`); sync threads (`syncer`) commit all files together;
//! a task per segment (`registrar`) seals it, moves it into the store and registers it. What a crash leaves is taken up
//! by `repair`. Whether catalog, store and bucket agree is told by [`Verifier`], beside a running archive or without one; a
//! catalog that is lost is rebuilt by [`Reindexer`].

mod alarms;
mod archive;
pub mod bucket;
mod cache;
mod claim;
mod clock_watch;
mod config;
mod core;
mod cutter;
mod cutting;
mod download;
mod durability;
mod error;
mod footage;
mod gap_journal;
mod gap_log;
mod gaps;
mod growing;
mod holder;
mod import;
mod keeper;
mod ledger;
pub mod limits;
mod name;
mod objects;
mod origin;
mod quarantine;
mod queue;
mod read;
mod reading;
mod recorder;
mod recording;
mod registrar;
mod reindex;
mod repair;
mod retry;
mod segment;
pub mod store;
mod syncer;
mod upload;
mod verify;
mod whereabouts;
mod writer;

pub use alarms::{Alarm, AlarmKind};
pub use archive::{Archive, ArchiveStatus};
pub use cache::ByteCache;
pub use claim::{Claimed, claim};
pub use config::{ArchiveConfig, PlayFrom};
pub use download::Download;
pub use error::ArchiveError;
pub use footage::{FootageOf, footage_here, footage_in_bucket};
pub use gaps::Gap;
pub use import::{Anchor, ImportError, Imported};
pub use keeper::{
    KeeperError, KeeperStatus, OnFull, RetentionConfig, RetentionWaiting, TimeKeeping, WaitReason,
    WaitingItem,
};
pub use ledger::Ledger;
pub use queue::Full;
pub use read::ByteStream;
pub use reading::CutPlan;
pub use recorder::{Recorder, RecorderTarget};
pub use reindex::{FoundCourt, ReindexProgress, ReindexReport, Reindexer, Unreadable};
pub use segment::{Keyframe, SegmentObject, SegmentView};
pub use syncer::SyncCounts;
pub use upload::{Pauses, Trouble, UploadConfig, UploadStatus};
pub use verify::{
    Fault, FaultKind, HeldElsewhere, Side, Verifier, VerifyConfig, VerifyProgress, VerifyReport,
};
