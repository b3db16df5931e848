//! Who may watch: the only place that decides.
//!
//! - **In**: a club's policy, where the footage belongs, what the visitor shows, what he asks for, and what time it is.
//! - **Out**: let in, until when and by what; or a refusal with its name.
//! - **Invariants**: pure: the same question has the same answer. What is not granted is refused. A grant opens nothing of
//!   another club, court or time. The same decision is asked when an address is handed out and again when it is used, so that what
//!   is revoked ends.
//! - **Never**: a clock, a database, a socket, an address; who somebody is. Accounts come later and add a kind of [`Pass`].

mod attempts;
pub mod code;
mod decide;
mod policy;

pub use attempts::{Counter, Limit, PER_ADDRESS, PER_SLOT};
pub use decide::{Admission, By, Grant, Pass, PassKind, Place, Range, Refusal, Scope, Visitor, Wish, decide};
pub use policy::Policy;
