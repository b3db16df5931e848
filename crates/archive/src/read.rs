//! Reading files without holding up the executor: a bounded number of reads at once, each of a bounded size, one ahead of
//! the reader, into buffers that are used again. Of a segment nothing stays open between two reads.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use memmap2::MmapMut;
use tokio::sync::Semaphore;
use world::{DiskFile, read_exact_at};

use crate::{
    limits::{
        OBJECT_READ_BYTES, OBJECT_READ_CONCURRENCY, READ_BUFFERS_KEPT, READ_BYTES, READ_CONCURRENCY,
        READ_PIECES,
    },
    origin::{Object, Origin},
};

/// Runs reads.
pub(crate) struct Reader {
    permits: Arc<Semaphore>,
    /// Apart from those of files: a bucket that answers slowly holds up nobody who reads from the disk.
    object_permits: Semaphore,
    buffers: Arc<Buffers>,
}

/// Where the bytes of a read go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadInto {
    /// Into memory of their own.
    Whole,
    /// Into a buffer of [`READ_BYTES`] that comes back when the bytes are let go, where they fit.
    Chunk,
}

impl Reader {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(READ_CONCURRENCY)),
            object_permits: Semaphore::new(OBJECT_READ_CONCURRENCY),
            buffers: Arc::default(),
        })
    }

    /// Runs something that blocks, such as opening a file, as one of the bounded number of reads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Reads a whole range at once.
    pub(crate) async fn read(&self, origin: Origin, range: Range<u64>) -> io::Result<Bytes> {
        self.read_into(origin, range, ReadInto::Whole).await
    }

    async fn read_into(&self, origin: Origin, range: Range<u64>, into: ReadInto) -> io::Result<Bytes> {
        match origin {
            Origin::File(file) => self.read_file(move || Ok(file), range, into).await,
            Origin::Object(object) => self.read_object(&object, range).await,
            Origin::Segment(segment) => segment
                .read(self, range, into)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("segment {}: {error}", segment.id()))),
        }
    }

    /// Reads from a file that is opened for it, and closed after it where nobody else has it.
    pub(crate) async fn read_file(
        &self,
        open: impl FnOnce() -> io::Result<Arc<dyn DiskFile>> + Send + 'static,
        range: Range<u64>,
        into: ReadInto,
    ) -> io::Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        // Here, and not where it is filled: what one thread allocates and another one frees comes back when the first one allocates
        // again, and threads that only read hardly ever do.
        let mut memory = if into == ReadInto::Whole || len > READ_BYTES {
            Filled::Whole(vec![0; len])
        } else {
            Filled::Chunk(Chunk::new(&self.buffers, len)?)
        };
        self.run(move || {
            let bytes = match &mut memory {
                Filled::Whole(bytes) => bytes.as_mut_slice(),
                Filled::Chunk(chunk) => chunk.as_mut(),
            };
            read_exact_at(open()?.as_ref(), bytes, range.start)?;
            Ok(match memory {
                Filled::Whole(bytes) => bytes.into(),
                Filled::Chunk(chunk) => Bytes::from_owner(chunk),
            })
        })
        .await
    }

    /// Reads from the bucket: a connection is held for as long as its answer takes to come, not for as long as somebody
    /// takes to use it.
    pub(crate) async fn read_object(&self, object: &Object, range: Range<u64>) -> io::Result<Bytes> {
        let _permit = self.object_permits.acquire().await.map_err(io::Error::other)?;
        object.read(range).await
    }
}

/// Buffers of [`READ_BYTES`] that wait for their next use: neither zeroed nor mapped again for each read.
///
/// They are pages of their own, not the allocator's: readers let them go on any thread and all at once, and an allocator keeps
/// what it gets in that way. What is too much here goes back to the kernel at once.
#[derive(Default)]
struct Buffers {
    free: Mutex<Vec<MmapMut>>,
}

/// What a read fills.
enum Filled {
    Whole(Vec<u8>),
    Chunk(Chunk),
}

/// A buffer of the pool, which goes back to it.
struct Chunk {
    /// There until it is dropped.
    buffer: Option<MmapMut>,
    len: usize,
    buffers: Arc<Buffers>,
}

impl Chunk {
    /// A buffer for `len` bytes, at most [`READ_BYTES`].
    fn new(buffers: &Arc<Buffers>, len: usize) -> io::Result<Self> {
        let kept = buffers.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = kept.map_or_else(|| MmapMut::map_anon(READ_BYTES), Ok)?;
        Ok(Self { buffer: Some(buffer), len, buffers: Arc::clone(buffers) })
    }

    fn as_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().and_then(|buffer| buffer.get_mut(..self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|buffer| buffer.get(..self.len)).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut free = self.buffers.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < READ_BUFFERS_KEPT {
            free.extend(self.buffer.take());
        }
    }
}

/// A part of what is streamed.
#[derive(Clone)]
pub(crate) enum Part {
    /// Bytes that are there already.
    Memory(Bytes),
    /// A range of a file or an object.
    Stored(Origin, Range<u64>),
}

impl Part {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stored(_, range) => range.end.saturating_sub(range.start),
        }
    }

    /// The bytes `[start, end)` of this part.
    fn slice(&self, start: u64, end: u64) -> Self {
        match self {
            Self::Memory(bytes) => {
                let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Self::Memory(bytes.slice(index(start)..index(end).max(index(start))))
            }
            Self::Stored(origin, range) => {
                Self::Stored(origin.clone(), range.start + start..range.start + end)
            }
        }
    }
}

/// The parts that make up `range` of the parts' bytes one after the other.
pub(crate) fn slice_parts(parts: &[Part], range: &Range<u64>) -> VecDeque<Part> {
    let mut sliced = VecDeque::new();
    let mut offset = 0;
    for part in parts {
        let len = part.len();
        let start = range.start.max(offset);
        let end = range.end.min(offset + len);
        if start < end {
            sliced.push_back(part.slice(start - offset, end - offset));
        }
        offset += len;
    }
    sliced
}

/// Bytes of files, objects and memory, one piece of at most [`READ_BYTES`] ([`OBJECT_READ_BYTES`]) after the other, one read ahead. It ends after the first
/// error.
#[must_use]
pub struct ByteStream {
    reader: Arc<Reader>,
    parts: VecDeque<Part>,
    next: Option<Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>>,
}

impl ByteStream {
    pub(crate) fn new(reader: Arc<Reader>, parts: VecDeque<Part>) -> Self {
        Self { reader, parts, next: None }
    }

    /// The most that it holds of what is stored at one instant, with the pieces that its reader has not let go yet, in bytes.
    /// What is there already, such as the header of a cut, is not counted.
    #[must_use]
    pub fn max_held_bytes(&self) -> u64 {
        let stored = self.parts.iter().filter_map(|part| match part {
            Part::Memory(_) => None,
            Part::Stored(origin, _) => {
                let longest = if origin.is_remote() { OBJECT_READ_BYTES } else { READ_BYTES as u64 };
                Some((part.len(), READ_PIECES * longest))
            }
        });
        let (length, most) =
            stored.fold((0, 0), |(length, most), (len, held)| (length + len, held.max(most)));
        length.min(most)
    }

    /// Begins to get the next piece, if there is one.
    fn begin(&mut self) {
        let Some(part) = self.parts.front_mut() else { return };
        let len = part.len();
        let longest = match part {
            Part::Stored(origin, _) if origin.is_remote() => OBJECT_READ_BYTES,
            _ => READ_BYTES as u64,
        };
        let take = len.min(longest);
        let piece = part.slice(0, take);
        if take == len {
            self.parts.pop_front();
        } else {
            *part = part.slice(take, len);
        }
        let reader = Arc::clone(&self.reader);
        self.next = Some(match piece {
            Part::Memory(bytes) => Box::pin(std::future::ready(Ok(bytes))),
            Part::Stored(origin, range) => {
                Box::pin(async move { reader.read_into(origin, range, ReadInto::Chunk).await })
            }
        });
    }
}

impl Stream for ByteStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next.is_none() {
            self.begin();
        }
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let piece = std::task::ready!(next.as_mut().poll(context));
        self.next = None;
        match piece {
            Ok(bytes) => {
                self.begin();
                if let Some(ahead) = &mut self.next {
                    // Polled once so that it gets going while the reader is busy with this piece. Its result is kept.
                    if let Poll::Ready(ready) = ahead.as_mut().poll(context) {
                        self.next = Some(Box::pin(std::future::ready(ready)));
                    }
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Err(error) => {
                // The head of the answer has gone long ago: all that its reader sees is an end too early.
                tracing::warn!(%error, "what is being read cannot be read to its end");
                self.parts.clear();
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
