//! Names of tables and columns from the configuration: checked here, quoted by whoever writes them into a statement.

use std::fmt;
use std::str::FromStr;

/// Longest name (PostgreSQL cuts at 63 bytes, MySQL at 64).
const MAX_BYTES: usize = 63;

/// A letter or `_`, then letters, digits, `_` and `$`: what every engine and a URL take as they stand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Identifier(String);

impl Identifier {
    /// A name of this program's own; a test checks that they are sound.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_sound = text.len() <= MAX_BYTES
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
        if is_sound {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(MAX_BYTES).collect();
            Err(format!(
                "`{shown}` is no name of a column: letters, digits and _, not beginning with a digit"
            ))
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A column that may be left out of the table: then it is neither read nor written.
pub type Column = Option<Identifier>;

/// `table` or `schema.table`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableName {
    /// The schema (MySQL: the database), where it is not the connection's own.
    pub schema: Option<Identifier>,
    /// The table.
    pub table: Identifier,
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((schema, table)) => Ok(Self { schema: Some(schema.parse()?), table: table.parse()? }),
            None => Ok(Self { schema: None, table: text.parse()? }),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => self.table.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["id", "_x", "is_on_live", "Col$1", &"x".repeat(63)] {
            assert!(good.parse::<Identifier>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "a b", "a\"b", "a`b", "a;--", "ñ", "a.b", "a,b", &"x".repeat(64)] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
        let name: TableName = "club.channels_channel".parse().unwrap();
        assert_eq!(name.to_string(), "club.channels_channel");
        for bad in ["", ".", "a.", ".b", "a.b.c", "a b.c"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
