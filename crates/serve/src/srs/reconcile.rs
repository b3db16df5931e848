//! SRS's own list of streams, at start and every minute: what callbacks that were lost would have told.

use super::{
    backend::{Judgement, Srs, tell},
    call::{Client, KeyFrom},
    limits::{LISTING_PAGE, LISTING_TIMEOUT, MAX_LISTING_BYTES, MAX_LISTING_PAGES, RECONCILE_INTERVAL},
    listing::{ListingError, Page, Published},
};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper_util::rt::TokioIo;
use media::rtmp::StreamKey;
use std::{collections::HashSet, fmt, future::Future, io, pin::pin, time::Duration};
use tokio::net::TcpStream;

/// SRS's HTTP API.
#[derive(Clone)]
pub struct SrsServer {
    /// `host:port`.
    pub authority: String,
    /// User and password (`http_api { auth }`).
    pub basic: Option<(String, String)>,
    /// How often it is asked.
    pub every: Duration,
}

impl SrsServer {
    /// The API at `host:port`, asked every minute, without a password.
    #[must_use]
    pub fn new(authority: impl Into<String>) -> Self {
        Self { authority: authority.into(), basic: None, every: RECONCILE_INTERVAL }
    }

    /// Asks it once for its streams, and tells how many are published.
    ///
    /// # Errors
    ///
    /// When it is away, or is no SRS 6.
    pub async fn count_streams(&self) -> io::Result<usize> {
        list(self).await.map(|(_, published)| published.len()).map_err(io::Error::other)
    }
}

impl fmt::Debug for SrsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrsServer").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// Why SRS could not be asked.
#[derive(Debug, thiserror::Error)]
enum AwayError {
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection failed: {0}")]
    Http(#[source] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[source] axum::http::Error),
    #[error("it answers with status {0}; 401 wants `srs.server_user` and `srs.server_password`")]
    Status(StatusCode),
    #[error("the answer is longer than {MAX_LISTING_BYTES} bytes, or ended early")]
    Body,
    #[error("no answer within {LISTING_TIMEOUT:?}")]
    Timeout,
    #[error(transparent)]
    Listing(ListingError),
    #[error("it lists more than {} streams", MAX_LISTING_PAGES * LISTING_PAGE)]
    TooMany,
}

impl Srs {
    /// Asks SRS now and again until `shutdown` resolves. Ends at once where no API is configured.
    pub async fn reconcile(self, shutdown: impl Future<Output = ()>) {
        let Some(server) = self.inner.config.server.clone() else { return };
        let mut shutdown = pin!(shutdown);
        let mut known = Known::default();
        loop {
            let round = async {
                self.compare(&server, &mut known).await;
                tokio::time::sleep(server.every).await;
            };
            tokio::select! {
                () = shutdown.as_mut() => return,
                () = round => {}
            }
        }
    }

    /// One round.
    async fn compare(&self, server: &SrsServer, known: &mut Known) {
        let asked_us = self.inner.clock.now_us();
        match list(server).await {
            Ok((id, published)) => {
                if known.is_away != Some(false) {
                    tracing::info!(api = %server.authority, server = %id, streams = published.len(), "SRS answers");
                }
                known.is_away = Some(false);
                self.take_over(&id, published, asked_us, known).await;
            }
            Err(error) => {
                // Once, until it is back: whoever runs it knows by then.
                if known.is_away != Some(true) {
                    tracing::warn!(api = %server.authority, %error, "SRS cannot be asked for its streams; what is known of them stays");
                }
                known.is_away = Some(true);
            }
        }
    }

    async fn take_over(&self, id: &str, published: Vec<Published>, asked_us: i64, known: &mut Known) {
        if let Some(before) = known.server.replace(id.into())
            && &*before != id
        {
            let ended = self.sessions().end_server(&before);
            ended.iter().for_each(|(client, change)| tell(client, *change, "another server in its place"));
        }
        let mut listed = HashSet::with_capacity(published.len());
        for Published { client, stream } in published {
            if !self.sessions().is_open(&client) {
                // Its parameters are not listed: where they hold the key, the channel stays unknown.
                let channel = match self.inner.config.key {
                    KeyFrom::Stream => match self.judge(&StreamKey::new(stream.expose())).await {
                        Judgement::Known(channel) => Some(channel),
                        Judgement::Unknown | Judgement::Away => None,
                    },
                    KeyFrom::Param(_) => None,
                };
                let change = self.sessions().publish(&client, channel, asked_us);
                tell(&client, change, "list of SRS");
            }
            listed.insert(client);
        }
        let ended: Vec<(Client, _)> = self.sessions().retain_listed(id, &listed, asked_us);
        ended.iter().for_each(|(client, change)| tell(client, *change, "list of SRS"));
    }
}

/// What the last round has found.
#[derive(Default)]
struct Known {
    /// Unknown before the first.
    is_away: Option<bool>,
    server: Option<Box<str>>,
}

/// All pages. Half a list is none: what it lacks would count as over.
async fn list(server: &SrsServer) -> Result<(Box<str>, Vec<Published>), AwayError> {
    let mut all = Vec::new();
    for number in 0..MAX_LISTING_PAGES {
        let path = format!("/api/v1/streams?start={}&count={LISTING_PAGE}", number * LISTING_PAGE);
        let page = tokio::time::timeout(LISTING_TIMEOUT, get(server, &path)).await;
        let page = Page::parse(&page.map_err(|_| AwayError::Timeout)??).map_err(AwayError::Listing)?;
        all.extend(page.published);
        if !page.is_full {
            return Ok((page.server, all));
        }
    }
    Err(AwayError::TooMany)
}

async fn get(server: &SrsServer, path: &str) -> Result<axum::body::Bytes, AwayError> {
    let stream = TcpStream::connect(&server.authority).await.map_err(AwayError::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(AwayError::Http)?;
    let mut request = Request::get(path)
        .header(header::HOST, &server.authority)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    if let Some((user, password)) = &server.basic {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
    }
    let request = request.body(Body::empty()).map_err(AwayError::Request)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(AwayError::Http)?;
        if response.status() != StatusCode::OK {
            return Err(AwayError::Status(response.status()));
        }
        to_bytes(Body::new(response.into_body()), MAX_LISTING_BYTES).await.map_err(|_| AwayError::Body)
    };
    // The connection does the reading; it ends with its sender.
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        answered = answer.as_mut() => answered,
        ended = connection.as_mut() => {
            ended.map_err(AwayError::Http)?;
            answer.await
        }
    }
}
