//! Which calls of a simulated bucket fail, and how.

use std::time::Duration;

/// A call of [`Bucket`](super::Bucket).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BucketOperation {
    /// `head`
    Head,
    /// `read`
    Read,
    /// `put`
    Put,
    /// `begin_upload`
    BeginUpload,
    /// `put_part`
    PutPart,
    /// `parts`
    Parts,
    /// `complete_upload`
    CompleteUpload,
    /// `abort_upload`
    AbortUpload,
    /// `uploads`
    Uploads,
    /// `delete`
    Delete,
    /// `list`
    List,
    /// `presigned_get`
    PresignedGet,
}

/// How it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BucketFault {
    /// 503, nothing done, with what the service asks to wait.
    Busy(Option<Duration>),
    /// No connection, nothing done.
    Unreachable,
    /// 403, nothing done.
    Refused,
    /// It is done, but the answer is lost on the way back.
    AnswerLost,
    /// The answer never comes, and nothing is done.
    Stalled,
    /// Bytes are damaged on the way in and stored so; the comparison of ETags notices. Elsewhere nothing is done.
    Damaged,
    /// It is done, but the ETag in the answer is another one, as with services that do not compute it as S3 does.
    WrongEtag,
    /// The answer's body breaks off, which is never handed on as if it were the range. Elsewhere the answer is lost.
    TruncatedRead,
    /// The service has forgotten the upload, as after its lifecycle rule. Only where an upload is named.
    UploadForgotten,
    /// The service says that it knows no such upload, and has it all the same. Only where an upload is named.
    UploadHidden,
}

/// When something fails: the first rule that applies decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketFaultRule {
    operation: Option<BucketOperation>,
    name_part: Option<String>,
    skip: u32,
    times: Option<u32>,
    fault: BucketFault,
}

impl BucketFaultRule {
    /// Every call of a kind fails.
    #[must_use]
    pub fn on(operation: BucketOperation, fault: BucketFault) -> Self {
        Self { operation: Some(operation), ..Self::always(fault) }
    }

    /// Everything fails.
    #[must_use]
    pub fn always(fault: BucketFault) -> Self {
        Self { operation: None, name_part: None, skip: 0, times: None, fault }
    }

    /// Only where the object's name or the prefix contains `part`.
    #[must_use]
    pub fn name(mut self, part: &str) -> Self {
        self.name_part = Some(part.to_owned());
        self
    }

    /// The first `count` times still succeed.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// It fails `count` times and heals.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    /// The fault, if this rule strikes now; counts the attempt.
    pub(super) fn strike(&mut self, operation: BucketOperation, name: &str) -> Option<BucketFault> {
        let applies = self.operation.is_none_or(|wanted| wanted == operation)
            && self.name_part.as_ref().is_none_or(|part| name.contains(part.as_str()));
        if !applies {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        match &mut self.times {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(self.fault)
            }
            None => Some(self.fault),
        }
    }
}
