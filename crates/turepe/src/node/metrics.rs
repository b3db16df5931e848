//! Numbers of the rooms that `serve` does not know, for its `/metrics`: one place to add them.

use std::sync::OnceLock;

use directory::Directory;
use ingest::Publishers;
use live::Live;
use live::covers::Covers;
use serve::{Exposition, Measured};

/// The rooms with numbers.
pub(super) struct RoomMetrics {
    live: Live,
    covers: Covers,
    directory: Option<Directory>,
    /// Set once the RTMP port is bound, which is after the HTTP server is made.
    publishers: OnceLock<Publishers>,
}

impl RoomMetrics {
    pub(super) fn new(live: Live, covers: Covers, directory: Option<Directory>) -> Self {
        Self { live, covers, directory, publishers: OnceLock::new() }
    }

    pub(super) fn set_publishers(&self, publishers: Publishers) {
        // Set once: a second time would be of the same listener.
        let _ = self.publishers.set(publishers);
    }
}

impl Measured for RoomMetrics {
    fn measure(&self, out: &mut Exposition) {
        let channels = self.live.channels();
        let live = channels.iter().filter(|channel| channel.is_live).count();
        out.gauge("turepe_live_channels", "Channels whose frames come.", live as f64);
        out.gauge(
            "turepe_publishers",
            "Channels that somebody publishes to by RTMP.",
            self.publishers.get().map_or(0, Publishers::len) as f64,
        );
        let readers: usize = channels.iter().map(|channel| channel.readers).sum();
        out.gauge("turepe_live_readers", "Players that read a channel by RTMP or HTTP-FLV.", readers as f64);
        // Of the channels that there are: it falls when one goes.
        let skips: u64 = channels.iter().map(|channel| channel.skipped).sum();
        out.gauge(
            "turepe_live_reader_skips",
            "How often one of them was too slow and was taken to the newest keyframe, on channels that are live.",
            skips as f64,
        );
        let covers = self.covers.status();
        out.counter("turepe_covers_made_total", "Covers made since the start.", covers.made as f64);
        out.counter(
            "turepe_covers_failed_total",
            "Keyframes that gave no cover, since the start.",
            covers.failed as f64,
        );
        if let Some(directory) = &self.directory {
            let is_up = if directory.trouble().is_none() { 1.0 } else { 0.0 };
            out.gauge(
                "turepe_directory_up",
                "Whether the last request to the outside directory was answered.",
                is_up,
            );
        }
    }
}
