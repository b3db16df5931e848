//! Every byte of one copy: fragments against the index, the tables against the fragments, and the sums that are known.

use std::{io, ops::Range, path::Path, sync::Arc};

use catalog::SegmentRow;
use crc32fast::Hasher;
use md5::{Digest as _, Md5};
use media::{
    SegmentIndex,
    mp4::check::{Fault, SegmentCheck},
};
use world::{Disk, read_exact_at};

use super::VerifyProgress;
use crate::{
    bucket::{Bucket, BucketError, hex, looks_like_md5, multipart_etag},
    error::ArchiveError,
    limits::{VERIFY_OBJECT_READ_BYTES, VERIFY_READ_BYTES},
    objects::patiently,
};

/// What came of reading a copy.
pub(super) enum Copy {
    /// It is what its row says.
    Good,
    /// It is not.
    Bad(String),
    /// There is none.
    Gone,
}

/// The sums over a copy while it goes by.
pub(super) struct Sums {
    check: SegmentCheck,
    offset: u64,
    size_bytes: u64,
    crc32: Option<(u32, Hasher)>,
    etag: Option<Etag>,
}

impl Sums {
    /// What a copy of a row is compared with. `part_bytes` is the length of the parts that were uploaded, where tags are
    /// sums at all.
    pub(super) fn new(row: &SegmentRow, index: &[u8], part_bytes: Option<u64>) -> Result<Self, String> {
        let index = SegmentIndex::decode(index).map_err(|error| format!("its index: {error}"))?;
        let check = SegmentCheck::new(index, row.moov_offset, row.size_bytes).map_err(|e| e.to_string())?;
        let etag = row.etag.as_deref().zip(part_bytes);
        Ok(Self {
            check,
            offset: 0,
            size_bytes: row.size_bytes,
            crc32: row.crc32.map(|crc32| (crc32, Hasher::new())),
            etag: etag.and_then(|(etag, part_bytes)| Etag::new(etag, row.size_bytes, part_bytes)),
        })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.check.push(bytes)?;
        if let Some((_, crc32)) = &mut self.crc32 {
            crc32.update(overlap(bytes, self.offset, &self.check.fragments()));
        }
        if let Some(etag) = &mut self.etag {
            etag.push(bytes);
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn finish(self) -> Copy {
        if let Err(fault) = self.check.finish() {
            return Copy::Bad(fault.to_string());
        }
        if self.crc32.is_some_and(|(known, found)| known != found.finalize()) {
            return Copy::Bad("the checksum of its fragments is another one".into());
        }
        if self.etag.is_some_and(|etag| !etag.agrees()) {
            return Copy::Bad("its entity tag is not that of its bytes".into());
        }
        Copy::Good
    }

    /// Reads a local copy. Blocks.
    pub(super) fn read_file(mut self, disk: &dyn Disk, path: &Path, progress: &VerifyProgress) -> Copy {
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Copy::Gone,
            Err(error) => return Copy::Bad(format!("it cannot be opened: {error}")),
        };
        let mut buffer = vec![0; VERIFY_READ_BYTES];
        while self.offset < self.size_bytes {
            let left = usize::try_from(self.size_bytes - self.offset).unwrap_or(usize::MAX);
            let piece = buffer.get_mut(..left.min(VERIFY_READ_BYTES)).unwrap_or_default();
            if let Err(error) = read_exact_at(file.as_ref(), piece, self.offset) {
                return Copy::Bad(format!("it cannot be read from byte {} on: {error}", self.offset));
            }
            progress.read(piece.len() as u64);
            if let Err(fault) = self.push(piece) {
                return Copy::Bad(fault.to_string());
            }
        }
        self.finish()
    }

    /// Reads the bucket's copy.
    pub(super) async fn read_object(
        mut self,
        bucket: &Arc<dyn Bucket>,
        name: &str,
        progress: &VerifyProgress,
    ) -> Result<Copy, ArchiveError> {
        while self.offset < self.size_bytes {
            let end = self.size_bytes.min(self.offset + VERIFY_OBJECT_READ_BYTES);
            let range = self.offset..end;
            let bytes = match patiently(|| bucket.read(name, range.clone())).await {
                Ok(bytes) => bytes,
                Err(BucketError::NotFound { .. }) => return Ok(Copy::Gone),
                // Not the whole range is there.
                Err(error @ BucketError::Invalid { .. }) => return Ok(Copy::Bad(error.to_string())),
                Err(error) => return Err(error.into()),
            };
            progress.read(bytes.len() as u64);
            // Megabytes of sums: not on the executor.
            let summed = tokio::task::spawn_blocking(move || {
                let pushed = self.push(&bytes);
                (self, pushed)
            });
            let summed =
                summed.await.map_err(|error| ArchiveError::io("checking", io::Error::other(error)))?;
            self = summed.0;
            if let Err(fault) = summed.1 {
                return Ok(Copy::Bad(fault.to_string()));
            }
        }
        Ok(self.finish())
    }
}

/// The part of `bytes`, which lie at `offset`, that lies in a range.
fn overlap<'b>(bytes: &'b [u8], offset: u64, range: &Range<u64>) -> &'b [u8] {
    let at =
        |place: u64| usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}

/// The entity tag that the bytes ought to have: their MD5, or the MD5 of the MD5s of their parts.
struct Etag {
    known: String,
    /// `None`: one sum over everything.
    part_bytes: Option<u64>,
    /// Sums of the parts before.
    parts: Vec<String>,
    part: Md5,
    filled: u64,
}

impl Etag {
    /// `None` for a tag that cannot be computed: no MD5, or of parts of another length than the configured one.
    fn new(known: &str, size_bytes: u64, part_bytes: u64) -> Option<Self> {
        let part_bytes = match known.split_once('-') {
            None => looks_like_md5(known).then_some(None)?,
            Some((sum, count)) => {
                let is_ours = count.parse() == Ok(size_bytes.div_ceil(part_bytes.max(1)));
                (looks_like_md5(sum) && is_ours).then_some(Some(part_bytes.max(1)))?
            }
        };
        let known = known.to_ascii_lowercase();
        Some(Self { known, part_bytes, parts: Vec::new(), part: Md5::new(), filled: 0 })
    }

    fn push(&mut self, mut bytes: &[u8]) {
        let part_bytes = self.part_bytes.unwrap_or(u64::MAX);
        while !bytes.is_empty() {
            let room = usize::try_from(part_bytes - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.part.update(now);
            self.filled += now.len() as u64;
            if self.filled == part_bytes {
                self.end_part();
            }
            bytes = rest;
        }
    }

    fn end_part(&mut self) {
        self.parts.push(hex(&self.part.finalize_reset()));
        self.filled = 0;
    }

    fn agrees(mut self) -> bool {
        if self.part_bytes.is_none() {
            return hex(&self.part.finalize()) == self.known;
        }
        if self.filled > 0 {
            self.end_part();
        }
        multipart_etag(self.parts.iter().map(String::as_str)).as_deref() == Some(self.known.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::md5_etag;

    fn is_right(known: &str, bytes: &[u8], part_bytes: u64) -> Option<bool> {
        let mut etag = Etag::new(known, bytes.len() as u64, part_bytes)?;
        bytes.chunks(3).for_each(|piece| etag.push(piece));
        Some(etag.agrees())
    }

    #[test]
    fn tags_are_computed_where_they_can_be() {
        let bytes = b"abcdefghij";
        let parts = [md5_etag(b"abcd"), md5_etag(b"efgh"), md5_etag(b"ij")];
        let of_parts = multipart_etag(parts.iter().map(String::as_str)).unwrap_or_default();
        assert_eq!(is_right(&md5_etag(bytes), bytes, 4), Some(true));
        assert_eq!(is_right(&of_parts, bytes, 4), Some(true));
        assert_eq!(is_right(&of_parts.to_uppercase(), b"abcdefghix", 4), Some(false));
        assert_eq!(is_right(&md5_etag(b"x"), bytes, 4), Some(false));
        assert_eq!(is_right(&of_parts, bytes, 6), None, "parts of another length");
        assert_eq!(is_right("opaque", bytes, 4), None);
    }

    #[test]
    fn only_the_fragments_are_summed() {
        let overlaps = [(0, "bcd"), (1, "abc"), (2, "ab"), (4, ""), (9, "")];
        for (offset, expected) in overlaps {
            assert_eq!(overlap(b"abcdef", offset, &(1..4)), expected.as_bytes(), "{offset}");
        }
    }
}
