//! The secret a publisher presents.

use std::fmt;

/// Most ways to read what a publisher gave as its key: each may cost a look-up.
pub const MAX_KEY_READINGS: usize = 4;

/// A stream key. It prints as `***`; [`StreamKey::expose`] is the one way to its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamKey(String);

impl StreamKey {
    /// A key of that text.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The secret text itself: for hashing and for the wire, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text, without its query, is more than a key that was typed alone: it is empty, or has a slash or a blank in it.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        let bare = bare(&self.0);
        bare.is_empty() || bare.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
    }

    /// The ways to read a stream name and the application it was given with, the likeliest first; at least one and at most
    /// [`MAX_KEY_READINGS`].
    ///
    /// A key may have a slash in it, so the name counts as it is before all else. Then come the ways in which people type it: with
    /// blanks around it (the end of a line that was copied), with a slash before it, as `live/KEY`, as the whole address; the whole
    /// address as the server's, so that the key ends up in the application; and a key with a slash that FFmpeg split.
    #[must_use]
    pub fn readings(app: &str, name: &str) -> Vec<Self> {
        let (text, query) = name.find('?').map_or((name, ""), |at| name.split_at(at));
        let query = query.trim_end_matches(is_around);
        let mut readings: Vec<String> = Vec::new();
        let mut read = |text: &str| {
            let reading = format!("{text}{query}");
            if !text.is_empty() && readings.len() < MAX_KEY_READINGS && !readings.contains(&reading) {
                readings.push(reading);
            }
        };
        let typed = text.trim_matches(is_around);
        let path = typed
            .split_once("://")
            .map_or(typed, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let path: Vec<&str> = path
            .split('/')
            .map(|part| part.trim_matches(is_around))
            .filter(|part| !part.is_empty())
            .collect();
        let app: Vec<&str> =
            app.split('/').map(|part| part.trim_matches(is_around)).filter(|part| !part.is_empty()).collect();
        read(text);
        read(typed);
        // Without its first part, which may be the application; all of it; only its last part.
        for from in [1, 0, path.len().saturating_sub(1)] {
            read(&path.get(from..).unwrap_or_default().join("/"));
        }
        // What of the application may be the beginning of the key, the shortest first.
        for from in (1..app.len()).rev() {
            read(&[&app[from..], &path[..]].concat().join("/"));
        }
        if readings.is_empty() {
            readings.push(query.to_owned());
        }
        readings.into_iter().map(Self).collect()
    }

    /// `text` with every occurrence of the key replaced: for words of a peer that may echo it.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        let bare = bare(&self.0);
        for secret in [self.0.as_str(), bare] {
            if !secret.is_empty() {
                clean = clean.replace(secret, "***");
            }
        }
        clean
    }
}

/// What people copy along with a key and do not see.
fn is_around(c: char) -> bool {
    // U+200B and the byte order mark are no white space for Unicode.
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}' | '\u{feff}')
}

fn bare(key: &str) -> &str {
    key.split('?').next().unwrap_or_default()
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::StreamKey;

    #[test]
    fn a_name_is_read_in_the_ways_in_which_people_type_a_key() {
        for (app, name, readings) in [
            ("live", "KEY", &["KEY"][..]),
            ("live", "KEY?a=1", &["KEY?a=1"]),
            ("live", "a/b", &["a/b", "b"]),
            ("live", "live/KEY", &["live/KEY", "KEY"]),
            ("live", "live/a/b", &["live/a/b", "a/b", "b"]),
            ("", "live/KEY?a=1", &["live/KEY?a=1", "KEY?a=1"]),
            ("live", "/KEY", &["/KEY", "KEY"]),
            ("live", "KEY ", &["KEY ", "KEY"]),
            ("live", "\tKEY\r\n", &["\tKEY\r\n", "KEY"]),
            ("live", "KEY\u{a0}\u{200b}", &["KEY\u{a0}\u{200b}", "KEY"]),
            ("live", "KEY?a=1\n", &["KEY?a=1"]),
            ("live", "rtmp://h/live/KEY", &["rtmp://h/live/KEY", "KEY", "live/KEY"]),
            // The whole address as the server's.
            ("live/KEY", "", &["KEY"]),
            ("live/a/b", "", &["b", "a/b"]),
            ("live/KEY ", " ", &[" ", "KEY"]),
            // As FFmpeg splits rtmp://h/live/a/b.
            ("live/a", "b", &["b", "a/b"]),
            ("live", "", &[""]),
            ("a/b/c/d/e/f", "k", &["k", "f/k", "e/f/k", "d/e/f/k"]),
        ] {
            let read = StreamKey::readings(app, name);
            let read: Vec<&str> = read.iter().map(StreamKey::expose).collect();
            assert_eq!(read, readings, "{app:?} {name:?}");
        }
    }

    #[test]
    fn a_key_that_was_not_typed_alone_is_odd() {
        for (key, is_odd) in
            [("KEY", false), ("KEY?a= /", false), ("", true), ("?a", true), ("a/b", true), ("K ", true)]
        {
            assert_eq!(StreamKey::new(key).is_odd(), is_odd, "{key:?}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        let key = StreamKey::new("s3cret?user=1");
        assert_eq!(format!("{key} {key:?}"), "*** ***");
        assert_eq!(key.redact("stream live/s3cret?user=1 is busy: s3cret"), "stream live/*** is busy: ***");
    }
}
