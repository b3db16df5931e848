//! Clubs and their schedules.

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::entity::{club, club_schedule};
use crate::error::{CatalogError, Kind};
use crate::schedule::{ALWAYS_CLOSED, Schedule, WeekHours};
use crate::viewing::policy_of;
use crate::{Catalog, LiveAccess, validate};
use access::Policy;

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Club {
    /// Its id.
    pub id: Uuid,
    /// Its name in web addresses.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// IANA time zone, for example `Europe/Madrid`.
    pub zone: String,
    /// When it was created, UTC microseconds.
    pub created_us: i64,
    /// How many days its footage is kept; `None` leaves that to the node's setting.
    pub retention_days: Option<u32>,
    /// Its schedules in the order they come into force; at least one.
    pub schedules: Vec<Schedule>,
    /// Who may watch.
    pub access: Policy,
}

impl Club {
    /// The schedule in force at an instant.
    #[must_use]
    pub fn current_schedule(&self, now_us: i64) -> &Schedule {
        let in_force = self.schedules.iter().rev().find(|schedule| schedule.effective_from_us <= now_us);
        in_force.or(self.schedules.first()).unwrap_or(&ALWAYS_CLOSED)
    }
}

/// A club to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewClub {
    /// `[a-z0-9-]{1,64}`, unique, none of [`crate::RESERVED_CLUB_SLUGS`].
    pub slug: String,
    /// 1 to 200 characters.
    pub name: String,
    /// IANA time zone.
    pub zone: String,
    /// Opening hours.
    pub hours: WeekHours,
    /// How long a match lasts: 1 to 1440 minutes.
    pub appointment_duration_min: u32,
}

impl Catalog {
    /// Creates a club that is open to everybody. Its first schedule is in force from the beginning of time.
    pub async fn create_club(&self, new: NewClub) -> Result<Club, CatalogError> {
        self.create_club_with(new, Policy::Open).await
    }

    /// As [`Catalog::create_club`], with who may watch, from its first instant on.
    pub async fn create_club_with(&self, new: NewClub, access: Policy) -> Result<Club, CatalogError> {
        validate::club_slug(&new.slug)?;
        let name = validate::name(&new.name)?;
        let zone = validate::zone(&new.zone)?;
        validate::appointment_duration(new.appointment_duration_min)?;
        let schedule = Schedule {
            effective_from_us: 0,
            hours: new.hours,
            appointment_duration_min: new.appointment_duration_min,
        };
        let model = club::Model {
            id: self.new_id(),
            slug: new.slug,
            name,
            zone,
            created_us: self.now_us(),
            retention_days: None,
            live_access: LiveAccess::default().as_str().to_owned(),
            access: access.as_str().to_owned(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            club::Entity::insert(club::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| {
                    let taken = || CatalogError::SlugTaken { kind: Kind::Club, slug: model.slug.clone() };
                    CatalogError::from_insert(error, taken, Kind::Club)
                })?;
            put_schedule(&transaction, model.id, &schedule).await?;
            Ok(transaction.commit().await?)
        })
        .await?;
        club_of(model, vec![schedule])
    }

    /// The club with a slug.
    pub async fn club_by_slug(&self, slug: &str) -> Result<Option<Club>, CatalogError> {
        // MySQL overlooks spaces at the end of a word.
        if validate::slug(slug).is_err() {
            return Ok(None);
        }
        let reader = self.engine.reader();
        let Some(model) = club::Entity::find().filter(club::Column::Slug.eq(slug)).one(reader).await? else {
            return Ok(None);
        };
        let schedules = schedules_of(reader, model.id).await?;
        club_of(model, schedules).map(Some)
    }

    /// The club with an id.
    pub async fn club(&self, id: Uuid) -> Result<Option<Club>, CatalogError> {
        let reader = self.engine.reader();
        let Some(model) = club::Entity::find_by_id(id).one(reader).await? else { return Ok(None) };
        let schedules = schedules_of(reader, model.id).await?;
        club_of(model, schedules).map(Some)
    }

    /// All clubs by slug.
    pub async fn clubs(&self) -> Result<Vec<Club>, CatalogError> {
        let reader = self.engine.reader();
        let models = club::Entity::find().order_by_asc(club::Column::Slug).all(reader).await?;
        let rows = club_schedule::Entity::find()
            .order_by_asc(club_schedule::Column::EffectiveFromUs)
            .all(reader)
            .await?;
        let mut schedules: HashMap<Uuid, Vec<Schedule>> = HashMap::new();
        for row in rows {
            schedules.entry(row.club_id).or_default().push(schedule_of(row)?);
        }
        models
            .into_iter()
            .map(|model| {
                let schedules = schedules.remove(&model.id).unwrap_or_default();
                club_of(model, schedules)
            })
            .collect()
    }

    /// Gives a club other hours and another match length from an instant on. What was in force before stays in force
    /// for the time before, so past slots do not move; whoever names an instant of the past rewrites it knowingly.
    pub async fn set_schedule(
        &self,
        club_id: Uuid,
        hours: WeekHours,
        appointment_duration_min: u32,
        effective_from_us: i64,
    ) -> Result<Club, CatalogError> {
        validate::appointment_duration(appointment_duration_min)?;
        let schedule = Schedule { effective_from_us, hours, appointment_duration_min };
        self.write(|| async {
            let transaction = self.begin().await?;
            let model = club::Entity::find_by_id(club_id)
                .one(&transaction)
                .await?
                .ok_or(CatalogError::NotFound(Kind::Club))?;
            put_schedule(&transaction, club_id, &schedule).await?;
            let schedules = schedules_of(&transaction, club_id).await?;
            transaction.commit().await?;
            club_of(model, schedules)
        })
        .await
    }

    /// Gives a club another name.
    pub async fn rename_club(&self, club_id: Uuid, name: &str) -> Result<(), CatalogError> {
        let name = validate::name(name)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let changed = club::Entity::update_many()
                .set(club::ActiveModel { name: Set(name.clone()), ..Default::default() })
                .filter(club::Column::Id.eq(club_id))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Club)) } else { Ok(()) }
        })
        .await
    }

    /// Puts a club into another time zone: its hours are read there from now on, those of past slots too.
    pub async fn set_zone(&self, club_id: Uuid, zone: &str) -> Result<(), CatalogError> {
        let zone = validate::zone(zone)?;
        let transaction = self.begin().await?;
        let changed = club::Entity::update_many()
            .set(club::ActiveModel { zone: Set(zone), ..Default::default() })
            .filter(club::Column::Id.eq(club_id))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Club)) } else { Ok(()) }
    }

    /// How many days a club's footage is kept, 1 to [`crate::MAX_RETENTION_DAYS`]; `None` leaves it to the node's setting.
    pub async fn set_retention(&self, club_id: Uuid, days: Option<u32>) -> Result<(), CatalogError> {
        let days = days.map(validate::retention_days).transpose()?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let changed = club::Entity::update_many()
                .set(club::ActiveModel { retention_days: Set(days), ..Default::default() })
                .filter(club::Column::Id.eq(club_id))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Club)) } else { Ok(()) }
        })
        .await
    }

    /// Removes a club that has no courts.
    pub async fn remove_club(&self, club_id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = club::Entity::delete_by_id(club_id)
                .exec(&transaction)
                .await
                .map_err(|error| CatalogError::from_delete(error, Kind::Club, "courts"))?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Club)) } else { Ok(()) }
        })
        .await
    }
}

/// Inserts a schedule, or replaces the one that comes into force at the same instant.
async fn put_schedule<C: ConnectionTrait>(
    connection: &C,
    club_id: Uuid,
    schedule: &Schedule,
) -> Result<(), CatalogError> {
    use club_schedule::Column;
    let row = club_schedule::ActiveModel {
        club_id: Set(club_id),
        effective_from_us: Set(schedule.effective_from_us),
        hours: Set(schedule.hours.to_string()),
        appointment_duration_min: Set(i32::try_from(schedule.appointment_duration_min).unwrap_or(i32::MAX)),
    };
    let mut replace = OnConflict::columns([Column::ClubId, Column::EffectiveFromUs]);
    replace.update_columns([Column::Hours, Column::AppointmentDurationMin]);
    club_schedule::Entity::insert(row).on_conflict(replace).exec_without_returning(connection).await?;
    Ok(())
}

async fn schedules_of<C: ConnectionTrait>(
    connection: &C,
    club_id: Uuid,
) -> Result<Vec<Schedule>, CatalogError> {
    club_schedule::Entity::find()
        .filter(club_schedule::Column::ClubId.eq(club_id))
        .order_by_asc(club_schedule::Column::EffectiveFromUs)
        .all(connection)
        .await?
        .into_iter()
        .map(schedule_of)
        .collect()
}

fn schedule_of(row: club_schedule::Model) -> Result<Schedule, CatalogError> {
    let corrupt = |reason: String| CatalogError::Corrupt { what: "club's schedule", reason };
    Ok(Schedule {
        effective_from_us: row.effective_from_us,
        hours: row.hours.parse().map_err(|error: crate::schedule::HoursError| corrupt(error.to_string()))?,
        appointment_duration_min: u32::try_from(row.appointment_duration_min)
            .map_err(|_| corrupt("a negative appointment duration".into()))?,
    })
}

fn club_of(model: club::Model, schedules: Vec<Schedule>) -> Result<Club, CatalogError> {
    let club::Model { id, slug, name, zone, created_us, retention_days, live_access: _, access } = model;
    let retention_days = retention_days.and_then(|days| u32::try_from(days).ok());
    let access = policy_of(&access)?;
    Ok(Club { id, slug, name, zone, created_us, retention_days, schedules, access })
}
