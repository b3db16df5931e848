//! Answers made of the bytes of a file: 200, 206, 304, 412 and 416, with or without a body.

use super::range::{Selection, select};
use crate::problem::{Problem, ProblemCode};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
};
use std::{future::Future, ops::Range};

/// What is known of a file before its bytes are read.
pub(crate) struct FileHead {
    /// Length in bytes.
    pub(crate) length: u64,
    /// Strong entity tag, without its quotes.
    pub(crate) etag: String,
    /// Media type.
    pub(crate) content_type: &'static str,
    /// How it may be cached.
    pub(crate) cache_control: &'static str,
    /// File name for those who save it.
    pub(crate) file_name: Option<String>,
}

/// The answer to a GET or HEAD of a file. `body` is called only when bytes are sent, with exactly the range to send.
///
/// # Errors
///
/// The problems of 412 and 416, those of `body`, and a file whose tag or name cannot stand in a header.
pub(crate) async fn respond<F>(
    method: &Method,
    headers: &HeaderMap,
    file: &FileHead,
    body: impl FnOnce(Range<u64>) -> F,
) -> Result<Response<Body>, Problem>
where
    F: Future<Output = Result<Body, Problem>>,
{
    let etag = format!("\"{}\"", file.etag);
    let (status, range) = match select(method, headers, file.length, &etag) {
        Selection::Whole => (StatusCode::OK, 0..file.length),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Selection::PreconditionFailed => {
            return Err(Problem::new(
                ProblemCode::PreconditionFailed,
                "the file is not the version that If-Match asks for",
            ));
        }
        Selection::NotSatisfiable => {
            // RFC 9110 §15.5.17: tell the length, so that the next attempt can be right.
            let problem = Problem::new(
                ProblemCode::RangeNotSatisfiable,
                format!("the file has {} bytes; the range asked for lies outside of it", file.length),
            )
            .with_header(header::CONTENT_RANGE, value(&format!("bytes */{}", file.length))?)
            .with_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            return Err(problem);
        }
    };
    let length = range.end - range.start;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(header::ETAG, value(&etag)?);
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache_control));
    if status == StatusCode::NOT_MODIFIED {
        // RFC 9110 §8.6: in a 304 the length, if any, is that of the 200. Unset, the router would write 0.
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(file.length));
        return Ok(response);
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        let field = format!("bytes {}-{}/{}", range.start, range.end - 1, file.length);
        out.insert(header::CONTENT_RANGE, value(&field)?);
    }
    if let Some(name) = &file.file_name {
        out.insert(header::CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{name}\""))?);
    }
    if method != Method::HEAD && length > 0 {
        *response.body_mut() = body(range).await?;
    }
    Ok(response)
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|error| Problem::internal("header", &error))
}

#[cfg(test)]
mod tests {
    use super::{FileHead, Problem, Range, respond};
    use axum::{
        body::Body,
        http::{HeaderMap, HeaderValue, Method},
        response::IntoResponse,
    };
    use std::future::{Ready, ready};

    fn never(_: Range<u64>) -> Ready<Result<Body, Problem>> {
        panic!("read")
    }

    fn file() -> FileHead {
        FileHead {
            length: 10,
            etag: "v1".to_owned(),
            content_type: "video/mp4",
            cache_control: "private",
            file_name: Some("a-b.mp4".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_head_has_the_headers_and_never_reads() {
        let response = respond(&Method::HEAD, &HeaderMap::new(), &file(), never).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-length"], "10");
        assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"a-b.mp4\"");
    }

    #[tokio::test]
    async fn a_part_says_which() {
        let mut headers = HeaderMap::new();
        headers.insert("range", HeaderValue::from_static("bytes=-3"));
        let mut asked = 0..0;
        let response = respond(&Method::GET, &headers, &file(), |range| {
            asked = range;
            ready(Ok(Body::empty()))
        })
        .await
        .unwrap();
        assert_eq!(asked, 7..10);
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()["content-range"], "bytes 7-9/10");
        assert_eq!(response.headers()["content-length"], "3");
    }

    #[tokio::test]
    async fn what_lies_outside_is_refused_with_the_length() {
        let mut headers = HeaderMap::new();
        headers.insert("range", HeaderValue::from_static("bytes=10-"));
        let problem = respond(&Method::GET, &headers, &file(), never).await.unwrap_err();
        let response = problem.into_response();
        assert_eq!(response.status(), 416);
        assert_eq!(response.headers()["content-range"], "bytes */10");
    }

    #[tokio::test]
    async fn a_header_is_never_split() {
        let file = FileHead { etag: "a\r\nb".to_owned(), ..file() };
        assert!(respond(&Method::GET, &HeaderMap::new(), &file, |_| ready(Ok(Body::empty()))).await.is_err());
    }
}
