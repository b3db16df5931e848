//! Signed, expiring addresses: what a token grants is in the token, and nothing is stored.
//!
//! ```text
//! token   = base64url( payload tag )            without padding, 78 characters; 101 with a pass
//! payload = 1 kind channel from_us to_us expires_us           1 + 1 + 16 + 8 + 8 + 8 bytes, big endian
//!         | 2 kind channel from_us to_us expires_us by pass   … + 1 + 16
//! tag     = first 16 bytes of HMAC-SHA256( secret, "turepe address" payload )
//!
//! pass    = base64url( kind id tag )                          1 + 16 + 16 bytes, 44 characters
//! tag     = first 16 bytes of HMAC-SHA256( secret, "turepe pass" kind id )
//! ```
//!
//! The second form says by what somebody was let in who is not let in as everybody is: it is looked up when the token is used, so that it
//! ends with what was taken back.
//!
//! A tag of 128 bits is what RFC 2104 §5 allows as the least (half of the hash). Expiry is told apart from forgery only
//! after the tag was found good, so that nothing is learnt by guessing.

use crate::{
    limits::{TOKEN_SPARE_US, TOKEN_STEP_US},
    problem::{Problem, ProblemCode},
};
use access::{By, Pass, PassKind};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

const OPEN_VERSION: u8 = 1;
const PASS_VERSION: u8 = 2;
const PAYLOAD_BYTES: usize = 42;
const BY_BYTES: usize = 17;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"turepe address";
const PASS_LABEL: &[u8] = b"turepe pass";

/// Length of tokens in characters.
const TOKEN_CHARS: usize = ((PAYLOAD_BYTES + TAG_BYTES) * 8).div_ceil(6);
const PASS_TOKEN_CHARS: usize = ((PAYLOAD_BYTES + BY_BYTES + TAG_BYTES) * 8).div_ceil(6);

/// Length of every pass in characters.
pub(crate) const PASS_CHARS: usize = ((BY_BYTES + TAG_BYTES) * 8).div_ceil(6);

/// What a token is for. One kind never passes for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum TokenKind {
    /// Playlist and download of a range.
    Replay = 1,
    /// Bytes of the segments that a range touches.
    Media = 2,
    /// A picture of a range.
    Frame = 3,
    /// What a channel broadcasts; without a range.
    Live = 4,
    /// Bytes of the segments that a live viewer goes back to.
    Rewind = 5,
}

impl TokenKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Replay),
            2 => Some(Self::Media),
            3 => Some(Self::Frame),
            4 => Some(Self::Live),
            5 => Some(Self::Rewind),
            _ => None,
        }
    }
}

/// What a token allows: this kind of access to this range of this channel until then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    pub(crate) kind: TokenKind,
    pub(crate) channel: Uuid,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) expires_us: i64,
    /// By what whoever got it was let in.
    pub(crate) by: By,
}

impl Grant {
    /// The same grant for another use.
    pub(crate) fn of_kind(self, kind: TokenKind) -> Self {
        Self { kind, ..self }
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not made by us, damaged, or made for something else.
    #[error("this link was not made by this server or is incomplete")]
    Invalid,
    /// Made by us, and its time is over.
    #[error("this link has expired; open the match again to get a new one")]
    Expired,
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Invalid => ProblemCode::TokenInvalid,
            TokenError::Expired => ProblemCode::TokenExpired,
        };
        Self::new(code, error.to_string())
    }
}

/// When addresses for a range that are made now expire.
///
/// At least the length of the range and [`TOKEN_SPARE_US`] from now, on a multiple of [`TOKEN_STEP_US`].
pub(crate) fn expiry_us(from_us: i64, to_us: i64, now_us: i64) -> i64 {
    let least = now_us.saturating_add(to_us.saturating_sub(from_us).max(0)).saturating_add(TOKEN_SPARE_US);
    let step = least.div_euclid(TOKEN_STEP_US).saturating_add(1);
    step.saturating_mul(TOKEN_STEP_US)
}

/// Signs and checks tokens.
#[derive(Clone)]
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
    pass_mac: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        // The block of SHA-256 is 64 bytes: a 32-byte key always fits, and a fixed-size key has no error case.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..secret.len()].copy_from_slice(secret);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
        let mut pass_mac = mac.clone();
        mac.update(LABEL);
        pass_mac.update(PASS_LABEL);
        Self { mac, pass_mac }
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        tag(&self.mac, payload)
    }

    /// What a visitor carries who has shown this.
    pub(crate) fn sign_pass(&self, pass: Pass) -> String {
        let mut bytes = by_bytes(By::Pass(pass)).to_vec();
        let tag = tag(&self.pass_mac, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The pass of a text, if it is one of ours. What it is good for is another question.
    pub(crate) fn verify_pass(&self, text: &str) -> Option<Pass> {
        if text.len() != PASS_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (payload, sent) = bytes.split_at_checked(BY_BYTES)?;
        if !bool::from(tag(&self.pass_mac, payload).as_slice().ct_eq(sent)) {
            return None;
        }
        match by_of(payload)? {
            By::Pass(pass) => Some(pass),
            By::Open | By::Operator => None,
        }
    }

    /// The token for a grant.
    pub(crate) fn sign(&self, grant: &Grant) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD_BYTES + BY_BYTES + TAG_BYTES);
        bytes.push(if grant.by == By::Open { OPEN_VERSION } else { PASS_VERSION });
        bytes.push(grant.kind as u8);
        bytes.extend_from_slice(grant.channel.as_bytes());
        bytes.extend_from_slice(&grant.from_us.to_be_bytes());
        bytes.extend_from_slice(&grant.to_us.to_be_bytes());
        bytes.extend_from_slice(&grant.expires_us.to_be_bytes());
        if grant.by != By::Open {
            bytes.extend_from_slice(&by_bytes(grant.by));
        }
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token grants, if it is ours, whole, of this kind, and not over.
    pub(crate) fn verify(&self, token: &str, kind: TokenKind, now_us: i64) -> Result<Grant, TokenError> {
        let payload_bytes = match token.len() {
            TOKEN_CHARS => PAYLOAD_BYTES,
            PASS_TOKEN_CHARS => PAYLOAD_BYTES + BY_BYTES,
            _ => return Err(TokenError::Invalid),
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        let (payload, tag) = bytes.split_at_checked(payload_bytes).ok_or(TokenError::Invalid)?;
        if !bool::from(self.tag(payload).as_slice().ct_eq(tag)) {
            return Err(TokenError::Invalid);
        }
        let grant = decode(payload).ok_or(TokenError::Invalid)?;
        if grant.kind != kind {
            return Err(TokenError::Invalid);
        }
        if now_us >= grant.expires_us {
            return Err(TokenError::Expired);
        }
        Ok(grant)
    }
}

fn decode(payload: &[u8]) -> Option<Grant> {
    let (&version, rest) = payload.split_first()?;
    let (&kind, rest) = rest.split_first()?;
    let (channel, rest) = rest.split_first_chunk::<16>()?;
    let (from, rest) = rest.split_first_chunk::<8>()?;
    let (to, rest) = rest.split_first_chunk::<8>()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let by = match version {
        OPEN_VERSION if rest.is_empty() => By::Open,
        PASS_VERSION => by_of(rest).filter(|by| *by != By::Open)?,
        _ => return None,
    };
    Some(Grant {
        kind: TokenKind::from_byte(kind)?,
        channel: Uuid::from_bytes(*channel),
        from_us: i64::from_be_bytes(*from),
        to_us: i64::from_be_bytes(*to),
        expires_us: i64::from_be_bytes(*expires),
        by,
    })
}

fn tag(mac: &Hmac<Sha256>, payload: &[u8]) -> [u8; TAG_BYTES] {
    let mut mac = mac.clone();
    mac.update(payload);
    let full = mac.finalize().into_bytes();
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&full[..TAG_BYTES]);
    tag
}

/// Kind and id.
fn by_bytes(by: By) -> [u8; BY_BYTES] {
    let (kind, id) = match by {
        By::Open => (0, Uuid::nil()),
        By::Operator => (1, Uuid::nil()),
        By::Pass(Pass { kind: PassKind::Link, id }) => (2, id),
        By::Pass(Pass { kind: PassKind::Code, id }) => (3, id),
    };
    let mut bytes = [0; BY_BYTES];
    bytes[0] = kind;
    bytes[1..].copy_from_slice(id.as_bytes());
    bytes
}

fn by_of(bytes: &[u8]) -> Option<By> {
    let (&kind, id) = bytes.split_first()?;
    let id = Uuid::from_slice(id).ok()?;
    match kind {
        0 => Some(By::Open),
        1 => Some(By::Operator),
        2 => Some(By::Pass(Pass { kind: PassKind::Link, id })),
        3 => Some(By::Pass(Pass { kind: PassKind::Code, id })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Grant, Signer, TOKEN_CHARS, TokenError, TokenKind, expiry_us};
    use crate::limits::{TOKEN_SPARE_US, TOKEN_STEP_US};
    use access::{By, Pass, PassKind};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use uuid::Uuid;

    const GRANT: Grant = Grant {
        kind: TokenKind::Media,
        channel: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        from_us: 1_000,
        to_us: 2_000,
        expires_us: 10_000,
        by: By::Open,
    };

    const LINK: Pass = Pass { kind: PassKind::Link, id: Uuid::from_u128(7) };
    const CODE: Pass = Pass { kind: PassKind::Code, id: Uuid::from_u128(7) };

    fn signer() -> Signer {
        Signer::new(&[7; 32])
    }

    #[test]
    fn a_token_is_its_grant_again() {
        let token = signer().sign(&GRANT);
        assert_eq!(token.len(), TOKEN_CHARS);
        assert_eq!(signer().verify(&token, TokenKind::Media, 9_999), Ok(GRANT));
        for by in [By::Operator, By::Pass(LINK), By::Pass(CODE)] {
            let grant = Grant { by, ..GRANT };
            let token = signer().sign(&grant);
            assert_eq!(token.len(), super::PASS_TOKEN_CHARS);
            assert_eq!(signer().verify(&token, TokenKind::Media, 9_999), Ok(grant));
        }
    }

    #[test]
    fn a_pass_is_carried_and_not_made_up() {
        for pass in [LINK, CODE] {
            let text = signer().sign_pass(pass);
            assert_eq!(text.len(), super::PASS_CHARS);
            assert_eq!(signer().verify_pass(&text), Some(pass));
            assert_eq!(Signer::new(&[8; 32]).verify_pass(&text), None);
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            bytes[0] ^= 1;
            assert_eq!(signer().verify_pass(&URL_SAFE_NO_PAD.encode(bytes)), None, "another kind");
            assert_eq!(signer().verify(&text, TokenKind::Media, 0), Err(TokenError::Invalid));
        }
        for text in ["", "x", &"A".repeat(super::PASS_CHARS), &signer().sign(&GRANT)] {
            assert_eq!(signer().verify_pass(text), None);
        }
    }

    #[test]
    fn any_changed_character_is_found() {
        let token = signer().sign(&GRANT);
        for at in 0..token.len() {
            for other in ['A', 'B', '_', '=', '%', '\u{e9}'] {
                let mut text: Vec<char> = token.chars().collect();
                if text[at] == other {
                    continue;
                }
                text[at] = other;
                let text: String = text.into_iter().collect();
                assert_eq!(
                    signer().verify(&text, TokenKind::Media, 0),
                    Err(TokenError::Invalid),
                    "{at} {other}"
                );
            }
        }
    }

    #[test]
    fn cut_lengthened_and_foreign_tokens_are_invalid() {
        let token = signer().sign(&GRANT);
        for text in
            ["", "x", &token[1..], &token[..token.len() - 1], &format!("{token}A"), &"A".repeat(token.len())]
        {
            assert_eq!(signer().verify(text, TokenKind::Media, 0), Err(TokenError::Invalid));
        }
        let foreign = Signer::new(&[8; 32]).sign(&GRANT);
        assert_eq!(signer().verify(&foreign, TokenKind::Media, 0), Err(TokenError::Invalid));
    }

    #[test]
    fn one_kind_does_not_pass_for_another() {
        let token = signer().sign(&GRANT);
        assert_eq!(signer().verify(&token, TokenKind::Replay, 0), Err(TokenError::Invalid));
        assert_eq!(signer().verify(&token, TokenKind::Frame, 0), Err(TokenError::Invalid));
        assert_eq!(signer().verify(&token, TokenKind::Live, 0), Err(TokenError::Invalid));
    }

    #[test]
    fn expiry_is_told_only_of_tokens_of_our_own() {
        let token = signer().sign(&GRANT);
        assert_eq!(signer().verify(&token, TokenKind::Media, 10_000), Err(TokenError::Expired));
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        bytes[41] ^= 1;
        let forged = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(signer().verify(&forged, TokenKind::Media, 10_000), Err(TokenError::Invalid));
    }

    #[test]
    fn a_grant_of_the_next_version_is_not_misread() {
        let mut bytes = vec![3_u8, 2];
        bytes.extend_from_slice(&[0; 40]);
        let tag = signer().tag(&bytes);
        bytes.extend_from_slice(&tag);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(signer().verify(&token, TokenKind::Media, 0), Err(TokenError::Invalid));
    }

    #[test]
    fn addresses_stay_the_same_for_hours_and_outlive_the_match() {
        let minute = 60 * 1_000_000;
        let now = 1_795_251_600_000_000;
        let (from, to) = (now - 200 * minute, now - 110 * minute);
        assert_eq!(expiry_us(from, to, now), expiry_us(from, to, now + 10 * minute));
        for later in (0..2_000).step_by(7) {
            let asked = now + later * minute;
            let life = expiry_us(from, to, asked) - asked;
            assert!(life > 90 * minute + TOKEN_SPARE_US);
            assert!(life <= 90 * minute + TOKEN_SPARE_US + TOKEN_STEP_US);
        }
        assert!(expiry_us(i64::MIN, i64::MAX, i64::MAX) > 0);
    }
}
