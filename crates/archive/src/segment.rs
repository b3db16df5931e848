//! Segments as readers see them.

use std::{fmt::Write, ops::Range, sync::Arc};

use media::SegmentIndex;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::read::{ByteStream, Part, Reader, slice_parts};

/// A segment and where its fragments lie: enough for a playlist.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// The segment.
    pub id: Uuid,
    /// Its channel.
    pub channel_id: Uuid,
    /// Its session: within one session, segments that follow each other join without a seam.
    pub session_id: Uuid,
    /// UTC microseconds of its first presented instant.
    pub start_us: i64,
    /// UTC microseconds of its end; of its end so far while it grows.
    pub end_us: i64,
    /// Whether fragments are still appended.
    pub is_growing: bool,
    /// Length of its file in bytes; so far, while it grows.
    pub size_bytes: u64,
    /// Which init segment its fragments need.
    pub init_hash: String,
    /// Its fragments; only whole ones whose bytes can be read.
    pub index: Arc<SegmentIndex>,
    /// Whether its bytes can be read from this node.
    pub is_here: bool,
}

/// A segment's bytes, open for reading.
#[derive(Clone)]
pub struct SegmentObject {
    /// The segment.
    pub id: Uuid,
    /// Its channel.
    pub channel_id: Uuid,
    /// Length in bytes; so far, while it grows.
    pub len: u64,
    /// A strong entity tag without its quotes: changes whenever a byte does.
    pub etag: String,
    /// Whether it can still change: sealing replaces 16 bytes at its beginning and appends its tables.
    pub is_growing: bool,
    pub(crate) part: Part,
    pub(crate) reader: Arc<Reader>,
}

impl SegmentObject {
    /// The bytes of a range, clamped to the length.
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        ByteStream::new(Arc::clone(&self.reader), slice_parts(std::slice::from_ref(&self.part), &range))
    }
}

/// The key fragment that shows an instant, for a picture of it.
#[derive(Clone, Debug)]
pub struct Keyframe {
    /// The session's init segment.
    pub init: bytes::Bytes,
    /// The whole fragment that begins with the keyframe; where pictures build up, all fragments up to a whole one.
    pub fragment: bytes::Bytes,
    /// UTC microseconds of the keyframe.
    pub start_us: i64,
    /// Microseconds from the keyframe to the first whole picture, where it builds up; else 0.
    pub skip_us: i64,
}

/// A strong entity tag: a hash of everything that determines the bytes, so that nothing has to be read for it.
pub(crate) struct EtagBuilder(Sha256);

impl EtagBuilder {
    /// For one kind of answer. The version of the program counts, as it decides how headers are written.
    pub(crate) fn new(kind: &str) -> Self {
        Self(Sha256::new()).with(kind.as_bytes()).with(env!("CARGO_PKG_VERSION").as_bytes())
    }

    /// One more fact, kept apart from its neighbours by its length.
    pub(crate) fn with(mut self, fact: &[u8]) -> Self {
        self.0.update((fact.len() as u64).to_be_bytes());
        self.0.update(fact);
        self
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.with(&number.to_be_bytes())
    }

    /// The first 128 bits in hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The first 128 bits of SHA-256 in hexadecimal: how init segments are named.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
