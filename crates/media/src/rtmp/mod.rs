//! RTMP: the chunk stream, the handshake, and the two ends of a publication, as state machines without a socket.
//!
//! - **In**: bytes from a socket, `now` as UTC microseconds.
//! - **Out**: events, bytes to send, the next deadline.
//! - **Invariants**: any input, cut anywhere, gives the same events as in one piece; memory is bounded by [`limits`]; a
//!   payload is copied once after the socket, into memory that is used again; keys appear in no `Debug`, `Display` or error text.
//! - **Never**: a judgement about a key (the driver of the session makes it), a look into a video frame (`crate::flv`).
//!
//! The loop of a driver, for both [`server::ServerSession`] and [`client::ClientSession`]:
//!
//! ```text
//! handle_input(what was read from the socket, now)   |   at poll_timeout(): handle_timeout(now)
//! drain poll_event(), act on it
//! drain poll_transmit() into the socket; when should_close() is true after that, close
//! an Err of any of these: drain poll_transmit() once, log the error, close
//! ```
//!
//! Specifications: "Adobe's Real Time Messaging Protocol" 1.0 (cited as RTMP §), "Enhanced RTMP" v1 and v2 (E-RTMP).

pub mod chunk;
pub mod client;
mod command;
mod control;
mod error;
pub mod handshake;
mod key;
pub mod limits;
mod message;
pub mod server;
mod transmit;
mod url;
mod window;

pub use control::UserControl;
pub use error::{RtmpError, TimeoutOf};
pub use key::{MAX_KEY_READINGS, StreamKey};
pub use message::{Message, MessageHeader, message_type};
pub use transmit::Transmit;
pub use url::{RtmpUrl, UrlError};
