//! `POST /srs/hooks` and `POST /srs/forward`: who may call is looked at before a byte of the body is.

use super::{
    backend::{Answer, Refused, Srs},
    call::Call,
    limits::{CALL_BODY_TIMEOUT, MAX_CALL_BYTES},
};
use crate::{
    direct::Peer,
    problem::{Problem, ProblemCode},
    server::{not_stored, wrong_method},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, header},
    middleware::map_response,
    response::IntoResponse as _,
    routing::post,
};
use std::net::SocketAddr;

impl Srs {
    /// Both addresses take every callback, so that a mistake between them does no harm. SRS's own documents describe them, so
    /// our OpenAPI document does not.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/srs/hooks", post(callback))
            .route("/srs/forward", post(callback))
            .method_not_allowed_fallback(wrong_method)
            .layer(map_response(not_stored))
            .with_state(self.clone())
    }
}

async fn callback(State(srs): State<Srs>, request: Request) -> Response<Body> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    if let Err(why) = srs.inner.config.trust.admits(peer, request.headers(), request.uri()) {
        srs.inner.refusals.note(Refused::Caller, peer.map(|ip| SocketAddr::new(ip, 0)), &why);
        return Problem::new(ProblemCode::OperatorsOnly, why.to_string()).into_response();
    }
    // As SRS sends it. A page of another site cannot, without a browser asking us first whether it may.
    if !is_json(request.headers()) {
        let detail = "a callback of SRS is JSON: its Content-Type is application/json";
        return Problem::new(ProblemCode::UnsupportedMediaType, detail).into_response();
    }
    let body = match tokio::time::timeout(CALL_BODY_TIMEOUT, to_bytes(request.into_body(), MAX_CALL_BYTES))
        .await
    {
        Ok(Ok(body)) => body,
        // What is left of it stays in the socket.
        Ok(Err(_)) => {
            let detail =
                format!("the body of a callback is longer than {MAX_CALL_BYTES} bytes, or ended early");
            return Problem::new(ProblemCode::BodyTooLarge, detail)
                .with_header(header::CONNECTION, HeaderValue::from_static("close"))
                .into_response();
        }
        Err(_) => return Problem::new(ProblemCode::Timeout, "the body did not come in time").into_response(),
    };
    match Call::parse(&body) {
        Ok(call) => answer(&srs.answer(&call).await),
        Err(error) => {
            tracing::debug!(%error, "a callback of SRS is not understood");
            Problem::new(ProblemCode::BadRequest, error.to_string()).into_response()
        }
    }
}

/// Whether the body says that it is JSON; parameters behind that change nothing.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let kind = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// SRS compares: status 200, and a JSON object whose `code` is the integer 0.
fn answer(answer: &Answer) -> Response<Body> {
    let body = match answer {
        Answer::Granted => "{\"code\":0}".to_owned(),
        Answer::Refused(refusal) => format!("{{\"code\":{}}}", refusal.code()),
        Answer::Forward(urls) => serde_json::json!({ "code": 0, "data": { "urls": urls } }).to_string(),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::srs::backend::{Answer, Refusal};
    use axum::body::to_bytes;

    #[tokio::test]
    async fn the_bytes_are_what_srs_compares() {
        for (said, bytes) in [
            (Answer::Granted, r#"{"code":0}"#),
            (Answer::Refused(Refusal::UnknownKey), r#"{"code":403}"#),
            (Answer::Refused(Refusal::Unavailable), r#"{"code":503}"#),
            (
                Answer::Forward(vec!["rtmp://h:1/live/k".into()]),
                r#"{"code":0,"data":{"urls":["rtmp://h:1/live/k"]}}"#,
            ),
            (Answer::Forward(vec![]), r#"{"code":0,"data":{"urls":[]}}"#),
        ] {
            let response = answer(&said);
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(to_bytes(response.into_body(), 1000).await.unwrap(), bytes.as_bytes());
        }
    }
}
