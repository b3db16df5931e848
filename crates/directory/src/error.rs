//! What can go wrong with somebody else's table, told apart, in words for the operator. No secret stands in one of these,
//! and no text of a row: the other side's messages are quoted only where they name columns, tables and types.

use std::fmt;

/// The configuration cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// Why the table did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It cannot be reached, or has no time, at the moment.
    #[error("the directory cannot be reached: {0}")]
    Unavailable(String),
    /// It does not know the key or password.
    #[error("the directory does not accept the key: {0}")]
    WrongKey(String),
    /// The JWT was right once.
    #[error("the directory's key has expired: put a new one into SUPABASE_KEY (`directory.key`)")]
    ExpiredKey,
    /// The role lacks a grant.
    #[error(
        "the directory's role may not do that ({0}): GRANT SELECT, and UPDATE of the live columns, to the role of the key"
    )]
    PermissionDenied(String),
    /// A policy refused the new row.
    #[error(
        "a row-level security policy of the directory refused the update: the UPDATE policy's WITH CHECK must allow it"
    )]
    RowSecurity,
    /// The row can be read but not updated.
    #[error(
        "the row can be read but not updated: row-level security is on and has no UPDATE policy for the role of the key"
    )]
    UpdateHidden,
    /// There is no such table.
    #[error("the directory has no table `{0}`, or its API does not show it: check `directory.table`")]
    MissingTable(String),
    /// There is no such column.
    #[error("the directory's table lacks a column: {0}; check `[directory] column_…`")]
    MissingColumn(String),
    /// An update would have changed several rows, and changed none.
    #[error(
        "the update would have changed more than one row and was refused: `id` is not unique in the table"
    )]
    TooManyRows,
    /// The column of ids holds something else.
    #[error("the column of ids holds no UUIDs: check `directory.column_id`")]
    NotUuid,
    /// A constraint of the table.
    #[error("a constraint of the directory's table refused the update ({0})")]
    Conflict(String),
    /// Anything else the table said.
    #[error("the directory refused the request ({0})")]
    Refused(String),
    /// The answer makes no sense for this kind of directory.
    #[error("the directory gave an answer that is none of its kind: {0}; check `directory.url`")]
    Answer(String),
}

impl TableError {
    /// Whether it may work in a moment without anybody mending anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(crate) fn timeout() -> Self {
        Self::Unavailable("it did not answer in time".to_owned())
    }
}

/// An SQLSTATE (ISO 9075, PostgreSQL Appendix A) as one of ours. `said` is the engine's message, from which only what is
/// known to hold no row's text is kept.
pub(crate) fn from_sqlstate(state: &str, said: &str, table: &dyn fmt::Display) -> TableError {
    match state {
        "42501" if said.contains("row-level security") => TableError::RowSecurity,
        "42501" | "42000" if said.contains("denied") || state == "42501" => {
            TableError::PermissionDenied(state.to_owned())
        }
        "42P01" | "42S02" | "3F000" => TableError::MissingTable(table.to_string()),
        // These messages name a column and nothing else.
        "42703" | "42S22" => TableError::MissingColumn(shortened(said)),
        "28000" | "28P01" => TableError::WrongKey("user or password".to_owned()),
        "3D000" => TableError::Refused("there is no database of that name".to_owned()),
        "22P02" => TableError::Refused("a value does not fit its column's type, 22P02".to_owned()),
        state if state.starts_with("23") => TableError::Conflict(state.to_owned()),
        state if ["08", "53", "57"].iter().any(|class| state.starts_with(class)) => {
            TableError::Unavailable(format!("the database is busy or starting, {state}"))
        }
        state => TableError::Refused(format!("SQLSTATE {state}")),
    }
}

/// Enough of a message to recognise it.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let of = |state, said| from_sqlstate(state, said, &"t");
        assert_eq!(
            of("42501", "permission denied for table t"),
            TableError::PermissionDenied("42501".into())
        );
        assert_eq!(
            of("42501", "new row violates row-level security policy for table \"t\""),
            TableError::RowSecurity
        );
        assert_eq!(of("42P01", ""), TableError::MissingTable("t".into()));
        assert!(matches!(of("42703", "column \"x\" does not exist"), TableError::MissingColumn(_)));
        assert!(matches!(of("23514", ""), TableError::Conflict(_)));
        for state in ["08006", "53300", "57P03", "57014"] {
            assert!(of(state, "").is_temporary(), "{state}");
        }
        assert!(!of("XX000", "").is_temporary());
    }
}
