//! The operations: each reads its request, asks the other rooms, and writes its answer. One file a subject.

mod access;
mod clubs;
mod cover;
mod edges;
mod files;
mod frame;
mod live;
mod live_flv;
mod live_playlist;
mod node;
mod operations;
mod playlist;
mod replay;
mod scope;
mod slots;

pub(crate) use access::*;
pub(crate) use clubs::*;
pub(crate) use cover::*;
pub(crate) use files::*;
pub(crate) use frame::*;
pub(crate) use live::*;
pub(crate) use live_flv::*;
pub(crate) use node::*;
pub(crate) use operations::*;
pub(crate) use playlist::*;
pub(crate) use replay::*;
pub(crate) use slots::*;
