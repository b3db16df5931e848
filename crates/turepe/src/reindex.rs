//! `turepe reindex`: a catalog that is lost, rebuilt, and what somebody has to set again.

use std::sync::Arc;

use archive::{ReindexReport, Reindexer};
use catalog::{Catalog, UNKNOWN_APPOINTMENT_DURATION_MIN, UNKNOWN_HOURS, UNKNOWN_ZONE};
use serde_json::{Value, json};
use world::{Clock, Disk as _, SystemClock, SystemDisk};

use crate::config::Config;
use crate::data_folder::{self, Lock};
use crate::failure::{Failure, Kind};
use crate::installation;
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
    // A bucket has footage to rebuild from, whatever became of the folder.
    if bucket.is_none() && !data_folder::is_installation(config) && !SystemDisk.exists(&config.store.folder) {
        return Err(data_folder::no_installation(config));
    }
    // Beside a running node the spool is left to that node; without one, none may start meanwhile.
    let is_running = data_folder::is_taken(config);
    let lock = if is_running || is_dry { None } else { Some(Lock::take(config)?) };
    let catalog =
        if is_dry { look(config).await? } else { data_folder::open_catalog_to_rebuild(config).await? };
    let (store, spool) = (config.store.folder.clone(), config.spool());
    let reindexer =
        Reindexer::new(catalog.clone(), Arc::new(SystemDisk), clock, bucket, store, spool, is_dry);
    let reindexer = if is_running { reindexer } else { reindexer.with_spool() };
    let so_far = reindexer.progress();
    let report = progress::during(reindexer.run(), || State {
        done: so_far.objects(),
        total: 0,
        message: format!("objects read, {} segments new", so_far.added()),
    });
    let report = report.await.map_err(|error| Failure::context("cannot rebuild the catalog", error))?;
    if !is_dry {
        installation::marry(config, &catalog).await;
    }
    catalog.close().await.map_err(|error| Failure::context("closing the catalog", error))?;
    drop(lock);
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

/// The catalog, or an empty one in memory: nothing is made by looking.
async fn look(config: &Config) -> Result<Catalog, Failure> {
    let looked = async {
        match installation::existing(config).await? {
            Some(catalog) => Ok(catalog),
            None => Catalog::open("sqlite::memory:").await,
        }
    };
    looked.await.map_err(|error| Failure::context("cannot open the catalog", error))
}

fn print(report: &ReindexReport, is_dry: bool) -> Result<(), Failure> {
    for unreadable in &report.unreadable {
        output::line(format_args!(
            "unreadable {}\n           {}",
            unreadable.object_name, unreadable.reason
        ))?;
    }
    output::line(format_args!(
        "{}{} objects: {} segments new ({}; {} of them out of spool and quarantine), {} known, {} deleted before and left so, {} local copies found again, \
         {} not of this program",
        if is_dry { "Nothing was changed. " } else { "" },
        report.objects,
        report.added,
        megabytes(report.added_bytes),
        report.recovered,
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
        "recovered": report.recovered,
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
