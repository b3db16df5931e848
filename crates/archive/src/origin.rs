//! Where the bytes of a whole segment are read from.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use tracing::debug;
use world::DiskFile;

use crate::{
    bucket::{Bucket, BucketError},
    limits::{OBJECT_READ_ATTEMPTS, OBJECT_READ_PIECES},
    upload::Pauses,
    whereabouts::Whereabouts,
};

/// Where bytes are read from.
#[derive(Clone)]
pub(crate) enum Origin {
    /// A file on this side, open: for who reads it at once and lets it go. It stays readable when its name goes.
    File(Arc<dyn DiskFile>),
    /// A segment, wherever it is at each read: for whoever takes his time.
    Segment(Arc<Whereabouts>),
    /// An object in the bucket.
    Object(Object),
}

impl Origin {
    pub(crate) fn object(bucket: Arc<dyn Bucket>, name: &str) -> Self {
        Self::Object(Object::new(bucket, name))
    }

    /// Whether each read is a request to the bucket, as far as is known.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Segment(segment) => segment.is_remote(),
            Self::Object(_) => true,
        }
    }
}

/// An object in the bucket.
#[derive(Clone)]
pub(crate) struct Object {
    bucket: Arc<dyn Bucket>,
    name: Arc<str>,
}

impl Object {
    pub(crate) fn new(bucket: Arc<dyn Bucket>, name: &str) -> Self {
        Self { bucket, name: name.into() }
    }

    /// Exactly the range. Where an answer breaks off, the rest is asked for; a bucket that is busy for a moment is asked again.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (mut at, mut pieces) = (range.start, Vec::new());
        // Answers in a row that brought nothing.
        let mut failures = 0;
        loop {
            match self.bucket.read_some(&self.name, at..range.end).await {
                Ok(piece) if pieces.is_empty() && at + piece.len() as u64 == range.end => return Ok(piece),
                Ok(piece) => {
                    at += piece.len() as u64;
                    pieces.push(piece);
                    if at == range.end {
                        return Ok(pieces.concat().into());
                    }
                    if pieces.len() >= OBJECT_READ_PIECES {
                        return Err(io::Error::other(format!(
                            "the bucket's answers broke off {OBJECT_READ_PIECES} times"
                        )));
                    }
                    failures = 0;
                    debug!(object = %self.name, at, end = range.end, "a bucket's answer broke off: the rest is asked for");
                }
                Err(error) if error.is_transient() && failures + 1 < OBJECT_READ_ATTEMPTS => {
                    failures += 1;
                    debug!(object = %self.name, at, failures, %error, "a bucket's answer did not come: it is asked again");
                    tokio::time::sleep(Pauses::default().after(failures, at)).await;
                }
                Err(error @ BucketError::NotFound { .. }) => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, error));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}
