//! `turepe admin retention`: what is past its retention and waits for a person, and the person's word.

use archive::{RetentionWaiting, WaitReason, WaitingItem};
use catalog::Catalog;
use serde_json::{Value, json};

use super::{failure, instant};
use crate::failure::Failure;
use crate::output;
use crate::progress::megabytes;

pub(super) async fn run(catalog: &Catalog, is_confirmed: bool, is_json: bool) -> Result<(), Failure> {
    let waiting = RetentionWaiting::read(catalog).await.map_err(failure)?;
    let is_confirmed = is_confirmed && !waiting.items.is_empty();
    if is_confirmed {
        waiting.confirm(catalog).await.map_err(failure)?;
    }
    if is_json {
        return output::json(&told(&waiting, is_confirmed));
    }
    if waiting.items.is_empty() {
        return output::line("No footage waits: what is past its retention is deleted.");
    }
    for item in &waiting.items {
        output::line(describe(item))?;
    }
    if let Some(doubt) = &waiting.doubt {
        output::line(format_args!(
            "\nThe node's clock showed {} then: {doubt}.\nPut the clock right (`turepe doctor`, `sudo timedatectl set-ntp true`) \
             before you confirm anything.",
            instant(waiting.seen_us)
        ))?;
    }
    output::line(if is_confirmed {
        "\nConfirmed: a running node deletes what is listed within seconds, else the next one that starts."
    } else {
        "\nNothing of it is deleted until somebody says so: `turepe admin retention --confirm`. If it is not to go, put the \
         clock or the retention right (`turepe admin club set-retention`)."
    })
}

fn describe(item: &WaitingItem) -> String {
    let club = item.club.as_deref().unwrap_or("(no club)");
    let span = match (item.first_us, item.last_us) {
        (Some(first_us), Some(last_us)) => format!("{} to {}", instant(first_us), instant(last_us)),
        _ => "nothing any more".to_owned(),
    };
    let why = match item.reason {
        WaitReason::Share => {
            format!("so much at once is more than `[retention] max_share`; {} days are kept", item.days)
        }
        WaitReason::Clock => format!("the clock is not believed; {} days are kept", item.days),
        WaitReason::Undated => "recorded while a clock was wrong".to_owned(),
    };
    format!(
        "{club}: {} of {} segments, {}, {span}\n  ended before {}, wait since {}: {why}",
        item.segments,
        item.of_segments,
        megabytes(item.size_bytes),
        instant(item.cutoff_us),
        instant(item.since_us),
    )
}

fn told(waiting: &RetentionWaiting, is_confirmed: bool) -> Value {
    let items: Vec<Value> = waiting.items.iter().map(item_json).collect();
    json!({
        "seenAt": (waiting.seen_us != 0).then(|| instant(waiting.seen_us)),
        "doubt": waiting.doubt,
        "segments": waiting.segments(),
        "waiting": items,
        "confirmed": is_confirmed,
    })
}

fn item_json(item: &WaitingItem) -> Value {
    json!({
        "club": item.club,
        "reason": match item.reason {
            WaitReason::Share => "share",
            WaitReason::Clock => "clock",
            WaitReason::Undated => "undated",
        },
        "since": instant(item.since_us),
        "days": item.days,
        "cutoff": instant(item.cutoff_us),
        "segments": item.segments,
        "ofSegments": item.of_segments,
        "sizeBytes": item.size_bytes,
        "first": item.first_us.map(instant),
        "last": item.last_us.map(instant),
    })
}
