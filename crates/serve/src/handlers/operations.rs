//! For those who run the server.

use crate::{
    api::{Health, HealthCheck},
    app::{App, ServeConfig},
    limits::{MIN_FREE_BYTES, READY_CACHE_US, READY_PATIENCE},
    problem::Problem,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{sync::Mutex, task::JoinHandle};
use world::Disk;

/// What readiness needs, and its last answer.
pub(crate) struct Readiness {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    last: Mutex<Option<(i64, Health)>>,
    /// A look at the disk that has not come back yet. There is one at a time: a disk that hangs holds one thread, however often it is
    /// asked after.
    looking: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl Readiness {
    pub(crate) fn new(config: &ServeConfig) -> Self {
        Self {
            disk: Arc::clone(&config.disk),
            data: config.data.clone(),
            last: Mutex::new(None),
            looking: Mutex::new(None),
        }
    }

    /// Asks again when the last answer is too old. Whoever comes meanwhile waits for the same answer, which comes within
    /// [`READY_PATIENCE`] whatever hangs.
    async fn ask(&self, app: &App) -> Health {
        let now_us = app.clock.monotonic_us();
        let mut last = self.last.lock().await;
        if let Some((at_us, health)) = last.as_ref()
            && (0..READY_CACHE_US).contains(&(now_us - at_us))
        {
            return health.clone();
        }
        let silent = || format!("no answer within {} s", READY_PATIENCE.as_secs());
        let catalog = async {
            let asked = tokio::time::timeout(READY_PATIENCE, app.catalog.ping()).await;
            asked.map_or_else(|_| Err(silent()), |answer| answer.map_err(|error| error.to_string()))
        };
        let disk = async {
            let asked = tokio::time::timeout(READY_PATIENCE, self.disk()).await;
            asked.map_or_else(|_| Err(silent()), |answer| answer.map_err(|error| error.to_string()))
        };
        let (catalog, disk) = tokio::join!(catalog, disk);
        let alarms = app.alarms();
        let stopped = alarms.iter().find(|alarm| alarm.kind.stops_recording());
        let checks = vec![
            check("catalog", catalog),
            check("disk", disk),
            check(
                "archive",
                if app.archive.status().is_repaired { Ok(()) } else { Err("still repairing".to_owned()) },
            ),
            check("recording", stopped.map_or(Ok(()), |alarm| Err(alarm.message.clone()))),
        ];
        // A bucket that is away is an alarm and nothing more: recording and answering go on. One name for all channels of a kind: who
        // may ask here is not told which.
        let mut names: Vec<&str> = Vec::new();
        for alarm in &alarms {
            if !names.contains(&alarm.kind.as_str()) {
                names.push(alarm.kind.as_str());
            }
        }
        let alarms = names.into_iter().map(str::to_owned).collect();
        for (check, reason) in &checks {
            let was_ok = last.as_ref().and_then(|(_, before)| {
                before.checks.iter().find(|known| known.name == check.name).map(|known| known.ok)
            });
            // Once, and not each time that somebody asks.
            match reason {
                Some(reason) if was_ok != Some(false) => {
                    tracing::warn!(check = check.name, reason, "not ready");
                }
                None if was_ok == Some(false) => tracing::info!(check = check.name, "ready again"),
                _ => {}
            }
        }
        let checks: Vec<_> = checks.into_iter().map(|(check, _)| check).collect();
        let health = Health { ok: checks.iter().all(|check| check.ok), checks, alarms };
        *last = Some((app.clock.monotonic_us(), health.clone()));
        health
    }

    async fn disk(&self) -> io::Result<()> {
        let mut looking = self.looking.lock().await;
        let look = looking.get_or_insert_with(|| {
            let (disk, data) = (Arc::clone(&self.disk), self.data.clone());
            tokio::task::spawn_blocking(move || look_at(disk.as_ref(), &data))
        });
        // Given up on, it stays for who asks next.
        let looked = look.await;
        *looking = None;
        looked.map_err(io::Error::other)?
    }
}

/// Whether the folder can be written to, and has room.
fn look_at(disk: &dyn Disk, data: &Path) -> io::Result<()> {
    let probe = data.join(format!(".ready-{}", uuid::Uuid::now_v7()));
    let written = disk.create_new(&probe)?.append_vectored(&[io::IoSlice::new(b"ready")]);
    // Also where it could not be written: a full disk would otherwise gather one with every look.
    disk.remove(&probe)?;
    written?;
    if disk.free_bytes(data)? < MIN_FREE_BYTES {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// A check, and what is amiss.
fn check(name: &str, result: Result<(), String>) -> (HealthCheck, Option<String>) {
    (HealthCheck { name: name.to_owned(), ok: result.is_ok() }, result.err())
}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "It is", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { ok: true, checks: Vec::new(), alarms: Vec::new() })
}

/// Whether the server can do its work.
///
/// That is: the catalog answers, the disk can be written and has room, torn recordings are repaired, and what comes is recorded. Alarms
/// are listed; a bucket that is away, or a camera that stopped, makes nobody unready.
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
