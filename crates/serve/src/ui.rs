//! The user interface: files of `web/dist`, embedded when this crate is built.
//!
//! Files under `/assets/` carry a hash in their names and are kept for ever; the page that names them is asked for
//! every time. The interface has its own routes, so that the page answers for all of them.

use crate::problem::{Problem, ProblemCode};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use memory_serve::{CacheControl, Manifest};
use std::sync::LazyLock;
use tower::ServiceExt;

const INDEX: &str = "/index.html";

/// Where Vite puts files whose name changes with their content.
const HASHED: &str = "/assets/";

/// `/{club}/{court}/{date}/{time}`: more parts than that are no route of the interface.
const MAX_ROUTE_PARTS: usize = 4;

/// First parts of paths that are for programs: what is unknown there is a problem document, never a page.
const FOR_PROGRAMS: [&str; 9] =
    ["api", "replay", "media", "init", "frame", "healthz", "readyz", "openapi.json", "assets"];

struct Files {
    manifest: Manifest,
    router: Router,
}

/// The files leak by design of their crate, so they are loaded once in a process.
#[expect(unused_qualifications, reason = "the generated list of files qualifies its names")]
static FILES: LazyLock<Files> = LazyLock::new(|| {
    let files = memory_serve::load!()
        .index_file(None)
        .html_cache_control(CacheControl::NoCache)
        .cache_control(CacheControl::NoCache);
    Files { manifest: files.manifest(), router: files.into_router() }
});

/// Answers every path that no other route knows.
pub(crate) async fn fallback(request: Request) -> Response<Body> {
    let path = request.uri().path();
    let first = path.split('/').nth(1).unwrap_or_default();
    let is_file = FILES.manifest.get(path).is_some();
    if FOR_PROGRAMS.contains(&first) && !is_file {
        return Problem::new(ProblemCode::NotFound, "there is nothing at this address").into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::new(ProblemCode::MethodNotAllowed, "only GET and HEAD are answered here")
            .with_header(header::ALLOW, HeaderValue::from_static("GET,HEAD"))
            .into_response();
    }
    if is_file {
        let immutable = path.starts_with(HASHED);
        let mut response = file(request).await;
        if immutable {
            let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
        }
        return response;
    }
    match page_status(path, request.headers()) {
        Some(status) => {
            let mut request = request;
            *request.uri_mut() = Uri::from_static(INDEX);
            let mut response = file(request).await;
            if response.status() == StatusCode::OK {
                *response.status_mut() = status;
            }
            response
        }
        None => Problem::new(ProblemCode::NotFound, "there is nothing at this address").into_response(),
    }
}

async fn file(request: Request) -> Response<Body> {
    match FILES.router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Whether the page answers for this path, and with which status. A picture or script that does not exist gets no page.
fn page_status(path: &str, headers: &HeaderMap) -> Option<StatusCode> {
    if path == "/" {
        return Some(StatusCode::OK);
    }
    let accept = headers.get(header::ACCEPT).map_or("*/*", |value| value.to_str().unwrap_or_default());
    let takes_html = accept.contains("text/html");
    let parts = || path.split('/').filter(|part| !part.is_empty());
    let is_route = parts().count() <= MAX_ROUTE_PARTS
        && parts()
            .all(|part| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'%')));
    match (is_route, takes_html) {
        (true, true) => Some(StatusCode::OK),
        (true, false) if accept.contains("*/*") => Some(StatusCode::OK),
        // The page itself says that there is no such page.
        (false, true) => Some(StatusCode::NOT_FOUND),
        (_, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::page_status;
    use axum::http::{HeaderMap, HeaderValue, header};

    fn status(path: &str, accept: Option<&'static str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        page_status(path, &headers).map(|status| status.as_u16())
    }

    #[test]
    fn the_page_answers_for_the_routes_of_the_interface() {
        let browser = Some("text/html,application/xhtml+xml,*/*;q=0.8");
        for path in
            ["/", "/club", "/club/court", "/club/court/2026-11-21", "/club/court/2026-11-21/10:00", "/club/"]
        {
            assert_eq!(status(path, browser), Some(200), "{path}");
            assert_eq!(status(path, None), Some(200), "{path}");
        }
        assert_eq!(status("/a/b/c/d/e", browser), Some(404));
        assert_eq!(status("/logo.png", browser), Some(404));
        assert_eq!(status("/logo.png", Some("image/*,*/*")), None);
        assert_eq!(status("/club", Some("application/json")), None);
        assert_eq!(status("/", Some("application/json")), Some(200));
    }
}
