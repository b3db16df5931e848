//! Stream keys: how they are made, and the only form in which they are kept.

use sha2::{Digest as _, Sha256};

/// Random bytes in a stream key: 192 bits, so that a plain hash is enough to keep it by.
pub const KEY_BYTES: usize = 24;

/// Longer texts are no key; nobody's input is hashed without limit.
pub const MAX_KEY_TEXT_BYTES: usize = 128;

/// RFC 4648 §6 in lower case: no 0, 1, 8 and 9 to mistake, no character that a URL or a shell would touch.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A new key: 39 characters of base32 without padding.
pub(crate) fn new_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(base32(&bytes))
}

/// What is stored and looked up: the SHA-256 of the key's text in hexadecimal. `None` for what cannot be a key.
///
/// The lookup compares hashes, in an index: how long it takes tells nothing about a key.
pub(crate) fn hash(key: &str) -> Option<String> {
    let is_possible = (1..=MAX_KEY_TEXT_BYTES).contains(&key.len());
    is_possible.then(|| hex(&Sha256::digest(key.as_bytes())))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(buffer >> bits));
        }
    }
    if bits > 0 {
        text.push(letter(buffer << (5 - bits)));
    }
    text
}

fn letter(bits: u32) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10, in lower case and without padding.
    #[test]
    fn base32_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    /// FIPS 180-4, "abc".
    #[test]
    fn hash_vector() {
        assert_eq!(hash("abc").unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn keys_are_long_and_never_the_same() {
        let (a, b) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 39);
        assert!(a.bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn what_cannot_be_a_key_is_not_hashed() {
        assert_eq!(hash(""), None);
        assert_eq!(hash(&"k".repeat(MAX_KEY_TEXT_BYTES + 1)), None);
    }
}
