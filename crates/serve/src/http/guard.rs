//! What stands around every request: limits, turns, time, panics, security headers and the log.

use super::answers::Answers;
use crate::{
    limits::{
        ANSWER_TIMEOUT, JSON_TIMEOUT, MAX_BODY_BYTES, MAX_ENTRIES_IN_WORK, MAX_JSON_BYTES, MAX_LIVE_REQUESTS,
        MAX_REQUESTS_IN_WORK, MAX_URI_BYTES, TURN_TIMEOUT,
    },
    problem::{Problem, ProblemCode},
};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Response, Uri, header},
    middleware::{Next, from_fn, map_response},
    response::IntoResponse,
};
use std::{any::Any, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// The policy of pages: everything from here, nothing inline, in nobody's frame.
///
/// `blob:` is what Media Source Extensions and their workers need.
/// Footage may come from the bucket.
fn page_policy(bucket_origin: Option<&str>) -> String {
    let bucket = bucket_origin.map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:{bucket}; connect-src 'self'{bucket}; worker-src 'self' blob:; \
         manifest-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
}

/// The policy of everything that is no page.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// First parts of paths whose second part is a token.
const SIGNED: [&str; 4] = ["replay", "media", "frame", "live"];

/// How many requests work at once, and how long each may wait and work.
#[derive(Clone, Copy)]
struct Pace {
    at_once: usize,
    turn: Duration,
    answer: Duration,
}

/// Gives a group of routes turns of its own, so that a crowd at one group keeps nobody from another.
pub(crate) fn paced<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    paced_at(routes, Pace { at_once: MAX_REQUESTS_IN_WORK, turn: TURN_TIMEOUT, answer: ANSWER_TIMEOUT })
}

/// The same for routes that wait for what has not happened yet: many at once, as waiting costs little.
pub(crate) fn waiting<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    paced_at(routes, Pace { at_once: MAX_LIVE_REQUESTS, turn: TURN_TIMEOUT, answer: ANSWER_TIMEOUT })
}

/// The same for what strangers try: few at once, so that they keep nobody from anything else.
pub(crate) fn tried<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    paced_at(routes, Pace { at_once: MAX_ENTRIES_IN_WORK, turn: TURN_TIMEOUT, answer: ANSWER_TIMEOUT })
        // Outside of the turns: who sends slowly takes nobody's.
        .layer(from_fn(with_small_body))
}

/// Reads a body before anybody waits for a turn.
async fn with_small_body(request: Request, next: Next) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match small_body(body).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}

/// A body of at most [`MAX_JSON_BYTES`] that comes within [`JSON_TIMEOUT`].
///
/// # Errors
///
/// What is wrong with it.
pub(crate) async fn small_body(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(JSON_TIMEOUT, to_bytes(body, MAX_JSON_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let detail = format!("the body is longer than {MAX_JSON_BYTES} bytes, or ended early");
            Err(Problem::new(ProblemCode::BodyTooLarge, detail)
                .with_header(header::CONNECTION, HeaderValue::from_static("close")))
        }
        Err(_) => Err(Problem::new(ProblemCode::Timeout, "the body did not come in time")),
    }
}

fn paced_at<S: Clone + Send + Sync + 'static>(routes: Router<S>, pace: Pace) -> Router<S> {
    let turns = Arc::new(Semaphore::new(pace.at_once));
    routes.layer(from_fn(move |request, next| in_turn(Arc::clone(&turns), pace, request, next)))
}

/// Puts the rest around all routes; what is added last is outermost.
pub(crate) fn around(routes: Router, bucket_origin: Option<&str>, answers: Arc<Answers>) -> Router {
    // An origin that cannot stand in a header is none that a browser could connect to.
    let page_policy = HeaderValue::from_str(&page_policy(bucket_origin))
        .or_else(|_| HeaderValue::from_str(&page_policy(None)))
        .unwrap_or(HeaderValue::from_static(DATA_POLICY));
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(within_limits))
        .layer(map_response(move |response: Response<Body>| {
            let page_policy = page_policy.clone();
            answers.count(response.status());
            async move { with_security_headers(response, page_policy) }
        }))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(|request: &Request| {
                    tracing::debug_span!("http", method = %request.method(), path = %logged_path(request.uri()))
                })
                .on_request(())
                .on_response(|response: &Response<Body>, latency: Duration, _: &tracing::Span| {
                    tracing::debug!(status = response.status().as_u16(), latency_us = latency.as_micros(), "answered");
                })
                .on_body_chunk(())
                .on_eos(())
                // A failure is logged once, where it is known what failed.
                .on_failure(()),
        )
}

/// A path as the log may have it: without the token, which is as good as a key until it expires, and without the query.
fn logged_path(uri: &Uri) -> String {
    let mut parts: Vec<&str> = uri.path().split('/').collect();
    if let [_, first, token, ..] = parts.as_mut_slice()
        && SIGNED.contains(first)
    {
        *token = "***";
    }
    let path = parts.join("/");
    match path.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path,
    }
}

/// Refuses what is too long before anything looks at it.
async fn within_limits(request: Request, next: Next) -> Response<Body> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if length > MAX_URI_BYTES {
        return Problem::new(
            ProblemCode::UriTooLong,
            format!("the address has {length} bytes; at most {MAX_URI_BYTES} are read"),
        )
        .into_response();
    }
    // Few operations read a body, and those no more than they need: one of unknown length is left in the socket, and the connection
    // closes after it (HTTP/2: up to the window of the connection waits here).
    let body = request.body().size_hint().lower();
    if body > MAX_BODY_BYTES {
        return Problem::new(
            ProblemCode::BodyTooLarge,
            format!("the body has {body} bytes; at most {MAX_BODY_BYTES} are read"),
        )
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
        .into_response();
    }
    next.run(request).await
}

/// Lets so many requests work at once, each for so long. The body of an answer is not part of it.
async fn in_turn(turns: Arc<Semaphore>, pace: Pace, request: Request, next: Next) -> Response<Body> {
    let Ok(Ok(_turn)) = tokio::time::timeout(pace.turn, turns.acquire()).await else {
        return Problem::new(
            ProblemCode::Busy,
            "the server has too much to do at this moment; try again in a second",
        )
        .into_response();
    };
    match tokio::time::timeout(pace.answer, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(ProblemCode::Timeout, "the answer took too long to work out; try again")
            .into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over by value")]
fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a request panicked");
    Problem::new(ProblemCode::Internal, "the server could not do this; the reason is in its log")
        .into_response()
}

fn with_security_headers(mut response: Response<Body>, page_policy: HeaderValue) -> Response<Body> {
    let headers = response.headers_mut();
    let is_page =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { page_policy } else { HeaderValue::from_static(DATA_POLICY) };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::{Pace, around, logged_path, paced_at};
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::{Request, Response},
        routing::get,
    };
    use std::{sync::Arc, time::Duration};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    /// Routes that panic, and that never answer but tell that they were asked.
    fn routes(pace: Pace, asked: &Arc<Notify>) -> Router {
        async fn panics() {
            panic!("on purpose");
        }
        let asked = Arc::clone(asked);
        let never = async move || {
            asked.notify_one();
            std::future::pending::<()>().await;
        };
        around(
            paced_at(Router::new().route("/panic", get(panics)).route("/never", get(never)), pace),
            None,
            Arc::default(),
        )
    }

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    async fn ask(routes: &Router, path: &str) -> Response<Body> {
        routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn code(response: Response<Body>) -> String {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert!(!document.to_string().contains("on purpose"));
        document["code"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_panic_is_a_problem() {
        let routes = routes(Pace { at_once: 1, turn: LONG, answer: LONG }, &Arc::default());
        for _ in 0..3 {
            let response = ask(&routes, "/panic").await;
            assert_eq!(response.status(), 500);
            assert_eq!(code(response).await, "internal");
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let routes = routes(Pace { at_once: 1, turn: LONG, answer: SHORT }, &Arc::default());
        for _ in 0..3 {
            let response = ask(&routes, "/never").await;
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(code(response).await, "timeout");
        }
    }

    #[tokio::test]
    async fn one_too_many_is_told_to_come_back() {
        let asked = Arc::default();
        let routes = routes(Pace { at_once: 1, turn: SHORT, answer: LONG }, &asked);
        let first = tokio::spawn({
            let routes = routes.clone();
            async move { ask(&routes, "/never").await }
        });
        asked.notified().await;
        let response = ask(&routes, "/never").await;
        assert_eq!(response.status(), 503);
        assert_eq!(code(response).await, "busy");
        first.abort();
    }

    #[test]
    fn tokens_do_not_reach_the_log() {
        for (path, logged) in [
            ("/replay/SECRET/index.m3u8", "/replay/***/index.m3u8"),
            ("/replay/SECRET.mp4?x=SECRET", "/replay/***"),
            ("/media/SECRET/0193.mp4", "/media/***/0193.mp4"),
            ("/frame/SECRET.jpg", "/frame/***"),
            ("/live/SECRET.flv", "/live/***"),
            ("/live/SECRET/1.2.m4s", "/live/***/1.2.m4s"),
            ("/api/clubs/a?date=x", "/api/clubs/a"),
            ("/", "/"),
            ("/media", "/media"),
        ] {
            assert_eq!(logged_path(&path.parse().unwrap()), logged);
        }
        let long = format!("/{}", "é".repeat(500).replace('é', "%C3%A9"));
        assert!(logged_path(&long.parse().unwrap()).len() < 300);
    }
}
