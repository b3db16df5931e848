//! Which parts make an object, by the rules of S3. Shared by the buckets of our own.

use super::{BucketError, UploadedPart};
use crate::limits::MAX_UPLOAD_PARTS;

/// Whether a part may have this number.
pub(super) fn check_number(number: u32) -> Result<(), BucketError> {
    if (1..=MAX_UPLOAD_PARTS).contains(&number) {
        Ok(())
    } else {
        Err(BucketError::invalid(format!("parts are numbered from 1 to {MAX_UPLOAD_PARTS}")))
    }
}

/// The parts that were asked for, out of those that are there.
pub(super) fn chosen<'a>(
    wanted: &[(u32, String)],
    there: &'a [UploadedPart],
    min_part_bytes: u64,
) -> Result<Vec<&'a UploadedPart>, BucketError> {
    let invalid = |message: String| Err(BucketError::InvalidPart { message });
    if wanted.is_empty() {
        return invalid("an object has at least one part".into());
    }
    if !wanted.is_sorted_by(|one, next| one.0 < next.0) {
        return invalid("the parts are not in order".into());
    }
    let mut chosen = Vec::with_capacity(wanted.len());
    for (number, etag) in wanted {
        match there.iter().find(|part| part.number == *number) {
            Some(part) if part.etag == *etag => chosen.push(part),
            Some(_) => return invalid(format!("part {number} has another ETag")),
            None => return invalid(format!("there is no part {number}")),
        }
    }
    let all_but_last = chosen.split_last().map(|(_, rest)| rest).unwrap_or_default();
    match all_but_last.iter().find(|part| part.size_bytes < min_part_bytes) {
        Some(part) => Err(BucketError::Invalid {
            status: Some(400),
            message: format!(
                "EntityTooSmall: part {} has {} bytes, less than {min_part_bytes}",
                part.number, part.size_bytes
            ),
        }),
        None => Ok(chosen),
    }
}
