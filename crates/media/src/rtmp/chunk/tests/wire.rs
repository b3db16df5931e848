//! Chunks byte by byte, as a peer would send them: no code of the writer under test.

const EXTENDED: u32 = 0xff_ffff;

/// Bytes of a chunk stream under construction.
#[derive(Default)]
pub(super) struct Wire(pub(super) Vec<u8>);

impl Wire {
    fn basic(&mut self, format: u8, id: u32) -> &mut Self {
        match id {
            2..64 => self.0.push(format << 6 | id as u8),
            64..320 => self.0.extend([format << 6, (id - 64) as u8]),
            _ => self.0.extend([format << 6 | 1, ((id - 64) & 0xff) as u8, ((id - 64) >> 8) as u8]),
        }
        self
    }

    fn u24(&mut self, number: u32) -> &mut Self {
        self.0.extend(&number.to_be_bytes()[1..]);
        self
    }

    fn extended(&mut self, time: u32) -> &mut Self {
        if time >= EXTENDED {
            self.0.extend(time.to_be_bytes());
        }
        self
    }

    /// A chunk of type 0.
    pub(super) fn full(
        &mut self,
        id: u32,
        time: u32,
        length: usize,
        kind: u8,
        stream: u32,
        data: &[u8],
    ) -> &mut Self {
        self.basic(0, id).u24(time.min(EXTENDED)).u24(length as u32);
        self.0.push(kind);
        self.0.extend(stream.to_le_bytes());
        self.extended(time).raw(data)
    }

    /// A chunk of type 1.
    pub(super) fn same_stream(
        &mut self,
        id: u32,
        delta: u32,
        length: usize,
        kind: u8,
        data: &[u8],
    ) -> &mut Self {
        self.basic(1, id).u24(delta.min(EXTENDED)).u24(length as u32);
        self.0.push(kind);
        self.extended(delta).raw(data)
    }

    /// A chunk of type 2.
    pub(super) fn same_length(&mut self, id: u32, delta: u32, data: &[u8]) -> &mut Self {
        self.basic(2, id).u24(delta.min(EXTENDED)).extended(delta).raw(data)
    }

    /// A chunk of type 3 without an extended timestamp.
    pub(super) fn next(&mut self, id: u32, data: &[u8]) -> &mut Self {
        self.basic(3, id).raw(data)
    }

    /// Just bytes.
    pub(super) fn raw(&mut self, data: &[u8]) -> &mut Self {
        self.0.extend(data);
        self
    }

    /// The control message "set chunk size".
    pub(super) fn chunk_size(&mut self, size: u32) -> &mut Self {
        self.full(2, 0, 4, 1, 0, &size.to_be_bytes())
    }
}
