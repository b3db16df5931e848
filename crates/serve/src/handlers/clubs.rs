//! Clubs and their courts.

use super::scope;
use crate::{
    api::{ChannelSummary, ClubList, ClubProfile, ClubSummary, CourtSummary, OpeningHours, Weekday},
    app::App,
    door::Visitor,
    problem::{Problem, ProblemDocument},
    query::ApiPath,
};
use access::Wish;
use axum::{Json, extract::State};
use catalog::schedule::WeekHours;

/// All clubs.
#[utoipa::path(get, path = "/api/clubs", tag = "clubs", operation_id = "listClubs",
    responses((status = 200, description = "The clubs", body = ClubList),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn list_clubs(State(app): State<App>) -> Result<Json<ClubList>, Problem> {
    let clubs = app.catalog.clubs().await?;
    let mut clubs: Vec<_> =
        clubs.into_iter().map(|club| ClubSummary { slug: club.slug, name: club.name }).collect();
    clubs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(ClubList { clubs }))
}

/// A club's public profile.
#[utoipa::path(get, path = "/api/clubs/{club}", tag = "clubs", operation_id = "getClub",
    params(("club" = String, Path, description = "Slug of the club")),
    responses((status = 200, description = "The club", body = ClubProfile),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_club(
    State(app): State<App>,
    visitor: Visitor,
    ApiPath(slug): ApiPath<String>,
) -> Result<Json<ClubProfile>, Problem> {
    let club = scope::club(&app, &slug).await?;
    let live_access = app.catalog.live_access(club.id).await?;
    let shown = app.door.shown(&visitor).await?;
    let now_us = app.clock.now_us();
    let mut courts = Vec::new();
    for court in app.catalog.courts(club.id).await? {
        let admission = shown.may(&club, court.id, Wish::Live, now_us).ok();
        let channels: Vec<_> = app
            .catalog
            .channels_of_court(court.id)
            .await?
            .into_iter()
            .map(|channel| {
                let is_live = app.live.is_live(channel.id);
                let admission = admission.as_ref().filter(|_| is_live);
                let live_url =
                    admission.map(|admission| app.viewing.address(channel.id, live_access, admission).0);
                let audio_left_out = app.hubs.audio_problem(channel.id).filter(|_| is_live).map(Into::into);
                ChannelSummary { is_live, live_url, audio_left_out, id: channel.id, name: channel.name }
            })
            .collect();
        let is_live = channels.iter().any(|channel| channel.is_live);
        let live_url = channels.iter().find_map(|channel| channel.live_url.clone());
        courts.push(CourtSummary { slug: court.slug, name: court.name, is_live, live_url, channels });
    }
    let schedule = club.current_schedule(now_us);
    Ok(Json(ClubProfile {
        appointment_duration: schedule.appointment_duration_min,
        hours: hours(&schedule.hours),
        slug: club.slug,
        name: club.name,
        zone: club.zone,
        access: club.access.into(),
        courts,
    }))
}

const WEEKDAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

fn hours(week: &WeekHours) -> Vec<OpeningHours> {
    let days = WEEKDAYS.into_iter().zip(week.days());
    days.flat_map(|(weekday, day)| {
        day.periods().iter().map(move |period| OpeningHours {
            weekday,
            open: period.open_text(),
            close: period.close_text(),
        })
    })
    .collect()
}
