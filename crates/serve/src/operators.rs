//! Who may see what the node says of itself: whoever sits at the machine, and whoever has the token.

use crate::{
    app::App,
    problem::{Problem, ProblemCode},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};
use subtle::ConstantTimeEq;

/// From where a connection came. The listener puts it into each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Headers that a proxy adds: whoever is behind it does not sit at this machine.
const FORWARDING: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// Decides who is an operator.
#[derive(Clone, Default)]
pub(crate) struct Operators {
    /// Of the token, so that comparing takes the same time whatever its length.
    token_hash: Option<[u8; 32]>,
}

impl Operators {
    /// With the token of the settings, if there is one.
    pub(crate) fn new(token: Option<&str>) -> Self {
        Self { token_hash: token.map(|token| Sha256::digest(token.as_bytes()).into()) }
    }

    fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
        self.has_token(headers) || (peer.is_some_and(is_loopback) && is_direct(headers))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = &self.token_hash else { return false };
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // RFC 9110 §11.1: the scheme is case-insensitive.
        let token = sent
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else { return false };
        let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        wanted.ct_eq(&hash).into()
    }
}

fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Whether nobody stands in between: no proxy that says so, and no name by which the outside reaches this machine, as a
/// proxy passes on and a page sends that had its own name point here.
fn is_direct(headers: &HeaderMap) -> bool {
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// Proof that an operator asks.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        if app.operators.admits(peer, &parts.headers) {
            return Ok(Self);
        }
        Err(Problem::new(
            ProblemCode::OperatorsOnly,
            "this is for those who run the server: ask on the machine itself by http://localhost, or set `[http] operations_token` \
             and send it as `Authorization: Bearer …`",
        ))
    }
}

/// Whether an operator asks, where others are answered as well, with less.
pub(crate) struct IsOperator(pub(crate) bool);

impl FromRequestParts<App> for IsOperator {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(Operator::from_request_parts(parts, app).await.is_ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::Operators;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    const TOKEN: &str = "a-token-of-some-length";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_machine_itself_and_the_token_are_let_in() {
        let bearer = format!("Bearer {TOKEN}");
        let shouted = format!("BEARER {TOKEN}");
        let longer = format!("Bearer {TOKEN}x");
        #[expect(clippy::type_complexity, reason = "a table of cases reads best as one")]
        let table: [(&str, &str, &[(&'static str, &str)], bool); 17] = [
            ("curl here", "127.0.0.1", &[("host", "localhost:8080")], true),
            ("by address", "127.0.0.1", &[("host", "127.0.0.1:8080")], true),
            ("by IPv6", "::1", &[("host", "[::1]:8080")], true),
            ("on a socket for both", "::ffff:127.0.0.1", &[("host", "LOCALHOST")], true),
            ("without a host", "127.0.0.1", &[], true),
            ("from the network", "192.168.1.7", &[("host", "localhost:8080")], false),
            (
                "a proxy that says so",
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "8.8.8.8")],
                false,
            ),
            (
                "even of itself",
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")],
                false,
            ),
            ("by the standard", "127.0.0.1", &[("host", "localhost"), ("forwarded", "for=127.0.0.1")], false),
            ("a proxy that keeps the name", "127.0.0.1", &[("host", "video.club.example")], false),
            ("a name that points here", "127.0.0.1", &[("host", "127.0.0.1.evil.example")], false),
            ("with the token", "192.168.1.7", &[("authorization", &bearer)], true),
            ("however it is spelt", "192.168.1.7", &[("authorization", &shouted)], true),
            (
                "through a proxy",
                "127.0.0.1",
                &[("forwarded", "for=8.8.8.8"), ("authorization", &bearer)],
                true,
            ),
            ("with another token", "192.168.1.7", &[("authorization", &longer)], false),
            ("as a password", "192.168.1.7", &[("authorization", "Basic YTpi")], false),
            ("with nothing", "192.168.1.7", &[("authorization", "Bearer")], false),
        ];
        let operators = Operators::new(Some(TOKEN));
        for (what, peer, pairs, is_let_in) in table {
            assert_eq!(operators.admits(Some(peer.parse().unwrap()), &headers(pairs)), is_let_in, "{what}");
        }
        assert!(!operators.admits(None, &HeaderMap::new()), "nobody knows from where");
        let without = Operators::new(None);
        assert!(!without.admits(None, &headers(&[("authorization", &bearer)])));
        assert!(!without.admits(None, &headers(&[("authorization", "Bearer ")])));
    }
}
