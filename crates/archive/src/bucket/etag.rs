//! ETags as S3 makes them: they tell whether what arrived is what was sent.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

/// Letters of an MD5 in hexadecimal.
const MD5_LETTERS: usize = 32;

/// The ETag of an object stored whole, and of a part: its MD5 in hexadecimal.
#[must_use]
pub fn md5_etag(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// The ETag of an object made of parts with these ETags: the MD5 of their MD5s, `-`, and how many they are. `None` if one
/// of them is no MD5.
#[must_use]
pub fn multipart_etag<'a>(parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut whole = Md5::new();
    let mut count = 0;
    for part in parts {
        whole.update(bytes_of(part)?);
        count += 1;
    }
    Some(format!("{}-{count}", hex(&whole.finalize())))
}

/// The ETags that services may give an object made of parts with these ETags: S3's, and that of Garage, which sums up the
/// letters of the parts' ETags where S3 sums up their bytes (Garage 1.0, `api/s3/multipart.rs`). Empty if one of them is
/// no MD5: then nothing can be told beforehand.
pub(crate) fn multipart_etags<'a>(parts: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let Some(of_bytes) = multipart_etag(parts.clone()) else { return Vec::new() };
    let mut of_letters = Md5::new();
    let count = parts.inspect(|part| of_letters.update(part.as_bytes())).count();
    vec![of_bytes, format!("{}-{count}", hex(&of_letters.finalize()))]
}

/// Whether an ETag has the form of an MD5. With SSE-KMS some have and are none: S3 promises nothing there.
#[must_use]
pub fn looks_like_md5(etag: &str) -> bool {
    etag.len() == MD5_LETTERS && etag.bytes().all(|letter| letter.is_ascii_hexdigit())
}

/// An ETag as services write it, without quotes and without the mark of a weak one.
pub(super) fn unquote(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(etag: &str) -> Option<Vec<u8>> {
    if !looks_like_md5(etag) {
        return None;
    }
    (0..MD5_LETTERS).step_by(2).map(|at| u8::from_str_radix(etag.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_those_of_s3() {
        assert_eq!(md5_etag(b""), "d41d8cd98f00b204e9800998ecf8427e");
        // RFC 1321, section A.5.
        assert_eq!(md5_etag(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        let parts = [md5_etag(b"abc"), md5_etag(b"")];
        let joined = [bytes_of(&parts[0]).unwrap(), bytes_of(&parts[1]).unwrap()].concat();
        let whole = multipart_etag(parts.iter().map(String::as_str)).unwrap();
        assert_eq!(whole, format!("{}-2", md5_etag(&joined)));
        assert_eq!(multipart_etag(["not an md5"]), None);
        let letters = md5_etag(parts.concat().as_bytes());
        let known = multipart_etags(parts.iter().map(String::as_str));
        assert_eq!(known, [whole.clone(), format!("{letters}-2")], "S3's, then Garage's");
        assert!(multipart_etags(["not an md5"].into_iter()).is_empty());
        assert!(!looks_like_md5(&whole));
        assert_eq!(unquote("\"abc\""), "abc");
        assert_eq!(unquote("W/\"abc\""), "abc");
    }
}
