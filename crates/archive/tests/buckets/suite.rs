//! The conformance suite: what whoever holds a bucket may rely on.

use std::ops::Range;

use bytes::Bytes;
use turepe_archive::bucket::{Bucket, BucketError, looks_like_md5, md5_etag, multipart_etag};
use uuid::Uuid;

/// In what a bucket may differ.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    /// Bytes of a part that is large enough.
    pub(crate) part_bytes: usize,
    /// Whether smaller ones are certain to be refused: Garage takes them.
    pub(crate) refuses_small_parts: bool,
    /// Whether ETags are certain to be MD5s.
    pub(crate) has_md5_etags: bool,
}

impl Profile {
    /// Tiny parts, for the buckets of our own.
    pub(crate) const TINY: Self = Self { part_bytes: 16, refuses_small_parts: true, has_md5_etags: true };
    /// S3's least parts.
    pub(crate) const S3: Self = Self { part_bytes: 5 << 20, ..Self::TINY };
}

/// Everything, under a prefix of this run's own, which is empty in the end.
pub(crate) async fn run(bucket: &dyn Bucket, profile: Profile) {
    let suite = Suite { bucket, profile, prefix: format!("suite-{}", Uuid::now_v7()) };
    suite.an_object_is_what_was_put().await;
    suite.ranges_are_exact().await;
    suite.the_last_put_counts_and_a_delete_deletes_all_of_it().await;
    suite.lists_are_in_order_and_in_pages().await;
    suite.parts_make_an_object().await;
    suite.an_upload_is_taken_up_again().await;
    suite.wrong_parts_make_nothing().await;
    suite.an_aborted_upload_is_gone().await;
    suite.pending_uploads_are_found().await;
    suite.odd_names_are_refused().await;
    let left = bucket.list(&suite.prefix, None, 10).await.unwrap();
    assert_eq!(left, [], "{}", bucket.describe());
    assert_eq!(bucket.uploads(&suite.prefix).await.unwrap(), []);
}

struct Suite<'a> {
    bucket: &'a dyn Bucket,
    profile: Profile,
    prefix: String,
}

/// Bytes that repeat nowhere near.
pub(crate) fn bytes(len: usize, seed: u8) -> Bytes {
    let mut state = u32::from(seed) + 1;
    let byte = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24).to_le_bytes()[0]
    };
    std::iter::repeat_with(byte).take(len).collect()
}

impl Suite<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn whole(&self, name: &str, len: usize) -> Bytes {
        self.bucket.read(name, 0..len as u64).await.unwrap()
    }

    async fn delete(&self, name: &str) {
        self.bucket.delete(name).await.unwrap();
        assert_eq!(self.bucket.head(name).await.unwrap(), None);
    }

    async fn an_object_is_what_was_put(&self) {
        for (name, len) in [("empty.mp4", 0), ("a b+c&d=é%2F.mp4", 1), ("club/court/2025/large.mp4", 300_000)]
        {
            let (name, body) = (self.name(name), bytes(len, 1));
            assert_eq!(self.bucket.head(&name).await.unwrap(), None);
            let put = self.bucket.put(&name, body.clone()).await.unwrap();
            let head = self.bucket.head(&name).await.unwrap().unwrap();
            for meta in [&put, &head] {
                assert_eq!((meta.name.as_str(), meta.size_bytes), (name.as_str(), len as u64));
                assert!(meta.modified_us > 0);
                if self.profile.has_md5_etags {
                    assert_eq!(meta.etag, md5_etag(&body));
                }
            }
            assert_eq!(put.etag, head.etag);
            assert_eq!(self.whole(&name, len).await, body);
            self.delete(&name).await;
        }
    }

    async fn ranges_are_exact(&self) {
        let (name, body) = (self.name("ranges"), bytes(1000, 2));
        self.bucket.put(&name, body.clone()).await.unwrap();
        for range in [0..1, 0..1000, 999..1000, 17..400, 5..5] {
            let read = self.bucket.read(&name, range.clone()).await.unwrap();
            let wanted = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert_eq!(read, body.slice(wanted), "{range:?}");
        }
        // One that reaches past the end is not answered with what there is.
        let backwards = Range { start: 5, end: 4 };
        for range in [0..1001, 1000..1001, 5000..5001, backwards] {
            let error = self.bucket.read(&name, range.clone()).await.unwrap_err();
            assert!(matches!(error, BucketError::Invalid { .. }), "{range:?}: {error}");
        }
        self.delete(&name).await;
        let error = self.bucket.read(&name, 0..1).await.unwrap_err();
        assert_eq!(error, BucketError::NotFound { name });
    }

    async fn the_last_put_counts_and_a_delete_deletes_all_of_it(&self) {
        let name = self.name("again");
        self.bucket.put(&name, bytes(10, 3)).await.unwrap();
        self.bucket.put(&name, bytes(20, 4)).await.unwrap();
        assert_eq!(self.bucket.head(&name).await.unwrap().unwrap().size_bytes, 20);
        assert_eq!(self.whole(&name, 20).await, bytes(20, 4));
        self.delete(&name).await;
        // Gone is gone, however often.
        self.delete(&name).await;
    }

    async fn lists_are_in_order_and_in_pages(&self) {
        // In the order of bytes: `-` and `.` come before `/`.
        let names = ["list/a-a", "list/a-b/1", "list/a.mp4", "list/a/1", "list/a/2", "list/b", "other/a"];
        let names = names.map(|name| self.name(name));
        for name in names.iter().rev() {
            self.bucket.put(name, bytes(3, 5)).await.unwrap();
        }
        let list = async |prefix: &str, after: Option<&str>, limit| {
            let after = after.map(|after| self.name(after));
            let found = self.bucket.list(&self.name(prefix), after.as_deref(), limit).await.unwrap();
            assert!(found.iter().all(|meta| meta.size_bytes == 3 && meta.modified_us > 0));
            found.into_iter().map(|meta| meta.name).collect::<Vec<_>>()
        };
        assert_eq!(list("", None, 100).await, names);
        assert_eq!(list("list/", None, 100).await, names[..6]);
        assert_eq!(list("list/a", None, 100).await, names[..5]);
        assert_eq!(list("list/a/", None, 100).await, names[3..5]);
        assert_eq!(list("list/", None, 4).await, names[..4]);
        assert_eq!(list("list/", Some("list/a.mp4"), 2).await, names[3..5]);
        assert_eq!(list("list/", Some("list/a-zzz"), 2).await, names[2..4]);
        assert_eq!(list("list/", Some("list/b"), 2).await, names[..0]);
        assert_eq!(list("list/", None, 0).await, names[..0]);
        assert_eq!(list("none/", None, 9).await, names[..0]);
        for name in &names {
            self.delete(name).await;
        }
    }

    async fn parts_make_an_object(&self) {
        let (name, part_bytes) = (self.name("film.mp4"), self.profile.part_bytes);
        let upload = self.bucket.begin_upload(&name).await.unwrap();
        let put = async |number: u32, len: usize| {
            let body = bytes(len, number.to_le_bytes()[0]);
            let etag = self.bucket.put_part(&name, &upload, number, body.clone()).await.unwrap();
            if self.profile.has_md5_etags {
                assert_eq!(etag, md5_etag(&body));
            }
            (etag, body)
        };
        // As a segment is uploaded while it grows: the first part comes last, and one comes twice.
        let (third, last) = put(3, 7).await;
        self.bucket.put_part(&name, &upload, 2, bytes(3, 99)).await.unwrap();
        let (second, middle) = put(2, part_bytes + 1).await;
        let (first, start) = put(1, part_bytes).await;
        assert_eq!(self.bucket.head(&name).await.unwrap(), None);
        assert!(
            !self.bucket.list(&self.prefix, None, 10).await.unwrap().iter().any(|meta| meta.name == name)
        );

        let parts = self.bucket.parts(&name, &upload).await.unwrap();
        let listed: Vec<_> =
            parts.iter().map(|part| (part.number, part.size_bytes, part.etag.as_str())).collect();
        let size = part_bytes as u64;
        assert_eq!(
            listed,
            [(1, size, first.as_str()), (2, size + 1, second.as_str()), (3, 7, third.as_str())]
        );

        let chosen = [(1, first), (2, second), (3, third)];
        let told = self.bucket.complete_upload(&name, &upload, &chosen).await.unwrap();
        let whole = [start, middle, last].concat();
        let meta = self.bucket.head(&name).await.unwrap().unwrap();
        assert_eq!((meta.name.as_str(), meta.size_bytes), (name.as_str(), whole.len() as u64));
        assert_eq!(told.as_deref(), Some(meta.etag.as_str()), "the answer itself names the tag");
        if self.profile.has_md5_etags {
            assert!(!looks_like_md5(&meta.etag));
            assert_eq!(Some(meta.etag), multipart_etag(chosen.iter().map(|(_, etag)| etag.as_str())));
        }
        assert!(self.whole(&name, whole.len()).await == whole, "the parts are not in their order");
        assert_eq!(self.bucket.uploads(&self.prefix).await.unwrap(), []);
        let again = self.bucket.parts(&name, &upload).await.unwrap_err();
        assert_eq!(again, BucketError::NoSuchUpload);
        self.delete(&name).await;
    }

    async fn an_upload_is_taken_up_again(&self) {
        let name = self.name("resumed.mp4");
        let begun = self.bucket.begin_upload(&name).await.unwrap();
        self.bucket.put_part(&name, &begun, 1, bytes(self.profile.part_bytes, 6)).await.unwrap();
        // All that is known after a restart.
        let uploads = self.bucket.uploads(&name).await.unwrap();
        assert_eq!(uploads.len(), 1);
        assert_eq!(
            (uploads[0].name.as_str(), uploads[0].upload_id.as_str()),
            (name.as_str(), begun.as_str())
        );
        let upload = &uploads[0].upload_id;
        let mut parts: Vec<_> = self.bucket.parts(&name, upload).await.unwrap();
        assert_eq!(parts.len(), 1);
        let first = parts.remove(0);
        let second = self.bucket.put_part(&name, upload, 2, bytes(1, 7)).await.unwrap();
        let chosen = [(first.number, first.etag), (2, second)];
        self.bucket.complete_upload(&name, upload, &chosen).await.unwrap();
        let meta = self.bucket.head(&name).await.unwrap().unwrap();
        assert_eq!(meta.size_bytes, self.profile.part_bytes as u64 + 1);
        self.delete(&name).await;
    }

    async fn wrong_parts_make_nothing(&self) {
        let name = self.name("wrong.mp4");
        let upload = self.bucket.begin_upload(&name).await.unwrap();
        let small = self.bucket.put_part(&name, &upload, 1, bytes(2, 8)).await.unwrap();
        let last = self.bucket.put_part(&name, &upload, 2, bytes(2, 9)).await.unwrap();
        let wrong_etag = vec![(1, md5_etag(b"other"))];
        let missing = vec![(3, last.clone())];
        for parts in [wrong_etag, missing] {
            let error = self.bucket.complete_upload(&name, &upload, &parts).await.unwrap_err();
            assert!(matches!(error, BucketError::InvalidPart { .. }), "{error}");
        }
        if self.profile.refuses_small_parts {
            let parts = [(1, small.clone()), (2, last)];
            let error = self.bucket.complete_upload(&name, &upload, &parts).await.unwrap_err();
            assert!(matches!(error, BucketError::Invalid { status: Some(400), .. }), "{error}");
        }
        for number in [0, 10_001] {
            let error = self.bucket.put_part(&name, &upload, number, bytes(2, 8)).await.unwrap_err();
            assert!(matches!(error, BucketError::Invalid { .. }), "{error}");
        }
        assert_eq!(self.bucket.head(&name).await.unwrap(), None);
        // The one part alone is the last, and may be small.
        self.bucket.complete_upload(&name, &upload, &[(1, small)]).await.unwrap();
        assert_eq!(self.whole(&name, 2).await, bytes(2, 8));
        self.delete(&name).await;
    }

    async fn an_aborted_upload_is_gone(&self) {
        let name = self.name("aborted.mp4");
        let upload = self.bucket.begin_upload(&name).await.unwrap();
        let etag = self.bucket.put_part(&name, &upload, 1, bytes(2, 10)).await.unwrap();
        self.bucket.abort_upload(&name, &upload).await.unwrap();
        self.bucket.abort_upload(&name, &upload).await.unwrap();
        assert_eq!(self.bucket.uploads(&name).await.unwrap(), []);
        let part = self.bucket.put_part(&name, &upload, 2, bytes(2, 10)).await.unwrap_err();
        let parts = self.bucket.parts(&name, &upload).await.unwrap_err();
        let complete = self.bucket.complete_upload(&name, &upload, &[(1, etag)]).await.unwrap_err();
        for error in [part, parts, complete] {
            assert_eq!(error, BucketError::NoSuchUpload);
        }
        assert_eq!(self.bucket.head(&name).await.unwrap(), None);
    }

    async fn pending_uploads_are_found(&self) {
        let mut begun = Vec::new();
        for name in ["up/a", "up/a", "up/b", "up/c/d", "down/a"] {
            let name = self.name(name);
            let upload = self.bucket.begin_upload(&name).await.unwrap();
            begun.push((name, upload));
        }
        let uploads = self.bucket.uploads(&self.name("up/")).await.unwrap();
        assert!(uploads.iter().all(|upload| upload.started_us > 0));
        let mut found: Vec<_> = uploads.into_iter().map(|upload| (upload.name, upload.upload_id)).collect();
        found.sort();
        let mut wanted = begun[..4].to_vec();
        wanted.sort();
        assert_eq!(found, wanted);
        for (name, upload) in begun {
            self.bucket.abort_upload(&name, &upload).await.unwrap();
        }
    }

    async fn odd_names_are_refused(&self) {
        for name in ["", "/x", "x/", "x//y", "../x", "x/./y", "x\ny"] {
            let put = self.bucket.put(name, Bytes::new()).await.map(|_| ()).unwrap_err();
            let head = self.bucket.head(name).await.map(|_| ()).unwrap_err();
            let delete = self.bucket.delete(name).await.unwrap_err();
            let begin = self.bucket.begin_upload(name).await.map(|_| ()).unwrap_err();
            for error in [put, head, delete, begin] {
                assert!(matches!(error, BucketError::Invalid { .. }), "{name:?}: {error}");
            }
        }
    }
}
