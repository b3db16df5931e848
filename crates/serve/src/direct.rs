//! Whether a request was made directly: by a program that connected to us itself, and not through a proxy or by a page.
//!
//! Belongs here: the one judgement for operators, SRS's callbacks and monitoring. Not here: who is let in because of it.
//!
//! It can only be refuted. A proxy that leaves no trace, as nginx's plain `proxy_pass`, looks like a program on its own machine;
//! so being asked directly is proof of nothing where other people use the machine or a proxy runs on it
//! (`docs/security.md`).

use axum::http::{HeaderMap, HeaderName, Uri, header};
use std::net::IpAddr;

/// Where a connection came from, as the listener puts it into each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) std::net::SocketAddr);

/// Header fields that proxies, balancers and networks in front add. Fields that begin with [`FORWARDED_PREFIX`] count, too.
const PROXY_FIELDS: [&str; 20] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-proxyuser-ip",
    "x-envoy-external-address",
    "x-arr-log-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "cf-connecting-ip",
    "cf-ray",
    "cdn-loop",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "tailscale-user-login",
];

/// `X-Forwarded-For`, `-Host`, `-Proto`, `-Port`, `-Server` and their kin.
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// What a browser says of the page that asks (<https://www.w3.org/TR/fetch-metadata/>).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request counts as not made directly.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotDirect {
    /// It comes from another machine.
    #[error("it comes from another machine")]
    Elsewhere,
    /// A proxy stands in between, by this field.
    #[error("it came through a proxy (it has the field `{0}`)")]
    Proxied(HeaderName),
    /// A page of another site has a browser ask.
    #[error("a web page of another site asks")]
    Page,
    /// It names this server by a name that somebody else may have made, or by that of the outside.
    #[error("its Host is not this machine's own")]
    Host,
}

/// Whether a program on this machine asks, and by a name that only this machine has.
pub(crate) fn on_this_machine(peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), NotDirect> {
    match peer {
        Some(peer) if is_loopback(peer) => by_itself(peer, headers),
        _ => Err(NotDirect::Elsewhere),
    }
}

/// Whether the program that connected from `peer` is the one that asks. Over loopback it names us by loopback, over a network by
/// an address: a name could be one that a page's owner made lead here.
pub(crate) fn by_itself(peer: IpAddr, headers: &HeaderMap) -> Result<(), NotDirect> {
    if let Some(name) = headers.keys().find(|name| is_of_a_proxy(name.as_str())) {
        return Err(NotDirect::Proxied(name.clone()));
    }
    let is_ours = |host: &str| {
        if is_loopback(peer) { is_local_name(host) } else { is_local_name(host) || address(host).is_some() }
    };
    // HTTP/1.0 may have none. The listener gives HTTP/2 its `:authority` as such.
    let mut hosts = headers.get_all(header::HOST).iter();
    if !hosts.all(|host| host.to_str().is_ok_and(is_ours)) {
        return Err(NotDirect::Host);
    }
    let is_own_site = |site: &axum::http::HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
    if !headers.get_all(SEC_FETCH_SITE).iter().all(is_own_site) {
        return Err(NotDirect::Page);
    }
    // `null` is the origin of a page that hides its own.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own_origin = |origin: &axum::http::HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let authority = origin.as_ref().and_then(|origin| origin.authority());
        authority
            .is_some_and(|authority| host.is_some_and(|host| authority.as_str().eq_ignore_ascii_case(host)))
    };
    if !headers.get_all(header::ORIGIN).iter().all(is_own_origin) {
        return Err(NotDirect::Page);
    }
    Ok(())
}

fn is_of_a_proxy(name: &str) -> bool {
    name.starts_with(FORWARDED_PREFIX) || PROXY_FIELDS.contains(&name)
}

/// Whether an address is this machine's own, however it is written.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_local_name(host: &str) -> bool {
    name_of(host).eq_ignore_ascii_case("localhost") || address(host).is_some_and(is_loopback)
}

fn address(host: &str) -> Option<IpAddr> {
    name_of(host).parse().ok()
}

/// A Host without its port, and an address without its brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotDirect, by_itself, on_this_machine};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in pairs {
            all.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        all
    }

    #[test]
    fn a_program_on_this_machine_is_told_from_all_others() {
        type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], Option<NotDirect>);
        let proxied = |name: &'static str| Some(NotDirect::Proxied(HeaderName::from_static(name)));
        let table: [Case; 27] = [
            ("curl here", "127.0.0.1", &[("host", "localhost:8080")], None),
            ("by address", "127.0.0.1", &[("host", "127.0.0.1:8080")], None),
            ("by IPv6", "::1", &[("host", "[::1]:8080")], None),
            ("on a socket for both", "::ffff:127.0.0.1", &[("host", "LOCALHOST")], None),
            ("without a host", "127.0.0.1", &[], None),
            ("from the network", "192.168.1.7", &[("host", "localhost:8080")], Some(NotDirect::Elsewhere)),
            (
                "a proxy",
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "8.8.8.8")],
                proxied("x-forwarded-for"),
            ),
            (
                "of itself",
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")],
                proxied("x-forwarded-for"),
            ),
            (
                "one that tells its port alone",
                "127.0.0.1",
                &[("x-forwarded-port", "443")],
                proxied("x-forwarded-port"),
            ),
            (
                "by the standard",
                "127.0.0.1",
                &[("host", "localhost"), ("forwarded", "for=127.0.0.1")],
                proxied("forwarded"),
            ),
            (
                "a network in front",
                "127.0.0.1",
                &[("cf-connecting-ip", "8.8.8.8")],
                proxied("cf-connecting-ip"),
            ),
            ("a tunnel", "127.0.0.1", &[("cdn-loop", "cloudflare")], proxied("cdn-loop")),
            ("a cache", "127.0.0.1", &[("via", "1.1 varnish")], proxied("via")),
            (
                "a proxy that keeps the name",
                "127.0.0.1",
                &[("host", "video.club.example")],
                Some(NotDirect::Host),
            ),
            ("or the address of outside", "127.0.0.1", &[("host", "203.0.113.9")], Some(NotDirect::Host)),
            (
                "a name that points here",
                "127.0.0.1",
                &[("host", "127.0.0.1.evil.example")],
                Some(NotDirect::Host),
            ),
            ("another", "127.0.0.1", &[("host", "localhost.evil.example:8080")], Some(NotDirect::Host)),
            (
                "of two hosts one",
                "127.0.0.1",
                &[("host", "localhost"), ("host", "evil.example")],
                Some(NotDirect::Host),
            ),
            (
                "a page's form",
                "127.0.0.1",
                &[("host", "localhost:8080"), ("origin", "https://evil.example")],
                Some(NotDirect::Page),
            ),
            (
                "a hidden page's",
                "127.0.0.1",
                &[("host", "localhost:8080"), ("origin", "null")],
                Some(NotDirect::Page),
            ),
            (
                "a page's of another port",
                "127.0.0.1",
                &[("host", "localhost:8080"), ("origin", "http://localhost:3000")],
                Some(NotDirect::Page),
            ),
            (
                "our own page",
                "127.0.0.1",
                &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
                None,
            ),
            (
                "a page's image",
                "127.0.0.1",
                &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
                Some(NotDirect::Page),
            ),
            (
                "of a neighbour's",
                "127.0.0.1",
                &[("host", "localhost"), ("sec-fetch-site", "same-site")],
                Some(NotDirect::Page),
            ),
            (
                "twice",
                "127.0.0.1",
                &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
                Some(NotDirect::Page),
            ),
            ("typed into a browser", "127.0.0.1", &[("host", "localhost"), ("sec-fetch-site", "none")], None),
            (
                "by our own page",
                "127.0.0.1",
                &[("host", "localhost"), ("sec-fetch-site", "same-origin")],
                None,
            ),
        ];
        for (what, peer, pairs, wanted) in table {
            let judged = on_this_machine(peer.parse().ok(), &headers(pairs));
            assert_eq!(judged.err(), wanted, "{what}");
        }
        assert_eq!(
            on_this_machine(None, &HeaderMap::new()),
            Err(NotDirect::Elsewhere),
            "nobody knows from where"
        );
    }

    #[test]
    fn over_a_network_an_address_names_this_machine_and_a_name_does_not() {
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(by_itself(peer, &headers(&[("host", "10.0.0.2:8080")])), Ok(()));
        assert_eq!(by_itself(peer, &headers(&[("host", "[2001:db8::2]:8080")])), Ok(()));
        assert_eq!(by_itself(peer, &headers(&[("host", "evil.example:8080")])), Err(NotDirect::Host));
    }
}
