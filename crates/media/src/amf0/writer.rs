//! Writes values.

use bytes::{BufMut, BytesMut};

use super::{Value, marker};

impl Value {
    /// Appends the value's bytes to `out`.
    ///
    /// A property name longer than 65 535 bytes cannot be written and is left out with its value.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(marker::NUMBER);
                out.put_f64(*number);
            }
            Self::Boolean(boolean) => {
                out.put_u8(marker::BOOLEAN);
                out.put_u8(u8::from(*boolean));
            }
            Self::String(text) => encode_str(text, out),
            Self::Object(properties) => {
                out.put_u8(marker::OBJECT);
                encode_properties(properties, out);
            }
            Self::Null => out.put_u8(marker::NULL),
            Self::Undefined => out.put_u8(marker::UNDEFINED),
            Self::EcmaArray(properties) => {
                out.put_u8(marker::ECMA_ARRAY);
                out.put_u32(u32::try_from(properties.len()).unwrap_or(u32::MAX));
                encode_properties(properties, out);
            }
            Self::StrictArray(values) => {
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                out.put_u8(marker::STRICT_ARRAY);
                out.put_u32(count);
                for value in values.iter().take(count as usize) {
                    value.encode(out);
                }
            }
            Self::Date(milliseconds) => {
                out.put_u8(marker::DATE);
                out.put_f64(*milliseconds);
                out.put_i16(0);
            }
            Self::XmlDocument(text) => {
                out.put_u8(marker::XML_DOCUMENT);
                encode_long_text(text, out);
            }
            Self::TypedObject(class, properties) => {
                let Ok(length) = u16::try_from(class.len()) else {
                    return Self::Object(properties.clone()).encode(out);
                };
                out.put_u8(marker::TYPED_OBJECT);
                out.put_u16(length);
                out.put_slice(class.as_bytes());
                encode_properties(properties, out);
            }
        }
    }
}

fn encode_str(text: &str, out: &mut BytesMut) {
    if let Ok(length) = u16::try_from(text.len()) {
        out.put_u8(marker::STRING);
        out.put_u16(length);
        out.put_slice(text.as_bytes());
    } else {
        out.put_u8(marker::LONG_STRING);
        encode_long_text(text, out);
    }
}

fn encode_long_text(text: &str, out: &mut BytesMut) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.put_u32(length);
    out.put_slice(&text.as_bytes()[..(length as usize).min(text.len())]);
}

fn encode_properties(properties: &[(String, Value)], out: &mut BytesMut) {
    for (name, value) in properties {
        let Ok(length) = u16::try_from(name.len()) else { continue };
        out.put_u16(length);
        out.put_slice(name.as_bytes());
        value.encode(out);
    }
    out.put_u16(0);
    out.put_u8(marker::OBJECT_END);
}
