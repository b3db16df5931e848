//! The client's end of a publication: for `turepe publish` and for relays.
//!
//! In: the commands of a publisher in the order of FMLE (releaseStream, FCPublish, createStream, publish), media out without
//! copying payloads. Not in: pacing, reconnecting, reading files; playing.

mod config;
mod event;
mod replies;
mod session;

#[cfg(test)]
mod tests;

pub use config::ClientConfig;
pub use event::ClientEvent;
pub use session::ClientSession;
