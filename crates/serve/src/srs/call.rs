//! What SRS posts: understood, bounded, and without a word of it in an error.

use super::{
    hidden::Hidden,
    limits::{MAX_ID_BYTES, MAX_PARAM_BYTES, MAX_PATH_BYTES, MAX_STREAM_BYTES},
};
use media::rtmp::StreamKey;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use std::{fmt, net::IpAddr};

/// A client of an SRS server. A client's id is unique in its server only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Client {
    /// `server_id`.
    pub(crate) server: Box<str>,
    /// `client_id`, in SRS's list of streams `cid`.
    pub(crate) id: Box<str>,
}

/// What happened at SRS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// `on_publish`: asks for leave.
    Publish,
    /// `on_unpublish`.
    Unpublish,
    /// `on_close`: the connection is gone, whatever it did before.
    Close,
    /// `on_forward`: asks where the stream is to be sent.
    Forward,
    /// `on_dvr`: a file is complete.
    Dvr {
        /// SRS's working folder, from which `file` counts.
        cwd: Hidden,
        /// The file.
        file: Hidden,
    },
    /// Something that changes nothing here: players, `on_connect`, `on_hls`, and what later versions add.
    Other,
}

/// One callback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// What happened.
    pub(crate) action: Action,
    /// To whom.
    pub(crate) client: Client,
    /// Where that client connects from.
    pub(crate) ip: Option<IpAddr>,
    /// The stream's name: with most operators the key.
    pub(crate) stream: Hidden,
    /// What follows the name, question mark included.
    pub(crate) param: Hidden,
}

/// Where the key stands in a callback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyFrom {
    /// The name of the stream.
    Stream,
    /// A parameter of the stream: `rtmp://host/live/court?NAME=key`.
    Param(String),
}

/// Why a callback is not understood. Repeats nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No JSON object as SRS writes it.
    #[error("the body is no callback of SRS: a JSON object with the texts it documents")]
    NotACall,
    /// A field that SRS always sends.
    #[error("the callback has no `{0}`")]
    Missing(&'static str),
    /// A field longer than is read.
    #[error("`{field}` of the callback has more than {limit} bytes")]
    TooLong {
        /// Its name.
        field: &'static str,
        /// What is read.
        limit: usize,
    },
}

/// As it is written; everything else in it is passed over.
#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "text_or_number")]
    action: String,
    #[serde(default, deserialize_with = "text_or_number")]
    server_id: String,
    #[serde(default, deserialize_with = "text_or_number")]
    client_id: String,
    #[serde(default, deserialize_with = "text_or_number")]
    ip: String,
    #[serde(default)]
    stream: Hidden,
    #[serde(default)]
    param: Hidden,
    #[serde(default)]
    cwd: Hidden,
    #[serde(default)]
    file: Hidden,
}

impl Call {
    /// Understands a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, CallError> {
        // An array of the values would be taken as well.
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        let wire: Option<Wire> = serde_json::from_slice(body).ok().filter(|_| is_object);
        let wire = wire.ok_or(CallError::NotACall)?;
        let short = |field, text: &str, limit| match text.len() {
            length if length > limit => Err(CallError::TooLong { field, limit }),
            _ => Ok(()),
        };
        short("action", &wire.action, MAX_ID_BYTES)?;
        short("server_id", &wire.server_id, MAX_ID_BYTES)?;
        short("client_id", &wire.client_id, MAX_ID_BYTES)?;
        short("stream", wire.stream.expose(), MAX_STREAM_BYTES)?;
        short("param", wire.param.expose(), MAX_PARAM_BYTES)?;
        short("cwd", wire.cwd.expose(), MAX_PATH_BYTES)?;
        short("file", wire.file.expose(), MAX_PATH_BYTES)?;
        let needed =
            |field, text: &str| if text.is_empty() { Err(CallError::Missing(field)) } else { Ok(()) };
        needed("action", &wire.action)?;
        needed("client_id", &wire.client_id)?;
        let action = match wire.action.as_str() {
            "on_publish" => Action::Publish,
            "on_unpublish" => Action::Unpublish,
            "on_close" => Action::Close,
            "on_forward" => Action::Forward,
            "on_dvr" => {
                needed("file", wire.file.expose())?;
                Action::Dvr { cwd: wire.cwd, file: wire.file }
            }
            _ => Action::Other,
        };
        // `on_close` is the one callback about a connection and not about a stream.
        if matches!(action, Action::Publish | Action::Forward | Action::Dvr { .. }) {
            needed("stream", wire.stream.expose())?;
        }
        let client = Client { server: wire.server_id.into(), id: wire.client_id.into() };
        Ok(Self { action, client, ip: wire.ip.parse().ok(), stream: wire.stream, param: wire.param })
    }

    /// The key in it; [`None`] when it has none, or one that could not stand in the address that SRS forwards to.
    pub(crate) fn key(&self, from: &KeyFrom) -> Option<StreamKey> {
        let text = match from {
            KeyFrom::Stream => self.stream.expose().to_owned(),
            KeyFrom::Param(name) => param(self.param.expose(), name)?,
        };
        // What was typed around the key, as in `live/KEY` or with a blank behind it, is no part of it: nor could it be forwarded.
        StreamKey::readings("", &text).into_iter().find(|key| can_be_forwarded(key.expose()))
    }
}

/// Whether a key can be the last part of an RTMP address for SRS (`srs_parse_rtmp_url`) and for our own gate, which takes
/// what stands before a question mark.
pub(crate) fn can_be_forwarded(key: &str) -> bool {
    let is_special =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '?' | '&' | '#' | '"' | '\\');
    !key.is_empty() && key.len() <= MAX_STREAM_BYTES && !key.chars().any(is_special)
}

/// The value of a parameter. An escape that is none stays as it is.
fn param(text: &str, name: &str) -> Option<String> {
    let text = text.strip_prefix('?').unwrap_or(text);
    let value = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(unescape(value))
}

/// Percent-decoding (RFC 3986 §2.1).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ids are texts; SRS before version 5 wrote numbers.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct TextOrNumber;

    impl Visitor<'_> for TextOrNumber {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_unit<E: Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    }

    deserializer.deserialize_any(TextOrNumber)
}

#[cfg(test)]
mod tests {
    use super::{Action, Call, CallError, KeyFrom, can_be_forwarded};
    use serde_json::json;

    /// As SRS 6 writes it.
    const PUBLISH: &str = r#"{"server_id":"vid-werty","service_id":"1k2j3","action":"on_publish","client_id":"9308h583","ip":"192.168.1.10","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://h/live","stream":"cancha1","param":"?key=abc%2Bd&x","stream_url":"/live/cancha1","stream_id":"vid-124q9y3"}"#;

    #[test]
    fn a_callback_is_understood_and_its_key_is_never_printed() {
        let call = Call::parse(PUBLISH.as_bytes()).unwrap();
        assert_eq!((&*call.client.server, &*call.client.id), ("vid-werty", "9308h583"));
        assert_eq!(call.key(&KeyFrom::Stream).unwrap().expose(), "cancha1");
        assert_eq!(call.key(&KeyFrom::Param("key".into())).unwrap().expose(), "abc+d");
        assert_eq!(call.key(&KeyFrom::Param("ke".into())), None);
        assert_eq!(call.key(&KeyFrom::Param("x".into())), None);
        let printed = format!("{call:?}");
        assert!(!printed.contains("cancha1") && !printed.contains("abc"), "{printed}");
    }

    #[test]
    fn a_key_that_was_not_typed_alone_is_found() {
        for stream in ["cancha1", "live/cancha1", "/cancha1", "cancha1 ", "cancha1\n"] {
            let body = json!({ "action": "on_publish", "client_id": 7, "stream": stream });
            let call = Call::parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(call.key(&KeyFrom::Stream).unwrap().expose(), "cancha1", "{stream:?}");
        }
        let body = json!({ "action": "on_publish", "client_id": 7, "stream": "a b" });
        assert_eq!(Call::parse(body.to_string().as_bytes()).unwrap().key(&KeyFrom::Stream), None);
    }

    #[test]
    fn every_action_has_its_meaning() {
        let with = |action: &str| {
            let body = json!({ "action": action, "client_id": 7, "stream": "s", "file": "f" });
            Call::parse(body.to_string().as_bytes()).map(|call| call.action)
        };
        assert_eq!(with("on_publish"), Ok(Action::Publish));
        assert_eq!(with("on_unpublish"), Ok(Action::Unpublish));
        assert_eq!(with("on_close"), Ok(Action::Close));
        assert_eq!(with("on_forward"), Ok(Action::Forward));
        assert!(matches!(with("on_dvr"), Ok(Action::Dvr { .. })));
        for other in ["on_play", "on_stop", "on_connect", "on_hls", "on_something_new"] {
            assert_eq!(with(other), Ok(Action::Other), "{other}");
        }
        assert_eq!(with(""), Err(CallError::Missing("action")));
    }

    #[test]
    fn what_is_no_callback_is_refused_without_repeating_it() {
        let deep = "[".repeat(4000);
        for (body, error) in [
            ("", CallError::NotACall),
            ("0", CallError::NotACall),
            ("[]", CallError::NotACall),
            ("{\"action\":\"on_close\"", CallError::NotACall),
            (r#"{"action":{"a":1},"client_id":"c"}"#, CallError::NotACall),
            (r#"{"action":"on_publish","client_id":"c","stream":["secret"]}"#, CallError::NotACall),
            (&deep, CallError::NotACall),
            (r#"{"action":"on_close"}"#, CallError::Missing("client_id")),
            (r#"{"action":"on_close","client_id":null}"#, CallError::Missing("client_id")),
            (r#"{"action":"on_publish","client_id":"c"}"#, CallError::Missing("stream")),
            (r#"{"action":"on_dvr","client_id":"c","stream":"s"}"#, CallError::Missing("file")),
        ] {
            assert_eq!(Call::parse(body.as_bytes()), Err(error), "{body}");
        }
        for (field, length) in
            [("client_id", 65), ("server_id", 65), ("action", 65), ("stream", 513), ("param", 2049)]
        {
            let mut body = json!({ "action": "on_publish", "client_id": "c", "stream": "s" });
            body[field] = "x".repeat(length).into();
            let error = Call::parse(body.to_string().as_bytes()).unwrap_err();
            assert_eq!(error, CallError::TooLong { field, limit: length - 1 });
            assert!(!error.to_string().contains("xx"));
        }
    }

    #[test]
    fn a_key_that_cannot_stand_in_an_address_is_none() {
        for (key, can) in [
            ("sk_Ab-9.~", true),
            ("cancha ñ", false),
            ("cancha-ñ", true),
            ("", false),
            ("a/b", false),
            ("a?b", false),
            ("a\r\nb", false),
            ("a\"b", false),
        ] {
            assert_eq!(can_be_forwarded(key), can, "{key}");
        }
    }
}
