//! Secrets that are read from standard input, where no list of processes and no history of a shell shows them.

use std::io::Read as _;

use crate::failure::Failure;

/// Stands for standard input on a command line.
const STANDARD_INPUT: &str = "-";

/// Most that is read: longer than any address that is taken, twice.
const MAX_INPUT_BYTES: u64 = 16 * 1024;

/// The values, of which each that is `-` is the next line of standard input.
pub(crate) fn resolved<const N: usize>(values: [&str; N]) -> Result<[String; N], Failure> {
    if !values.contains(&STANDARD_INPUT) {
        return Ok(values.map(str::to_owned));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::context("cannot read standard input", error))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut is_short = false;
    let resolved = values.map(|value| match value {
        STANDARD_INPUT => lines.next().map_or_else(
            || {
                is_short = true;
                String::new()
            },
            str::to_owned,
        ),
        value => value.to_owned(),
    });
    if is_short {
        return Err(Failure::usage("standard input has too few lines: one for each `-`"));
    }
    Ok(resolved)
}
