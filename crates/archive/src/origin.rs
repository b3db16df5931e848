//! Where the bytes of a whole segment are read from.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use world::DiskFile;

use crate::{
    bucket::{Bucket, BucketError},
    limits::OBJECT_READ_ATTEMPTS,
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

    /// Exactly the range; a bucket that is busy for a moment is asked again.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut attempt = 1;
        loop {
            match self.bucket.read(&self.name, range.clone()).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.is_transient() && attempt < OBJECT_READ_ATTEMPTS => {
                    tokio::time::sleep(Pauses::default().after(attempt, range.start)).await;
                    attempt += 1;
                }
                Err(error @ BucketError::NotFound { .. }) => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, error));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}
