//! Codes of slots: how they look, and the only form in which they are kept.
//!
//! A code is short enough to be read out at a counter and typed on a phone: six characters of an alphabet of 31, 30 bits. From a
//! plain hash it would be found in a second, by trying them all. So what is kept is Argon2id, keyed with a secret of the installation, salted with
//! the id of the code: a copy of the database without that secret gives nothing away, and with the secret each code costs [`CODES`] / 2
//! times some 20 ms and 19 MiB, about four months of one core. It protects matches for as long as a code lives ([`LIFE_US`]), not a
//! password that is used elsewhere. Parameters: OWASP Password Storage Cheat Sheet (m = 19 MiB, t = 2, p = 1).

use argon2::{Algorithm, Argon2, Params, Version};
use uuid::Uuid;

/// Digits and capitals that nobody takes for one another: without 0, 1, I, L and O.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// Characters of a code.
const CHARS: usize = 6;

/// How many codes there are.
pub const CODES: u64 = 31_u64.pow(CHARS as u32);

/// How long a code opens its match where nobody says otherwise, in microseconds: 30 days.
pub const LIFE_US: i64 = 30 * 86_400 * 1_000_000;

/// Longest text that is looked at.
const MAX_TEXT_BYTES: usize = 64;

/// Bytes of what is kept.
pub const VERIFIER_BYTES: usize = 32;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A code out of random bytes, as people read it: `K7M-4QX`.
///
/// 128 bits into 30: no code is likelier than another by more than one in 2^98.
#[must_use]
pub fn from_random(bytes: [u8; 16]) -> String {
    let mut rest = u128::from_be_bytes(bytes) % u128::from(CODES);
    let mut text = String::with_capacity(CHARS + 1);
    for at in 0..CHARS {
        if at == CHARS / 2 {
            text.push('-');
        }
        // Below 31.
        text.push(char::from(ALPHABET[(rest % ALPHABET.len() as u128) as usize]));
        rest /= ALPHABET.len() as u128;
    }
    text
}

/// What somebody typed, in the form that is compared; `None` for what can be no code.
#[must_use]
pub fn normalised(typed: &str) -> Option<String> {
    if typed.len() > MAX_TEXT_BYTES {
        return None;
    }
    let text: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–' | '.' | '_'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = text.len() == CHARS && text.bytes().all(|byte| ALPHABET.contains(&byte));
    is_code.then_some(text)
}

/// Why nothing could be made of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the code could not be hashed")]
pub struct NoVerifier;

/// What is kept of a code, as a hexadecimal text. Takes some 20 ms and 19 MiB: not for a thread that others wait for.
///
/// # Errors
///
/// None with these parameters.
pub fn verifier(code: &str, secret: &[u8; 32], id: Uuid) -> Result<String, NoVerifier> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(VERIFIER_BYTES)).map_err(|_| NoVerifier)?;
    let argon = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
        .map_err(|_| NoVerifier)?;
    let mut bytes = [0; VERIFIER_BYTES];
    argon.hash_password_into(code.as_bytes(), id.as_bytes(), &mut bytes).map_err(|_| NoVerifier)?;
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    Ok(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back_however_they_are_typed() {
        for bytes in [[0; 16], [255; 16], [7; 16]] {
            let code = from_random(bytes);
            assert_eq!(code.len(), CHARS + 1);
            let plain = code.replace('-', "");
            for typed in
                [code.clone(), plain.clone(), code.to_lowercase(), format!(" {} ", code.replace('-', " "))]
            {
                assert_eq!(normalised(&typed), Some(plain.clone()), "{typed}");
            }
        }
        for wrong in ["", "K7M-4Q", "K7M-4QXX", "K7M-4Q0", "K7M-4QÑ", "K7M-4Qé", &"K".repeat(10_000)] {
            assert_eq!(normalised(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_depends_on_code_secret_and_id() {
        let kept =
            |code: &str, secret: u8, id: u128| verifier(code, &[secret; 32], Uuid::from_u128(id)).unwrap();
        let one = kept("K7M4QX", 1, 1);
        assert_eq!(one, kept("K7M4QX", 1, 1));
        assert_eq!(one.len(), VERIFIER_BYTES * 2);
        for other in [kept("K7M4QY", 1, 1), kept("K7M4QX", 2, 1), kept("K7M4QX", 1, 2)] {
            assert_ne!(one, other);
        }
    }
}
