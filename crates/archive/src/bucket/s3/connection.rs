//! One request, signed, sent once, and its answer, within its time.

use std::{
    error::Error,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use md5::Md5;
use object_store::{
    ClientOptions,
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpRequestBody},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::answer::{Answer, is_page, page};
use crate::{
    bucket::{BucketError, S3Credentials, S3Location},
    limits::{
        BUCKET_CALL_MS, BUCKET_CONNECT_MS, BUCKET_DATE_FRESH_MS, BUCKET_IDLE_MS, BUCKET_MIN_BYTES_PER_SECOND,
        HASH_INLINE_BYTES, MAX_BUCKET_ANSWER_BYTES,
    },
};

/// What Signature Version 4 leaves as it is in a query (RFC 3986's unreserved letters).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What it leaves as it is in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// How long calls may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeOuts {
    /// However few bytes it has.
    pub call: Duration,
    /// The slowest line that is waited for: the bytes of a call at this rate come on top.
    pub min_bytes_per_second: u64,
    /// Until a connection stands.
    pub connect: Duration,
}

impl Default for TimeOuts {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(BUCKET_CALL_MS),
            min_bytes_per_second: BUCKET_MIN_BYTES_PER_SECOND,
            connect: Duration::from_millis(BUCKET_CONNECT_MS),
        }
    }
}

impl TimeOuts {
    /// How long a call that moves `bytes` may take.
    #[must_use]
    pub fn of_bytes(&self, bytes: u64) -> Duration {
        let millis = bytes.saturating_mul(1000) / self.min_bytes_per_second.max(1);
        self.call.saturating_add(Duration::from_millis(millis))
    }
}

/// What guards a body on its way.
#[derive(Clone)]
pub(super) struct Digests {
    /// Its MD5: sent as `Content-MD5` and compared with the answer's ETag.
    pub(super) md5: [u8; 16],
    /// Its SHA-256, where the signature covers the payload.
    sha256: Option<[u8; 32]>,
}

impl Digests {
    pub(super) async fn of(body: &Bytes, is_signed: bool) -> Result<Self, BucketError> {
        let hash = move |body: &Bytes| Self {
            md5: Md5::digest(body).into(),
            sha256: is_signed.then(|| Sha256::digest(body).into()),
        };
        if body.len() <= HASH_INLINE_BYTES {
            return Ok(hash(body));
        }
        let body = body.clone();
        tokio::task::spawn_blocking(move || hash(&body))
            .await
            .map_err(|_| BucketError::unreachable("the program is ending"))
    }
}

/// One request to the bucket, or to one of its objects.
pub(super) struct Request<'a> {
    method: Method,
    /// The object's full name; `None` for the bucket itself.
    key: Option<&'a str>,
    query: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    digests: Option<Digests>,
    /// The one successful status that is taken: the body of another is not even read.
    only: Option<StatusCode>,
    /// Bytes of the answer's body that are asked for; 0 where that is not known.
    answer_bytes: u64,
    /// How much of an answer is one.
    extent: Extent,
}

/// How much of an answer's body is taken for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// What came before it broke off, too.
    Begun,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, key: Option<&'a str>) -> Self {
        Self {
            method,
            key,
            query: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            digests: None,
            only: None,
            answer_bytes: 0,
            extent: Extent::Whole,
        }
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.extend(utf8_percent_encode(key, QUERY));
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, QUERY));
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Takes a part of an object of so many bytes for an answer, and nothing else.
    pub(super) fn only_part(mut self, bytes: u64, extent: Extent) -> Self {
        self.extent = extent;
        self.only = Some(StatusCode::PARTIAL_CONTENT);
        self.answer_bytes = bytes;
        self
    }

    pub(super) fn body(mut self, body: Bytes, digests: Digests) -> Self {
        self.body = body;
        self.digests = Some(digests);
        self
    }

    /// A small body of ours, whose payload is always signed.
    pub(super) async fn xml(self, text: String) -> Result<Self, BucketError> {
        let body = Bytes::from(text);
        let digests = Digests::of(&body, true).await?;
        Ok(self.body(body, digests).header(CONTENT_TYPE, HeaderValue::from_static("application/xml")))
    }
}

/// Signs requests and carries them.
pub(super) struct Connection {
    bucket_url: String,
    region: String,
    credential: AwsCredential,
    time_outs: TimeOuts,
    /// Keeps connections for the next call.
    kept: HttpClient,
    /// Opens a connection for each call.
    fresh: HttpClient,
    /// Whether the last call found the service busy or away. B2 then wants a new connection, which another of its
    /// machines answers: on the old one the next try would meet the same full one.
    is_troubled: AtomicBool,
    /// The service's clock as the last answer showed it, and when that came.
    date: Mutex<Option<(i64, Instant)>>,
}

impl Connection {
    pub(super) fn new(
        location: &S3Location,
        credentials: &S3Credentials,
        time_outs: TimeOuts,
    ) -> Result<Self, BucketError> {
        let endpoint = location.endpoint.as_str().trim_end_matches('/');
        let bucket = utf8_percent_encode(&location.bucket, QUERY);
        let bucket_url = match endpoint.split_once("://") {
            Some((scheme, host)) if !location.is_path_style => format!("{scheme}://{bucket}.{host}"),
            _ => format!("{endpoint}/{bucket}"),
        };
        let is_https = location.endpoint.scheme() == "https";
        Ok(Self {
            bucket_url,
            region: location.region.clone(),
            credential: AwsCredential {
                key_id: credentials.key_id.clone(),
                secret_key: credentials.secret.clone(),
                token: credentials.session_token.clone(),
            },
            time_outs,
            kept: client(&time_outs, usize::MAX, is_https)?,
            fresh: client(&time_outs, 0, is_https)?,
            is_troubled: AtomicBool::new(false),
            date: Mutex::new(None),
        })
    }

    /// Where the bucket is.
    pub(super) fn bucket_url(&self) -> &str {
        &self.bucket_url
    }

    /// Hands the same client to `object_store`, so that it makes none of its own.
    pub(super) fn connector(&self) -> Connector {
        Connector(self.kept.clone())
    }

    /// Sends a request once. An answer of any status is an answer; an error is that none came.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, BucketError> {
        let (only, answer_bytes, extent) = (request.only, request.answer_bytes, request.extent);
        let moved = answer_bytes.saturating_add(request.body.len() as u64);
        let request = self.signed(request)?;
        self.within(moved, self.exchange(request, only, answer_bytes, extent)).await
    }

    /// Gets a presigned URL, as a player would: without a signature of ours.
    pub(super) async fn get_url(
        &self,
        url: &str,
        range: HeaderValue,
        bytes: u64,
    ) -> Result<Answer, BucketError> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.parse().map_err(|_| BucketError::invalid("the signed URL is none"))?;
        request.headers_mut().insert(http::header::RANGE, range);
        let exchange = self.exchange(request, Some(StatusCode::PARTIAL_CONTENT), bytes, Extent::Whole);
        self.within(bytes, exchange).await
    }

    async fn within(
        &self,
        bytes: u64,
        exchange: impl Future<Output = Result<Answer, BucketError>>,
    ) -> Result<Answer, BucketError> {
        let limit = self.time_outs.of_bytes(bytes);
        let answer = tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(BucketError::unreachable(format!("no whole answer within {} s", limit.as_secs_f32())))
        });
        let is_troubled = match &answer {
            Ok(answer) => answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS,
            Err(error) => error.is_transient(),
        };
        self.is_troubled.store(is_troubled, Ordering::Relaxed);
        if let Some(date_us) = answer.as_ref().ok().map(Answer::date_us).filter(|date_us| *date_us > 0) {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date_us, Instant::now()));
        }
        answer
    }

    /// What the service's clock shows now, by an answer of the last minutes and the time that has passed since.
    pub(super) fn date_us(&self) -> Option<i64> {
        let (date_us, at) = (*self.date.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = at.elapsed();
        let is_fresh = passed <= Duration::from_millis(BUCKET_DATE_FRESH_MS);
        is_fresh.then(|| date_us.saturating_add(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)))
    }

    fn signed(&self, request: Request<'_>) -> Result<HttpRequest, BucketError> {
        let odd = || BucketError::invalid("the request cannot be signed");
        let path = request.key.map(|key| format!("/{}", utf8_percent_encode(key, PATH))).unwrap_or_default();
        let slash = if path.is_empty() && self.is_bare() { "/" } else { "" };
        let uri = format!("{}{path}{slash}{}", self.bucket_url, request.query);
        let has_body = matches!(request.method, Method::PUT | Method::POST);
        let length = request.body.len();
        let mut signed = HttpRequest::new(HttpRequestBody::from(request.body));
        *signed.method_mut() = request.method;
        *signed.uri_mut() = uri.parse().map_err(|_| odd())?;
        let headers = signed.headers_mut();
        headers.extend(request.headers);
        let sha256 = request.digests.as_ref().and_then(|digests| digests.sha256);
        let is_unsigned_payload = request.digests.is_some() && sha256.is_none();
        if let Some(digests) = &request.digests {
            let md5 = BASE64_STANDARD.encode(digests.md5);
            headers.insert(CONTENT_MD5, HeaderValue::from_str(&md5).map_err(|_| odd())?);
        }
        if has_body {
            // Also when it is 0: some services answer 411 without it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        AwsAuthorizer::new(&self.credential, "s3", &self.region)
            .with_sign_payload(!is_unsigned_payload)
            .try_authorize(&mut signed, sha256.as_ref().map(<[u8; 32]>::as_slice))
            .map_err(|_| odd())?;
        Ok(signed)
    }

    /// Whether the bucket's URL has no path of its own.
    fn is_bare(&self) -> bool {
        self.bucket_url.split_once("://").is_none_or(|(_, rest)| !rest.contains('/'))
    }

    async fn exchange(
        &self,
        request: HttpRequest,
        only: Option<StatusCode>,
        answer_bytes: u64,
        extent: Extent,
    ) -> Result<Answer, BucketError> {
        let client = if self.is_troubled.load(Ordering::Relaxed) { &self.fresh } else { &self.kept };
        let (head, body) = client.execute(request).await.map_err(|error| in_words(&error))?.into_parts();
        if only.is_some() && is_page(&head.headers) {
            return Err(page(head.status));
        }
        if let Some(only) = only.filter(|only| head.status.is_success() && head.status != *only) {
            return Err(BucketError::Invalid {
                status: Some(head.status.as_u16()),
                message: format!(
                    "it answers a Range with {} instead of {}",
                    head.status.as_u16(),
                    only.as_u16()
                ),
            });
        }
        let is_wanted = answer_bytes > 0 && head.status.is_success();
        let limit = if is_wanted { answer_bytes } else { MAX_BUCKET_ANSWER_BYTES };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut whole = BytesMut::with_capacity(if is_wanted { limit } else { 0 });
        let mut pieces = body.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(_) if is_wanted && extent == Extent::Begun && !whole.is_empty() => break,
                Err(error) => return Err(in_words(&error)),
            };
            if piece.len() > limit - whole.len() {
                return Err(BucketError::Invalid {
                    status: Some(head.status.as_u16()),
                    message: "the answer is longer than what was asked for".into(),
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: whole.freeze(),
            region: self.region.clone(),
        })
    }
}

/// Gives a client that stands to whoever asks for one.
#[derive(Clone, Debug)]
pub(super) struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

fn client(time_outs: &TimeOuts, kept_connections: usize, is_https: bool) -> Result<HttpClient, BucketError> {
    // An error is that one was installed before, by us or by whoever wanted another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("turepe/", env!("CARGO_PKG_VERSION")))
        // A redirect is a wrong region: the signature would not hold there.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Each part has a connection of its own: B2 sends parallel uploads to different machines.
        .http1_only()
        .connect_timeout(time_outs.connect)
        .pool_idle_timeout(Duration::from_millis(BUCKET_IDLE_MS))
        .pool_max_idle_per_host(kept_connections);
    // Who has no HTTPS needs no certificates of authorities, and a small machine may have none.
    let builder = if is_https { builder } else { builder.tls_certs_only([]) };
    builder.build().map(HttpClient::new).map_err(|error| {
        BucketError::invalid(format!("no HTTPS without the authorities' certificates: {}", deepest(&error)))
    })
}

/// Why no answer came. The URL is not in it: it may be a signed one.
fn in_words(error: &HttpError) -> BucketError {
    BucketError::unreachable(deepest(error))
}

fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{StoreUrl, parse_store_url};

    fn connection(url: &str) -> Connection {
        let StoreUrl::S3(location) = parse_store_url(url).unwrap() else { panic!("{url}") };
        let credentials = S3Credentials {
            key_id: "id".into(),
            secret: "hunter2".into(),
            session_token: Some("token".into()),
        };
        Connection::new(&location, &credentials, TimeOuts::default()).unwrap()
    }

    #[test]
    fn time_outs_grow_with_what_is_moved() {
        let time_outs = TimeOuts::default();
        assert_eq!(time_outs.of_bytes(0), Duration::from_secs(30));
        // 16 MiB at 32 KiB/s.
        assert_eq!(time_outs.of_bytes(16 << 20), Duration::from_secs(30 + 512));
        assert!(time_outs.of_bytes(u64::MAX) > Duration::from_secs(30));
    }

    #[test]
    fn buckets_stand_in_the_path_or_in_the_host() {
        let uri = |url: &str, key: Option<&str>| {
            let request = Request::new(Method::GET, key).query("prefix", "a/b c+d");
            connection(url).signed(request).unwrap().uri().to_string()
        };
        let path = "s3://club/p?endpoint=http://10.0.0.4:3900&region=garage";
        assert_eq!(uri(path, None), "http://10.0.0.4:3900/club?prefix=a%2Fb%20c%2Bd");
        assert_eq!(
            uri(path, Some("p/ñ 1.mp4")),
            "http://10.0.0.4:3900/club/p/%C3%B1%201.mp4?prefix=a%2Fb%20c%2Bd"
        );
        let host = "s3://club/p?region=eu-west-1";
        assert_eq!(uri(host, None), "https://club.s3.eu-west-1.amazonaws.com/?prefix=a%2Fb%20c%2Bd");
        assert_eq!(
            uri(host, Some("p/x")),
            "https://club.s3.eu-west-1.amazonaws.com/p/x?prefix=a%2Fb%20c%2Bd"
        );
    }

    #[tokio::test]
    async fn what_b2_refuses_is_not_sent() {
        let connection = connection("s3://club/p?endpoint=s3.us-west-004.backblazeb2.com");
        for is_signed in [false, true] {
            let body = Bytes::from_static(b"abc");
            let digests = Digests::of(&body, is_signed).await.unwrap();
            let request = Request::new(Method::PUT, Some("p/x")).body(body, digests);
            let signed = connection.signed(request).unwrap();
            let header =
                |name: &str| signed.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header("content-md5").unwrap(), "kAFQmDzST7DWlj99KOF/cg==");
            assert_eq!(header("content-length").unwrap(), "3");
            assert_eq!(header("x-amz-security-token").unwrap(), "token");
            let sha = header("x-amz-content-sha256").unwrap();
            if is_signed {
                assert!(sha.starts_with("ba7816bf"), "{sha}");
            } else {
                assert_eq!(sha, "UNSIGNED-PAYLOAD");
            }
            assert!(
                header("authorization")
                    .unwrap()
                    .contains("SignedHeaders=content-md5;host;x-amz-content-sha256")
            );
            for name in signed.headers().keys() {
                let name = name.as_str();
                assert!(!name.starts_with("x-amz-checksum") && !name.starts_with("x-amz-sdk"), "{name}");
                assert!(
                    !["x-amz-tagging", "content-encoding", "if-none-match", "expect"].contains(&name),
                    "{name}"
                );
            }
        }
    }
}
