//! Where a channel goes. An address holds a secret: it prints without it, and is never told.

use std::fmt;

use media::rtmp::{RtmpUrl, StreamKey, UrlError};

use crate::limits::MAX_TARGETS_FOR_ALL;

/// One server that a channel, or every channel, is relayed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What it is told apart by: letters, digits and hyphens.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Where it is.
    pub address: Address,
}

/// Where a target is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// As it is, the target's own key included.
    Whole(RtmpUrl),
    /// The publisher's key is appended.
    WithKey(BaseUrl),
}

impl Address {
    /// The address of a channel whose publisher showed this key; [`None`] where it takes one and there is none.
    #[must_use]
    pub fn of(&self, key: Option<&StreamKey>) -> Option<RtmpUrl> {
        match self {
            Self::Whole(url) => Some(url.clone()),
            Self::WithKey(base) => Some(base.with_key(key?)),
        }
    }

    /// Without its secrets.
    #[must_use]
    pub fn masked(&self) -> String {
        match self {
            Self::Whole(url) => url.masked(),
            Self::WithKey(base) => base.masked(),
        }
    }
}

/// `rtmp://host[:port]/app[?query]`, to which keys are appended: `rtmp://host[:port]/app/KEY[?query]`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// With a key that is to be replaced.
    url: RtmpUrl,
    /// With its question mark; it may be a secret.
    query: String,
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Stands for a key while an address is read.
const PLACE: &str = "key";

impl BaseUrl {
    /// Reads an address without a key.
    ///
    /// # Errors
    /// [`UrlError`]: which part cannot be read; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (path, query) = text.find('?').map_or((text, ""), |at| text.split_at(at));
        let url = RtmpUrl::parse(&format!("{}/{PLACE}{query}", path.trim_end_matches('/')))?;
        Ok(Self { url, query: query.to_owned() })
    }

    /// The address for a key. What the publisher has added to its key behind a question mark was for this node.
    #[must_use]
    pub fn with_key(&self, key: &StreamKey) -> RtmpUrl {
        let bare = key.expose().split('?').next().unwrap_or_default();
        RtmpUrl { key: StreamKey::new(format!("{bare}{}", self.query)), ..self.url.clone() }
    }

    /// Without its secrets.
    #[must_use]
    pub fn masked(&self) -> String {
        self.url.masked()
    }

    /// Host name or address, and port.
    #[must_use]
    pub fn authority(&self) -> (&str, u16) {
        (&self.url.host, self.url.port)
    }
}

/// Reads the targets of all channels, separated by commas. A comma within an address is part of it: the next one begins with
/// its scheme.
///
/// # Errors
/// What is wrong with which of them, without repeating it.
pub fn parse_bases(text: &str) -> Result<Vec<BaseUrl>, String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split(',') {
        let begins = part.trim_start().to_ascii_lowercase();
        match words.last_mut() {
            Some(word) if !begins.contains("://") && !begins.trim().is_empty() => {
                word.push(',');
                word.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
    }
    let words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
    if words.len() > MAX_TARGETS_FOR_ALL {
        return Err(format!("{} targets are more than {MAX_TARGETS_FOR_ALL}", words.len()));
    }
    let mut bases: Vec<BaseUrl> = Vec::new();
    for (number, word) in words.iter().enumerate() {
        let is_clean = !word.chars().any(|c| c.is_whitespace() || c.is_control());
        let base = match BaseUrl::parse(word) {
            Ok(base) if is_clean => base,
            Ok(_) => return Err(format!("target {}: there is a space in the address", number + 1)),
            Err(UrlError::Path) => {
                return Err(format!(
                    "target {}: the address must end in /application, to which each publisher's key is appended",
                    number + 1
                ));
            }
            Err(error) => return Err(format!("target {}: {error}", number + 1)),
        };
        if bases.contains(&base) {
            return Err(format!("target {} is there twice", number + 1));
        }
        bases.push(base);
    }
    Ok(bases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key(base: &str, key: &str) -> (String, String) {
        let url = BaseUrl::parse(base).unwrap().with_key(&StreamKey::new(key));
        (url.tc_url(), url.key.expose().to_owned())
    }

    #[test]
    fn a_key_is_appended_to_the_path_and_the_query_stays_last() {
        for (base, key, expected) in [
            ("rtmp://h/live", "k", ("rtmp://h/live", "k")),
            ("rtmp://h:1936/a/b/", "k", ("rtmp://h:1936/a/b", "k")),
            ("rtmps://h/live?token=x", "k", ("rtmps://h/live", "k?token=x")),
            ("rtmp://h/live", "k?srs=1", ("rtmp://h/live", "k")),
            ("rtmp://[::1]/live", "k", ("rtmp://[::1]/live", "k")),
        ] {
            assert_eq!(with_key(base, key), (expected.0.to_owned(), expected.1.to_owned()), "{base}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let base = BaseUrl::parse("rtmp://h/live?token=topsecret").unwrap();
        let whole = Address::Whole(RtmpUrl::parse("rtmp://h/live/topsecret?a=topsecret").unwrap());
        let target = Target { id: "a".into(), name: None, address: Address::WithKey(base) };
        for text in [format!("{target:?}"), format!("{whole:?}"), target.address.masked(), whole.masked()] {
            assert!(!text.contains("topsecret"), "{text}");
        }
        assert_eq!(whole.masked(), "rtmp://h/live/***");
    }

    #[test]
    fn several_targets_are_separated_by_commas_and_mistakes_name_their_number() {
        let parsed = parse_bases(" rtmp://a/live, rtmps://b/app?x=1,2&y=3 ,").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[1].with_key(&StreamKey::new("k")).key.expose(), "k?x=1,2&y=3");
        assert_eq!(parse_bases("").unwrap(), []);
        for (text, reason) in [
            ("http://topsecret/live", "target 1: the address must begin with rtmp"),
            ("rtmp://a/live,rtmp://topsecret", "target 2: the address must end in /application"),
            ("rtmp://a/live,rtmp://a/live/", "target 2 is there twice"),
            ("rtmp://u:topsecret@h/live", "target 1: user and password"),
            ("rtmp://h/live topsecret", "target 1: there is a space"),
            ("topsecret", "target 1: the address must begin"),
        ] {
            let error = parse_bases(text).unwrap_err();
            assert!(error.starts_with(reason) && !error.contains("topsecret"), "{error}");
        }
        let many = vec!["rtmp://a/live"; MAX_TARGETS_FOR_ALL + 1].join(",");
        assert!(parse_bases(&many).unwrap_err().contains("more than"));
    }
}
