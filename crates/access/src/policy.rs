//! What a club wants.

use std::fmt;
use std::str::FromStr;

/// Who may watch what a club records and broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Policy {
    /// Everybody.
    #[default]
    Open,
    /// Whoever has a link that the club's staff handed out.
    Link,
    /// Whoever knows the code of the match, or has a link.
    Code,
    /// Operators alone. For channels of no club: a club has people to let in.
    Closed,
}

impl Policy {
    /// The word in the database, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Link => "link",
            Self::Code => "code",
            Self::Closed => "closed",
        }
    }

    /// What a club may choose.
    ///
    /// # Errors
    ///
    /// What is wrong with the word.
    pub fn of_club(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(policy) if policy != Self::Closed => Ok(policy),
            _ => Err(format!("`{text}` is neither `open` nor `link` nor `code`")),
        }
    }

    /// What may hold for channels of no club.
    ///
    /// # Errors
    ///
    /// What is wrong with the word.
    pub fn of_no_club(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(policy @ (Self::Open | Self::Closed)) => Ok(policy),
            _ => Err(format!("`{text}` is neither `open` nor `closed`")),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Open, Self::Link, Self::Code, Self::Closed];
        let found = all.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no policy"))
    }
}
