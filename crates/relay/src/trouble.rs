//! Why a relay does not run. The words are for its operator and hold no secret of the target's.

use std::io;
use std::time::Duration;

use media::rtmp::{RtmpError, RtmpUrl};

/// Shortest part of a query that is taken for a secret in the words of a server: shorter ones are in every sentence.
const LEAST_SECRET_BYTES: usize = 4;

/// Why a publication did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Its name is unknown, or nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// It does not do in time what it has to.
    #[error("{what} within {} s", limit.as_secs())]
    Timeout {
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// TLS cannot be spoken here at all.
    #[error("TLS cannot be prepared: {0}")]
    TlsSetup(String),
    /// It speaks no TLS, or shows a certificate that is not trusted.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It does not want the stream.
    #[error("refused: {0}")]
    Refused(String),
    /// It ended the publication with words.
    #[error("ended by the target: {0}")]
    Ended(String),
    /// It ended the connection without words.
    #[error("the target closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// It breaks the protocol.
    #[error("{0}")]
    Rtmp(#[from] RtmpError),
    /// It says more than a server has to say to a publisher.
    #[error("the target sends without end")]
    Talkative,
    /// It is this node.
    #[error("the target is this node's own ingest: the channel would come back to where it is from")]
    Own,
}

impl Trouble {
    /// Whether trying again is useless while the channel and the target are what they are.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Own)
    }
}

/// The words of a server about a publication, without what is secret in the address. The session has taken the key out already;
/// what its query is made of is taken out here.
pub(crate) fn said(url: &RtmpUrl, code: &str, description: &str) -> String {
    let text = if description.is_empty() { code.to_owned() } else { format!("{code}: {description}") };
    let (_, query) = url.key.expose().split_once('?').unwrap_or_default();
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let secrets = std::iter::once(query).chain(values).filter(|secret| secret.len() >= LEAST_SECRET_BYTES);
    secrets.fold(url.key.redact(&text), |text, secret| text.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_server_lose_what_is_secret() {
        let url = RtmpUrl::parse("rtmp://h/live/hunter2?token=topsecret&v=1").unwrap();
        let text = said(&url, "NetStream.Publish.BadName", "hunter2 is busy, token topsecret, v 1");
        assert_eq!(text, "NetStream.Publish.BadName: *** is busy, token ***, v 1");
        assert_eq!(said(&url, "NetStream.Publish.Denied", ""), "NetStream.Publish.Denied");
    }
}
