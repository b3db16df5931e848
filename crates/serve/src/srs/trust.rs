//! Who may call: addresses that are trusted, or who knows the secret.

use axum::http::{HeaderMap, HeaderName, Uri, header};
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

/// Header fields that proxies add. Behind one every caller has its address: the address then says nothing.
const PROXIED: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

impl Trust {
    /// Trusts these networks, and whoever has the secret in the query: `?secret=…`.
    #[must_use]
    pub fn new(networks: Vec<Network>, secret: Option<&str>) -> Self {
        Self { networks, secret: secret.map(digest) }
    }

    /// Whether this caller may.
    pub(crate) fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap, uri: &Uri) -> bool {
        let is_near = peer.is_some_and(|peer| self.networks.iter().any(|network| network.holds(peer)));
        (is_near && !is_proxied(headers)) || self.knows_secret(uri)
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

/// Whether a proxy stands between the caller and us.
pub(crate) fn is_proxied(headers: &HeaderMap) -> bool {
    PROXIED.iter().any(|name| headers.contains_key(name))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{Network, Trust};
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
        let trust = Trust::new(vec!["127.0.0.1/32".parse().unwrap()], Some("s3cret"));
        let plain = Uri::from_static("/srs/hooks");
        for (peer, headers, uri, admitted) in [
            (near, &none, "/srs/hooks", true),
            (None, &none, "/srs/hooks", false),
            (far, &none, "/srs/hooks", false),
            (near, &proxied, "/srs/hooks", false),
            (far, &none, "/srs/hooks?secret=s3cret", true),
            (near, &proxied, "/srs/hooks?a=b&secret=s3cret", true),
            (far, &none, "/srs/hooks?secret=s3cre", false),
            (far, &none, "/srs/hooks?secret=", false),
            (far, &none, "/srs/hooks?xsecret=s3cret", false),
        ] {
            assert_eq!(trust.admits(peer, headers, &Uri::from_static(uri)), admitted, "{peer:?} {uri}");
        }
        assert!(!Trust::new(Vec::new(), None).admits(near, &none, &plain));
        assert!(!format!("{trust:?}").contains("s3cret"));
    }
}
