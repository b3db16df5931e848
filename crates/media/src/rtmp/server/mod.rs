//! The server's end of a publication: from the first byte of the handshake to `deleteStream`.
//!
//! In: replies to the commands of publishers, acknowledgement, time limits, media handed on as it came. Not in: whether a key
//! may publish (the driver answers [`ServerEvent::PublishRequested`]), playing (answered "not found"), what a frame holds.

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
