//! `turepe verify`: what `archive` finds, in words, with the command that mends it.

use std::sync::Arc;
use std::time::Instant;

use archive::{Fault, FaultKind, Side, Verifier, VerifyConfig, VerifyReport};
use serde_json::{Value, json};
use world::{Clock, SystemClock, SystemDisk};

use crate::admin::instant;
use crate::cli;
use crate::config::Config;
use crate::data_folder::{self, Setup};
use crate::failure::{Failure, Kind};
use crate::output;
use crate::progress::{self, State, megabytes};

/// Compares once. Call it inside a runtime.
pub(crate) async fn run(arguments: &cli::Verify, config: &Config) -> Result<(), Failure> {
    if config.store.is_in_memory() {
        return Err(Failure::usage("`store.url` is memory: what is there, only the running node sees"));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bucket = config.store.bucket(&clock);
    let bucket = bucket.map_err(|error| Failure::context("cannot use the bucket", error))?;
    let catalog = data_folder::open_catalog_with_footage(config, Setup::Never).await?;
    if let Some(club) = &arguments.club {
        let found = catalog.club_by_slug(club).await;
        if found.map_err(|error| Failure::context("cannot read the catalog", error))?.is_none() {
            let message = format!("there is no club `{club}`; `turepe admin club list` lists them");
            return Err(Failure::new(Kind::NotFound, message));
        }
    }
    let has_bucket = bucket.is_some();
    let verify_config = VerifyConfig {
        store: config.store.folder.clone(),
        etag_part_bytes: config.store.etag_part_bytes(),
        is_deep: arguments.deep,
        club: arguments.club.clone(),
        mends: arguments.repair,
        removes_orphans: arguments.remove_orphans,
    };
    let verifier = Verifier::new(catalog.clone(), Arc::new(SystemDisk), clock, bucket, verify_config);
    let so_far = verifier.progress();
    let start = Instant::now();
    let report = progress::during(verifier.run(), || State {
        done: so_far.done(),
        total: so_far.total(),
        message: format!("{} read, {} faults", megabytes(so_far.read_bytes()), so_far.faults()),
    });
    let report = report.await.map_err(|error| Failure::context("cannot verify", error))?;
    let seconds = start.elapsed().as_secs_f64();
    catalog.close().await.map_err(|error| Failure::context("closing the catalog", error))?;
    if arguments.json {
        output::json(&report_json(&report, has_bucket, seconds))?;
    } else {
        print(&report, has_bucket, seconds)?;
    }
    if report.unmended == 0 {
        return Ok(());
    }
    let are = if report.unmended == 1 { "is" } else { "are" };
    Err(Failure::new(Kind::Faults, format!("{} {are} not as the catalog says", copies(report.unmended))))
}

fn copies(count: u64) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

fn print(report: &VerifyReport, has_bucket: bool, seconds: f64) -> Result<(), Failure> {
    if let Some(other) = &report.other_bucket {
        output::line(format_args!(
            "The bucket that was filled last is another one than that of the settings: {other}"
        ))?;
    }
    for fault in &report.faults {
        let mark = if fault.is_mended { "mended" } else { word(fault.kind) };
        output::line(format_args!("{mark:<10} {:<7} {}", place(fault.side), fault.object_name))?;
        output::line(format_args!("           {}", fault.says))?;
        if let Some(fix) = fix(fault, has_bucket) {
            output::line(format_args!("           {fix}"))?;
        }
    }
    let unnamed = report.fault_count - report.faults.len() as u64;
    if unnamed > 0 {
        output::line(format_args!("and {unnamed} more faults"))?;
    }
    for held in &report.elsewhere {
        let holder = match (&held.name, held.node_id) {
            (Some(name), _) => format!("by the node `{name}`"),
            (None, Some(id)) => format!("by the node {id}"),
            (None, None) => "by no node that has started so far".to_owned(),
        };
        output::line(format_args!("{} segments are held {holder}: not looked at here.", held.segments))?;
    }
    if report.growing > 0 {
        output::line(format_args!(
            "{} segments are being recorded, or wait for the next start to repair them: left out.",
            report.growing
        ))?;
    }
    if report.foreign > 0 {
        output::line(format_args!(
            "{} files or objects are not of this program: left alone.",
            report.foreign
        ))?;
    }
    let seconds = seconds.max(1e-6);
    let read = if report.read_bytes == 0 {
        String::new()
    } else {
        let (bytes, rate) = (megabytes(report.read_bytes), report.read_bytes as f64 / 1e6 / seconds);
        format!(", {bytes} read, {rate:.0} MB/s")
    };
    output::line(format_args!(
        "{} rows compared, {} good, {} faults{}; {seconds:.1} s, {:.0} rows/s{read}",
        report.rows,
        copies(report.good_copies),
        report.fault_count,
        match report.fault_count - report.unmended {
            0 => String::new(),
            mended => format!(" ({mended} mended)"),
        },
        report.rows as f64 / seconds,
    ))
}

fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Missing => "missing",
        FaultKind::Short => "short",
        FaultKind::Long => "long",
        FaultKind::Etag => "etag",
        FaultKind::Corrupted => "corrupted",
        FaultKind::Orphan => "orphan",
    }
}

fn place(side: Side) -> &'static str {
    match side {
        Side::Local => "local",
        Side::Bucket => "bucket",
    }
}

/// What to do about it.
fn fix(fault: &Fault, has_bucket: bool) -> Option<&'static str> {
    match fault.kind {
        _ if fault.is_mended => None,
        FaultKind::Orphan => Some(
            "to remove it: turepe verify --remove-orphans   (to take it into the catalog: turepe reindex)",
        ),
        _ if has_bucket => {
            Some("to mend it from the other copy, if that is good: turepe verify --deep --repair")
        }
        _ => Some("there is no other copy: put the file back from a backup"),
    }
}

fn report_json(report: &VerifyReport, has_bucket: bool, seconds: f64) -> Value {
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            json!({
                "kind": word(fault.kind),
                "side": place(fault.side),
                "segmentId": fault.segment_id,
                "channelId": fault.channel_id,
                "start": instant(fault.start_us),
                "objectName": fault.object_name,
                "says": fault.says,
                "isMended": fault.is_mended,
                "fix": fix(fault, has_bucket),
            })
        })
        .collect();
    let elsewhere: Vec<Value> = report
        .elsewhere
        .iter()
        .map(|held| json!({ "nodeId": held.node_id, "name": held.name, "segments": held.segments }))
        .collect();
    json!({
        "rows": report.rows,
        "elsewhere": elsewhere,
        "goodCopies": report.good_copies,
        "readBytes": report.read_bytes,
        "growing": report.growing,
        "foreign": report.foreign,
        "faults": faults,
        "faultCount": report.fault_count,
        "unmended": report.unmended,
        "otherBucket": report.other_bucket,
        "seconds": seconds,
    })
}
