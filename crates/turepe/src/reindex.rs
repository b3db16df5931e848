//! `turepe reindex`: a catalog that is lost, rebuilt, and what somebody has to set again.

use std::sync::Arc;

use archive::{ReindexReport, Reindexer};
use catalog::{UNKNOWN_APPOINTMENT_DURATION_MIN, UNKNOWN_HOURS, UNKNOWN_ZONE};
use serde_json::{Value, json};
use world::{Clock, SystemClock, SystemDisk};

use crate::config::Config;
use crate::data_folder;
use crate::failure::{Failure, Kind};
use crate::output;
use crate::progress::{self, State, megabytes};

/// Rebuilds once. Call it inside a runtime.
pub(crate) async fn run(is_dry: bool, is_json: bool, config: &Config) -> Result<(), Failure> {
    if config.store.is_in_memory() {
        return Err(Failure::usage("`store.url` is memory: what is there, only the running node sees"));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bucket = config.store.bucket(&clock);
    let bucket = bucket.map_err(|error| Failure::context("cannot use the bucket", error))?;
    let catalog = if is_dry {
        data_folder::open_catalog(config).await?
    } else {
        data_folder::open_catalog_with_footage(config).await?
    };
    let (store, spool) = (config.store.folder.clone(), config.spool());
    let reindexer =
        Reindexer::new(catalog.clone(), Arc::new(SystemDisk), clock, bucket, store, spool, is_dry);
    let so_far = reindexer.progress();
    let report = progress::during(reindexer.run(), || State {
        done: so_far.objects(),
        total: 0,
        message: format!("objects read, {} segments new", so_far.added()),
    });
    let report = report.await.map_err(|error| Failure::context("cannot rebuild the catalog", error))?;
    catalog.close().await.map_err(|error| Failure::context("closing the catalog", error))?;
    if is_json {
        output::json(&report_json(&report, is_dry))?
    } else {
        print(&report, is_dry)?
    }
    if report.unreadable_count == 0 {
        return Ok(());
    }
    let message =
        format!("no segment can be made of {} objects; they stay as they are", report.unreadable_count);
    Err(Failure::new(Kind::Faults, message))
}

fn print(report: &ReindexReport, is_dry: bool) -> Result<(), Failure> {
    for unreadable in &report.unreadable {
        output::line(format_args!(
            "unreadable {}\n           {}",
            unreadable.object_name, unreadable.reason
        ))?;
    }
    output::line(format_args!(
        "{}{} objects: {} segments new ({}), {} known, {} deleted before and left so, {} local copies found again, \
         {} not of this program",
        if is_dry { "Nothing was changed. " } else { "" },
        report.objects,
        report.added,
        megabytes(report.added_bytes),
        report.known,
        report.deleted,
        report.local_copies,
        report.foreign,
    ))?;
    let todo = todo(report);
    if !todo.is_empty() {
        output::line(format_args!(
            "\n{}:",
            if is_dry { "To be set afterwards" } else { "Now set what no footage tells" }
        ))?;
    }
    todo.iter().try_for_each(|(says, command)| output::line(format_args!("\n  {says}\n    {command}")))
}

/// What is not known any more, and how it is set.
fn todo(report: &ReindexReport) -> Vec<(String, String)> {
    let clubs = report.clubs.iter().flat_map(|club| {
        [
            (
                format!("Club `{club}` is in the time zone {UNKNOWN_ZONE} until you say otherwise:"),
                format!("turepe admin club set-zone --club {club} --zone Europe/Madrid"),
            ),
            (
                format!(
                    "Club `{club}` is open {UNKNOWN_HOURS} and matches last {UNKNOWN_APPOINTMENT_DURATION_MIN} \
                     minutes until you say otherwise:"
                ),
                format!(
                    "turepe admin club set-schedule --club {club} --open 08:00-24:00 --appointment-duration 90"
                ),
            ),
        ]
    });
    let channels = report.channels.iter().map(|id| {
        (
            format!("The stream key of channel {id} cannot be recovered; a new one for its camera:"),
            format!("turepe admin channel new-key {id}"),
        )
    });
    clubs.chain(channels).collect()
}

fn report_json(report: &ReindexReport, is_dry: bool) -> Value {
    let unreadable: Vec<Value> = report
        .unreadable
        .iter()
        .map(|unreadable| json!({ "objectName": unreadable.object_name, "reason": unreadable.reason }))
        .collect();
    let courts: Vec<Value> =
        report.courts.iter().map(|court| json!({ "club": court.club, "court": court.court })).collect();
    let todo: Vec<Value> =
        todo(report).into_iter().map(|(says, command)| json!({ "says": says, "command": command })).collect();
    json!({
        "dryRun": is_dry,
        "objects": report.objects,
        "added": report.added,
        "addedBytes": report.added_bytes,
        "known": report.known,
        "deleted": report.deleted,
        "foreign": report.foreign,
        "localCopies": report.local_copies,
        "unreadable": unreadable,
        "unreadableCount": report.unreadable_count,
        "clubs": report.clubs,
        "courts": courts,
        "channels": report.channels,
        "todo": todo,
    })
}
