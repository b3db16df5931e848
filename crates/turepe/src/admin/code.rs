//! `turepe admin code`: the only place beside the API that prints codes, and each once.

use catalog::{Catalog, SlotCode, schedule};
use serde_json::{Value, json};
use serve::make_codes;
use world::{Clock as _, SystemClock};

use super::{failure, handed_out, instant};
use crate::cli::CodeCommand;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(command: &CodeCommand, catalog: &Catalog) -> Result<(), Failure> {
    match command {
        CodeCommand::Create { club, court, date, time, offset, renew, life, json } => {
            let club = super::club(catalog, club).await?;
            let court = super::court(catalog, &club, court).await?;
            let now_us = SystemClock.now_us();
            let time = time.map(|time| (time, offset.clone()));
            let expires_us = life.map(|life| now_us.saturating_add(life.micros()));
            let codes = make_codes(catalog, &club, &court, *date, time, *renew, expires_us, now_us);
            let codes = codes.await.map_err(handed_out)?;
            if *json {
                let codes = codes.iter().map(|handed| {
                    let mut value = code_json(&handed.kept);
                    value["time"] = json!(handed.slot.local);
                    value["offset"] = json!(handed.slot.offset);
                    value["code"] = json!(handed.code);
                    value
                });
                return output::json(&json!({ "codes": codes.collect::<Vec<_>>() }));
            }
            if codes.is_empty() {
                return output::line("The club is closed on this date: there is no match.");
            }
            codes.iter().try_for_each(|handed| {
                let code = handed.code.as_deref().unwrap_or("has a code already (--renew makes another)");
                output::line(format_args!("{}  {}  {code}", handed.slot.local, court.name))
            })?;
            if codes.iter().any(|handed| handed.code.is_some()) {
                output::line("\nEach code is shown this once.")?;
            }
            if club.access != access::Policy::Code {
                let policy = club.access;
                output::line(format_args!(
                    "The club is `{policy}` and asks for no codes: turepe admin club set --club {} --access code",
                    club.slug
                ))?;
            }
            Ok(())
        }
        CodeCommand::List { club, court, date, json } => {
            let club = super::club(catalog, club).await?;
            let court = super::court(catalog, &club, court).await?;
            let (from_us, to_us) = schedule::day_bounds(&club, *date);
            let codes = catalog.slot_codes(court.id, from_us, to_us).await.map_err(failure)?;
            if *json {
                return output::json(&json!({ "codes": codes.iter().map(code_json).collect::<Vec<_>>() }));
            }
            if codes.is_empty() {
                return output::line("No match of this date has a code: turepe admin code create --help");
            }
            codes.iter().try_for_each(|code| {
                output::line(format_args!(
                    "{}  match of {}  until {}",
                    code.id,
                    instant(code.start_us),
                    instant(code.expires_us)
                ))
            })
        }
        CodeCommand::Revoke { id, json } => {
            catalog.revoke_slot_code(*id).await.map_err(failure)?;
            if *json {
                return output::json(&json!({ "id": id }));
            }
            output::line("Taken back: within seconds it opens nothing any more.")
        }
    }
}

fn code_json(code: &SlotCode) -> Value {
    json!({
        "id": code.id,
        "start": instant(code.start_us),
        "end": instant(code.end_us),
        "createdAt": instant(code.created_us),
        "expiresAt": instant(code.expires_us),
    })
}
