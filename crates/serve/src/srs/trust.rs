//! Who may call: addresses that are trusted, or who knows the secret.

use crate::direct::{self, NotDirect};
use axum::http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};
use std::{fmt, net::IpAddr, str::FromStr};
use subtle::ConstantTimeEq as _;

/// A network of addresses: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address counts as such however it is written.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("`{text}` is no network, like 127.0.0.1/32, 10.0.0.0/8 or ::1/128");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| problem())?;
        let address = address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => {
                prefix.trim().parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(problem)?
            }
            None => longest,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The rule. Its secret is kept as a hash: comparing hashes takes the same time whatever was sent.
#[derive(Clone)]
pub struct Trust {
    networks: Vec<Network>,
    secret: Option<[u8; 32]>,
}

/// Why a caller is not answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    /// Nobody may call.
    #[error(
        "callbacks of SRS are closed here: set `srs.secret`, or `srs.trusted`; `turepe srs-conf` says how"
    )]
    Closed,
    /// An address that is not trusted, without the secret.
    #[error("neither does `srs.trusted` hold the caller's address, nor has the call the `srs.secret`")]
    Stranger,
    /// An address that is trusted, but not the one who asks.
    #[error("`srs.trusted` holds this address, but {0}: such a call needs the `srs.secret`")]
    NotDirect(#[from] NotDirect),
}

impl Trust {
    /// Trusts these networks, and whoever has the secret in the query: `?secret=…`.
    #[must_use]
    pub fn new(networks: Vec<Network>, secret: Option<&str>) -> Self {
        Self { networks, secret: secret.map(digest) }
    }

    /// Whether this caller may. An address counts only for a program that calls by itself ([`direct::by_itself`]).
    pub(crate) fn admits(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<(), Untrusted> {
        if self.knows_secret(uri) {
            return Ok(());
        }
        match peer.filter(|peer| self.networks.iter().any(|network| network.holds(*peer))) {
            Some(peer) => Ok(direct::by_itself(peer, headers)?),
            None if self.networks.is_empty() && self.secret.is_none() => Err(Untrusted::Closed),
            None => Err(Untrusted::Stranger),
        }
    }

    fn knows_secret(&self, uri: &Uri) -> bool {
        let Some(secret) = &self.secret else { return false };
        let pairs = uri.query().unwrap_or_default().split('&');
        let given = pairs.filter_map(|pair| pair.strip_prefix("secret="));
        given.map(digest).any(|given| bool::from(given.ct_eq(secret)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("networks", &self.networks).finish_non_exhaustive()
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{Network, Trust, Untrusted};
    use axum::http::{HeaderMap, HeaderValue, Uri};

    #[test]
    fn networks_hold_what_they_say() {
        for (network, address, holds) in [
            ("127.0.0.1/32", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1/32", "::ffff:127.0.0.1", true),
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::1/128", "::1", true),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.holds(address.parse().unwrap()), holds, "{network} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "::1/129", "localhost", "10.0.0.0/-1", "10.0.0/8"] {
            assert!(wrong.parse::<Network>().unwrap_err().contains("127.0.0.1/32"), "{wrong}");
        }
    }

    #[test]
    fn an_address_or_the_secret_and_no_proxy_in_between() {
        let near = "127.0.0.1".parse().ok();
        let far = "203.0.113.9".parse().ok();
        let none = HeaderMap::new();
        let mut proxied = HeaderMap::new();
        proxied.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        let mut page = HeaderMap::new();
        page.insert("origin", HeaderValue::from_static("https://evil.example"));
        let mut rebound = HeaderMap::new();
        rebound.insert("host", HeaderValue::from_static("evil.example:8080"));
        let trust = Trust::new(vec!["127.0.0.1/32".parse().unwrap()], Some("s3cret"));
        let plain = Uri::from_static("/srs/hooks");
        for (peer, headers, uri, admitted) in [
            (near, &none, "/srs/hooks", true),
            (None, &none, "/srs/hooks", false),
            (far, &none, "/srs/hooks", false),
            (near, &proxied, "/srs/hooks", false),
            (near, &page, "/srs/hooks", false),
            (near, &rebound, "/srs/hooks", false),
            (near, &rebound, "/srs/hooks?secret=s3cret", true),
            (far, &none, "/srs/hooks?secret=s3cret", true),
            (near, &proxied, "/srs/hooks?a=b&secret=s3cret", true),
            (far, &none, "/srs/hooks?secret=s3cre", false),
            (far, &none, "/srs/hooks?secret=", false),
            (far, &none, "/srs/hooks?xsecret=s3cret", false),
        ] {
            assert_eq!(
                trust.admits(peer, headers, &Uri::from_static(uri)).is_ok(),
                admitted,
                "{peer:?} {uri}"
            );
        }
        assert_eq!(Trust::new(Vec::new(), None).admits(near, &none, &plain), Err(Untrusted::Closed));
        assert!(!format!("{trust:?}").contains("s3cret"));
    }
}
