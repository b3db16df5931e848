//! How often codes were tried, so that no restart and no other node forgets it. The rule stands in `access`.

use access::{Counter, Limit};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Select};

use crate::entity::code_attempt;
use crate::error::CatalogError;
use crate::{Catalog, validate};

/// Longest name of what is counted.
const MAX_SUBJECT_BYTES: usize = 80;

/// Counters older than any window that are removed with one attempt: more than one attempt makes.
const REMOVED_AT_A_TIME: u64 = 16;

impl Catalog {
    /// Counts an attempt for each of these, before it is known whether it is right, so that many at once are no more than one
    /// after the other. All of them count, or none.
    ///
    /// The answer is `Err` with the instant of the next attempt, UTC microseconds, where there were too many.
    pub async fn count_attempt(&self, subjects: &[(String, Limit)]) -> Result<Result<(), i64>, CatalogError> {
        for (subject, _) in subjects {
            validate::text("subject of an attempt", subject, MAX_SUBJECT_BYTES)?;
        }
        let now_us = self.now_us();
        self.write(|| async {
            let transaction = self.begin().await?;
            let (mut counted, mut refused) = (Vec::new(), None);
            for (subject, limit) in subjects {
                let known = code_attempt::Entity::find_by_id(subject.as_str()).one(&transaction).await?;
                let counter = known.map(|row| Counter {
                    window_from_us: row.window_from_us,
                    failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
                });
                match limit.attempt(counter, now_us) {
                    Ok(counter) => counted.push((subject, counter)),
                    Err((next_us, counter)) => {
                        // A clock that was set back has moved it: kept, or nobody gets in until the clock has caught up.
                        refused = Some(next_us);
                        counted = vec![(subject, counter)];
                        break;
                    }
                }
            }
            for (subject, counter) in counted {
                let row = code_attempt::ActiveModel {
                    subject: Set(subject.clone()),
                    window_from_us: Set(counter.window_from_us),
                    failures: Set(i32::try_from(counter.failures).unwrap_or(i32::MAX)),
                };
                let mut replace = OnConflict::column(code_attempt::Column::Subject);
                replace.update_columns([code_attempt::Column::WindowFromUs, code_attempt::Column::Failures]);
                code_attempt::Entity::insert(row)
                    .on_conflict(replace)
                    .exec_without_returning(&transaction)
                    .await?;
            }
            let longest_us = subjects.iter().map(|(_, limit)| limit.window_us).max().unwrap_or(0);
            let over = over(now_us.saturating_sub(longest_us)).all(&transaction).await?;
            if !over.is_empty() {
                let names = over.into_iter().map(|row| row.subject);
                code_attempt::Entity::delete_many()
                    .filter(code_attempt::Column::Subject.is_in(names))
                    .exec(&transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(refused.map_or(Ok(()), Err))
        })
        .await
    }

    /// Takes an attempt back that was right.
    pub async fn forgive_attempt(&self, subjects: &[String]) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            for subject in subjects {
                let known = code_attempt::Entity::find_by_id(subject.as_str()).one(&transaction).await?;
                let Some(row) = known else { continue };
                let fewer = code_attempt::ActiveModel {
                    failures: Set(row.failures.saturating_sub(1).max(0)),
                    ..Default::default()
                };
                code_attempt::Entity::update_many()
                    .set(fewer)
                    .filter(code_attempt::Column::Subject.eq(subject.as_str()))
                    .exec(&transaction)
                    .await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Forgets what was counted for one of these.
    pub async fn forget_attempts(&self, subject: &str) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            code_attempt::Entity::delete_by_id(subject).exec(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }
}

/// Counters whose window began before this.
fn over(before_us: i64) -> Select<code_attempt::Entity> {
    code_attempt::Entity::find()
        .filter(code_attempt::Column::WindowFromUs.lt(before_us))
        .limit(REMOVED_AT_A_TIME)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_over() -> Select<code_attempt::Entity> {
        over(7)
    }
}
