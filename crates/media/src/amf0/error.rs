//! Why bytes are not AMF0.

use super::reader::{MAX_DEPTH, MAX_VALUES};

/// A fault and where it stands in the bytes that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("AMF0 at byte {offset}: {fault}")]
pub struct AmfError {
    /// Offset of the value that could not be read, in bytes from the start of the message body.
    pub offset: usize,
    /// What was wrong.
    pub fault: AmfFault,
}

/// What was wrong with an AMF0 value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmfFault {
    /// The bytes ended inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A type marker that is reserved, or that of another encoding (0x11, AMF3).
    #[error("type marker {0:#04x} is not supported")]
    Marker(u8),
    /// Objects and arrays nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More values than [`MAX_VALUES`] in one message.
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
}
