//! The log: one line an event on standard error, for people or for machines.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use catalog::is_direction;
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
    let has_colours = log.format == LogFormat::Text && io::stderr().is_terminal();
    let form = match log.format {
        LogFormat::Text => Form::Text { has_colours },
        LogFormat::Json => Form::Json,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || OneLine { to: io::stderr(), form });
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(has_colours).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // A second start changes nothing.
    drop(started);
}

/// An event is one line whatever its values hold: names, ids and addresses come from outside.
struct OneLine<W> {
    to: W,
    form: Form,
}

/// How an event is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text {
        /// Then escape characters are the formatter's own; it takes them out of values by itself.
        has_colours: bool,
    },
    Json,
}

impl<W: Write> Write for OneLine<W> {
    /// The formatter hands over a whole event at a time, with the end of its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.to.write_all(one_line(&String::from_utf8_lossy(event), self.form).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The text with control characters, and marks that turn its direction, told as Rust escapes them, or JSON; but for the end of the line.
fn one_line(event: &str, form: Form) -> Cow<'_, str> {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    let has_colours = form == Form::Text { has_colours: true };
    let is_odd = |c: char| (c.is_control() && !(has_colours && c == '\u{1b}')) || is_direction(c);
    if !line.contains(is_odd) {
        return event.into();
    }
    let mut told = String::with_capacity(event.len() + 16);
    for c in line.chars() {
        match form {
            _ if !is_odd(c) => told.push(c),
            // Between the quotes of a value: outside of them there are none. All are of the basic plane (RFC 8259 §7).
            Form::Json => told.push_str(&format!("\\u{:04x}", u32::from(c))),
            Form::Text { .. } => told.extend(c.escape_default()),
        }
    }
    (told + end).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_makes_a_second_line() {
        let (plain, coloured) = (Form::Text { has_colours: false }, Form::Text { has_colours: true });
        assert_eq!(one_line("publisher accepted\n", plain), "publisher accepted\n");
        assert_eq!(one_line("refused: Cancha Ñ 🎾\n", plain), "refused: Cancha Ñ 🎾\n");
        let forged = "refused client_id=a\r\n2026-12-01 ERROR disk gone\t\u{7}\u{85}\u{202e}\n";
        assert_eq!(
            one_line(forged, plain),
            "refused client_id=a\\r\\n2026-12-01 ERROR disk gone\\t\\u{7}\\u{85}\\u{202e}\n"
        );
        assert_eq!(one_line("\u{1b}[31mred\n", plain), "\\u{1b}[31mred\n");
        assert_eq!(one_line("\u{1b}[31mERROR\u{1b}[0m\n", coloured), "\u{1b}[31mERROR\u{1b}[0m\n");
        let mut out = Vec::new();
        OneLine { to: &mut out, form: plain }.write_all(b"a\nb\n").unwrap();
        assert_eq!(out, b"a\\nb\n");
    }

    #[test]
    fn a_line_of_json_stays_json_whatever_a_stranger_sends() {
        let sent = "a\u{7f}\u{85}\u{9f}\u{202e}\u{2066}\u{1b}\u{0}\r\nñ🎾\"\\";
        let line = format!("{}\n", serde_json::json!({ "client": sent }));
        let told = one_line(&line, Form::Json);
        assert!(told.strip_suffix('\n').is_some_and(|line| !line.contains(char::is_control)), "{told}");
        assert!(!told.contains(is_direction), "{told}");
        let read: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(read["client"], sent);
    }
}
