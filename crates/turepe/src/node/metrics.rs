//! Numbers of the rooms that `serve` does not know, for its `/metrics`: one place to add them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ingest::Publishers;
use live::Live;
use relay::{Relays, State};
use serve::{Exposition, Measured};

/// The rooms with numbers.
pub(super) struct RoomMetrics {
    live: Live,
    relays: Relays,
    /// Set once the RTMP port is bound, which is after the HTTP server is made.
    publishers: OnceLock<Publishers>,
}

impl RoomMetrics {
    pub(super) fn new(live: Live, relays: Relays) -> Self {
        Self { live, relays, publishers: OnceLock::new() }
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
