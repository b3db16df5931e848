//! The log: one line an event on standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// What is logged by commands whose output is for the person that typed them.
const QUIET: &str = "warn";

/// Starts logging for a node.
pub(crate) fn start(log: &Log) {
    start_with(log, &log.filter);
}

/// Starts logging for a command: warnings only, unless the configuration asks for something else.
pub(crate) fn start_quiet(log: &Log) {
    start_with(log, if log.is_default_filter { QUIET } else { &log.filter });
}

fn start_with(log: &Log, filter: &str) {
    // The filter was checked with the configuration.
    let filter = EnvFilter::try_new(filter).unwrap_or_default();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // A second start changes nothing.
    drop(started);
}
