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

/// Parameters whose values may be shown: none of them is a secret in any database's URL, nor in a store's.
const SHOWN_PARAMETERS: [&str; 31] = [
    "application_name",
    "charset",
    "collation",
    "connect_timeout",
    "dbname",
    "endpoint",
    "etag",
    "host",
    "mode",
    "path_style",
    "port",
    "region",
    "socket",
    "sse",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslca",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "storage_class",
    "timezone",
    "user",
    "cache",
    "immutable",
    "vfs",
];

/// Schemes of URLs before whose host stands a user that may be shown.
const WITH_USER: [&str; 5] = ["mysql", "mariadb", "postgres", "postgresql", "sqlite"];

/// A URL with everything hidden that is not known to be harmless: shown are scheme, host, port, path, the user of a database and the
/// parameters that are known to be harmless; not a password, a user of anything else, any other parameter, or a fragment.
#[must_use]
pub fn masked_url(url: &str) -> String {
    // A fragment is no part of any URL of ours.
    let (url, fragment) = match url.split_once('#') {
        // Before the last @ it belongs to a password that nobody has encoded.
        Some((front, rest)) if !rest.contains('@') => (front, format!("#{MASK}")),
        _ => (url, String::new()),
    };
    let Some((scheme, rest)) = url.split_once(':') else {
        return if url.is_empty() { String::new() } else { MASK.to_owned() };
    };
    let (slashes, rest) = match rest.strip_prefix("//") {
        Some(rest) => ("//", rest),
        None => ("", rest),
    };
    let is_database = WITH_USER.contains(&scheme);
    let (whole, tail) = match rest.split_once('?') {
        Some((front, tail)) if !is_database => (front, Some(tail)),
        // A password may hold any character that somebody forgot to encode: the last @ ends it, also behind a question mark.
        _ => (rest, None),
    };
    let (user, rest) = match whole.rsplit_once('@').filter(|_| !slashes.is_empty()) {
        Some((user, rest)) => (Some(user), rest),
        None => (None, whole),
    };
    let user = user.map_or(String::new(), |user| match user.split_once(':') {
        _ if !is_database => format!("{MASK}@"),
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => format!("{user}@"),
    });
    let (front, parameters) = match rest.split_once('?') {
        Some((front, parameters)) => (front, Some(parameters)),
        None => (rest, tail),
    };
    // Where no port follows the colon, it may be half of something else.
    let authority = front.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_host =
        slashes.is_empty() || authority.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit());
    let front = if is_host { front } else { MASK };
    let parameters = parameters.map_or(String::new(), |parameters| {
        let shown = |parameter: &str| match parameter.split_once('=') {
            Some((name, value)) if SHOWN_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
                // The value may be a URL itself.
                let value = if value.contains("://") { masked_url(value) } else { value.to_owned() };
                format!("{name}={value}")
            }
            Some((name, _)) => format!("{name}={MASK}"),
            None if parameter.is_empty() => String::new(),
            None => MASK.to_owned(),
        };
        format!("?{}", parameters.split('&').map(shown).collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}:{slashes}{user}{front}{parameters}{fragment}")
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
            ("sqlite:./x?mode=rwc&key=p", "sqlite:./x?mode=rwc&key=***"),
            ("mysql://u:p#q@h/db", "mysql://u:***@h/db"),
            ("mysql://u:p?q@h/db?ssl-mode=REQUIRED", "mysql://u:***@h/db?ssl-mode=REQUIRED"),
            ("postgres://h/db?options=-c%20x&sslpassword=p", "postgres://h/db?options=***&sslpassword=***"),
            (
                "https://token@project.supabase.co/?apikey=p#p",
                "https://***@project.supabase.co/?apikey=***#***",
            ),
            (
                "s3://b/x?endpoint=https://u:p@h/&token=p&path_style=true",
                "s3://b/x?endpoint=https://***@h/&token=***&path_style=true",
            ),
            ("file:/mnt/footage", "file:/mnt/footage"),
            ("https://u:p/q@h/", "https://***@h/"),
            ("https://u:p?q@h/", "https://***?***"),
            ("mysql://u:p", "mysql://***"),
            ("postgres://[::1]:5432/db", "postgres://[::1]:5432/db"),
            ("postgres://[::1]/db", "postgres://[::1]/db"),
            ("p", "***"),
            ("", ""),
        ] {
            assert_eq!(masked_url(url), masked);
        }
        assert!(!format!("{:?}", DatabaseOptions::new("mysql://u:hunter2@h/db")).contains("hunter2"));
    }
}
