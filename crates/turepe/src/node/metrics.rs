//! Numbers of the rooms that `serve` does not know, for its `/metrics`: one place to add them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use directory::Directory;
use ingest::Publishers;
use live::Live;
use live::covers::Covers;
use relay::{Relays, State};
use serve::{Exposition, Measured};

/// The rooms with numbers.
pub(super) struct RoomMetrics {
    live: Live,
    covers: Covers,
    directory: Option<Directory>,
    relays: Relays,
    /// Set once the RTMP port is bound, which is after the HTTP server is made.
    publishers: OnceLock<Publishers>,
}

impl RoomMetrics {
    pub(super) fn new(live: Live, covers: Covers, directory: Option<Directory>, relays: Relays) -> Self {
        Self { live, covers, directory, relays, publishers: OnceLock::new() }
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
        let statuses = self.relays.statuses();
        let of = |word: &str| statuses.iter().filter(|status| status.state.word() == word).count() as f64;
        out.gauges(
            "turepe_relays",
            "Pairs of a channel and a relay target, by state.",
            "state",
            State::WORDS.map(|word| (word, of(word))),
        );
        let totals = self.relays.totals();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64;
        out.counter(
            "turepe_relay_sent_bytes_total",
            "Bytes that relay targets have taken since the start.",
            count(&totals.sent_bytes),
        );
        out.counter(
            "turepe_relay_reconnects_total",
            "How often relays began anew since the start.",
            count(&totals.reconnects),
        );
        out.counter(
            "turepe_relay_skips_total",
            "How often relay targets were too slow and were taken to the newest keyframe since the start.",
            count(&totals.skipped),
        );
    }
}
