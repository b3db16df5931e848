//! Who may ask: with the password from anywhere, without one from this machine only.

use super::Monitor;
use crate::{
    http::Peer,
    problem::{Problem, ProblemCode},
    srs::is_proxied,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;

/// The rule.
#[derive(Clone)]
pub struct MonitorDoor {
    /// Hash of the field that the right user and password make.
    expected: Option<[u8; 32]>,
}

impl MonitorDoor {
    /// Only this machine.
    #[must_use]
    pub fn loopback() -> Self {
        Self { expected: None }
    }

    /// Whoever has the password (RFC 7617).
    #[must_use]
    pub fn with_password(user: &str, password: &str) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self { expected: Some(Sha256::digest(pair.as_bytes()).into()) }
    }

    fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(expected) = &self.expected else {
            let is_local = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
            // Through a proxy everybody comes from this machine; and a page in a browser on it may reach us by a name of its
            // own that leads here.
            return if is_local && !is_proxied(headers) && is_local_name(headers) {
                Ok(())
            } else {
                Err(Refused::NotLocal)
            };
        };
        let field =
            headers.get(header::AUTHORIZATION).and_then(|field| field.to_str().ok()).unwrap_or_default();
        let (scheme, pair) = field.split_once(' ').unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(pair.trim().as_bytes()).into();
        let is_right = bool::from(given.ct_eq(expected)) && scheme.eq_ignore_ascii_case("basic");
        if is_right { Ok(()) } else { Err(Refused::NoPassword) }
    }
}

enum Refused {
    NotLocal,
    NoPassword,
}

/// Lets in or not, before anything is worked out.
pub(super) async fn guarded(State(monitor): State<Monitor>, request: Request, next: Next) -> Response<Body> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    match monitor.inner.door.admits(peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Refused::NotLocal) => StatusCode::FORBIDDEN.into_response(),
        Err(Refused::NoPassword) => (
            StatusCode::UNAUTHORIZED,
            [(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"monitoring\", charset=\"UTF-8\""),
            )],
        )
            .into_response(),
    }
}

/// `localhost`, or an address as it is; no name that somebody else may have made.
fn is_local_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// An address that nothing stands at.
pub(super) fn nothing() -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        "there is nothing at this address; /api/v1/ has versions, summaries, streams and clients",
    )
}

#[cfg(test)]
mod tests {
    use super::{MonitorDoor, Refused, is_local_name};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn without_a_password_only_this_machine_and_no_proxy() {
        let door = MonitorDoor::loopback();
        for (peer, fields, is_in) in [
            ("127.0.0.1", &[][..], true),
            ("::ffff:127.0.0.1", &[], true),
            ("::1", &[("host", "[::1]:1985")], true),
            ("10.0.0.1", &[], false),
            ("127.0.0.1", &[("x-forwarded-for", "10.0.0.1")], false),
            ("127.0.0.1", &[("host", "evil.example:1985")], false),
        ] {
            assert_eq!(door.admits(peer.parse().ok(), &headers(fields)).is_ok(), is_in, "{peer} {fields:?}");
        }
        assert!(door.admits(None, &HeaderMap::new()).is_err());
    }

    #[test]
    fn with_a_password_everybody_who_has_it() {
        let door = MonitorDoor::with_password("admin", "p:w");
        // admin:p:w
        assert!(door.admits(None, &headers(&[("authorization", "Basic YWRtaW46cDp3")])).is_ok());
        for field in ["", "Basic", "Basic YWRtaW46", "Bearer YWRtaW46cDp3", "Basic é"] {
            let mut fields = HeaderMap::new();
            fields.insert("authorization", HeaderValue::from_bytes(field.as_bytes()).unwrap());
            assert!(
                matches!(door.admits("127.0.0.1".parse().ok(), &fields), Err(Refused::NoPassword)),
                "{field}"
            );
        }
    }

    #[test]
    fn a_name_of_somebody_else_is_not_local() {
        for (host, is_local) in [
            ("localhost", true),
            ("LOCALHOST:1985", true),
            ("127.0.0.1:1985", true),
            ("[::1]", true),
            ("localhost.evil.example", false),
            ("evil:1985", false),
        ] {
            assert_eq!(is_local_name(&headers(&[("host", host)])), is_local, "{host}");
        }
    }
}
