//! For those who run the server.

use crate::{
    api::{Health, HealthCheck},
    app::{App, ServeConfig},
    limits::{MIN_FREE_BYTES, READY_CACHE_US},
    problem::Problem,
};
use archive::AlarmKind;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{io, path::PathBuf, sync::Arc};
use tokio::sync::Mutex;
use world::Disk;

/// What readiness needs, and its last answer.
pub(crate) struct Readiness {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    last: Mutex<Option<(i64, Health)>>,
}

impl Readiness {
    pub(crate) fn new(config: &ServeConfig) -> Self {
        Self { disk: Arc::clone(&config.disk), data: config.data.clone(), last: Mutex::new(None) }
    }

    /// Asks again when the last answer is too old. Whoever comes meanwhile waits for the same answer.
    async fn ask(&self, app: &App) -> Health {
        let now_us = app.clock.monotonic_us();
        let mut last = self.last.lock().await;
        if let Some((at_us, health)) = last.as_ref()
            && (0..READY_CACHE_US).contains(&(now_us - at_us))
        {
            return health.clone();
        }
        // Without a catalog there is no ledger, which the first check tells.
        let alarms = app.archive.ledger().await.map(|ledger| ledger.alarms).unwrap_or_default();
        let is_stopped = alarms.iter().any(|alarm| alarm.kind == AlarmKind::RecordingStopped);
        let checks = vec![
            check("catalog", app.catalog.ping().await.map_err(|error| error.to_string())),
            check("disk", self.disk().await.map_err(|error| error.to_string())),
            check(
                "archive",
                if app.archive.status().is_repaired { Ok(()) } else { Err("still repairing".to_owned()) },
            ),
            check("recording", if is_stopped { Err("stopped for want of space".to_owned()) } else { Ok(()) }),
        ];
        // A bucket that is away is an alarm and nothing more: recording and answering go on.
        let alarms = alarms.iter().map(|alarm| alarm.kind.as_str().to_owned()).collect();
        let health = Health { ok: checks.iter().all(|check| check.ok), checks, alarms };
        *last = Some((now_us, health.clone()));
        health
    }

    async fn disk(&self) -> io::Result<()> {
        let (disk, data) = (Arc::clone(&self.disk), self.data.clone());
        tokio::task::spawn_blocking(move || {
            let probe = data.join(format!(".ready-{}", uuid::Uuid::now_v7()));
            let written = disk.create_new(&probe)?.append_vectored(&[io::IoSlice::new(b"ready")]);
            // Also where it could not be written: a full disk would otherwise gather one with every look.
            disk.remove(&probe)?;
            written?;
            if disk.free_bytes(&data)? < MIN_FREE_BYTES {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
        .await
        .map_err(io::Error::other)?
    }
}

fn check(name: &str, result: Result<(), String>) -> HealthCheck {
    if let Err(reason) = &result {
        tracing::warn!(check = name, reason, "not ready");
    }
    HealthCheck { name: name.to_owned(), ok: result.is_ok() }
}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "It is", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { ok: true, checks: Vec::new(), alarms: Vec::new() })
}

/// Whether the server can do its work.
///
/// That is: the catalog answers, the disk can be written and has room, torn recordings are repaired. Alarms are listed; a
/// bucket that is away makes nobody unready.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses((status = 200, description = "It can", body = Health), (status = 503, description = "It cannot", body = Health)))]
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let health = app.readiness.ask(&app).await;
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// This API, for programs.
pub(crate) async fn openapi() -> Result<Response, Problem> {
    let text = crate::openapi::openapi_json().map_err(|error| Problem::internal("openapi", &error))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, text).into_response())
}
