//! Days with footage, and the start times of a day.

#![expect(unused_qualifications, reason = "the macro that describes an operation qualifies its parameters")]

use super::scope::{self, best};
use crate::{
    api::{DayCoverage, DaySlots, Instant, MonthDays, SlotState, SlotSummary},
    app::App,
    coverage::{recorded_us, share},
    door::Visitor,
    problem::{Problem, ProblemDocument},
    query::{ApiPath, Fields},
    token::{Grant, TokenKind, expiry_us},
};
use access::{Range, Wish};
use axum::{Json, extract::State};
use catalog::schedule;
use utoipa::IntoParams;

/// Which month.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query; `Fields` reads it, with a problem of its own for each mistake"
)]
pub(crate) struct MonthParams {
    /// `YYYY-MM`.
    #[param(example = "2026-11")]
    month: String,
}

/// Which day.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query; `Fields` reads it, with a problem of its own for each mistake"
)]
pub(crate) struct DateParams {
    /// Club-local date, `YYYY-MM-DD`.
    #[param(example = "2026-11-21")]
    date: String,
}

/// The days of a month with footage.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/days", tag = "clubs", operation_id = "listDays",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), MonthParams),
    responses((status = 200, description = "The days", body = MonthDays),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn list_days(
    State(app): State<App>,
    ApiPath((club, court)): ApiPath<(String, String)>,
    fields: Fields,
) -> Result<Json<MonthDays>, Problem> {
    let first = fields.month()?;
    let scope = scope::court(&app, &club, &court).await?;
    let now_us = app.clock.now_us();
    let bounds: Vec<_> = first
        .series(jiff::Span::new().days(1))
        .take_while(|date| date.month() == first.month())
        .map(|date| (date, schedule::day_bounds(&scope.club, date)))
        .collect();
    let from_us = bounds.iter().map(|(_, bounds)| bounds.0).min().unwrap_or_default();
    let to_us = bounds.iter().map(|(_, bounds)| bounds.1).max().unwrap_or_default().min(now_us);
    let mut days = Vec::new();
    if from_us < to_us {
        let footage = scope::footage(&app, scope.court.id, from_us, to_us).await?;
        for (date, (open_us, close_us)) in bounds {
            let close_us = close_us.min(now_us);
            let Some(best) = best(&footage, open_us, close_us) else { continue };
            let recorded = recorded_us(&best.spans, open_us, close_us);
            if recorded > 0 {
                days.push(DayCoverage {
                    date: date.to_string(),
                    coverage: share(recorded, close_us - open_us),
                });
            }
        }
    }
    Ok(Json(MonthDays { month: first.strftime("%Y-%m").to_string(), days }))
}

/// The start times of a day.
#[utoipa::path(get, path = "/api/clubs/{club}/courts/{court}/slots", tag = "clubs", operation_id = "listSlots",
    params(("club" = String, Path, description = "Slug of the club"), ("court" = String, Path, description = "Slug of the court"), DateParams),
    responses((status = 200, description = "The slots", body = DaySlots),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn list_slots(
    State(app): State<App>,
    visitor: Visitor,
    ApiPath((club, court)): ApiPath<(String, String)>,
    fields: Fields,
) -> Result<Json<DaySlots>, Problem> {
    let date = fields.date()?;
    let scope = scope::court(&app, &club, &court).await?;
    let now_us = app.clock.now_us();
    let slots = schedule::slots(&scope.club, date);
    let from_us = slots.iter().map(|slot| slot.start_us).min().unwrap_or_default();
    let to_us = slots.iter().map(|slot| slot.end_us).max().unwrap_or_default().min(now_us);
    let footage = if from_us < to_us {
        scope::footage(&app, scope.court.id, from_us, to_us).await?
    } else {
        Vec::new()
    };
    let shown = app.door.shown(&visitor).await?;
    let summaries = slots.into_iter().map(|slot| {
        let state = match now_us {
            now if now >= slot.end_us => SlotState::Past,
            now if now >= slot.start_us => SlotState::Live,
            _ => SlotState::Future,
        };
        let elapsed_us = now_us.clamp(slot.start_us, slot.end_us);
        let best = best(&footage, slot.start_us, elapsed_us);
        let recorded = best.map_or(0, |best| recorded_us(&best.spans, slot.start_us, elapsed_us));
        let range = Range { from_us: slot.start_us, to_us: slot.end_us };
        let admission = shown.may(&scope.club, scope.court.id, Wish::Picture(range), now_us).ok();
        let pictured = best.filter(|_| recorded > 0).zip(admission);
        let thumbnail_url = pictured.map(|(best, admission)| {
            let grant = Grant {
                kind: TokenKind::Frame,
                channel: best.channel.id,
                from_us: slot.start_us,
                to_us: slot.end_us,
                expires_us: expiry_us(slot.start_us, slot.end_us, now_us)
                    .min(admission.until_us.unwrap_or(i64::MAX)),
                by: admission.by,
            };
            format!("/frame/{}.jpg", app.signer.sign(&grant))
        });
        let expected_us = match best {
            Some(best) => scope::expected_until(&app, best, elapsed_us, now_us) - slot.start_us,
            None => elapsed_us - slot.start_us,
        };
        SlotSummary {
            time: slot.local,
            offset: slot.offset,
            is_ambiguous: slot.ambiguous,
            start: Instant(slot.start_us),
            end: Instant(slot.end_us),
            state,
            coverage: share(recorded, expected_us),
            thumbnail_url,
        }
    });
    Ok(Json(DaySlots { date: date.to_string(), slots: summaries.collect(), zone: scope.club.zone.clone() }))
}
