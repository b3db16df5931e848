//! The outside directory, as it looks from here.

use std::sync::Arc;

use directory::{Finding as Seen, Severity};
use world::{SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::node::open_directory;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let (disk, clock): (Arc<dyn world::Disk>, Arc<dyn world::Clock>) =
        (Arc::new(SystemDisk), Arc::new(SystemClock));
    match open_directory(patient.config, &disk, &clock) {
        Ok(None) => Vec::new(),
        Ok(Some(directory)) => directory.check().await.into_iter().map(found).collect(),
        Err(failure) => vec![Finding::bad(failure.to_string(), "see docs/directory.md")],
    }
}

/// Its words say already what is to be done.
fn found(seen: Seen) -> Finding {
    let says = format!("{}: {}", seen.subject, seen.message);
    match seen.severity {
        Severity::Good | Severity::Hint => Finding::good(says),
        Severity::Warning => Finding::warning(says, "docs/directory.md tells how it is set up"),
        Severity::Error => Finding::bad(says, "docs/directory.md tells how it is set up"),
    }
}
