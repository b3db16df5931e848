//! Whether what the bucket has is what was sent: a pure decision.
//!
//! What HEAD says is compared with what was known before it was asked: with the tags that follow from what was sent, or,
//! where a service computes tags in a way of its own, with the one that it answered when it made the object. That answer
//! counts only if the bucket's own list had every part with the tag and the length that it was taken with.

use std::collections::BTreeMap;

use super::plan::{part_count, part_range};
use crate::bucket::{ObjectMeta, UploadedPart, multipart_etags};

/// What an object that was sent is known by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Arrived {
    /// Entity tags that follow from what was sent, by the rules that are known; the object has one of them.
    pub(crate) sent: Vec<String>,
    /// The tag in the service's answer to the call that made the object, where that can be relied on.
    pub(crate) told: Option<String>,
    /// The upload in parts that it came by: where the object is not there after all, that is to be aborted, as it may be there still.
    pub(crate) upload_id: Option<String>,
}

impl Arrived {
    /// An object made of an upload's parts with these tags, whose call was answered with `told`.
    pub(crate) fn of_parts(upload_id: &str, tags: &BTreeMap<u32, String>, told: Option<String>) -> Self {
        let sent = multipart_etags(tags.values().map(String::as_str));
        Self { sent, told, upload_id: Some(upload_id.to_owned()) }
    }
}

/// Whether the bucket's list has just the parts of an object of a length, each with the tag and the length it was sent with.
pub(crate) fn is_listed_as_sent(
    listed: &[UploadedPart],
    tags: &BTreeMap<u32, String>,
    part_bytes: u64,
    sealed_bytes: u64,
) -> bool {
    let count = part_count(sealed_bytes, part_bytes);
    let is_as_sent = |part: &UploadedPart| {
        let range = part_range(part.number, part_bytes, Some(sealed_bytes));
        tags.get(&part.number) == Some(&part.etag) && part.size_bytes == range.end.saturating_sub(range.start)
    };
    listed.len() == tags.len() && tags.keys().copied().eq(1..=count) && listed.iter().all(is_as_sent)
}

/// The tag that the object has, if it is the one that was sent; else why it cannot be taken for it.
pub(crate) fn judge(
    arrived: &Arrived,
    sealed_bytes: Option<u64>,
    there: Option<&ObjectMeta>,
) -> Result<String, String> {
    let Some(there) = there else { return Err("the bucket does not have it".into()) };
    if Some(there.size_bytes) != sealed_bytes {
        return Err(format!("it has {} bytes there", there.size_bytes));
    }
    let is_known = |tag: &String| tag.eq_ignore_ascii_case(&there.etag);
    if arrived.sent.iter().chain(&arrived.told).any(is_known) {
        return Ok(there.etag.clone());
    }
    if arrived.sent.is_empty() && arrived.told.is_none() {
        // The answer was lost, and what there is cannot be told from what an earlier try left.
        return Err("what is there cannot be recognised".into());
    }
    Err("its entity tag is another one there".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{md5_etag, multipart_etag};

    fn there(size_bytes: u64, etag: &str) -> ObjectMeta {
        ObjectMeta { name: "x".into(), size_bytes, etag: etag.to_owned(), modified_us: 0 }
    }

    #[test]
    fn an_object_is_known_by_what_was_sent() {
        let tags: BTreeMap<u32, String> = [(1, md5_etag(b"one")), (2, md5_etag(b"two"))].into();
        let of_s3 = multipart_etag(tags.values().map(String::as_str)).unwrap();
        let of_garage = format!("{}-2", md5_etag(tags.values().cloned().collect::<String>().as_bytes()));
        let swapped = multipart_etag(tags.values().rev().map(String::as_str)).unwrap();
        let told = |told: &str| Arrived::of_parts("u", &tags, Some(told.to_owned()));
        let silent = Arrived::of_parts("u", &tags, None);
        let opaque: BTreeMap<u32, String> = [(1, "kms-1".to_owned()), (2, "kms-2".to_owned())].into();
        let encrypted = |told: Option<&str>| Arrived::of_parts("u", &opaque, told.map(str::to_owned));
        let table = [
            ("as S3 does", &silent, 6, of_s3.as_str(), true),
            ("in capitals", &silent, 6, &of_s3.to_uppercase(), true),
            ("as Garage does", &silent, 6, &of_garage, true),
            ("a wrong answer, and the right object", &told("x"), 6, &of_s3, true),
            ("in the service's own way", &told("own-1"), 6, "own-1", true),
            ("overwritten since the answer", &told("own-1"), 6, "own-2", false),
            ("the answer was right, the object is another", &told(&of_s3), 6, &swapped, false),
            ("parts in another order", &silent, 6, &swapped, false),
            ("in the service's own way, without its answer", &silent, 6, "own-1", false),
            ("too short", &silent, 5, &of_s3, false),
            ("too long", &told("own-1"), 7, "own-1", false),
            ("encrypted with KMS", &encrypted(Some("k-2")), 6, "k-2", true),
            ("encrypted, without an answer", &encrypted(None), 6, "k-2", false),
        ];
        for (what, arrived, size_bytes, etag, is_it) in table {
            let judged = judge(arrived, Some(6), Some(&there(size_bytes, etag)));
            assert_eq!(judged.is_ok(), is_it, "{what}: {judged:?}");
            assert!(judged.is_err() || judged.as_deref() == Ok(etag), "{what}: the bucket's own spelling");
        }
        assert!(judge(&silent, Some(6), None).is_err());
    }

    #[test]
    fn the_list_has_just_what_was_sent() {
        let tags: BTreeMap<u32, String> =
            [(1, "a".to_owned()), (2, "b".to_owned()), (3, "c".to_owned())].into();
        let part =
            |number, size_bytes, etag: &str| UploadedPart { number, size_bytes, etag: etag.to_owned() };
        let whole = vec![part(1, 100, "a"), part(2, 100, "b"), part(3, 51, "c")];
        let with = |change: &dyn Fn(&mut Vec<UploadedPart>)| {
            let mut listed = whole.clone();
            change(&mut listed);
            is_listed_as_sent(&listed, &tags, 100, 251)
        };
        assert!(with(&|_| ()));
        assert!(!with(&|listed| listed[1].etag = "x".into()), "other bytes");
        assert!(!with(&|listed| listed[2].size_bytes = 50), "cut off");
        assert!(!with(&|listed| listed.truncate(2)), "one is missing");
        assert!(!with(&|listed| listed.push(part(4, 100, "d"))), "one too many");
        assert!(!is_listed_as_sent(&whole, &tags, 100, 351), "not all of the object was sent");
        assert!(!is_listed_as_sent(&[], &BTreeMap::new(), 100, 251));
    }
}
