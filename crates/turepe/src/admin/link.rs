//! `turepe admin link`: the only place beside the API that prints a link's secret, and each once.

use catalog::{Catalog, ViewingLink};
use serde_json::{Value, json};
use serve::{LinkTo, make_link};
use world::{Clock as _, SystemClock};

use super::{failure, handed_out, instant};
use crate::cli::LinkCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(command: &LinkCommand, catalog: &Catalog, config: &Config) -> Result<(), Failure> {
    match command {
        LinkCommand::Create { club, court, date, time, offset, from, to, live, life, note, json } => {
            let club = super::club(catalog, club).await?;
            let court = match court {
                Some(court) => Some(super::court(catalog, &club, court).await?),
                None => None,
            };
            let wanted = match (date, time, from, to) {
                (Some(date), Some(time), ..) => {
                    LinkTo::Match { date: *date, time: *time, offset: offset.clone() }
                }
                (_, _, Some(from), Some(to)) => {
                    LinkTo::Range { from_us: from.as_microsecond(), to_us: to.as_microsecond() }
                }
                _ if *live => LinkTo::Live,
                _ => LinkTo::Everything,
            };
            let now_us = SystemClock.now_us();
            let expires_us = now_us.saturating_add(life.micros());
            let handed = make_link(catalog, &club, court.as_ref(), wanted, note.clone(), expires_us, now_us);
            let handed = handed.await.map_err(handed_out)?;
            let site = config.http.public_url.as_deref().unwrap_or_default();
            let url = format!("{site}{}", handed.path);
            if *json {
                let mut value = link_json(&handed.link);
                value["url"] = json!(url);
                return output::json(&value);
            }
            let warning = if club.access == access::Policy::Open {
                format!(
                    "\n\nThe club is open to everybody: turepe admin club set --club {} --access link",
                    club.slug
                )
            } else {
                String::new()
            };
            output::line(format_args!(
                "{url}\n\nOpens {} until {}. It is shown this once. To take it back: turepe admin link revoke {}{warning}",
                handed.link,
                instant(expires_us),
                handed.link.id
            ))
        }
        LinkCommand::List { club, json } => {
            let club = super::club(catalog, club).await?;
            let links = catalog.links(club.id).await.map_err(failure)?;
            if *json {
                return output::json(&json!({ "links": links.iter().map(link_json).collect::<Vec<_>>() }));
            }
            if links.is_empty() {
                return output::line("The club has handed out no link: turepe admin link create --help");
            }
            let now_us = SystemClock.now_us();
            links.iter().try_for_each(|link| output::line(describe(link, now_us)))
        }
        LinkCommand::Revoke { id, json } => {
            let link = catalog.revoke_link(*id).await.map_err(failure)?;
            if *json {
                return output::json(&link_json(&link));
            }
            output::line("Taken back: within seconds it opens nothing any more.")
        }
    }
}

fn describe(link: &ViewingLink, now_us: i64) -> String {
    let state = match link.revoked_us {
        Some(us) => format!("taken back {}", instant(us)),
        None if link.expires_us <= now_us => format!("expired {}", instant(link.expires_us)),
        None => format!("until {}", instant(link.expires_us)),
    };
    let note = link.note.as_deref().map_or(String::new(), |note| format!("  {note}"));
    format!("{}  {link}  {state}{note}", link.id)
}

fn link_json(link: &ViewingLink) -> Value {
    let (live, range) = match link.scope {
        access::Scope::All | access::Scope::Live { .. } => (true, None),
        access::Scope::Range(range) | access::Scope::Match(range) => (false, Some(range)),
    };
    json!({
        "id": link.id,
        "courtId": link.court_id,
        "live": live,
        "from": range.map(|range| instant(range.from_us)),
        "to": range.map(|range| instant(range.to_us)),
        "note": link.note,
        "createdAt": instant(link.created_us),
        "expiresAt": instant(link.expires_us),
        "revokedAt": link.revoked_us.map(instant),
    })
}
