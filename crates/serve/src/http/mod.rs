//! HTTP itself, knowing nothing of clubs and matches: ranges, conditions, bodies, headers, connections.

pub(crate) mod answers;
pub(crate) mod bytes;
pub(crate) mod guard;
pub(crate) mod listen;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod range;
pub(crate) mod seats;

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

pub(crate) use crate::direct::Peer;

/// Who asks, for taking turns and nothing else: the peer's address (IPv6: its /64); from a proxy on this machine, the last address that
/// it names (RFC 7239 §5.2 tells the header's form), so that its clients take turns among themselves.
pub(crate) fn client_of(peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = peer.ip().to_canonical();
    refusals::network(if peer.is_loopback() { forwarded().unwrap_or(peer) } else { peer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_machine_names_its_client_and_nobody_else_does() {
        let client = |peer: &str, forwarded: &str| {
            let headers =
                HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), forwarded.parse().unwrap())]);
            client_of(SocketAddr::new(peer.parse().unwrap(), 1), &headers).to_string()
        };
        assert_eq!(client("127.0.0.1", "9.9.9.9, 8.8.8.8"), "8.8.8.8");
        assert_eq!(client("127.0.0.1", "nobody"), "127.0.0.1");
        assert_eq!(client("7.7.7.7", "8.8.8.8"), "7.7.7.7");
        assert_eq!(client("2001:db8::5", ""), "2001:db8::");
    }
}
