//! `turepe admin protect`: ranges that outlive retention and a full disk.

use catalog::{Catalog, NewProtection, Protection};
use serde_json::{Value, json};

use super::{failure, instant};
use crate::cli::ProtectCommand;
use crate::failure::Failure;
use crate::output;

/// Protected ranges that are listed of one channel.
const MAX_LISTED: u64 = 10_000;

pub(super) async fn run(command: &ProtectCommand, catalog: &Catalog) -> Result<(), Failure> {
    match command {
        ProtectCommand::Add { club, court, from, to, reason, json } => {
            let club = super::club(catalog, club).await?;
            let court = super::court(catalog, &club, court).await?;
            let channels = catalog.channels_of_court(court.id).await.map_err(failure)?;
            if channels.is_empty() {
                return Err(Failure::usage("the court has no channel, and so nothing to protect"));
            }
            let mut protections = Vec::new();
            for channel in channels {
                let new = NewProtection {
                    channel_id: channel.id,
                    from_us: from.as_microsecond(),
                    to_us: to.as_microsecond(),
                    reason: reason.clone(),
                };
                protections.push(catalog.protect(new).await.map_err(failure)?);
            }
            print(&protections, *json)
        }
        ProtectCommand::List { club, court, json } => {
            let club = super::club(catalog, club).await?;
            let court = super::court(catalog, &club, court).await?;
            let mut protections = Vec::new();
            for channel in catalog.channels_of_court(court.id).await.map_err(failure)? {
                let some = catalog.protections(channel.id, i64::MIN, MAX_LISTED).await;
                protections.extend(some.map_err(failure)?);
            }
            if protections.is_empty() && !json {
                return output::line("Nothing is protected.");
            }
            print(&protections, *json)
        }
        ProtectCommand::Remove { id } => {
            catalog.unprotect(*id).await.map_err(failure)?;
            output::line("No longer protected.")
        }
    }
}

fn print(protections: &[Protection], is_json: bool) -> Result<(), Failure> {
    if is_json {
        let protections: Vec<Value> = protections.iter().map(protection_json).collect();
        return output::json(&json!({ "protections": protections }));
    }
    protections.iter().try_for_each(|protection| {
        output::line(format_args!(
            "{}  {} to {}  {}",
            protection.id,
            instant(protection.from_us),
            instant(protection.to_us),
            protection.reason
        ))
    })
}

fn protection_json(protection: &Protection) -> Value {
    json!({
        "id": protection.id,
        "channelId": protection.channel_id,
        "from": instant(protection.from_us),
        "to": instant(protection.to_us),
        "reason": protection.reason,
        "createdAt": instant(protection.created_us),
    })
}
