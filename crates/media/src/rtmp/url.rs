//! `rtmp://host[:port]/app/key`, as people type it.

use super::key::StreamKey;

/// The parts of an address to publish to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RtmpUrl {
    /// Whether the connection is to be TLS (`rtmps`).
    pub is_tls: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port; 1935, or 443 for `rtmps`, where none is given.
    pub port: u16,
    /// Application: all of the path but its last part.
    pub app: String,
    /// The last part of the path, with its query.
    pub key: StreamKey,
}

/// Why a text is no address to publish to. The text itself is left out: it holds the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// The scheme is not `rtmp` or `rtmps`.
    #[error("the address must begin with rtmp:// or rtmps://")]
    Scheme,
    /// No host, or none that can be one.
    #[error("the address has no host")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("the port of the address is not a number from 1 to 65535")]
    Port,
    /// User and password in the address.
    #[error("user and password in an RTMP address are not supported")]
    UserInfo,
    /// Application or key missing.
    #[error("the address must end in /application/key")]
    Path,
}

impl RtmpUrl {
    /// Reads an address. The key is the last part of the path; the rest of the path is the application, as FFmpeg has it.
    ///
    /// # Errors
    /// [`UrlError`]: which part cannot be read.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_once('/').ok_or(UrlError::Path)?;
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?,
            None if is_tls => 443,
            None => 1935,
        };
        let (bare, query) = path.find('?').map_or((path, ""), |at| path.split_at(at));
        let (app, name) = bare.trim_end_matches('/').rsplit_once('/').ok_or(UrlError::Path)?;
        let app = app.trim_matches('/');
        if app.is_empty() || name.is_empty() {
            return Err(UrlError::Path);
        }
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            key: StreamKey::new(format!("{name}{query}")),
        })
    }

    /// What goes into `connect` as `tcUrl`: without the key.
    #[must_use]
    pub fn tc_url(&self) -> String {
        let (scheme, default_port) = if self.is_tls { ("rtmps", 443) } else { ("rtmp", 1935) };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port {
            format!("{scheme}://{host}/{}", self.app)
        } else {
            format!("{scheme}://{host}:{}/{}", self.port, self.app)
        }
    }

    /// The address for people and logs: without the key and its query.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("{}/***", self.tc_url())
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or(UrlError::Host)?)),
            }
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() { Err(UrlError::Host) } else { Ok((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_where_ffmpeg_splits_them() {
        let url = RtmpUrl::parse("rtmp://a.example/live/KEY?x=a/b").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.app.as_str()), ("a.example", 1935, "live"));
        assert_eq!(url.key.expose(), "KEY?x=a/b");
        assert_eq!(url.tc_url(), "rtmp://a.example/live");
        let url = RtmpUrl::parse("RTMPS://[::1]:1443/a/b/KEY").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.app.as_str()), ("::1", 1443, "a/b"));
        assert_eq!(url.tc_url(), "rtmps://[::1]:1443/a/b");
        assert!(!format!("{url:?}").contains("KEY"));
        assert_eq!(url.masked(), "rtmps://[::1]:1443/a/b/***");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("http://h/live/k", UrlError::Scheme),
            ("rtmp:h/live/k", UrlError::Scheme),
            ("rtmp:///live/k", UrlError::Host),
            ("rtmp://[::1/live/k", UrlError::Host),
            ("rtmp://h:0/live/k", UrlError::Port),
            ("rtmp://h:x/live/k", UrlError::Port),
            ("rtmp://u:p@h/live/k", UrlError::UserInfo),
            ("rtmp://h", UrlError::Path),
            ("rtmp://h/live", UrlError::Path),
            ("rtmp://h/live/", UrlError::Path),
        ];
        for (text, error) in cases {
            assert_eq!(RtmpUrl::parse(text), Err(error), "{text}");
        }
    }
}
