//! The server's end of a publication, or of playing: from the first byte of the handshake to `deleteStream`.
//!
//! In: replies to the commands of publishers and players, acknowledgement, time limits, media handed on as it came. Not in: whether a key
//! may publish or a name may be played (the driver answers [`ServerEvent::PublishRequested`] and
//! [`ServerEvent::PlayRequested`]), the media that a player gets (`crate::flv::TagRun`), what a frame holds.

mod commands;
mod config;
mod event;
mod media;
mod replies;
mod session;

#[cfg(test)]
mod tests;

pub use config::ServerConfig;
pub use event::ServerEvent;
pub use session::ServerSession;
