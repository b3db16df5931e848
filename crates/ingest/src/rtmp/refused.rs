//! What is said of RTMP connections that come to nothing.

use std::net::SocketAddr;

use refusals::Kind;
use tracing::field::display;

/// How a connection came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Refused {
    /// It was closed before a byte was read, or had to make room.
    TurnedAway,
    /// It wanted to publish.
    Publisher,
    /// It wanted to play.
    Player,
    /// It failed before it had said what it wanted.
    Stranger,
}

impl Kind for Refused {
    fn say(self, peer: Option<SocketAddr>, connections: u64, reason: &str) {
        let peer = peer.map(display);
        match self {
            Self::TurnedAway => tracing::warn!(peer, connections, reason, "turned RTMP connections away"),
            Self::Publisher => tracing::warn!(peer, connections, reason, "publisher refused"),
            Self::Player => tracing::info!(peer, connections, reason, "player refused"),
            Self::Stranger => tracing::warn!(peer, connections, reason, "RTMP connection ended"),
        }
    }
}
