//! What `/metrics` says, in Prometheus' text format.
//!
//! Belongs here: names, help and units of everything this room can see. A room that this one does not know adds its own
//! through [`Measured`], which the program hands over. Not here: counting; the rooms count, a scrape reads.
//!
//! Plain text and no registry: a registry would be global, and several nodes in one process (every test) would share it.

mod archive;
mod text;

pub use text::Exposition;

use crate::app::App;

/// Something with numbers of its own. Asked at each scrape: it answers from memory.
pub trait Measured: Send + Sync + 'static {
    /// Adds its metrics. Names begin with `turepe_` and end in their unit; counters end in `_total`.
    fn measure(&self, out: &mut Exposition);
}

/// Everything, now.
pub(crate) async fn exposition(app: &App) -> String {
    let mut out = Exposition::default();
    out.gauges("turepe_build_info", "Version of the program.", "version", [(env!("CARGO_PKG_VERSION"), 1.0)]);
    archive::measure(app, &mut out).await;
    out.counters(
        "turepe_http_answers_total",
        "HTTP answers since the start, by class of their status.",
        "class",
        app.answers.by_class().map(|(class, count)| (class, count as f64)),
    );
    out.gauge(
        "turepe_http_held_bytes",
        "Bytes that answers hold for their readers.",
        app.memory.used() as f64,
    );
    out.gauge(
        "turepe_http_held_limit_bytes",
        "Bytes that answers may hold for their readers.",
        app.memory.limit() as f64,
    );
    for measured in &app.measured {
        measured.measure(&mut out);
    }
    out.into_text()
}
