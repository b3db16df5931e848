//! What the node says of itself to those who run it.

use crate::{
    api::{NodeLedger, NodeRelays},
    app::App,
    metrics,
    operators::Operator,
    problem::{Problem, ProblemDocument},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is safe and what is not yet: the ledger of this node.
///
/// For those who run the server: with the operators' token as a bearer token.
#[utoipa::path(get, path = "/api/node/ledger", tag = "operations", operation_id = "getLedger",
    responses((status = 200, description = "The ledger", body = NodeLedger),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_ledger(_: Operator, State(app): State<App>) -> Result<Json<NodeLedger>, Problem> {
    let mut ledger = app.archive.ledger().await?;
    ledger.alarms = app.alarms();
    Ok(Json(ledger.into()))
}

/// Where channels are relayed to, what state each relay is in, and why.
///
/// For those who run the server, as the ledger is. Keys of targets are never told.
#[utoipa::path(get, path = "/api/node/relays", tag = "operations", operation_id = "getRelays",
    responses((status = 200, description = "The relays", body = NodeRelays),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_relays(_: Operator, State(app): State<App>) -> Json<NodeRelays> {
    Json(NodeRelays { relays: app.relays.as_ref().map_or_else(Vec::new, |relays| relays.relays()) })
}

/// What the ledger tells and more, in numbers, for Prometheus.
///
/// For those who run the server, as the ledger is.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "getMetrics",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_metrics(_: Operator, State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], metrics::exposition(&app).await).into_response()
}
