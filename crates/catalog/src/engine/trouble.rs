//! What an error of the database means for the one who asked. The codes stand with their engines.

use std::io::ErrorKind;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use super::{mysql, postgres, sqlite};

/// What can be done about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// There is no connection to be had, or no answer: later.
    Away,
    /// This connection broke; another may work at once.
    Lost,
    /// The server is there and cannot do it now: too slow, too full, read-only for the moment.
    Unable,
    /// Others wrote the same at the same time, and this one was undone: again.
    Conflict,
}

/// `None` for what no waiting helps against.
pub(crate) fn trouble(error: &DbErr) -> Option<Trouble> {
    match error {
        DbErr::ConnectionAcquire(_) => Some(Trouble::Away),
        DbErr::Conn(RuntimeErr::SqlxError(cause)) => of_sqlx(cause).map(|trouble| match trouble {
            // While connecting there is no other connection to try.
            Trouble::Lost => Trouble::Away,
            other => other,
        }),
        DbErr::Conn(_) => Some(Trouble::Away),
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            of_sqlx(cause)
        }
        _ => None,
    }
}

fn of_sqlx(error: &SqlxError) -> Option<Trouble> {
    match error {
        // What TLS says of a certificate comes as an error of input and output, and no waiting helps against it.
        SqlxError::Io(error) if error.kind() == ErrorKind::InvalidData => None,
        SqlxError::Io(_) | SqlxError::WorkerCrashed => Some(Trouble::Lost),
        SqlxError::PoolTimedOut | SqlxError::PoolClosed => Some(Trouble::Away),
        SqlxError::Database(said) => {
            if let Some(error) = said.try_downcast_ref::<MySqlDatabaseError>() {
                mysql::trouble(error.number())
            } else if let Some(error) = said.try_downcast_ref::<PgDatabaseError>() {
                postgres::trouble(error.code())
            } else {
                said.code().and_then(|code| sqlite::trouble(&code))
            }
        }
        _ => None,
    }
}
