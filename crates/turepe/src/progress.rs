//! A bar on a terminal for work that takes long; nothing where nobody looks.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it moves.
const TICK: Duration = Duration::from_millis(100);

/// What is to be shown at an instant.
pub(crate) struct State {
    /// How much is done.
    pub(crate) done: u64,
    /// Of how much; 0 where that is not known.
    pub(crate) total: u64,
    /// What else is worth knowing.
    pub(crate) message: String,
}

/// Runs work while a bar on standard error shows how far it is.
pub(crate) async fn during<T>(work: impl Future<Output = T>, state: impl Fn() -> State) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = |is_bounded| {
        let text =
            if is_bounded { "{bar:30} {pos}/{len} ({eta} left) {msg}" } else { "{spinner} {pos} {msg}" };
        ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let mut is_bounded = None;
    tokio::pin!(work);
    let result = loop {
        let now = state();
        if is_bounded != Some(now.total > 0) {
            is_bounded = Some(now.total > 0);
            bar.set_style(template(now.total > 0));
        }
        if now.total > 0 {
            bar.set_length(now.total.max(now.done));
        }
        bar.set_position(now.done);
        bar.set_message(now.message);
        bar.tick();
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(TICK) => {}
        }
    };
    bar.finish_and_clear();
    result
}

/// Bytes for people.
pub(crate) fn megabytes(bytes: u64) -> String {
    if bytes >= 10_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
