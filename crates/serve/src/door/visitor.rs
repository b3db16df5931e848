//! What a request shows of the one who sends it.
//!
//! A browser carries what it has shown in a cookie: HttpOnly, so that no script reads it; SameSite=Strict, so that no other site
//! uses it; with a path, so that it goes to the club's API alone and neither into addresses nor a Referer nor a log. Players, downloads
//! and televisions send no cookies: the addresses that the API hands out carry all that they need.

use crate::{
    app::App,
    limits::{MAX_GRANT_LIFE_US, MAX_PASSES_CARRIED},
    operators::OperatorByToken,
    token::{PASS_CHARS, Signer},
};
use access::Pass;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use std::convert::Infallible;

/// Name of the cookie.
const COOKIE: &str = "turepe_pass";

/// Between the passes in it; none of the characters of a pass.
const SEPARATOR: char = '.';

/// Longest value that is looked at.
const MAX_VALUE_BYTES: usize = MAX_PASSES_CARRIED * (PASS_CHARS + 1);

/// Who asks.
#[derive(Default)]
pub(crate) struct Visitor {
    pub(crate) is_operator: bool,
    pub(crate) passes: Vec<Pass>,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // By his token, not by where he sits: the browser at the club's counter is a visitor like others, and so is everybody behind a
        // proxy that leaves no trace.
        let is_operator = OperatorByToken::from_request_parts(parts, app).await.is_ok();
        Ok(Self { is_operator, passes: passes(&parts.headers, &app.signer) })
    }
}

/// The passes of a request, as they were added.
fn passes(headers: &HeaderMap, signer: &Signer) -> Vec<Pass> {
    let mut passes = Vec::new();
    for value in headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        let ours = value.split(';').filter_map(|pair| pair.trim().split_once('='));
        for (_, text) in ours.filter(|(name, text)| *name == COOKIE && text.len() <= MAX_VALUE_BYTES) {
            passes.extend(text.split(SEPARATOR).filter_map(|text| signer.verify_pass(text)));
        }
    }
    passes.truncate(MAX_PASSES_CARRIED);
    passes
}

/// The cookie of a visitor who has shown one thing more. It lives as long as anything can that is in it: what of it still opens something is
/// looked up when it is shown.
pub(crate) fn cookie(
    visitor: &Visitor,
    pass: Pass,
    club: &str,
    headers: &HeaderMap,
    signer: &Signer,
) -> Option<HeaderValue> {
    let mut passes: Vec<Pass> = visitor.passes.iter().copied().filter(|known| *known != pass).collect();
    passes.push(pass);
    // The oldest go.
    let newest = passes.split_off(passes.len().saturating_sub(MAX_PASSES_CARRIED));
    let value: Vec<String> = newest.into_iter().map(|pass| signer.sign_pass(pass)).collect();
    let value = value.join(&SEPARATOR.to_string());
    let life_s = MAX_GRANT_LIFE_US / 1_000_000;
    // A page that came by HTTPS says so: what it carries is not to go out in the clear.
    let is_https =
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={value}; Path=/api/clubs/{club}; Max-Age={life_s}; HttpOnly; SameSite=Strict{secure}"
    );
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{Visitor, cookie, passes};
    use crate::{limits::MAX_PASSES_CARRIED, token::Signer};
    use access::{Pass, PassKind};
    use axum::http::{HeaderMap, HeaderValue, header};
    use uuid::Uuid;

    fn pass(number: u128) -> Pass {
        Pass { kind: PassKind::Code, id: Uuid::from_u128(number) }
    }

    #[test]
    fn a_browser_carries_the_newest_passes_and_no_others() {
        let signer = Signer::new(&[7; 32]);
        let mut visitor = Visitor::default();
        let mut sent = HeaderMap::new();
        for number in 0..MAX_PASSES_CARRIED as u128 + 3 {
            let set = cookie(&visitor, pass(number), "club", &HeaderMap::new(), &signer).unwrap();
            let text = set.to_str().unwrap().to_owned();
            assert!(
                text.ends_with("; Path=/api/clubs/club; Max-Age=63244800; HttpOnly; SameSite=Strict"),
                "{text}"
            );
            let pair = text.split(';').next().unwrap();
            sent.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}; c=d")).unwrap());
            visitor.passes = passes(&sent, &signer);
        }
        assert_eq!(visitor.passes, (3..MAX_PASSES_CARRIED as u128 + 3).map(pass).collect::<Vec<_>>());
        // Of another installation, made up, or too much.
        assert_eq!(passes(&sent, &Signer::new(&[8; 32])), []);
        let flood = format!("turepe_pass={}", "A.".repeat(10_000));
        sent.insert(header::COOKIE, HeaderValue::from_str(&flood).unwrap());
        assert_eq!(passes(&sent, &signer), []);
        let mut https = HeaderMap::new();
        https.insert(header::ORIGIN, HeaderValue::from_static("https://video.club.example"));
        let set = cookie(&visitor, pass(1), "club", &https, &signer).unwrap();
        assert!(set.to_str().unwrap().ends_with("; Secure"));
    }
}
