//! Command messages: a name, a transaction id, values (RTMP §7.2).

use bytes::{Bytes, BytesMut};

use super::chunk::ChunkWriter;
use super::message::{MessageHeader, message_type};
use super::transmit::Transmit;
use crate::amf0::{AmfError, AmfFault, Reader, Value};

/// Chunk stream of commands and their results.
pub(super) const COMMAND_CHUNK_STREAM: u32 = 3;

/// Chunk stream of status messages.
pub(super) const STATUS_CHUNK_STREAM: u32 = 5;

/// A command, received or to be sent.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) transaction: f64,
    /// The command object and what follows it.
    pub(super) arguments: Vec<Value>,
}

impl Command {
    pub(super) fn new(name: &str, transaction: f64, arguments: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction, arguments }
    }

    /// Reads a command message of type 17 or 20.
    ///
    /// Where an argument switches to AMF3 (marker 0x11), reading stops and what came before it counts.
    pub(super) fn parse(type_id: u8, body: &[u8]) -> Result<Self, AmfError> {
        let mut reader = Reader::new(values_of(type_id, body));
        let name = reader.read()?.as_str().unwrap_or_default().to_owned();
        let transaction = if reader.is_empty() { 0.0 } else { reader.read()?.as_f64().unwrap_or_default() };
        let mut arguments = Vec::new();
        while !reader.is_empty() {
            match reader.read() {
                Ok(value) => arguments.push(value),
                Err(AmfError { fault: AmfFault::Marker(0x11), .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Self { name, transaction, arguments })
    }

    /// The text of an argument; argument 0 is the command object.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index)?.as_str()
    }

    /// The number of an argument.
    pub(super) fn number(&self, index: usize) -> Option<f64> {
        self.arguments.get(index)?.as_f64()
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(256);
        Value::string(self.name.as_str()).encode(&mut body);
        Value::Number(self.transaction).encode(&mut body);
        for argument in &self.arguments {
            argument.encode(&mut body);
        }
        body.freeze()
    }

    /// Sends the command on a message stream.
    pub(super) fn send(
        &self,
        writer: &mut ChunkWriter,
        out: &mut Transmit,
        chunk_stream_id: u32,
        stream_id: u32,
    ) {
        let header =
            MessageHeader { chunk_stream_id, timestamp_ms: 0, type_id: message_type::COMMAND, stream_id };
        writer.write(&header, &[], self.encode(), out);
    }
}

/// The values of a command or data message: AMF3 framing puts a zero byte before values that are AMF0 all the same.
pub(super) fn values_of(type_id: u8, body: &[u8]) -> &[u8] {
    match (type_id, body) {
        (message_type::COMMAND_AMF3 | message_type::DATA_AMF3, [0, values @ ..]) => values,
        _ => body,
    }
}

/// An information object of a status or result.
pub(super) fn information(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_written_in_both_framings() {
        let command =
            Command::new("publish", 5.0, vec![Value::Null, Value::string("key"), Value::string("live")]);
        let body = command.encode();
        assert_eq!(Command::parse(message_type::COMMAND, &body).unwrap(), command);
        let framed = [&[0], &body[..]].concat();
        assert_eq!(Command::parse(message_type::COMMAND_AMF3, &framed).unwrap(), command);
    }

    #[test]
    fn an_argument_in_amf3_ends_the_arguments() {
        let mut body = Command::new("x", 1.0, vec![Value::Null]).encode().to_vec();
        body.extend_from_slice(&[0x11, 0x0a, 0x0b, 0x01]);
        assert_eq!(Command::parse(message_type::COMMAND, &body).unwrap().arguments, vec![Value::Null]);
        assert!(Command::parse(message_type::COMMAND, b"\x02\x00\x09x").is_err());
    }
}
