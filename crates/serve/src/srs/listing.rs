//! SRS's answer to `GET /api/v1/streams`, as far as it is needed.

use super::{
    call::Client,
    hidden::Hidden,
    limits::{LISTING_PAGE, MAX_ID_BYTES, MAX_STREAM_BYTES},
};
use serde::Deserialize;

/// One page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    /// Who answers: the `server_id` of its callbacks.
    pub(crate) server: Box<str>,
    /// Who publishes what.
    pub(crate) published: Vec<Published>,
    /// Whether another page may follow.
    pub(crate) is_full: bool,
}

/// A stream that is published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    pub(crate) client: Client,
    /// The stream's name.
    pub(crate) stream: Hidden,
}

/// Why a page is none. Repeats nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ListingError {
    /// Something else answers there.
    #[error("the answer is no list of streams as SRS 6 writes it")]
    NotAList,
    /// SRS has an error of its own.
    #[error("SRS answers with error code {0}")]
    Code(i64),
}

#[derive(Deserialize)]
struct Wire {
    code: i64,
    #[serde(default)]
    server: String,
    #[serde(default)]
    streams: Vec<WireStream>,
}

#[derive(Deserialize)]
struct WireStream {
    #[serde(default)]
    name: Hidden,
    #[serde(default)]
    publish: WirePublish,
}

#[derive(Deserialize, Default)]
struct WirePublish {
    #[serde(default)]
    active: bool,
    #[serde(default)]
    cid: String,
}

impl Page {
    /// Understands an answer.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ListingError> {
        let wire: Wire = serde_json::from_slice(body).map_err(|_| ListingError::NotAList)?;
        if wire.code != 0 {
            return Err(ListingError::Code(wire.code));
        }
        if wire.server.is_empty() || wire.server.len() > MAX_ID_BYTES {
            return Err(ListingError::NotAList);
        }
        let server: Box<str> = wire.server.into();
        let is_full = wire.streams.len() >= LISTING_PAGE;
        let active = wire.streams.into_iter().filter(|stream| stream.publish.active);
        let sound = active.filter(|stream| {
            (1..=MAX_ID_BYTES).contains(&stream.publish.cid.len())
                && stream.name.expose().len() <= MAX_STREAM_BYTES
        });
        let published = sound.map(|stream| Published {
            client: Client { server: server.clone(), id: stream.publish.cid.into() },
            stream: stream.name,
        });
        Ok(Self { published: published.collect(), is_full, server })
    }
}

#[cfg(test)]
mod tests {
    use super::{ListingError, Page};

    /// As SRS 6 writes it.
    const ANSWER: &str = r#"{"code":0,"server":"vid-abc","service":"s","pid":"123","streams":[
        {"id":"vid-1","name":"cancha1","vhost":"vid-v","app":"live","tcUrl":"rtmp://h/live","url":"/live/cancha1","live_ms":1760000000000,"clients":1,"frames":300,"send_bytes":0,"recv_bytes":0,"kbps":{"recv_30s":0,"send_30s":0},"publish":{"active":true,"cid":"9308h583"},"video":{"codec":"H264","profile":"High","level":"4","width":1920,"height":1080},"audio":null},
        {"id":"vid-2","name":"watched","publish":{"active":false},"video":null}]}"#;

    #[test]
    fn who_publishes_is_read_and_no_name_is_printed() {
        let page = Page::parse(ANSWER.as_bytes()).unwrap();
        assert_eq!((&*page.server, page.published.len(), page.is_full), ("vid-abc", 1, false));
        assert_eq!(&*page.published[0].client.id, "9308h583");
        assert_eq!(page.published[0].stream.expose(), "cancha1");
        assert!(!format!("{page:?}").contains("cancha1"));
    }

    #[test]
    fn what_is_no_list_is_said_to_be_none() {
        for (body, error) in [
            ("", ListingError::NotAList),
            ("<html>", ListingError::NotAList),
            (r#"{"code":0}"#, ListingError::NotAList),
            (r#"{"code":0,"server":"v","streams":{}}"#, ListingError::NotAList),
            (r#"{"code":2048,"server":"v"}"#, ListingError::Code(2048)),
        ] {
            assert_eq!(Page::parse(body.as_bytes()), Err(error), "{body}");
        }
        assert_eq!(Page::parse(br#"{"code":0,"server":"v","streams":[]}"#).unwrap().published, []);
    }
}
