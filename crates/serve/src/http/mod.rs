//! HTTP itself, knowing nothing of clubs and matches: ranges, conditions, bodies, headers, connections.

pub(crate) mod answers;
pub(crate) mod bytes;
pub(crate) mod guard;
pub(crate) mod listen;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod range;
pub(crate) mod seats;

pub(crate) use crate::direct::Peer;
