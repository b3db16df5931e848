//! What a service answers, and what its errors mean.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, RETRY_AFTER},
};
use quick_xml::{Reader, events::Event};
use serde::de::DeserializeOwned;

use super::xml::ErrorBody;
use crate::{
    bucket::{BucketError, etag::unquote},
    limits::MAX_BUCKET_MESSAGE_CHARS,
};

/// Where AWS names the region that a bucket is in.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// An answer of any status, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The region that the request was signed for.
    pub(super) region: String,
}

impl Answer {
    /// The answer, if its status is one of success; else what its error means for the object `name`.
    pub(super) fn success(self, name: &str) -> Result<Self, BucketError> {
        if self.status.is_success() {
            self.no_page()?;
        }
        if self.status.is_success() { Ok(self) } else { Err(self.error(self.status, name)) }
    }

    /// An error where the answer is a page for people: no S3 service speaks so, but what stands before one does while that is away
    /// (a proxy, a provider's portal), with any status. Later it may be the service again.
    pub(super) fn no_page(&self) -> Result<(), BucketError> {
        if is_page(&self.headers) { Err(page(self.status)) } else { Ok(()) }
    }

    /// The range that the answer says it holds (RFC 9110, section 14.4).
    pub(super) fn content_range(&self) -> Option<Range<u64>> {
        let (first, last) =
            self.text(CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split('/').next()?.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| first..last.saturating_add(1))
    }

    /// As [`Answer::success`] where an upload is named: what is not found is the upload.
    pub(super) fn upload_success(self, name: &str) -> Result<Self, BucketError> {
        match self.success(name) {
            Err(BucketError::NotFound { .. }) => Err(BucketError::NoSuchUpload),
            answer => answer,
        }
    }

    /// An error may stand in the body of an answer that began as a success.
    pub(super) fn success_inside(self, name: &str) -> Result<Self, BucketError> {
        if self.root_name().as_deref() != Some("Error") {
            return Ok(self);
        }
        let status = match self.error_body().code.as_str() {
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            "NoSuchUpload" | "NoSuchKey" => StatusCode::NOT_FOUND,
            "AccessDenied" => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        Err(self.error(status, name))
    }

    /// The ETag in the header.
    pub(super) fn etag(&self) -> Result<String, BucketError> {
        self.text(ETAG.as_str())
            .map(|etag| unquote(etag).to_owned())
            .filter(|etag| !etag.is_empty())
            .ok_or_else(|| self.odd("no ETag"))
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.text(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// When the object was stored; 0 if that is not said.
    pub(super) fn last_modified_us(&self) -> i64 {
        self.text(LAST_MODIFIED.as_str()).and_then(http_date_us).unwrap_or(0)
    }

    /// The service's clock; 0 if it does not show it.
    pub(super) fn date_us(&self) -> i64 {
        self.text(DATE.as_str()).and_then(http_date_us).unwrap_or(0)
    }

    /// Reads the body.
    pub(super) fn xml<T: DeserializeOwned>(&self) -> Result<T, BucketError> {
        std::str::from_utf8(&self.body)
            .ok()
            .and_then(|text| quick_xml::de::from_str(text).ok())
            .ok_or_else(|| self.odd("a body that is not what was asked for"))
    }

    /// The name of the body's outermost element.
    pub(super) fn root_name(&self) -> Option<String> {
        let mut reader = Reader::from_reader(self.body.as_ref());
        loop {
            match reader.read_event() {
                Ok(Event::Start(start) | Event::Empty(start)) => {
                    return std::str::from_utf8(start.local_name().as_ref()).ok().map(str::to_owned);
                }
                Ok(Event::Eof) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Whether the service does not know the operation.
    pub(super) fn is_not_implemented(&self) -> bool {
        let code = self.error_body().code;
        matches!(self.status, StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED)
            || (!self.status.is_success() && matches!(code.as_str(), "NotImplemented" | "MethodNotAllowed"))
    }

    /// Whether an error is that the bucket itself is not there.
    pub(super) fn is_about_the_bucket(&self) -> bool {
        self.error_body().code == "NoSuchBucket"
    }

    /// The code of an error, or nothing.
    pub(super) fn code(&self) -> String {
        self.error_body().code
    }

    /// An answer that no S3 service gives.
    pub(super) fn odd(&self, what: &str) -> BucketError {
        BucketError::Invalid {
            status: Some(self.status.as_u16()),
            message: format!("it answers with {what}"),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn error_body(&self) -> ErrorBody {
        self.xml().unwrap_or_default()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.text(RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
    }

    fn error(&self, status: StatusCode, name: &str) -> BucketError {
        let body = self.error_body();
        let message = message(status, &body);
        let number = status.as_u16();
        match body.code.as_str() {
            "NoSuchUpload" => return BucketError::NoSuchUpload,
            "InvalidPart" | "InvalidPartOrder" => return BucketError::InvalidPart { message },
            "BadDigest" | "XAmzContentSHA256Mismatch" => return BucketError::Checksum { message },
            "NoSuchBucket" => {
                return BucketError::Invalid {
                    status: Some(number),
                    message: "there is no such bucket, or not at this endpoint".into(),
                };
            }
            "RequestTimeTooSkewed" => {
                return BucketError::Refused {
                    status: number,
                    message: "this machine's clock is wrong: the bucket's differs by more than it allows"
                        .into(),
                };
            }
            // Codes that AWS sends with 400 although the next try may succeed.
            "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" => {
                return BucketError::Busy { status: number, retry_after: self.retry_after(), message };
            }
            "IncompleteBody" => return BucketError::unreachable(message),
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
                return BucketError::Refused { status: number, message };
            }
            _ => {}
        }
        if let Some(region) = self.other_region(status, &body) {
            return BucketError::Invalid {
                status: Some(number),
                message: format!("the bucket is in the region {region}: correct `region=` or `endpoint=`"),
            };
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => BucketError::Refused { status: number, message },
            StatusCode::NOT_FOUND => BucketError::not_found(name),
            StatusCode::NOT_IMPLEMENTED => BucketError::Invalid { status: Some(number), message },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                BucketError::Busy { status: number, retry_after: self.retry_after(), message }
            }
            _ if status.is_server_error() => {
                BucketError::Busy { status: number, retry_after: self.retry_after(), message }
            }
            _ if status.is_redirection() => BucketError::Invalid {
                status: Some(number),
                message: "it redirects elsewhere, as a bucket of another region does: correct `region=` or `endpoint=`"
                    .into(),
            },
            _ => BucketError::Invalid { status: Some(number), message },
        }
    }

    /// The region that the bucket is in, if the error is that it is not ours.
    fn other_region(&self, status: StatusCode, body: &ErrorBody) -> Option<String> {
        let is_region_error = status.is_redirection()
            || matches!(body.code.as_str(), "AuthorizationHeaderMalformed" | "PermanentRedirect");
        let is_region = |region: &&str| {
            *region != self.region
                && !region.is_empty()
                && region.len() <= 64
                && region.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
        };
        [self.text(BUCKET_REGION), body.region.as_deref()]
            .into_iter()
            .flatten()
            .find(is_region)
            .filter(|_| is_region_error)
            .map(str::to_owned)
    }
}

/// Whether a body is a page for people.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"].iter().any(|page| kind.eq_ignore_ascii_case(page))
}

/// The error of an answer that is one.
pub(super) fn page(status: StatusCode) -> BucketError {
    BucketError::Busy {
        status: status.as_u16(),
        retry_after: None,
        message: "an HTML page in place of an answer: something else than the bucket answers at its address"
            .into(),
    }
}

/// What the service said, for people: on one line, and not longer than they read.
fn message(status: StatusCode, body: &ErrorBody) -> String {
    let reason = || status.canonical_reason().unwrap_or("no reason given").to_owned();
    let said = match (body.code.as_str(), body.message.as_str()) {
        ("", "") => reason(),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let clean = said.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(MAX_BUCKET_MESSAGE_CHARS).collect()
}

/// An instant as HTTP writes it (RFC 9110, section 5.6.7).
pub(super) fn http_date_us(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::from(body.to_owned()),
            region: "eu-west-1".into(),
        }
    }

    fn error(code: &str, message: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>\
             <StringToSign>hunter2</StringToSign></Error>"
        )
    }

    fn failed(status: u16, code: &str, message: &str) -> BucketError {
        answer(status, &[], &error(code, message)).success("x").map(|_| ()).unwrap_err()
    }

    #[test]
    fn errors_by_what_to_do_about_them() {
        for (status, code) in
            [(408, ""), (429, ""), (500, "InternalError"), (503, "SlowDown"), (400, "RequestTimeout")]
        {
            assert!(matches!(failed(status, code, "m"), BucketError::Busy { .. }), "{status} {code}");
            assert!(failed(status, code, "m").is_transient());
        }
        let capped = failed(403, "AccessDenied", "Cannot upload files, storage cap exceeded.");
        assert_eq!(
            capped.to_string(),
            "the bucket refuses (HTTP 403): AccessDenied: Cannot upload files, storage cap exceeded."
        );
        assert!(!capped.is_transient());
        assert_eq!(failed(404, "NoSuchKey", ""), BucketError::not_found("x"));
        assert!(matches!(failed(404, "NoSuchBucket", ""), BucketError::Invalid { .. }));
        assert_eq!(failed(404, "NoSuchUpload", ""), BucketError::NoSuchUpload);
        assert!(matches!(failed(400, "InvalidPart", ""), BucketError::InvalidPart { .. }));
        assert!(matches!(failed(400, "BadDigest", ""), BucketError::Checksum { .. }));
        assert!(matches!(failed(501, "NotImplemented", ""), BucketError::Invalid { .. }));
        assert!(!failed(501, "NotImplemented", "").is_transient());
        assert!(failed(403, "RequestTimeTooSkewed", "").to_string().contains("clock"));
        assert!(
            failed(400, "InvalidArgument", "Unsupported header").to_string().contains("Unsupported header")
        );
        assert!(!failed(403, "SignatureDoesNotMatch", "no").to_string().contains("hunter2"));
        // A head has no body.
        let bare = answer(403, &[], "").success("x").map(|_| ()).unwrap_err();
        assert_eq!(bare, BucketError::Refused { status: 403, message: "Forbidden".into() });
    }

    #[test]
    fn the_wait_that_is_asked_for() {
        let busy = answer(503, &[("retry-after", "7")], &error("SlowDown", "m")).success("x").map(|_| ());
        let Err(BucketError::Busy { status: 503, retry_after, .. }) = busy else { panic!("{busy:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn an_error_inside_a_success() {
        let inside = |code: &str| {
            let body = format!("\n  \n{}", error(code, "m"));
            answer(200, &[], &body).success_inside("x").map(|_| ()).unwrap_err()
        };
        assert!(matches!(inside("InternalError"), BucketError::Busy { status: 500, .. }));
        assert!(matches!(inside("SlowDown"), BucketError::Busy { status: 503, .. }));
        assert_eq!(inside("NoSuchUpload"), BucketError::NoSuchUpload);
        assert!(matches!(inside("InvalidPart"), BucketError::InvalidPart { .. }));
        let fine = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
        assert!(answer(200, &[], fine).success_inside("x").is_ok());
    }

    #[test]
    fn a_bucket_of_another_region_names_it() {
        let redirect =
            answer(301, &[("x-amz-bucket-region", "us-east-2")], "").success("x").map(|_| ()).unwrap_err();
        assert!(redirect.to_string().contains("us-east-2"), "{redirect}");
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>us-east-2</Region></Error>";
        let malformed = answer(400, &[], body).success("x").map(|_| ()).unwrap_err();
        assert!(malformed.to_string().contains("us-east-2"), "{malformed}");
        let bare = answer(307, &[], "").success("x").map(|_| ()).unwrap_err();
        assert!(bare.to_string().contains("region"), "{bare}");
    }

    #[test]
    fn a_page_is_no_answer_and_may_be_gone_later() {
        for kind in ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"] {
            let page = answer(200, &[("content-type", kind)], "<html>Welcome to the hotel</html>");
            let error = page.success("x").map(|_| ()).unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("HTML page"), "{kind}: {error}");
        }
        for status in [206, 403, 404, 502] {
            let page = answer(status, &[("content-type", "text/html")], "<html>");
            assert!(page.no_page().unwrap_err().is_transient(), "{status}");
        }
        let footage = answer(206, &[("content-type", "video/mp4")], "mdat");
        assert!(footage.no_page().is_ok() && footage.success("x").is_ok());
    }

    #[test]
    fn ranges_of_headers() {
        let range = |text: &str| answer(206, &[("content-range", text)], "").content_range();
        assert_eq!(range("bytes 10-59/100"), Some(10..60));
        assert_eq!(range("bytes 0-0/*"), Some(0..1));
        for odd in ["", "bytes */100", "bytes 9-8/100", "bytes 1-x/3", "items 1-2/3", "1-2/3"] {
            assert_eq!(range(odd), None, "{odd}");
        }
    }

    #[test]
    fn dates_of_headers() {
        assert_eq!(http_date_us("Thu, 20 Nov 2025 19:00:00 GMT"), Some(1_763_665_200_000_000));
        assert_eq!(http_date_us("yesterday"), None);
    }
}
