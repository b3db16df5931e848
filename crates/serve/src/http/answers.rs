//! How many answers there were, by class.

use axum::http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Classes of answers, as metrics name them.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Answers([AtomicU64; CLASSES.len()]);

impl Answers {
    /// One more.
    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Class and number.
    pub(crate) fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CLASSES.into_iter().zip(self.0.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}
