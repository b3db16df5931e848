//! Boxes as bytes (ISO/IEC 14496-12 §4.2): how they are nested, written and walked. No box's meaning.

/// A box that does not hold what it announces.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BoxError {
    /// A box that must be there is not.
    #[error("the {0} box is missing")]
    Missing(&'static str),
    /// A box ends before what it announces, or says something impossible.
    #[error("the {0} box is damaged")]
    Damaged(&'static str),
    /// A box has more entries than a file of ours or of a user ever needs.
    #[error("the {0} box has too many entries")]
    TooMany(&'static str),
}

/// Grows a buffer box by box.
pub(super) struct BoxWriter {
    pub(super) out: Vec<u8>,
}

impl BoxWriter {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Writes a box: its header, then `body`, then the length into the header. Nothing of ours reaches 4 GiB.
    #[inline]
    pub(super) fn boxed(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(kind);
        body(self);
        let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
        self.out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// A box with version and flags.
    #[inline]
    pub(super) fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32(u32::from(version) << 24 | flags);
            body(w);
        });
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    pub(super) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }
}

/// The head of a box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BoxHead {
    pub(super) kind: [u8; 4],
    /// Bytes of the head itself: 8 or 16.
    pub(super) head_bytes: u64,
    /// Bytes of the whole box; `None`: up to the end of the file.
    pub(super) size: Option<u64>,
}

impl BoxHead {
    /// Reads the head of a box; `None` when `data` is too short or the size is impossible.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        let short = cursor.u32()?;
        let kind = cursor.array()?;
        let (head_bytes, size) = match short {
            0 => (8, None),
            1 => (16, Some(cursor.u64()?)),
            size => (8, Some(u64::from(size))),
        };
        size.is_none_or(|size| size >= head_bytes).then_some(Self { kind, head_bytes, size })
    }
}

/// The boxes in a slice, one after the other; ends in front of damage.
#[derive(Clone)]
pub(super) struct Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = BoxHead::read(self.0)?;
        let size = match head.size {
            Some(size) => usize::try_from(size).ok()?,
            None => self.0.len(),
        };
        let (whole, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some((head.kind, &whole[head.head_bytes as usize..]))
    }
}

/// The body of the first box of a kind.
pub(super) fn find<'a>(data: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    Boxes(data).find_map(|(found, body)| (found == *kind).then_some(body))
}

/// Reads big-endian fields one after the other; `None` past the end.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Version and flags of a full box.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}
