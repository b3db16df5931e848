//! Who may ask: operators, and whoever has the password of the monitoring. Who ends a client needs the one or the other, wherever he
//! sits.

use super::Monitor;
use crate::{
    direct::Peer,
    operators::{NoOperator, Operators},
    problem::{Problem, ProblemCode},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, header},
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
    operators: Operators,
    /// Hash of the field that the right user and password make.
    expected: Option<[u8; 32]>,
}

impl MonitorDoor {
    /// Whoever is an operator.
    #[must_use]
    pub fn new(operators: Operators) -> Self {
        Self { operators, expected: None }
    }

    /// And whoever has the password (RFC 7617), which is then asked for on the machine itself, too.
    #[must_use]
    pub fn with_password(self, user: &str, password: &str) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self { expected: Some(Sha256::digest(pair.as_bytes()).into()), ..self }
    }

    fn admits(&self, method: &Method, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Refused> {
        if let Some(expected) = &self.expected {
            return if has_password(expected, headers) || self.operators.admits_changes(headers).is_ok() {
                Ok(())
            } else {
                Err(Refused::NoPassword)
            };
        }
        let is_change = !matches!(*method, Method::GET | Method::HEAD);
        let judged = if is_change {
            self.operators.admits_changes(headers)
        } else {
            self.operators.admits(peer, headers)
        };
        judged.map_err(Refused::NoOperator)
    }
}

fn has_password(expected: &[u8; 32], headers: &HeaderMap) -> bool {
    let field = headers.get(header::AUTHORIZATION).and_then(|field| field.to_str().ok()).unwrap_or_default();
    let (scheme, pair) = field.split_once(' ').unwrap_or_default();
    let given: [u8; 32] = Sha256::digest(pair.trim().as_bytes()).into();
    bool::from(given.ct_eq(expected)) && scheme.eq_ignore_ascii_case("basic")
}

#[derive(Debug)]
enum Refused {
    NoOperator(NoOperator),
    NoPassword,
}

/// Lets in or not, before anything is worked out.
pub(super) async fn guarded(State(monitor): State<Monitor>, request: Request, next: Next) -> Response<Body> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    match monitor.inner.door.admits(request.method(), peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Refused::NoOperator(why)) => why.problem().into_response(),
        Err(Refused::NoPassword) => {
            let detail = "user and password of the monitoring are asked for (`srs_api.user`, `srs_api.password`), or the operators' token";
            Problem::new(ProblemCode::PasswordNeeded, detail)
                .with_header(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"monitoring\", charset=\"UTF-8\""),
                )
                .into_response()
        }
    }
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
    use super::{MonitorDoor, Refused};
    use crate::operators::Operators;
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

    const TOKEN: &str = "0123456789abcdef";
    const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef");
    /// admin:p:w
    const BASIC: (&str, &str) = ("authorization", "Basic YWRtaW46cDp3");

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn reading_is_for_operators_and_ending_a_client_for_who_has_token_or_password() {
        let strict = MonitorDoor::new(Operators::with_token(TOKEN));
        let near = MonitorDoor::new(Operators::with_token(TOKEN).and_loopback());
        let locked = near.clone().with_password("admin", "p:w");
        // Whether each of the three lets read and lets end.
        for (peer, fields, reads, ends) in [
            ("127.0.0.1", &[][..], [false, true, false], [false; 3]),
            ("::ffff:127.0.0.1", &[], [false, true, false], [false; 3]),
            ("10.0.0.1", &[], [false; 3], [false; 3]),
            ("127.0.0.1", &[("x-forwarded-for", "10.0.0.1")], [false; 3], [false; 3]),
            ("127.0.0.1", &[("host", "evil.example:1985")], [false; 3], [false; 3]),
            ("127.0.0.1", &[("origin", "https://evil.example")], [false; 3], [false; 3]),
            ("10.0.0.1", &[BEARER], [true; 3], [true; 3]),
            ("10.0.0.1", &[BASIC], [false, false, true], [false, false, true]),
            ("10.0.0.1", &[("authorization", "Basic YWRtaW46cDp4")], [false; 3], [false; 3]),
        ] {
            let (peer, fields) = (peer.parse().ok(), headers(fields));
            let doors = [&strict, &near, &locked];
            let by = |method: &Method| doors.map(|door| door.admits(method, peer, &fields).is_ok());
            assert_eq!(by(&Method::GET), reads, "{peer:?} {fields:?}");
            assert_eq!(by(&Method::DELETE), ends, "{peer:?} {fields:?}");
        }
    }

    #[test]
    fn with_a_password_it_is_asked_for() {
        let door = MonitorDoor::new(Operators::with_token(TOKEN)).with_password("admin", "p:w");
        for field in ["", "Basic", "Basic YWRtaW46", "Bearer YWRtaW46cDp3", "Basic é"] {
            let mut fields = HeaderMap::new();
            fields.insert("authorization", HeaderValue::from_bytes(field.as_bytes()).unwrap());
            let judged = door.admits(&Method::GET, "127.0.0.1".parse().ok(), &fields);
            assert!(matches!(judged, Err(Refused::NoPassword)), "{field}");
        }
    }
}
