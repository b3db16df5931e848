//! Reads values from a whole message body, bounded in depth and number.

use super::{AmfError, AmfFault, Value, marker};

/// How deep objects and arrays may be nested. Commands and metadata in the field stay below five.
pub const MAX_DEPTH: u8 = 16;

/// How many values one message may hold. A one-byte null costs some forty bytes in memory: this bounds the product.
pub const MAX_VALUES: u32 = 4096;

/// Reads one value after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    values: u32,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, values: 0 }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next value.
    ///
    /// # Errors
    /// [`AmfError`]: the bytes end inside the value, or a limit or an unknown marker stands in the way. The reader's
    /// position is then undefined.
    pub fn read(&mut self) -> Result<Value, AmfError> {
        self.value(0)
    }

    fn value(&mut self, depth: u8) -> Result<Value, AmfError> {
        let at = self.position;
        let fault = |fault| AmfError { offset: at, fault };
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(fault(AmfFault::TooManyValues));
        }
        let kind = self.byte()?;
        let is_nested =
            matches!(kind, marker::OBJECT | marker::ECMA_ARRAY | marker::STRICT_ARRAY | marker::TYPED_OBJECT);
        if is_nested && depth >= MAX_DEPTH {
            return Err(fault(AmfFault::TooDeep));
        }
        Ok(match kind {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            marker::BOOLEAN => Value::Boolean(self.byte()? != 0),
            marker::STRING => Value::String(self.short_text()?),
            marker::OBJECT => Value::Object(self.properties(depth, None)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            marker::REFERENCE => {
                let _index: [u8; 2] = self.array()?;
                Value::Null
            }
            marker::ECMA_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                Value::EcmaArray(self.properties(depth, Some(count))?)
            }
            marker::STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            marker::DATE => {
                let milliseconds = f64::from_be_bytes(self.array()?);
                let _zone: [u8; 2] = self.array()?;
                Value::Date(milliseconds)
            }
            marker::LONG_STRING => Value::String(self.long_text()?),
            marker::XML_DOCUMENT => Value::XmlDocument(self.long_text()?),
            marker::TYPED_OBJECT => {
                let class = self.short_text()?;
                Value::TypedObject(class, self.properties(depth, None)?)
            }
            other => return Err(fault(AmfFault::Marker(other))),
        })
    }

    /// Name-value pairs up to the end marker. The count of an associative array is only a hint (FFmpeg writes 0 when it does
    /// not know); it serves where an encoder left out the end marker at the end of the message.
    fn properties(&mut self, depth: u8, count: Option<u32>) -> Result<Vec<(String, Value)>, AmfError> {
        let mut properties = Vec::new();
        loop {
            if self.is_empty() && count.is_some_and(|count| properties.len() >= count as usize) {
                return Ok(properties);
            }
            let name = self.short_text()?;
            if name.is_empty() && self.bytes.get(self.position) == Some(&marker::OBJECT_END) {
                self.position += 1;
                return Ok(properties);
            }
            let value = self.value(depth + 1)?;
            properties.push((name, value));
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.get(..length) else {
            return Err(AmfError { offset: self.position, fault: AmfFault::Truncated });
        };
        self.position += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, AmfError> {
        Ok(self.array::<1>()?[0])
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}
