//! Numbers of the rooms that `serve` does not know, for its `/metrics`: one place to add them.

use std::sync::OnceLock;

use ingest::Publishers;
use live::Live;
use serve::{Exposition, Measured};

/// The rooms with numbers.
pub(super) struct RoomMetrics {
    live: Live,
    /// Set once the RTMP port is bound, which is after the HTTP server is made.
    publishers: OnceLock<Publishers>,
}

impl RoomMetrics {
    pub(super) fn new(live: Live) -> Self {
        Self { live, publishers: OnceLock::new() }
    }

    pub(super) fn set_publishers(&self, publishers: Publishers) {
        // Set once: a second time would be of the same listener.
        let _ = self.publishers.set(publishers);
    }
}

impl Measured for RoomMetrics {
    fn measure(&self, out: &mut Exposition) {
        let live = self.live.channels().into_iter().filter(|channel| channel.is_live).count();
        out.gauge("turepe_live_channels", "Channels whose frames come.", live as f64);
        out.gauge(
            "turepe_publishers",
            "Channels that somebody publishes to by RTMP.",
            self.publishers.get().map_or(0, Publishers::len) as f64,
        );
    }
}
