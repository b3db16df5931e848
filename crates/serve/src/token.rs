//! Signed, expiring addresses: what a token grants is in the token, and nothing is stored.
//!
//! ```text
//! token   = base64url( payload tag )            without padding, 78 characters
//! payload = version kind channel from_us to_us expires_us     1 + 1 + 16 + 8 + 8 + 8 bytes, big endian
//! tag     = first 16 bytes of HMAC-SHA256( secret, "turepe address" payload )
//! ```
//!
//! A tag of 128 bits is what RFC 2104 §5 allows as the least (half of the hash). Expiry is told apart from forgery only
//! after the tag was found good, so that nothing is learnt by guessing.

use crate::{
    limits::{TOKEN_SPARE_US, TOKEN_STEP_US},
    problem::{Problem, ProblemCode},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

const VERSION: u8 = 1;
const PAYLOAD_BYTES: usize = 42;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"turepe address";

/// Length of every token in characters.
const TOKEN_CHARS: usize = ((PAYLOAD_BYTES + TAG_BYTES) * 8).div_ceil(6);

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
}

impl TokenKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Replay),
            2 => Some(Self::Media),
            3 => Some(Self::Frame),
            4 => Some(Self::Live),
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
}

impl Signer {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        // The block of SHA-256 is 64 bytes: a 32-byte key always fits, and a fixed-size key has no error case.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..secret.len()].copy_from_slice(secret);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
        mac.update(LABEL);
        Self { mac }
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.mac.clone();
        mac.update(payload);
        let full = mac.finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&full[..TAG_BYTES]);
        tag
    }

    /// The token for a grant.
    pub(crate) fn sign(&self, grant: &Grant) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD_BYTES + TAG_BYTES);
        bytes.push(VERSION);
        bytes.push(grant.kind as u8);
        bytes.extend_from_slice(grant.channel.as_bytes());
        bytes.extend_from_slice(&grant.from_us.to_be_bytes());
        bytes.extend_from_slice(&grant.to_us.to_be_bytes());
        bytes.extend_from_slice(&grant.expires_us.to_be_bytes());
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token grants, if it is ours, whole, of this kind, and not over.
    pub(crate) fn verify(&self, token: &str, kind: TokenKind, now_us: i64) -> Result<Grant, TokenError> {
        if token.len() != TOKEN_CHARS {
            return Err(TokenError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        let (payload, tag) = bytes.split_at_checked(PAYLOAD_BYTES).ok_or(TokenError::Invalid)?;
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
    if version != VERSION {
        return None;
    }
    let (&kind, rest) = rest.split_first()?;
    let (channel, rest) = rest.split_first_chunk::<16>()?;
    let (from, rest) = rest.split_first_chunk::<8>()?;
    let (to, rest) = rest.split_first_chunk::<8>()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    rest.is_empty().then_some(())?;
    Some(Grant {
        kind: TokenKind::from_byte(kind)?,
        channel: Uuid::from_bytes(*channel),
        from_us: i64::from_be_bytes(*from),
        to_us: i64::from_be_bytes(*to),
        expires_us: i64::from_be_bytes(*expires),
    })
}

#[cfg(test)]
mod tests {
    use super::{Grant, Signer, TOKEN_CHARS, TokenError, TokenKind, expiry_us};
    use crate::limits::{TOKEN_SPARE_US, TOKEN_STEP_US};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use uuid::Uuid;

    const GRANT: Grant = Grant {
        kind: TokenKind::Media,
        channel: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        from_us: 1_000,
        to_us: 2_000,
        expires_us: 10_000,
    };

    fn signer() -> Signer {
        Signer::new(&[7; 32])
    }

    #[test]
    fn a_token_is_its_grant_again() {
        let token = signer().sign(&GRANT);
        assert_eq!(token.len(), TOKEN_CHARS);
        assert_eq!(signer().verify(&token, TokenKind::Media, 9_999), Ok(GRANT));
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
        let mut bytes = vec![2_u8, 2];
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
