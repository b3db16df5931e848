//! Who may see what the node says of itself: whoever has the operators' token; and, where its operators ask for that, whoever
//! asks on the machine itself.

use crate::{
    app::App,
    direct::{self, NotDirect, Peer},
    problem::{Problem, ProblemCode},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use sha2::{Digest, Sha256};
use std::{fmt, net::IpAddr};
use subtle::ConstantTimeEq;

/// Decides who is an operator. Clones are the same.
#[derive(Clone, Default)]
pub struct Operators {
    /// Of the token, so that comparing takes the same time whatever its length.
    token_hash: Option<[u8; 32]>,
    /// Whether asking directly on the machine is enough to be told something.
    with_loopback: bool,
}

impl Operators {
    /// Whoever sends this token as `Authorization: Bearer …`, from wherever.
    #[must_use]
    pub fn with_token(token: &str) -> Self {
        Self { token_hash: Some(Sha256::digest(token.as_bytes()).into()), with_loopback: false }
    }

    /// And whoever asks directly on this machine, to be told something: what ends clients needs the token all the same.
    #[must_use]
    pub fn and_loopback(self) -> Self {
        Self { with_loopback: true, ..self }
    }

    /// Whether this request may be told what the node says of itself.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub(crate) fn admits(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), NoOperator> {
        if self.has_token(headers) {
            return Ok(());
        }
        if !self.with_loopback {
            return Err(NoOperator::Token { is_wrong: headers.contains_key(header::AUTHORIZATION) });
        }
        direct::on_this_machine(peer, headers).map_err(NoOperator::NotDirect)
    }

    /// Whether this request may change something, or watch what is not open: by the token alone.
    pub(crate) fn admits_changes(&self, headers: &HeaderMap) -> Result<(), NoOperator> {
        if self.has_token(headers) {
            return Ok(());
        }
        Err(NoOperator::Token { is_wrong: headers.contains_key(header::AUTHORIZATION) })
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

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operators").field("with_loopback", &self.with_loopback).finish_non_exhaustive()
    }
}

/// Why somebody is no operator.
#[derive(Debug)]
pub(crate) enum NoOperator {
    /// The token is asked for.
    Token {
        /// Whether something else was sent in its place.
        is_wrong: bool,
    },
    /// Neither has he the token nor does he ask on the machine itself.
    NotDirect(NotDirect),
}

impl NoOperator {
    /// What to do.
    pub(crate) fn problem(&self) -> Problem {
        let why = match self {
            Self::Token { is_wrong: true } => {
                "what was sent as Authorization is not the operators' token".to_owned()
            }
            Self::Token { is_wrong: false } => "the operators' token is asked for".to_owned(),
            Self::NotDirect(why) => format!("this counts as not asked on the machine itself: {why}"),
        };
        Problem::new(
            ProblemCode::OperatorsOnly,
            format!(
                "this is for those who run the server: {why}. The token stands in the file `operators.token` of the data folder \
                 (`[http] operators_token_file`): send it as `Authorization: Bearer …`, or let `turepe ask` do so"
            ),
        )
    }
}

/// Proof that an operator asks.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        match app.operators.admits(peer, &parts.headers) {
            Ok(()) => Ok(Self),
            Err(refused) => Err(refused.problem()),
        }
    }
}

/// Proof that an operator asks who has the token: what he is let in to is not granted for being on the machine.
pub(crate) struct OperatorByToken;

impl FromRequestParts<App> for OperatorByToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.operators.admits_changes(&parts.headers).map(|()| Self).map_err(|refused| refused.problem())
    }
}

#[cfg(test)]
mod tests {
    use super::Operators;
    use axum::http::{HeaderMap, HeaderValue, header};

    const TOKEN: &str = "a-token-of-some-length";

    fn sent(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_token_is_let_in_from_wherever_and_the_machine_where_it_was_asked_for() {
        let bearer = format!("Bearer {TOKEN}");
        let shouted = format!("BEARER {TOKEN}");
        let longer = format!("Bearer {TOKEN}x");
        let (here, far) = ("127.0.0.1".parse().ok(), "192.168.1.7".parse().ok());
        let forwarded = (header::FORWARDED, "for=8.8.8.8");
        let strict = Operators::with_token(TOKEN);
        let near = strict.clone().and_loopback();
        for (what, peer, fields, by_token, by_machine) in [
            ("here", here, vec![(header::HOST, "localhost:8080")], false, true),
            ("here, with another token", here, vec![(header::AUTHORIZATION, longer.as_str())], false, true),
            ("far", far, vec![(header::HOST, "localhost:8080")], false, false),
            ("from nowhere", None, vec![], false, false),
            ("with the token", far, vec![(header::AUTHORIZATION, bearer.as_str())], true, true),
            ("however it is spelt", far, vec![(header::AUTHORIZATION, shouted.as_str())], true, true),
            (
                "through a proxy",
                here,
                vec![forwarded.clone(), (header::AUTHORIZATION, bearer.as_str())],
                true,
                true,
            ),
            ("through a proxy, without", here, vec![forwarded.clone()], false, false),
            ("with another token", far, vec![(header::AUTHORIZATION, longer.as_str())], false, false),
            ("as a password", far, vec![(header::AUTHORIZATION, "Basic YTpi")], false, false),
            ("with nothing", far, vec![(header::AUTHORIZATION, "Bearer")], false, false),
            ("with less", far, vec![(header::AUTHORIZATION, "Bearer ")], false, false),
        ] {
            let headers = sent(&fields);
            assert_eq!(strict.admits(peer, &headers).is_ok(), by_token, "{what}");
            assert_eq!(near.admits(peer, &headers).is_ok(), by_machine, "{what}");
            // What changes something never goes by where it comes from.
            assert_eq!(near.admits_changes(&headers).is_ok(), by_token, "{what}");
        }
        let nobody = Operators::default();
        assert!(nobody.admits(here, &sent(&[(header::AUTHORIZATION, "Bearer ")])).is_err());
        assert!(!format!("{strict:?}").contains(TOKEN));
    }
}
