//! Numbers of the rooms that `serve` does not know, for its `/metrics`: one place to add them.

use ingest::Publishers;
use live::Live;
use serve::{Exposition, Measured};

/// The rooms with numbers.
pub(super) struct RoomMetrics {
    pub(super) live: Live,
    pub(super) publishers: Publishers,
}

impl Measured for RoomMetrics {
    fn measure(&self, out: &mut Exposition) {
        let live = self.live.channels().into_iter().filter(|channel| channel.is_live).count();
        out.gauge("turepe_live_channels", "Channels whose frames come.", live as f64);
        out.gauge(
            "turepe_publishers",
            "Channels that somebody publishes to by RTMP.",
            self.publishers.len() as f64,
        );
    }
}
