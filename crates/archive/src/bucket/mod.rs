//! A place for objects away from this machine.
//!
//! Here belong what a bucket can do ([`Bucket`]), what can go wrong there ([`BucketError`]), and the buckets themselves:
//! [`S3Bucket`] (Backblaze B2, AWS, Garage, MinIO…), [`FolderBucket`] and [`MemoryBucket`], the simulated twin. Here
//! belong neither retries nor an order of steps: every call is one try, so that whoever calls sees each error and
//! decides. What is uploaded, kept and deleted when is decided by those who hold a bucket.

mod error;
mod etag;
mod fault;
mod folder;
mod location;
mod memory;
mod parts;
mod s3;

use std::{future::Future, ops::Range, pin::Pin, time::Duration};

use bytes::Bytes;

pub use error::BucketError;
pub(crate) use etag::hex;
pub(crate) use etag::multipart_etags;
pub use etag::{looks_like_md5, md5_etag, multipart_etag};
pub use fault::{BucketFault, BucketFaultRule, BucketOperation};
pub use folder::FolderBucket;
pub use location::{Encryption, EtagKind, S3Credentials, S3Location, StoreUrl, parse_store_url};
pub use memory::MemoryBucket;
pub use s3::{Checked, Finding, Fixed, S3Bucket, TimeOuts, Verdict};

use crate::limits::MAX_OBJECT_NAME_BYTES;

/// What a bucket answers with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place for objects away from this machine.
///
/// A name is the object's inside the bucket's configured prefix: parts of printable letters with `/` between them, none
/// of them empty, `.` or `..`. Other names are [`BucketError::Invalid`].
///
/// Every call is one try with a time-out of its own, sized by its bytes. None is cancelled by dropping its answer in
/// the sense that the bucket forgets it: what was sent may have been done.
pub trait Bucket: Send + Sync + 'static {
    /// Words for people and logs, without secrets: `s3://club-footage/tu-repe at s3.us-west-004.backblazeb2.com`.
    fn describe(&self) -> String;

    /// What is known of an object without reading it; `None` if there is none.
    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectMeta>, BucketError>>;

    /// Exactly the range, or an error: whoever answers with the whole object or with less does not get away with it.
    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, BucketError>>;

    /// The beginning of the range: all of it, or less where the answer broke off or the service gave less; one byte at least, or an
    /// error. The caller asks again for the rest. Buckets that cannot tell how much came give all of it or an error.
    fn read_some<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        self.read(name, range)
    }

    /// Stores an object whole, over one of that name.
    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<ObjectMeta, BucketError>>;

    /// Begins an object in parts and returns the upload's id. Nothing can be read before it is completed.
    fn begin_upload<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, BucketError>>;

    /// Stores a part and returns its ETag. Numbers begin with 1; a part of the same number is replaced. All parts but
    /// the last have a least size, 5 MiB at most services, which is checked when the upload is completed.
    fn put_part<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<String, BucketError>>;

    /// The parts that an upload has, by number; [`BucketError::NoSuchUpload`] if it was completed, aborted or never begun.
    fn parts<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<UploadedPart>, BucketError>>;

    /// Makes the object out of these parts, in this order, and returns the ETag that the answer itself names, where it
    /// names one: what [`Bucket::head`] says afterwards is then compared with it, and not with itself. When the answer is
    /// lost, the object may be there all the same: ask [`Bucket::head`] before doing anything again.
    fn complete_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>>;

    /// Forgets an upload and its parts. `Ok` if it is gone already.
    fn abort_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), BucketError>>;

    /// Uploads that were begun and neither completed nor aborted, of names that begin with `prefix`.
    fn uploads<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<PendingUpload>, BucketError>>;

    /// Deletes an object with all its versions. `Ok` if there is none.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BucketError>>;

    /// Objects whose names begin with `prefix` and come after `after` in the order of bytes, at most `limit`.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<ObjectMeta>, BucketError>>;

    /// A URL that grants reading until it expires, Range requests included; `None` where the bucket cannot be reached
    /// by URL. Nothing is asked of the bucket: the URL of an object that is not there is a URL too.
    fn presigned_get<'a>(
        &'a self,
        name: &'a str,
        expires_in: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>>;

    /// The time that the bucket's own clock shows, as a witness of ours; `None` where it has none or does not answer.
    /// May cost a call.
    fn clock(&self) -> BoxFuture<'_, Option<BucketClock>> {
        Box::pin(async { None })
    }
}

/// What a bucket's clock shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketClock {
    /// UTC microseconds, now; services tell it to the second.
    pub now_us: i64,
    /// Whether the service surely is another machine than this, so that its clock confirms ours. One on this machine has
    /// the same clock.
    pub is_elsewhere: bool,
}

/// What a bucket knows of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectMeta {
    /// Its name inside the bucket's prefix.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its ETag without quotes. MD5 of the content, or MD5 of the parts' MD5s with `-` and their number, where the
    /// service does as S3 does; opaque elsewhere, and empty where a listing does not tell it.
    pub etag: String,
    /// When it was stored, UTC microseconds; 0 where that is not known.
    pub modified_us: i64,
}

/// A part that a bucket has of an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// Its length.
    pub size_bytes: u64,
    /// Its ETag without quotes.
    pub etag: String,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingUpload {
    /// Name of the object it would become.
    pub name: String,
    /// Its id.
    pub upload_id: String,
    /// When it was begun, UTC microseconds.
    pub started_us: i64,
}

/// Whether a name is one that every bucket can keep.
fn check_name(name: &str) -> Result<(), BucketError> {
    let is_fine = name.len() <= MAX_OBJECT_NAME_BYTES
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.chars().any(|letter| letter.is_control() || letter == '\\');
    if is_fine { Ok(()) } else { Err(BucketError::invalid("the object's name cannot be kept in a bucket")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_their_prefix() {
        for fine in ["a", "club/court/2025/11/20/190000Z-x.mp4", ".hidden/x", "señor", "a b+c%2F"] {
            assert!(check_name(fine).is_ok(), "{fine}");
        }
        let long = "x".repeat(MAX_OBJECT_NAME_BYTES + 1);
        for wrong in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a\\b", &long] {
            assert!(matches!(check_name(wrong), Err(BucketError::Invalid { .. })), "{wrong}");
        }
    }
}
