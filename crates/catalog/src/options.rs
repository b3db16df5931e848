//! How the database is reached, and how its address is shown.

use std::fmt;
use std::time::Duration;

/// How the database is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// `sqlite:PATH`, `mysql://user:password@host/database` or `postgres://user:password@host/database`.
    pub url: String,
    /// Connections this process holds at most. With SQLite: reading ones, each a thread.
    pub max_connections: u32,
    /// How long a question waits for a connection before the database counts as away. Not used by SQLite.
    pub connect_timeout: Duration,
    /// How long the server may work on one statement. Not used by SQLite.
    pub statement_timeout: Duration,
}

impl DatabaseOptions {
    /// Connections where nobody says otherwise.
    pub const DEFAULT_MAX_CONNECTIONS: u32 = 8;
    /// Patience with a connection where nobody says otherwise.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// Patience with a statement where nobody says otherwise.
    pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A URL with the default limits.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: Self::DEFAULT_MAX_CONNECTIONS,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            statement_timeout: Self::DEFAULT_STATEMENT_TIMEOUT,
        }
    }
}

impl fmt::Debug for DatabaseOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("url", &masked_url(&self.url))
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish()
    }
}

/// What stands in place of a password.
const MASK: &str = "***";

/// A database URL with its password hidden, wherever it stands: `scheme://user:password@host/…` or `?password=…`.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password may hold any character that somebody forgot to encode: the last @ before the parameters ends it.
    let (front, parameters) = rest.split_once('?').map_or((rest, None), |(front, rest)| (front, Some(rest)));
    let front = match front.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None => front.to_owned(),
        },
        None => front.to_owned(),
    };
    let Some(parameters) = parameters else { return format!("{scheme}://{front}") };
    let parameters: Vec<String> = parameters
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.eq_ignore_ascii_case("password") => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{scheme}://{front}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (url, masked) in [
            ("mysql://u:p@h/db", "mysql://u:***@h/db"),
            (
                "postgres://u:p@ss/w:rd@h:5432/db?sslmode=require",
                "postgres://u:***@h:5432/db?sslmode=require",
            ),
            (
                "postgres://h/db?user=u&password=p&sslmode=require",
                "postgres://h/db?user=u&password=***&sslmode=require",
            ),
            ("mysql://u@h/db", "mysql://u@h/db"),
            ("mysql://h/db", "mysql://h/db"),
            ("sqlite:./x", "sqlite:./x"),
        ] {
            assert_eq!(masked_url(url), masked);
        }
        assert!(!format!("{:?}", DatabaseOptions::new("mysql://u:hunter2@h/db")).contains("hunter2"));
    }
}
