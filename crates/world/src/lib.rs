//! The machine as the other rooms see it: what time it is, and files.
//!
//! - **In**: the machine's clock, file systems and counters.
//! - **Out**: [`Clock`], [`Disk`], [`DiskFile`] and [`Volume`], each with a real and a simulated twin; [`Usage`].
//! - **Invariants**: an operation that returns `Ok` was done whole; a simulated twin is never kinder than POSIX: what
//!   was not synced is gone after [`SimulatedDisk::crash`], names as well as bytes.
//! - **Never**: a path of its own choosing, a policy (what to do about a full disk is `archive`'s decision), `async`,
//!   another crate of ours.
//!
//! Everything blocks. Callers run it on threads that may block, never on the async executor.

mod clock;
mod disk;
mod fault;
mod simulated;
mod system;
mod usage;
#[cfg(target_os = "linux")]
mod volume;

pub use clock::{Clock, Now, SimulatedClock, SystemClock};
pub use disk::{DirEntry, Disk, DiskFile, FileFacts, Volume, read_exact_at, read_whole, write_whole};
pub use fault::{Fault, FaultRule, Operation};
pub use simulated::SimulatedDisk;
pub use system::{Closed, SystemDisk, close_one_to_others, close_to_others};
pub use usage::{Usage, open_files};
