//! RTMP publishers: the listener, one task per connection, and who holds which channel.
//!
//! Belongs here: sockets, time limits, takeover. Not here: the protocol itself (`media::rtmp`).

mod admission;
mod connection;
mod connections;
mod error;
mod link;
mod pace;
mod playing;
mod reading;
mod refused;
mod registry;
mod scratch;
mod server;
mod socket;
mod transmit;

pub use connections::{ConnectionStatus, Connections, Role};
pub use registry::Publishers;
pub use server::{RtmpConfig, RtmpServer};
