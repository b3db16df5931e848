//! What relays are told and asked: targets out of the catalog, states for the API, and which targets an SRS node in front serves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use catalog::Catalog;
use media::rtmp::{RtmpUrl, StreamKey};
use relay::{Address, Publishing, Relays, State, Status, Target};
use serve::api::{ChannelRelay, Instant};
use serve::{FORWARDED, ForwardTarget};
use uuid::Uuid;

/// How often the targets of single channels are read: what an administrator changes is in force within it.
const TARGETS_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the targets of single channels as the catalog has them, until it is dropped. While the catalog is away, they stay as
/// they were.
pub(super) async fn keep_fresh(catalog: Catalog, relays: Relays) {
    loop {
        match catalog.relay_targets().await {
            Ok(rows) => {
                let mut targets: HashMap<Uuid, Vec<Target>> = HashMap::new();
                for row in rows {
                    targets.entry(row.channel_id).or_default().push(Target {
                        id: row.id.to_string(),
                        name: row.name,
                        address: Address::Whole(row.url),
                    });
                }
                relays.set_targets(targets);
            }
            Err(error) => tracing::debug!(%error, "relay targets are those of a while ago"),
        }
        tokio::time::sleep(TARGETS_PAUSE).await;
    }
}

/// What a publisher's key says of relays: the key, and the targets that an SRS node was told to serve ([`FORWARDED`]).
pub(super) fn publishing(key: &StreamKey) -> Publishing {
    let (bare, query) = key.expose().split_once('?').unwrap_or((key.expose(), ""));
    let prefix = format!("{FORWARDED}=");
    let ids = query.split('&').find_map(|pair| pair.strip_prefix(prefix.as_str()));
    let elsewhere: HashSet<String> =
        ids.unwrap_or_default().split('_').filter(|id| !id.is_empty()).map(str::to_owned).collect();
    Publishing { key: Some(StreamKey::new(bare)), elsewhere }
}

/// The relays as `serve` asks for them.
pub(super) struct NodeRelays(pub(super) Relays);

impl serve::Relays for NodeRelays {
    fn relays(&self) -> Vec<ChannelRelay> {
        self.0.statuses().into_iter().map(told).collect()
    }
}

fn told(status: Status) -> ChannelRelay {
    let word = status.state.word().to_owned();
    let (live_since, reason, next_try_at) = match status.state {
        State::Live { since_us } => (Some(Instant(since_us)), None, None),
        State::BackingOff { reason, next_us } => (None, Some(reason), Some(Instant(next_us))),
        State::Stopped { reason } => (None, Some(reason), None),
        State::Waiting | State::Connecting | State::BySrs => (None, None, None),
    };
    ChannelRelay {
        channel_id: status.channel_id,
        target_id: status.target_id,
        name: status.name,
        address: status.address,
        state: word,
        live_since,
        reason,
        next_try_at,
        sent_bytes: status.sent_bytes,
        reconnects: status.reconnects,
        skipped: status.skipped,
    }
}

impl serve::ForwardTargets for NodeRelays {
    fn targets(&self, channel_id: Uuid, key: &StreamKey) -> Vec<ForwardTarget> {
        let all = self.0.addresses(channel_id, key).into_iter();
        let fit = all.filter(|(_, url)| can_srs_forward(url));
        fit.map(|(target, url)| ForwardTarget {
            id: target.id,
            url: format!("{}/{}", url.tc_url(), url.key.expose()),
        })
        .collect()
    }
}

/// SRS speaks no RTMPS, takes what stands behind the last slash for the name, whatever it belongs to, and cuts a name at its dot.
/// What it cannot do this node does.
fn can_srs_forward(url: &RtmpUrl) -> bool {
    let name = url.key.expose().split('?').next().unwrap_or_default();
    !url.is_tls && !url.key.expose().contains('/') && !name.contains('.') && !url.host.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_says_whom_srs_serves() {
        let said = publishing(&StreamKey::new("k?forwarded=all-1_all-3"));
        assert_eq!(said.key.map(|key| key.expose().to_owned()).as_deref(), Some("k"));
        assert_eq!(said.elsewhere, HashSet::from(["all-1".to_owned(), "all-3".to_owned()]));
        // SRS may add a parameter of its own.
        assert_eq!(publishing(&StreamKey::new("k?a=1&forwarded=x&vhost=h")).elsewhere.len(), 1);
        for plain in ["k", "k?", "k?forwarded=", "k?other=all-1"] {
            assert!(publishing(&StreamKey::new(plain)).elsewhere.is_empty(), "{plain}");
        }
    }

    #[test]
    fn srs_is_given_what_it_can_do() {
        for (url, can) in [
            ("rtmp://h/live/k", true),
            ("rtmp://h:1936/a/b/k?x=1", true),
            ("rtmps://h/live/k", false),
            ("rtmp://h/live/k?x=a/b", false),
            ("rtmp://h/live/k.b", false),
            ("rtmp://[::1]/live/k", false),
        ] {
            assert_eq!(can_srs_forward(&RtmpUrl::parse(url).unwrap()), can, "{url}");
        }
    }
}
