//! `turepe admin club`

use access::Policy;
use catalog::{Catalog, Club, LiveAccess, NewClub, WeekHours};
use serde_json::{Value, json};
use world::{Clock as _, SystemClock};

use super::failure;
use crate::cli::ClubCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(command: &ClubCommand, catalog: &Catalog, config: &Config) -> Result<(), Failure> {
    match command {
        ClubCommand::Add { slug, name, zone, schedule, access, json } => {
            let new = NewClub {
                slug: slug.clone(),
                name: name.clone(),
                zone: zone.clone(),
                hours: hours(&schedule.open)?,
                appointment_duration_min: schedule.appointment_duration,
            };
            let access = access.unwrap_or(config.access.new_clubs);
            let club = catalog.create_club_with(new, access).await.map_err(failure)?;
            if *json {
                return output::json(&club_json(&club));
            }
            output::line(format_args!(
                "Club `{slug}` created. Next: turepe admin court add --club {slug} --slug … --name …"
            ))
        }
        ClubCommand::List { json } => {
            let clubs = catalog.clubs().await.map_err(failure)?;
            if *json {
                return output::json(&json!({ "clubs": clubs.iter().map(club_json).collect::<Vec<_>>() }));
            }
            if clubs.is_empty() {
                return output::line("There is no club yet: turepe admin club add --help");
            }
            clubs.iter().try_for_each(|club| output::line(describe(club)))
        }
        ClubCommand::SetRetention { club, days, default: _, json } => {
            let club = super::club(catalog, club).await?;
            catalog.set_retention(club.id, *days).await.map_err(failure)?;
            let club = Club { retention_days: *days, ..club };
            if *json { output::json(&club_json(&club)) } else { output::line(describe(&club)) }
        }
        ClubCommand::SetZone { club, zone, json } => {
            let slug = club;
            let club = super::club(catalog, slug).await?;
            catalog.set_zone(club.id, zone).await.map_err(failure)?;
            let club = super::club(catalog, slug).await?;
            if *json { output::json(&club_json(&club)) } else { output::line(describe(&club)) }
        }
        ClubCommand::SetSchedule { club, open, appointment_duration, json } => {
            let club = super::club(catalog, club).await?;
            if open.is_none() && appointment_duration.is_none() {
                return Err(Failure::usage("nothing to change: give --open or --appointment-duration"));
            }
            let now_us = SystemClock.now_us();
            let current = club.current_schedule(now_us);
            let hours = open.as_deref().map_or_else(|| Ok(current.hours.clone()), hours)?;
            let minutes = appointment_duration.unwrap_or(current.appointment_duration_min);
            let club = catalog.set_schedule(club.id, hours, minutes, now_us).await.map_err(failure)?;
            if *json { output::json(&club_json(&club)) } else { output::line(describe(&club)) }
        }
        ClubCommand::Set { club, access, live, json } => {
            let slug = club;
            let club = super::club(catalog, slug).await?;
            if let Some(access) = access {
                catalog.set_access(club.id, *access).await.map_err(failure)?;
            }
            if let Some(live) = live {
                catalog.set_live_access(club.id, *live).await.map_err(failure)?;
            }
            let access = access.unwrap_or(club.access);
            let live = catalog.live_access(club.id).await.map_err(failure)?;
            if *json {
                return output::json(
                    &json!({ "slug": club.slug, "access": access.as_str(), "live": live.as_str() }),
                );
            }
            output::line(match (access, live) {
                (Policy::Open, LiveAccess::Open) => {
                    "Everybody may watch, and whoever has a court's address may watch it live."
                }
                (Policy::Open, LiveAccess::Signed) => {
                    "Everybody may watch; courts are watched live by signed addresses only, as the club's page gives them."
                }
                (Policy::Link, _) => {
                    "Whoever has a link from the club may watch what it opens: turepe admin link create --help"
                }
                (Policy::Code | Policy::Closed, _) => {
                    "Whoever has the code of a match may watch it: turepe admin code create --help"
                }
            })
        }
    }
}

fn hours(text: &str) -> Result<WeekHours, Failure> {
    WeekHours::parse(text).map_err(|error| Failure::usage(format!("--open: {error}")))
}

fn describe(club: &Club) -> String {
    let schedule = club.current_schedule(SystemClock.now_us());
    let kept = club.retention_days.map_or(String::new(), |days| format!(", kept {days} days"));
    format!(
        "{:<16} {}  ({}, open {}, matches of {} min{kept}, access: {})",
        club.slug, club.name, club.zone, schedule.hours, schedule.appointment_duration_min, club.access
    )
}

fn club_json(club: &Club) -> Value {
    let schedule = club.current_schedule(SystemClock.now_us());
    json!({
        "id": club.id,
        "slug": club.slug,
        "name": club.name,
        "zone": club.zone,
        "open": schedule.hours.to_string(),
        "appointmentDuration": schedule.appointment_duration_min,
        "retentionDays": club.retention_days,
        "access": club.access.as_str(),
    })
}
