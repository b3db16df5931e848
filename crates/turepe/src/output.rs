//! Printing to standard output, where the reader may have gone away (`turepe config | head -1`).

use std::io::{self, Write as _};

use crate::failure::{Failure, Kind};

/// Prints a text and a line break.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new(Kind::Failed, format!("cannot print: {error}"))),
    }
}

/// Prints a JSON value over several lines.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(format_args!("{value:#}"))
}
